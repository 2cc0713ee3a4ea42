//! Longer answers take no more commands, and none of them needs a cursor to be continued.

use std::collections::BTreeMap;

use protocol::Id;
use store::Store;

use super::monitor::{Monitor, tally};
use super::world::{activity, add_messages, conversation, messages, watched};
use crate::rest::fixture::{Node, Person};

/// What was sent for a list that has as many items as it should.
async fn cost(monitor: &Monitor, who: &Person, path: &str, items: usize) -> BTreeMap<String, usize> {
    let (list, commands) = monitor.watch(who.rest.get(path)).await;
    assert_eq!(list.ok().as_array().unwrap().len(), items, "{path}");
    let sent = tally(&commands);
    assert!(!sent.keys().any(|name| name.starts_with("getMore")), "{path}: {sent:?}");
    sent
}

/// People who do nothing but to be there.
async fn people(node: &Node, count: usize) -> Vec<Person> {
    let mut people = Vec::new();
    for n in 0..count {
        people.push(node.person(&format!("Person {n:03}")).await);
    }
    people
}

fn ids<'a>(people: impl IntoIterator<Item = &'a Person>) -> Vec<Id> {
    people.into_iter().map(|person| person.id).collect()
}

/// So many groups of three in which somebody takes part, with unread messages.
async fn groups(store: &Store, member: Id, others: &[Id], count: usize) {
    for n in 0..count {
        let group = conversation(vec![member, others[n % others.len()], others[(n + 1) % others.len()]]);
        store.insert_conversation(&group).await.unwrap();
        store.messages().insert_many(messages(group.id, &group.participants, 7)).await.unwrap();
    }
}

#[tokio::test]
async fn a_longer_list_of_conversations_takes_no_more_commands() {
    let (monitor, node) = watched().await;
    let people = people(&node, 12).await;
    let (few, many, others) = (&people[0], &people[1], ids(&people[2..]));
    groups(&node.store, few.id, &others, 1).await;
    groups(&node.store, many.id, &others, 200).await;
    let one = cost(&monitor, few, "/api/conversations", 1).await;
    assert_eq!(one.values().sum::<usize>(), 6, "{one:?}");
    assert_eq!(cost(&monitor, many, "/api/conversations", 200).await, one);
}

#[tokio::test]
async fn a_longer_page_of_anything_takes_no_more_commands() {
    let (monitor, node) = watched().await;
    let people = people(&node, 110).await;
    let (ada, crowd) = (&people[0], ids(&people[1..]));
    let direct = ada.conversation(&[&people[1]]).await;
    add_messages(&node.store, direct, &[ada.id, crowd[0]], 120).await;
    let activities = (0..120).map(|n| {
        let host = crowd[n % crowd.len()];
        activity(host, vec![host, crowd[(n + 1) % crowd.len()], crowd[(n + 2) % crowd.len()]], "social", n)
    });
    node.store.activities().insert_many(activities).await.unwrap();
    for friend in &people[1..=100] {
        ada.add(friend).await;
    }
    let messages = format!("/api/conversations/{direct}/messages");
    let friends = format!("{}/friends", ada.path());
    for (path, commands) in
        [(messages.as_str(), 5), ("/api/users", 2), ("/api/activities", 4), (friends.as_str(), 2)]
    {
        let one = cost(&monitor, ada, &format!("{path}?limit=1"), 1).await;
        assert_eq!(one.values().sum::<usize>(), commands, "{path}: {one:?}");
        assert_eq!(cost(&monitor, ada, &format!("{path}?limit=100"), 100).await, one, "{path}");
    }
}

#[tokio::test]
async fn a_larger_conversation_takes_no_more_commands() {
    let (monitor, node) = watched().await;
    let people = people(&node, 400).await;
    let ada = &people[0];
    let mut sent = Vec::new();
    for size in [2, 40, 400] {
        let group = conversation(ids(&people[..size]));
        node.store.insert_conversation(&group).await.unwrap();
        add_messages(&node.store, group.id, &group.participants, 800).await;
        let (reply, commands) =
            monitor.watch(ada.rest.get(&format!("/api/conversations/{}", group.id))).await;
        assert_eq!(reply.ok()["participants"].as_array().unwrap().len(), size);
        sent.push(tally(&commands));
    }
    // Where readers are no longer named but counted, their cursors are found in one piece instead of one by one.
    let count = |sent: &BTreeMap<String, usize>| sent.values().sum::<usize>();
    assert_eq!(sent.iter().map(count).collect::<Vec<_>>(), [6, 6, 6], "{sent:?}");
    assert_eq!(sent[1], sent[2]);
    // The list of conversations of all sizes is made at once.
    cost(&monitor, ada, "/api/conversations", 3).await;
}
