//! Create, list, get, change.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::StatusCode;
use protocol::Id;
use serde_json::{Value, json};
use store::bson::doc;
use store::convert::oid;

use super::fixture::{Node, Person, id, refused};
use crate::support::{SOON, eventually};

fn ids(participants: &Value) -> Vec<Id> {
    let mut ids: Vec<Id> = participants.as_array().unwrap().iter().map(id).collect();
    ids.sort();
    ids
}

fn sorted(people: &[&Person]) -> Vec<Id> {
    let mut ids: Vec<Id> = people.iter().map(|person| person.id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_new_conversation_has_the_specifications_shape() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let body = json!({"participants": [bob.id, eve.id, eve.id], "name": " Tea "});
    let reply = ada.rest.post("/api/conversations", &body).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let group = reply.body;
    assert_eq!(ids(&group["participants"]), sorted(&[&ada, &bob, &eve]));
    for (field, value) in [
        ("type", json!("group")),
        ("name", json!("Tea")),
        ("createdBy", json!(ada.id)),
        ("lastMessage", Value::Null),
        ("unreadCount", json!(0)),
        ("participantCount", json!(3)),
        ("isActive", json!(true)),
    ] {
        assert_eq!(group[field], value, "{field}");
    }
    let someone = &group["participants"][0];
    assert!(someone["name"].is_string() && someone["status"] == "offline" && someone["avatar"].is_null());
    let missing = ["activityId", "messages", "directKey", "blockedBy", "rev", "change", "archivedSeq"];
    assert!(missing.iter().all(|field| group.get(field).is_none()), "{group}");
    let direct = ada.rest.post("/api/conversations", &json!({"participants": [bob.id], "name": "x"})).await;
    assert_eq!((&direct.body["type"], &direct.body["name"]), (&json!("direct"), &Value::Null));
}

#[tokio::test]
async fn the_list_is_exact_at_once() {
    let node = Node::with(
        &crate::support::mongo_uri().await,
        // The view of last messages is never written in time: the list does not need it.
        api::Config { view_interval: Duration::from_secs(3600), ..super::fixture::config() },
    )
    .await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let first = ada.conversation(&[&bob]).await;
    let second = ada.conversation(&[&bob, &eve]).await;
    let listed = |list: Vec<Value>| list.iter().map(id).collect::<Vec<_>>();
    assert_eq!(listed(ada.list().await), [second, first]);
    ada.say(first, "one").await;
    let two = bob.say(first, "two").await;
    assert_eq!(listed(ada.list().await), [first, second]);
    let list = ada.list().await;
    assert_eq!(list[0]["lastMessage"]["content"], "two");
    assert_eq!(list[0]["lastMessage"]["sender"]["name"], "Bob");
    assert_eq!(list[0]["lastMessage"]["readBy"], json!([{"userId": bob.id, "readAt": two["createdAt"]}]));
    assert_eq!(list[0]["updatedAt"], two["createdAt"]);
    let unread = async |person: &Person| {
        person.list().await.iter().find(|c| id(c) == first).unwrap()["unreadCount"].clone()
    };
    assert_eq!((unread(&ada).await, unread(&bob).await), (json!(1), json!(1)));

    ada.rest.put(&format!("/api/messages/{}/read", id(&two)), &json!({})).await.ok();
    let list = ada.list().await;
    assert_eq!(
        (&list[0]["unreadCount"], list[0]["lastMessage"]["readBy"].as_array().unwrap().len()),
        (&json!(0), 2)
    );
    assert_eq!(unread(&bob).await, json!(1));
    let get = ada.rest.get(&format!("/api/conversations/{first}?limit=1")).await.ok();
    assert_eq!(get["messages"][0]["content"], "two");
    assert_eq!((&get["unreadCount"], &get["lastMessage"]), (&json!(0), &list[0]["lastMessage"]));
    node.stop().await;
}

#[tokio::test]
async fn unread_messages_are_counted_up_to_a_bound() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    for chunk in 0..11 {
        let texts: Vec<String> = (0..100).map(|n| format!("{chunk} {n}")).collect();
        join_all(texts.iter().map(|text| ada.say(conversation, text))).await;
    }
    assert_eq!(bob.list().await[0]["unreadCount"], 999);
    assert_eq!(ada.list().await[0]["unreadCount"], 0);
}

