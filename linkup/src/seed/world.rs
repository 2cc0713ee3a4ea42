//! Writes what was drawn into the database, as the api would have.

use protocol::{Id, Timestamp};
use store::document::{Conversation, User};
use store::{Store, StoreError};

use super::PASSWORD_HASH;
use super::bulk::Bulk;
use super::history::{self, Past};
use super::shape::Shape;

/// Somebody who was written, and the conversations that they are in.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) id: Id,
    pub(super) email: String,
    pub(super) conversations: Vec<Id>,
}

/// Writes so many users and all that is between them.
///
/// # Errors
///
/// When MongoDB does not take it. What was written until then stays.
pub(super) async fn write(
    store: &Store,
    users: usize,
    shape: Shape,
    tag: &str,
) -> Result<Vec<Person>, StoreError> {
    let now = Timestamp::now();
    let mut people: Vec<Person> = (1..=users)
        .map(|number| Person { id: Id::mint(), email: email(number, tag), conversations: Vec::new() })
        .collect();
    let registered = if shape.history.is_some() { history::registered(now) } else { now };
    write_users(store, &people, &shape.friends, tag, registered).await?;

    let (mut lengths, mut random) =
        shape.history.map(|history| (history.lengths.into_iter(), history.random)).unzip();
    let mut pasts = Vec::new();
    let mut conversations = Bulk::new(store.conversations());
    for (place, members) in shape.conversations.iter().enumerate() {
        let length = lengths.as_mut().and_then(Iterator::next);
        let past = length.zip(random.as_mut()).map(|(length, random)| {
            Past::draw(random.fork(), i64::try_from(length).unwrap_or(i64::MAX), now)
        });
        let ids = ids(&people, members);
        let name = (place >= shape.direct).then(|| format!("Group {}", place - shape.direct + 1));
        let conversation = conversation(ids, name, past.as_ref(), now);
        for member in members {
            people[*member].conversations.push(conversation.id);
        }
        pasts.extend(past.map(|past| (conversation.id, past)));
        conversations.push(conversation, members.len()).await?;
    }
    conversations.flush().await?;
    write_history(store, &people, &shape.conversations, pasts).await?;
    Ok(people)
}

async fn write_users(
    store: &Store,
    people: &[Person],
    friends: &[(usize, usize)],
    tag: &str,
    registered: Timestamp,
) -> Result<(), StoreError> {
    let mut added = vec![Vec::new(); people.len()];
    for &(one, other) in friends {
        added[one].push(people[other].id);
        added[other].push(people[one].id);
    }
    let mut users = Bulk::new(store.users());
    for ((number, person), friends) in (1..).zip(people).zip(added) {
        let list = friends.len();
        let user = User { id: person.id, friends, ..user(number, tag, registered) };
        users.push(user, list).await?;
    }
    users.flush().await
}

/// The first of the participants has made it.
fn conversation(
    participants: Vec<Id>,
    name: Option<String>,
    past: Option<&Past>,
    now: Timestamp,
) -> Conversation {
    let began = past.map_or(now, Past::began);
    let last_message = past.and_then(|past| past.last(&participants));
    let updated_at = last_message.as_ref().map_or(began, |last| last.timestamp);
    Conversation { last_message, updated_at, ..Conversation::new(participants[0], participants, name, began) }
}

/// One message after the other, so that a long history needs no more memory than a short one.
async fn write_history(
    store: &Store,
    people: &[Person],
    conversations: &[Vec<usize>],
    pasts: Vec<(Id, Past)>,
) -> Result<(), StoreError> {
    let (mut messages, mut cursors) = (Bulk::new(store.messages()), Bulk::new(store.reads()));
    for ((conversation, past), members) in pasts.into_iter().zip(conversations) {
        for (message, read) in past.tell(conversation, &ids(people, members)) {
            messages.push(message, 0).await?;
            for cursor in read {
                cursors.push(cursor, 0).await?;
            }
        }
    }
    messages.flush().await?;
    cursors.flush().await
}

fn ids(people: &[Person], members: &[usize]) -> Vec<Id> {
    members.iter().map(|member| people[*member].id).collect()
}

pub(super) fn email(number: usize, tag: &str) -> String {
    format!("user{number}{tag}@example.com")
}

fn user(number: usize, tag: &str, now: Timestamp) -> User {
    let (name, username) = (format!("User {number}"), format!("user{number}{tag}"));
    User::new(name, email(number, tag), username, PASSWORD_HASH.to_owned(), now)
}
