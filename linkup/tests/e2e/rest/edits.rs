//! Messages that are edited or deleted, and how a client that was away learns of it.

use protocol::{Id, Timestamp};
use serde_json::{Value, json};

use super::fixture::{Node, Person, each, id, refused, seq};
use crate::support::rest::Reply;
use crate::support::{SOON, eventually};

fn path(message: &Value) -> String {
    format!("/api/messages/{}", message["id"].as_str().unwrap())
}

async fn edit(person: &Person, message: &Value, text: &str) -> Reply {
    person.rest.put(&path(message), &json!({ "content": text })).await
}

async fn delete(person: &Person, message: &Value) -> Reply {
    person.rest.delete(&path(message), None).await
}

/// Waits until the next change of a message has a later time than all before.
async fn a_moment() {
    let now = Timestamp::now();
    eventually("time goes on", SOON, async || (Timestamp::now() > now).then_some(())).await;
}

/// Numbers of the messages that were changed at a time or later, in the order in which they are told.
async fn changed(person: &Person, conversation: Id, query: &str) -> Vec<i64> {
    person.messages(conversation, &format!("updatedAfter={query}")).await.iter().map(seq).collect()
}

/// A picture with everything that can be said about a message.
async fn picture(person: &Person, conversation: Id) -> Value {
    let body = json!({
        "content": "look", "contentType": "image", "attachmentUrl": "https://example.org/a.png",
        "clientMessageId": "c1",
    });
    person.rest.post(&format!("/api/conversations/{conversation}/messages"), &body).await.ok()
}

#[tokio::test]
async fn an_edit_changes_the_text_and_nothing_else() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    let mut expected = picture(&ada, talk).await;
    let read = bob.rest.put(&format!("{}/read", path(&expected)), &json!({})).await.ok();
    expected["readBy"] = read["readBy"].clone();
    assert_eq!(each(&expected["readBy"], "userId"), [json!(ada.id), json!(bob.id)]);
    for text in ["look here", " two\nlines <b> ", "two"] {
        a_moment().await;
        let body = json!({"content": text, "contentType": "text", "attachmentUrl": "https://example.org/b", "seq": 9});
        let edited = ada.rest.put(&path(&expected), &body).await.ok();
        assert!(edited["updatedAt"].as_str() > expected["updatedAt"].as_str());
        expected["content"] = json!(text);
        (expected["updatedAt"], expected["editedAt"]) =
            (edited["updatedAt"].clone(), edited["updatedAt"].clone());
        assert_eq!(edited, expected);
        for person in [&ada, &bob] {
            assert_eq!(person.messages(talk, "").await, [expected.clone()]);
            assert_eq!(person.list().await[0]["lastMessage"], expected);
            assert_eq!(person.list().await[0]["unreadCount"], 0, "what was read stays read");
        }
    }
    let stored = node.store.message(id(&expected)).await.unwrap().unwrap().change.unwrap();
    assert_eq!((stored.kind.as_str(), stored.rev, stored.sender, stored.seq), ("edit", 3, ada.id, 1));
}

#[tokio::test]
async fn of_a_deleted_message_only_its_place_is_left() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    ada.say(talk, "before").await;
    let mut expected = picture(&ada, talk).await;
    edit(&ada, &expected, "a secret").await.ok();
    assert_eq!(bob.list().await[0]["unreadCount"], 2);
    for _ in 0..2 {
        assert_eq!(
            delete(&ada, &expected).await.ok(),
            json!({"success": true}),
            "deleting again is no mistake"
        );
    }
    assert_eq!(each(&bob.messages(talk, "").await.into(), "content"), ["before"]);
    assert_eq!(each(&bob.messages(talk, "before=9").await.into(), "content"), ["before"]);
    let tombstone = bob.messages(talk, "after=1").await.remove(0);
    (expected["content"], expected["isDeleted"]) = (json!(""), json!(true));
    expected["updatedAt"] = tombstone["updatedAt"].clone();
    expected.as_object_mut().unwrap().remove("attachmentUrl");
    assert_eq!(tombstone, expected);
    let list = bob.list().await;
    assert_eq!((&list[0]["lastMessage"], &list[0]["unreadCount"]), (&expected, &json!(1)));
    // Nothing brings it back: no edit, no other attempt of its author to send it.
    refused(&edit(&ada, &expected, "back").await, 404, "not_found", "Message not found");
    assert_eq!(picture(&ada, talk).await, expected);
    let stored = node.store.message(id(&expected)).await.unwrap().unwrap();
    assert_eq!((stored.content.as_str(), stored.attachment_url), ("", None), "not even in the database");
    let change = stored.change.unwrap();
    assert_eq!((change.kind.as_str(), change.rev, change.seq), ("delete", 2, 2));
    // The next one has the next number.
    assert_eq!(seq(&bob.say(talk, "after").await), 3);
}