#[tokio::test]
async fn groups_change_by_their_rules() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let zoe = node.person("Zoe").await;
    let group = ada.conversation(&[&bob, &eve]).await;
    let path = format!("/api/conversations/{group}");
    let members = |people: &[&Person]| json!({"participants": sorted(people)});
    ada.say(group, "before Zoe").await;

    let rename = bob.rest.put(&path, &json!({"name": "x"})).await;
    refused(&rename, 403, "forbidden", "Only the creator may rename a conversation");
    let remove = bob.rest.put(&path, &members(&[&bob, &ada])).await;
    refused(&remove, 403, "forbidden", "Only the creator may remove participants");
    let renamed = ada.rest.put(&path, &json!({"name": "Tea"})).await.ok();
    assert_eq!(renamed["name"], "Tea");

    let joined = bob.rest.put(&path, &members(&[&ada, &bob, &eve, &zoe])).await.ok();
    assert_eq!(ids(&joined["participants"]), sorted(&[&ada, &bob, &eve, &zoe]));
    // Nothing from before her time is unread; what comes after is.
    assert_eq!(zoe.list().await[0]["unreadCount"], 0);
    ada.say(group, "after Zoe").await;
    assert_eq!(zoe.list().await[0]["unreadCount"], 1);

    let left = eve.rest.put(&path, &members(&[&ada, &bob, &zoe])).await.ok();
    assert_eq!((&left["isActive"], &left["participants"]), (&json!(false), &json!([])));
    let gone = "You are not a participant of this conversation";
    for reply in [eve.rest.get(&path).await, eve.rest.put(&path, &members(&[&eve])).await] {
        refused(&reply, 403, "forbidden", gone);
    }
    assert!(eve.list().await.is_empty());
    let removed = ada.rest.put(&path, &members(&[&ada, &zoe])).await.ok();
    assert_eq!(ids(&removed["participants"]), sorted(&[&ada, &zoe]));

    let stored = node.store.conversation(group).await.unwrap().unwrap();
    let change = stored.change.unwrap();
    assert_eq!((stored.rev, change.rev, change.by), (4, 4, ada.id));
    assert_eq!((change.removed, change.name.as_deref()), (vec![bob.id], Some("Tea")));
    let direct = ada.conversation(&[&bob]).await;
    let change = ada.rest.put(&format!("/api/conversations/{direct}"), &json!({"name": "x"})).await;
    refused(&change, 400, "bad_request", "id: is a direct conversation, which cannot be changed");
}

#[tokio::test]
async fn changes_at_the_same_time_all_take_effect() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let group = ada.conversation(&[&bob, &eve]).await;
    let path = &format!("/api/conversations/{group}");
    let renames = (0..5).map(|n| {
        let body = json!({"name": format!("name {n}")});
        let rest = ada.rest.clone();
        async move { rest.put(path, &body).await.ok() }
    });
    join_all(renames).await;
    assert_eq!(node.store.conversation(group).await.unwrap().unwrap().rev, 5);
}

