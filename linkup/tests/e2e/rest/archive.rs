//! Archived conversations: hidden from lists, still there to be read, and back with the next message.

use hyper::StatusCode;
use protocol::Id;
use serde_json::{Value, json};
use store::bson::doc;
use store::convert::oid;
use store::document::ConversationChange;

use super::fixture::{Node, Person, each, id, refused};
use crate::support::rest::Reply;

const NO_PARTICIPANT: &str = "You are not a participant of this conversation";

async fn archive(person: &Person, conversation: Id) -> Reply {
    person.rest.delete(&format!("/api/conversations/{conversation}"), None).await
}

async fn get(person: &Person, conversation: Id) -> Value {
    person.rest.get(&format!("/api/conversations/{conversation}")).await.ok()
}

/// Which conversations somebody's list has, all of them active.
async fn listed(person: &Person) -> Vec<Id> {
    let list = person.list().await;
    assert!(list.iter().all(|conversation| conversation["isActive"] == true), "{list:?}");
    list.iter().map(id).collect()
}

/// The last change, as the change stream is told of it.
async fn change(node: &Node, conversation: Id) -> ConversationChange {
    let stored = node.store.conversation(conversation).await.unwrap().unwrap();
    let change = stored.change.unwrap();
    assert_eq!((stored.is_active, stored.rev), (change.is_active, change.rev));
    change
}

#[tokio::test]
async fn an_archived_conversation_is_hidden_from_lists_and_can_be_read() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let (talk, other) =
        (ada.conversation(&[&bob]).await, ada.conversation(&[&node.person("Eve").await]).await);
    let message = ada.say(talk, "hi").await;
    let before = get(&bob, talk).await;
    for person in [&bob, &bob, &ada] {
        assert_eq!(
            archive(person, talk).await.ok(),
            json!({"success": true}),
            "archiving again is no mistake"
        );
        assert_eq!((listed(&ada).await, listed(&bob).await), (vec![other], vec![]));
    }
    let read = get(&bob, talk).await;
    let mut expected = before;
    (expected["isActive"], expected["updatedAt"]) = (json!(false), read["updatedAt"].clone());
    assert_eq!(read, expected);
    assert_eq!(ada.messages(talk, "").await, std::slice::from_ref(&message));
    bob.rest.put(&format!("/api/messages/{}/read", id(&message)), &json!({})).await.ok();
    assert_eq!(get(&bob, talk).await["unreadCount"], 0);
    let change = change(&node, talk).await;
    assert_eq!(
        (change.kind.as_str(), change.by, change.rev, change.is_active),
        ("archive", bob.id, 1, false)
    );
    assert_eq!((change.participants.len(), change.removed), (2, vec![]));
}

#[tokio::test]
async fn the_next_message_brings_it_back_for_everybody() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    ada.say(talk, "one").await;
    for (n, (archiver, writer)) in [(&ada, &bob), (&ada, &ada), (&bob, &ada)].into_iter().enumerate() {
        archive(archiver, talk).await.ok();
        let sent = writer.say(talk, "back").await;
        assert_eq!(sent["seq"], n + 2);
        for person in [&ada, &bob] {
            let list = person.list().await;
            assert_eq!((id(&list[0]), &list[0]["isActive"]), (talk, &json!(true)));
            assert_eq!(list[0]["lastMessage"]["id"], sent["id"]);
            assert_eq!(get(person, talk).await["isActive"], true);
        }
        let change = change(&node, talk).await;
        let told = (change.kind.as_str(), change.by, change.rev, change.is_active);
        assert_eq!(told, ("reactivate", writer.id, 2 * n as i64 + 2, true));
    }
    // What was unread before counts again.
    assert_eq!(bob.list().await[0]["unreadCount"], 3);
}