#[tokio::test]
async fn only_its_author_changes_a_message_and_only_as_a_member() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let group = ada.conversation(&[&bob, &node.person("Zoe").await]).await;
    let message = bob.say(group, "mine").await;
    // Not even whose the group is.
    for reply in [edit(&ada, &message, "x").await, delete(&ada, &message).await] {
        refused(&reply, 403, "forbidden", "Only its author may change a message");
    }
    let outside = "You are not a participant of this conversation";
    for reply in [edit(&eve, &message, "x").await, delete(&eve, &message).await] {
        refused(&reply, 403, "forbidden", outside);
    }
    let nothing = json!({"id": Id::mint()});
    for reply in [edit(&ada, &nothing, "x").await, delete(&ada, &nothing).await] {
        refused(&reply, 404, "not_found", "Message not found");
    }
    ada.rest
        .put(&format!("/api/conversations/{group}"), &json!({"participants": [ada.id, eve.id]}))
        .await
        .ok();
    for reply in [edit(&bob, &message, "x").await, delete(&bob, &message).await] {
        refused(&reply, 403, "forbidden", outside);
    }
    assert_eq!(each(&ada.messages(group, "").await.into(), "content"), ["mine"]);
}

#[tokio::test]
async fn whoever_may_not_write_to_somebody_does_not_do_so_by_editing() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    let (kept, taken_back) = (bob.say(talk, "hi").await, bob.say(talk, "oh").await);
    ada.block(&bob).await;
    refused(
        &edit(&bob, &kept, "you will regret this").await,
        403,
        "forbidden",
        "You cannot write to this person",
    );
    // What one has said can still be taken back.
    delete(&bob, &taken_back).await.ok();
    assert_eq!(each(&ada.messages(talk, "").await.into(), "content"), ["hi"]);
}

#[tokio::test]
async fn what_a_text_cannot_be_is_refused_in_words() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    // With an attachment, too, an edit is to say something.
    let message = picture(&ada, talk).await;
    for (body, text) in [
        (json!({}), "content: is required"),
        (json!({"content": null}), "content: is required"),
        (json!({"content": ""}), "content: must not be empty"),
        (json!({"content": " \n\t"}), "content: must not be empty"),
        (json!({"content": "\u{0}\u{7}"}), "content: must not be empty"),
        (json!({"content": ["x"]}), "content: must be a string"),
        (json!({"content": {"$ne": null}}), "content: must be a string"),
        (json!({"content": "é".repeat(4_001)}), "content: must have 1 to 4000 characters"),
        (json!("x"), "body: must be a JSON object"),
    ] {
        refused(&ada.rest.put(&path(&message), &body).await, 400, "bad_request", text);
    }
    let bad = ada.rest.put("/api/messages/1", &json!({"content": "x"})).await;
    refused(&bad, 400, "bad_request", "id: is not a valid identifier");
    assert_eq!(ada.messages(talk, "").await, std::slice::from_ref(&message));
    edit(&ada, &message, &"é".repeat(4_000)).await.ok();
}

#[tokio::test]
async fn a_client_that_was_away_learns_what_was_changed_meanwhile() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    let mut sent = Vec::new();
    for n in 1..=5 {
        sent.push(ada.say(talk, &n.to_string()).await);
    }
    assert!(
        changed(&bob, talk, "1970-01-01T00:00:00Z").await.is_empty(),
        "what was only sent was not changed"
    );
    a_moment().await;
    let first = edit(&ada, &sent[3], "four").await.ok()["updatedAt"].as_str().unwrap().to_owned();
    a_moment().await;
    delete(&ada, &sent[4]).await.ok();
    a_moment().await;
    edit(&ada, &sent[1], "two").await.ok();
    // In the order of the changes, deleted ones too.
    assert_eq!(changed(&bob, talk, "1970-01-01T00:00:00Z").await, [4, 5, 2]);
    assert_eq!(changed(&bob, talk, &first).await, [4, 5, 2], "that very moment is a part of it");
    assert_eq!(changed(&bob, talk, &format!("{first}&limit=2")).await, [4, 5]);
    let all = bob.messages(talk, &format!("updatedAfter={first}")).await;
    assert_eq!(all[2]["content"], "two");
    assert_eq!((&all[1]["isDeleted"], &all[1]["content"]), (&json!(true), &json!("")));
    // From the last that is known it goes on.
    let last = all[1]["updatedAt"].as_str().unwrap();
    assert_eq!(changed(&bob, talk, &format!("{last}&limit=2")).await, [5, 2]);
    let just_after = Timestamp::from_millis(Timestamp::parse(last).unwrap().millis() + 1);
    assert_eq!(changed(&bob, talk, &just_after.to_string()).await, [2]);
    // A message is told once, as it is in the end.
    a_moment().await;
    edit(&ada, &sent[3], "IV").await.ok();
    assert_eq!(changed(&bob, talk, &first).await, [5, 2, 4]);
    assert!(changed(&bob, talk, "2099-01-01T00:00:00Z").await.is_empty());
}

#[tokio::test]
async fn changes_of_other_conversations_are_nobodys_business() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let (one, other) = (ada.conversation(&[&bob]).await, ada.conversation(&[&eve]).await);
    let message = ada.say(one, "hi").await;
    edit(&ada, &message, "ho").await.ok();
    assert!(changed(&eve, other, "1970-01-01T00:00:00Z").await.is_empty());
    let path = format!("/api/conversations/{one}/messages?updatedAfter=1970-01-01T00:00:00Z");
    let reply = eve.rest.get(&path).await;
    refused(&reply, 403, "forbidden", "You are not a participant of this conversation");
    let odd = ada.rest.get(&format!("/api/conversations/{one}/messages?updatedAfter=1")).await;
    let text = "updatedAfter: must be a time in ISO 8601, such as 2026-11-23T04:26:30Z";
    refused(&odd, 400, "bad_request", text);
}
