//! Many users at once, written straight into the database: hashing their passwords would take minutes.

use std::time::Duration;

use protocol::{Id, Timestamp};
use store::Store;
use store::document::{Conversation, User};

use super::people::Person;
use super::rest::Rest;
use super::stack::tokens;

/// Documents in one insert.
const CHUNK: usize = 1_000;

/// So many users, who share one client of the REST API at `base`.
pub(crate) async fn crowd(store: &Store, base: &str, count: usize) -> Vec<Person> {
    let (now, tag) = (Timestamp::now(), Id::mint());
    let user = |number: usize| {
        let email = format!("crowd{number}-{tag}@example.org");
        User::new(format!("Crowd {number}"), email, format!("crowd{number}-{tag}"), String::new(), now)
    };
    let users: Vec<User> = (0..count).map(user).collect();
    for chunk in users.chunks(CHUNK) {
        store.users().insert_many(chunk).await.unwrap();
    }
    let rest = Rest::new(base);
    let person = |user: User| {
        let token = tokens().sign(user.id, 0, Duration::from_secs(3_600)).unwrap();
        Person { id: user.id.to_string(), name: user.name, rest: rest.with_token(&token), token }
    };
    users.into_iter().map(person).collect()
}

/// Conversations with these participants, the first of whom has made it; their identifiers.
pub(crate) async fn conversations<'a>(
    store: &Store,
    groups: impl IntoIterator<Item = &'a [Person]>,
) -> Vec<String> {
    let conversation = |people: &[Person]| {
        let participants: Vec<Id> = people.iter().map(|person| person.id.parse().unwrap()).collect();
        let name = (people.len() > 2).then(|| "A crowd".to_owned());
        Conversation::new(participants[0], participants, name, Timestamp::now())
    };
    let conversations: Vec<Conversation> = groups.into_iter().map(conversation).collect();
    for chunk in conversations.chunks(CHUNK) {
        store.conversations().insert_many(chunk).await.unwrap();
    }
    conversations.iter().map(|conversation| conversation.id.to_string()).collect()
}
