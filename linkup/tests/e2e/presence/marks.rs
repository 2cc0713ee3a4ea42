//! `message:read` as a command.

use futures_util::future::join_all;
use mongodb::bson::doc;
use protocol::Id;
use serde_json::{Value, json};

use super::{batch, idle, idle_on};
use crate::rest::fixture::{Person, id};
use crate::support::mongo_uri;

fn read(user: Id, message: Id) -> Value {
    json!({"read": {"user": user, "message": message}})
}

async fn say(person: &Person, conversation: Id, count: usize) -> Vec<Id> {
    let mut said = Vec::new();
    for n in 0..count {
        said.push(id(&person.say(conversation, &n.to_string()).await));
    }
    said
}

#[tokio::test]
async fn a_mark_is_answered_with_how_far_the_user_has_read() {
    let node = idle().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let conversation = ada.conversation(&[&bob]).await;
    let said = say(&ada, conversation, 3).await;
    let gateway = node.gateway();
    let answers = batch(&gateway, &[read(bob.id, said[1])]).await;
    let first = answers[0]["ok"].clone();
    let expected = json!({
        "messageId": said[1], "userId": bob.id, "conversationId": conversation, "readAt": first["readAt"], "seq": 2,
    });
    assert_eq!(first, expected);
    let told = &ada.messages(conversation, "").await[1]["readBy"][1];
    assert_eq!(*told, json!({"userId": bob.id, "readAt": first["readAt"]}));
    // Again, and something that is read already.
    let answers = batch(&gateway, &[read(bob.id, said[1]), read(bob.id, said[0])]).await;
    assert_eq!(answers, [json!({"ok": first}), json!({"ok": first})]);
    let refused = [read(eve.id, said[0]), read(bob.id, Id::mint()), read(bob.id, said[2])];
    let answers = batch(&gateway, &refused).await;
    let participant = "You are not a participant of this conversation";
    assert_eq!(answers[0], json!({"err": {"message": participant, "code": "forbidden"}}));
    assert_eq!(answers[1], json!({"err": {"message": "Message not found", "code": "not_found"}}));
    assert_eq!(answers[2]["ok"]["seq"], 3);
}

#[tokio::test]
async fn a_repetition_writes_nothing() {
    let node = idle().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let said = say(&ada, conversation, 20).await;
    let gateway = node.gateway();
    for message in &said {
        batch(&gateway, &[read(bob.id, *message)]).await;
    }
    let cursor = async || node.store.reads().find_one(doc! {}).await.unwrap().unwrap();
    let before = cursor().await;
    assert_eq!((before.seq, before.marks.len(), before.marks[0].seq), (20, 16, 5));
    assert_eq!(before.last.map(|last| (last.message_id, last.sender)), Some((said[19], ada.id)));
    let all: Vec<Value> = said.iter().map(|message| read(bob.id, *message)).collect();
    let answers = batch(&gateway, &all).await;
    assert!(answers.iter().all(|answer| answer["ok"]["messageId"] == json!(said[19])), "{answers:?}");
    assert_eq!(cursor().await, before);
}

#[tokio::test]
async fn marks_that_make_the_same_cursor_at_once_end_at_the_furthest() {
    let uri = mongo_uri().await;
    let nodes = [idle_on(&uri).await, idle_on(&uri).await];
    let (ada, bob) = (nodes[0].person("Ada").await, nodes[0].person("Bob").await);
    for _ in 0..10 {
        let group = ada.conversation(&[&bob, &nodes[0].person("Eve").await]).await;
        let said = say(&ada, group, 6).await;
        let marks = said.iter().enumerate().map(|(n, message)| {
            let (gateway, mark) = (nodes[n % 2].gateway(), read(bob.id, *message));
            async move { batch(&gateway, &[mark]).await }
        });
        for (n, answer) in join_all(marks).await.iter().enumerate() {
            let seq = answer[0]["ok"]["seq"].as_i64().unwrap_or_else(|| panic!("{answer:?}"));
            assert!((n as i64 + 1..=6).contains(&seq), "{n}: {seq}");
        }
        let cursors = nodes[0].store.reading(group).await.unwrap();
        assert_eq!(cursors.iter().map(|cursor| cursor.seq).collect::<Vec<_>>(), [6]);
    }
}

#[tokio::test]
async fn who_joined_later_has_read_what_came_before_without_having_marked_it() {
    let node = idle().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let group = ada.conversation(&[&bob, &node.person("Zoe").await]).await;
    let said = say(&ada, group, 3).await;
    let members = json!({"participants": [ada.id, bob.id, eve.id]});
    ada.rest.put(&format!("/api/conversations/{group}"), &members).await.ok();
    let answers = batch(&node.gateway(), &[read(eve.id, said[1])]).await;
    assert_eq!((&answers[0]["ok"]["messageId"], &answers[0]["ok"]["seq"]), (&json!(said[1]), &json!(2)));
    let seen = bob.messages(group, "").await;
    let readers = |message: &Value| message["readBy"].as_array().unwrap().len();
    assert_eq!(seen.iter().map(readers).collect::<Vec<_>>(), [1, 1, 1]);
}