#[tokio::test]
async fn a_socket_that_writes_brings_it_back_too() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    archive(&ada, talk).await.ok();
    let send = |text: &str| {
        json!({"send": {
            "message": Id::mint(), "sender": bob.id, "conversation": talk, "payload": {"content": text},
        }})
    };
    let batch = json!({"commands": [send("one"), send("two")]});
    let answers = node.gateway().post(protocol::command::PATH, &batch).await.ok();
    let told: Vec<&Value> = answers["answers"].as_array().unwrap().iter().map(|a| &a["ok"]["seq"]).collect();
    assert_eq!(told, [1, 2]);
    assert_eq!(listed(&ada).await, [talk]);
    assert_eq!(change(&node, talk).await.rev, 2, "it is brought back once");
}

#[tokio::test]
async fn to_begin_it_again_brings_it_back() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    archive(&bob, talk).await.ok();
    let reply = ada.rest.post("/api/conversations", &json!({"participants": [bob.id]})).await;
    assert_eq!(
        (reply.status, id(&reply.body), &reply.body["isActive"]),
        (StatusCode::OK, talk, &json!(true))
    );
    assert_eq!(listed(&bob).await, [talk]);
}

#[tokio::test]
async fn a_group_is_its_creators_to_archive_and_everybodys_to_bring_back() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let zoe = node.person("Zoe").await;
    let group = ada.conversation(&[&bob, &eve]).await;
    refused(&archive(&bob, group).await, 403, "forbidden", "Only the creator may archive a group");
    refused(&archive(&zoe, group).await, 403, "forbidden", NO_PARTICIPANT);
    refused(&archive(&ada, Id::mint()).await, 404, "not_found", "Conversation not found");
    archive(&ada, group).await.ok();
    for person in [&ada, &bob, &eve] {
        assert!(listed(person).await.is_empty());
        assert_eq!(get(person, group).await["isActive"], false);
    }
    // Whoever does not take part neither reads it nor brings it back.
    let path = format!("/api/conversations/{group}");
    refused(&zoe.rest.get(&path).await, 403, "forbidden", NO_PARTICIPANT);
    let send = zoe.rest.post(&format!("{path}/messages"), &json!({"content": "hi"})).await;
    refused(&send, 403, "forbidden", NO_PARTICIPANT);
    assert_eq!(get(&ada, group).await["isActive"], false);
    // A change is no message: the group changes, and stays where it is.
    let members = json!({"name": "Tea", "participants": [ada.id, bob.id, eve.id, zoe.id]});
    let changed = ada.rest.put(&path, &members).await.ok();
    assert_eq!((&changed["isActive"], &changed["name"]), (&json!(false), &json!("Tea")));
    assert_eq!((get(&zoe, group).await["isActive"].clone(), listed(&zoe).await), (json!(false), vec![]));
    eve.say(group, "hi").await;
    for person in [&ada, &bob, &eve, &zoe] {
        assert_eq!(listed(person).await, [group]);
    }
}

#[tokio::test]
async fn with_a_group_the_right_to_archive_it_passes_on() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let group = ada.conversation(&[&bob, &eve]).await;
    let path = format!("/api/conversations/{group}");
    ada.rest.put(&path, &json!({"participants": [bob.id, eve.id]})).await.ok();
    refused(&archive(&ada, group).await, 403, "forbidden", NO_PARTICIPANT);
    let heir = get(&bob, group).await["createdBy"].clone();
    let (heir, other) = if heir == json!(bob.id) { (&bob, &eve) } else { (&eve, &bob) };
    refused(&archive(other, group).await, 403, "forbidden", "Only the creator may archive a group");
    archive(heir, group).await.ok();
    // One can leave what is archived, too; nobody is left in the end.
    other.rest.put(&path, &json!({"participants": [heir.id]})).await.ok();
    let left = heir.rest.put(&path, &json!({"participants": []})).await.ok();
    assert_eq!((&left["isActive"], &left["participants"]), (&json!(false), &json!([])));
    refused(&heir.rest.get(&path).await, 403, "forbidden", NO_PARTICIPANT);
}

