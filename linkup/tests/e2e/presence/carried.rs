//! What the change stream carries: whole values under fixed names, so that whoever reads it need not look anything up.

use futures_util::StreamExt as _;
use mongodb::bson::{Bson, Document, doc};
use mongodb::change_stream::event::ChangeStreamEvent;
use protocol::command::Presence::{Away, Online};
use serde_json::json;
use store::convert::oid;
use store::name;

use super::{Gateway, batch, idle, user};
use crate::rest::fixture::{Node, id};

type Changes = mongodb::change_stream::ChangeStream<ChangeStreamEvent<Document>>;

async fn watch(node: &Node, collection: &str) -> Changes {
    node.store.database().collection::<Document>(collection).watch().await.unwrap()
}

async fn next(changes: &mut Changes) -> ChangeStreamEvent<Document> {
    changes.next().await.unwrap().unwrap()
}

/// The fields that the next change has set.
async fn updated(changes: &mut Changes) -> Document {
    let change = next(changes).await;
    change.update_description.unwrap_or_else(|| panic!("not an update")).updated_fields
}

#[tokio::test]
async fn a_cursors_move_is_carried_whole() {
    let node = idle().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let mut changes = watch(&node, name::READS).await;
    for seq in 1..=20_i64 {
        let message = id(&ada.say(conversation, "hi").await);
        let read = json!({"read": {"user": bob.id, "message": message}});
        let answer = batch(&node.gateway(), &[read.clone(), read]).await;
        let change = next(&mut changes).await;
        let key = change.document_key.unwrap();
        let expected = doc! {"c": oid(conversation), "u": oid(bob.id)};
        assert_eq!(key.get_document("_id").unwrap(), &expected);
        let fields = match seq {
            1 => change.full_document.unwrap(),
            _ => change.update_description.unwrap().updated_fields,
        };
        let last = fields.get_document("last").unwrap();
        assert_eq!(last.keys().collect::<Vec<_>>(), ["seq", "at", "messageId", "sender"]);
        let at = last.get_datetime("at").unwrap().timestamp_millis();
        assert_eq!(protocol::Timestamp::from_millis(at).to_string(), answer[0]["ok"]["readAt"]);
        let expected = (Some(&Bson::Int64(seq)), Some(&oid(message).into()), Some(&oid(ada.id).into()));
        assert_eq!((last.get("seq"), last.get("messageId"), last.get("sender")), expected);
    }
    // Who joins begins with a cursor that tells nothing.
    node.store.start_cursors(conversation, &[ada.id], 20).await.unwrap();
    assert!(!next(&mut changes).await.full_document.unwrap().contains_key("last"));
}

#[tokio::test]
async fn a_status_is_carried_whole_and_only_when_it_changes() {
    let node = idle().await;
    let ada = node.person("Ada").await;
    let mut changes = watch(&node, name::USERS).await;
    let (one, other) = (Gateway::of(&node), Gateway::of(&node));
    one.tell(ada.id, 1, Online).await;
    let first = updated(&mut changes).await;
    // Neither another tab elsewhere nor a repetition is a change.
    other.tell(ada.id, 1, Away).await;
    one.tell(ada.id, 1, Online).await;
    one.tell(ada.id, 2, Away).await;
    let second = updated(&mut changes).await;
    let mut before = 0;
    for (fields, status) in [(first, "online"), (second, "away")] {
        assert_eq!(fields.get_str("status").unwrap(), status);
        assert!(fields.get_datetime("lastSeen").is_ok());
        let rev = fields.get_i64("presenceRev").unwrap();
        assert!(rev > before);
        before = rev;
    }
}

#[tokio::test]
async fn ended_sessions_are_carried_as_the_new_generation() {
    let node = idle().await;
    let account = json!({"name": "Ada", "email": "ada@example.com", "password": "correct horse"});
    let session = node.rest.post("/api/auth/register", &account).await.ok();
    let ada = node.as_person(id(&session["user"]));
    let mut changes = watch(&node, name::USERS).await;
    ada.rest.delete("/api/auth/sessions", None).await.ok();
    assert_eq!(updated(&mut changes).await.get("generation"), Some(&Bson::Int64(1)));
    let credentials = json!({"email": "ada@example.com", "password": "correct horse"});
    let session = node.rest.post("/api/auth/login", &credentials).await.ok();
    let rest = node.rest.with_token(session["token"].as_str().unwrap());
    let passwords = json!({"currentPassword": "correct horse", "newPassword": "battery staple"});
    rest.put("/api/auth/password", &passwords).await.ok();
    assert_eq!(updated(&mut changes).await.get("generation"), Some(&Bson::Int64(2)));
    assert_eq!(user(&node.store, ada.id).await.get("generation"), Some(&Bson::Int64(2)));
}

#[tokio::test]
async fn blocks_are_carried_by_a_number() {
    let node = idle().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    ada.conversation(&[&bob]).await;
    let mut changes = watch(&node, name::CONVERSATIONS).await;
    let mut before = 0;
    ada.block(&bob).await;
    // It is noted first and looked at last.
    for _ in 0..2 {
        let rev = updated(&mut changes).await.get_i64("blockRev").unwrap();
        assert!(rev > before);
        before = rev;
    }
    ada.rest.delete(&format!("{}/blocks/{}", ada.path(), bob.id), None).await.ok();
    assert!(updated(&mut changes).await.get_i64("blockRev").unwrap() > before);
}

#[tokio::test]
async fn the_end_of_an_account_is_carried_as_what_it_leaves() {
    let node = idle().await;
    let ada = node.person("Ada").await;
    let account = json!({"name": "Bob", "email": "bob@example.com", "password": "correct horse"});
    let session = node.rest.post("/api/auth/register", &account).await.ok();
    let bob = node.as_person(id(&session["user"]));
    let tea = json!({"title": "Tea", "activityType": "social", "dateTime": "2099-01-01T12:00:00Z"});
    let activity = id(&ada.rest.post("/api/activities", &tea).await.ok());
    bob.rest.post(&format!("/api/activities/{activity}/join"), &json!({})).await.ok();
    let (mut activities, mut users) = (watch(&node, name::ACTIVITIES).await, watch(&node, name::USERS).await);
    bob.rest.delete(&bob.path(), Some(&json!({"password": "correct horse"}))).await.ok();
    let change = updated(&mut activities).await.get_document("change").unwrap().clone();
    assert_eq!((change.get_str("kind").unwrap(), change.get("user")), ("leave", Some(&oid(bob.id).into())));
    let gone = next(&mut users).await;
    assert_eq!(gone.document_key.unwrap().get("_id"), Some(&oid(bob.id).into()));
    assert!(gone.update_description.is_none() && gone.full_document.is_none());
}