#[tokio::test]
async fn two_who_add_somebody_at_once_do_not_undo_each_other() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let (yan, zoe) = (node.person("Yan").await, node.person("Zoe").await);
    let group = ada.conversation(&[&bob, &eve]).await;
    ada.say(group, "before them").await;
    let path = &format!("/api/conversations/{group}");
    let add = |by: &Person, who: &Person| {
        let body = json!({"participants": sorted(&[&ada, &bob, &eve, who])});
        let rest = by.rest.clone();
        async move { rest.put(path, &body).await.ok() }
    };
    // A transaction holds the conversation, so that both have read it before either can change it: each has by the
    // time that it has made a read cursor for whom it adds.
    let mut session = node.store.client().start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let touch = doc! {"$set": {"held": true}};
    let conversations = node.store.conversations();
    conversations.update_one(doc! {"_id": oid(group)}, touch).session(&mut session).await.unwrap();
    let release = async {
        eventually("both have read the conversation", SOON, async || {
            let cursors = doc! {"_id.u": {"$in": [oid(yan.id), oid(zoe.id)]}};
            (node.store.reads().count_documents(cursors).await.unwrap() == 2).then_some(())
        })
        .await;
        session.abort_transaction().await.unwrap();
    };
    // Ada may remove people, so nothing but the retry itself keeps her from removing Yan again.
    tokio::join!(add(&ada, &zoe), add(&bob, &yan), release);
    let stored = node.store.conversation(group).await.unwrap().unwrap();
    assert_eq!(stored.rev, 2);
    let mut members = stored.participants;
    members.sort();
    assert_eq!(members, sorted(&[&ada, &bob, &eve, &yan, &zoe]));
    assert_eq!(
        (&zoe.list().await[0]["unreadCount"], &yan.list().await[0]["unreadCount"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn a_group_outlives_its_creator_and_ends_with_its_last_member() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let group = ada.conversation(&[&bob, &eve]).await;
    let path = format!("/api/conversations/{group}");
    let leave = async |person: &Person, rest: &[&Person]| {
        person.rest.put(&path, &json!({"participants": sorted(rest)})).await
    };
    assert_eq!(leave(&bob, &[]).await.status, StatusCode::BAD_REQUEST);
    leave(&ada, &[&bob, &eve]).await.ok();
    let heir = bob.rest.get(&path).await.ok()["createdBy"].clone();
    let (heir, other) = if heir == json!(bob.id) { (&bob, &eve) } else { (&eve, &bob) };
    assert_eq!(other.rest.put(&path, &json!({"name": "x"})).await.status, StatusCode::FORBIDDEN);
    heir.rest.put(&path, &json!({"name": "Tea"})).await.ok();
    leave(other, &[heir]).await.ok();
    leave(heir, &[]).await.ok();
    assert_eq!(heir.rest.get(&path).await.status, StatusCode::FORBIDDEN);
    let stored = node.store.conversation(group).await.unwrap().unwrap();
    assert!(!stored.is_active && stored.participants.is_empty());
    assert!(!stored.change.unwrap().is_active, "the change stream is told");
}

#[tokio::test]
async fn lists_name_some_of_a_large_group_and_the_caller_always() {
    let node = Node::alone().await;
    let mut people = Vec::new();
    for n in 0..40 {
        people.push(node.person(&format!("P {n}")).await);
    }
    let group = people[0].conversation(&people[1..].iter().collect::<Vec<_>>()).await;
    people[0].say(group, "hi").await;
    for person in [&people[0], &people[39]] {
        let listed = &person.list().await[0];
        let named = ids(&listed["participants"]);
        assert_eq!((named.len(), named.contains(&person.id)), (32, true));
        assert_eq!(listed["participantCount"], 40);
        // Nobody else's reading of a large conversation is told, named or not.
        assert!(listed["lastMessage"]["readBy"].as_array().unwrap().len() <= 2);
        let whole = person.rest.get(&format!("/api/conversations/{group}")).await.ok();
        assert_eq!((ids(&whole["participants"]).len(), &whole["participantCount"]), (40, &json!(40)));
    }
}

#[tokio::test]
async fn the_view_of_the_last_message_follows() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let last = async || node.store.conversation(conversation).await.unwrap().unwrap().last_message;
    for n in 1..=3 {
        ada.say(conversation, &format!("text {n}")).await;
        let view =
            eventually("the view is written", SOON, async || last().await.filter(|v| v.seq == n)).await;
        assert_eq!((view.content, view.sender), (format!("text {n}"), ada.id));
    }
    // A view written late by another node changes nothing.
    let old = store::document::LastMessage { content: "old".to_owned(), seq: 2, ..last().await.unwrap() };
    let view = store::conversation::View { conversation, last: old };
    node.store.write_views(&[view]).await.unwrap();
    assert_eq!(last().await.unwrap().seq, 3);
    // Stopping writes what is still waiting.
    ada.say(conversation, "text 4").await;
    let store = node.store.clone();
    node.stop().await;
    assert_eq!(store.conversation(conversation).await.unwrap().unwrap().last_message.unwrap().seq, 4);
}

#[tokio::test]
async fn a_list_of_conversations_comes_in_pages_where_one_is_asked_for() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(ada.conversation(&[&node.person(&format!("Person {n}")).await]).await);
    }
    made.reverse();
    let page = async |query: &str| {
        let list = ada.rest.get(&format!("/api/conversations?{query}")).await.ok();
        list.as_array().unwrap().iter().map(id).collect::<Vec<Id>>()
    };
    assert_eq!(page("").await, made);
    assert_eq!(page("limit=2").await, made[..2]);
    assert_eq!(page("limit=2&page=3").await, made[4..]);
    assert!(page("page=2").await.is_empty());
}

#[tokio::test]
async fn neither_of_two_is_told_whether_the_other_is_there_once_one_has_blocked_the_other() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    let statuses = async |person: &Person| {
        let read = person.rest.get(&format!("/api/conversations/{talk}")).await.ok();
        read["participants"].as_array().unwrap().iter().filter(|one| one.get("status").is_some()).count()
    };
    assert_eq!((statuses(&ada).await, statuses(&bob).await), (2, 2));
    bob.block(&ada).await;
    assert_eq!((statuses(&ada).await, statuses(&bob).await), (0, 0));
}