#[tokio::test]
async fn the_last_member_to_leave_archives() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let group = ada.conversation(&[&bob, &node.person("Eve").await]).await;
    let path = format!("/api/conversations/{group}");
    let empty = json!({"participants": []});
    let text = "participants: must not be empty: only the last member leaves nobody";
    refused(&ada.rest.put(&path, &empty).await, 400, "bad_request", text);
    ada.rest.put(&path, &json!({"participants": [ada.id]})).await.ok();
    assert_eq!(get(&ada, group).await["isActive"], true, "alone, one is still there");
    assert_eq!(ada.rest.put(&path, &empty).await.ok()["isActive"], false);
    let change = change(&node, group).await;
    assert_eq!((change.kind.as_str(), change.is_active, change.removed), ("update", false, vec![ada.id]));
    assert!(listed(&ada).await.is_empty());
    for person in [&ada, &bob] {
        let send = person.rest.post(&format!("{path}/messages"), &json!({"content": "hi"})).await;
        refused(&send, 403, "forbidden", NO_PARTICIPANT);
    }
}

#[tokio::test]
async fn whoever_is_blocked_brings_nothing_back() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    ada.block(&bob).await;
    archive(&ada, talk).await.ok();
    for person in [&ada, &bob] {
        let path = format!("/api/conversations/{talk}/messages");
        let send = person.rest.post(&path, &json!({"content": "hi"})).await;
        refused(&send, 403, "forbidden", "You cannot write to this person");
        assert_eq!(get(person, talk).await["isActive"], false);
        // Whoever begins it again finds it, and finds it as it is.
        let other = if person.id == ada.id { bob.id } else { ada.id };
        let found = person.rest.post("/api/conversations", &json!({"participants": [other]})).await;
        assert_eq!((found.status, id(&found.body)), (StatusCode::OK, talk));
        assert_eq!(found.body["isActive"], false);
    }
    assert!(listed(&ada).await.is_empty() && listed(&bob).await.is_empty());
}

#[tokio::test]
async fn an_edit_brings_nothing_back() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    let (one, two) = (id(&ada.say(talk, "one").await), id(&ada.say(talk, "two").await));
    archive(&bob, talk).await.ok();
    ada.rest.put(&format!("/api/messages/{one}"), &json!({"content": "uno"})).await.ok();
    ada.rest.delete(&format!("/api/messages/{two}"), None).await.ok();
    assert!(listed(&ada).await.is_empty() && listed(&bob).await.is_empty());
    assert_eq!(each(&get(&bob, talk).await["messages"], "content"), ["uno"]);
}

/// A message that was under way while somebody archived is stored after that: it is shown nevertheless.
#[tokio::test]
async fn a_message_that_the_archiving_has_not_seen_is_not_hidden() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    for text in ["one", "two"] {
        ada.say(talk, text).await;
    }
    for (seen, is_shown) in [(0_i64, true), (1, true), (2, false)] {
        let archived = doc! {"$set": {"isActive": false, "archivedSeq": seen}};
        node.store.conversations().update_one(doc! {"_id": oid(talk)}, archived).await.unwrap();
        let expected = if is_shown { vec![talk] } else { vec![] };
        assert_eq!((listed(&ada).await, listed(&bob).await), (expected.clone(), expected), "{seen}");
        assert_eq!(get(&ada, talk).await["isActive"], is_shown);
    }
    // Who archived past the api did not say what they had seen.
    let archived = doc! {"$unset": {"archivedSeq": ""}};
    node.store.conversations().update_one(doc! {"_id": oid(talk)}, archived).await.unwrap();
    assert!(listed(&ada).await.is_empty() && listed(&bob).await.is_empty());
}

#[tokio::test]
async fn what_came_after_an_archiving_can_be_archived_in_turn() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    ada.say(talk, "one").await;
    archive(&ada, talk).await.ok();
    ada.say(talk, "two").await;
    // As a send leaves it that was authorised before the archiving and stored after its last look.
    let asleep = doc! {"$set": {"isActive": false, "archivedSeq": 1_i64}};
    node.store.conversations().update_one(doc! {"_id": oid(talk)}, asleep).await.unwrap();
    assert_eq!((listed(&ada).await, listed(&bob).await), (vec![talk], vec![talk]));
    archive(&bob, talk).await.ok();
    assert_eq!((listed(&ada).await, listed(&bob).await), (vec![], vec![]));
}
