//! Edits and deletions; members who come and go; new and renamed conversations.

use serde_json::json;

use super::{Stage, assert_told, author};
use crate::support::{SOON, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn participants_are_told_that_a_message_was_edited_and_deleted_and_nobody_else_is() {
    let stage = Stage::<3>::set().await;
    let [ada, bob, _] = &stage.people;
    let conversation = ada.talk_to(&[bob]).await;
    let message = ada.say(&conversation, "before").await;
    let (id, path) = (&message["id"], format!("/api/messages/{}", message["id"].as_str().unwrap()));
    let mut edits = Vec::new();
    // The second time it says what it said before.
    for text in ["after", "after"] {
        let edited = ada.rest.put(&path, &json!({ "content": text })).await.ok();
        edits.push(json!({
            "_id": id, "id": id, "messageId": id, "conversationId": conversation, "seq": 1, "sender": author(ada),
            "content": text, "createdAt": message["createdAt"], "updatedAt": edited["updatedAt"],
            "editedAt": edited["editedAt"],
        }));
    }
    let [first, second] = [&edits[0], &edits[1]];
    let both = [first, second];
    assert_told(&stage.told("message:update").await, &[&both, &both, &[]]);

    ada.rest.delete(&path, None).await.ok();
    let told = stage.told("message:delete").await;
    let deleted = json!({
        "_id": id, "id": id, "messageId": id, "conversationId": conversation, "seq": 1, "userId": ada.id,
        "deletedAt": told[0][0]["deletedAt"], "isDeleted": true,
    });
    assert!(deleted["deletedAt"].is_string(), "{deleted}");
    assert_told(&told, &[&[&deleted], &[&deleted], &[]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_added_is_told_from_then_on_and_whoever_is_removed_until_then() {
    let stage = Stage::<4>::set().await;
    let [ada, bob, carl, dana] = &stage.people;
    let group = ada.talk_to(&[bob, carl]).await;
    let message = ada.say(&group, "0").await;
    let path = format!("/api/messages/{}", message["id"].as_str().unwrap());
    let edit = async |text: &str| ada.rest.put(&path, &json!({ "content": text })).await.ok();
    edit("1").await;
    let members = json!({ "participants": [ada.id, bob.id, dana.id] });
    ada.rest.put(&format!("/api/conversations/{group}"), &members).await.ok();
    edit("2").await;
    ada.rest.delete(&path, None).await.ok();

    let texts = |told: Vec<Vec<serde_json::Value>>| -> Vec<Vec<String>> {
        let text = |edit: &serde_json::Value| edit["content"].as_str().unwrap().to_owned();
        told.iter().map(|told| told.iter().map(text).collect()).collect()
    };
    let told = texts(stage.told("message:update").await);
    assert_eq!(told, [vec!["1", "2"], vec!["1", "2"], vec!["1"], vec!["2"]]);
    let told: Vec<usize> = stage.told("message:delete").await.iter().map(Vec::len).collect();
    assert_eq!(told, [1, 1, 0, 1]);
    // Carl is told that it is over for him, and nothing about the others.
    let updates = stage.told("conversation:update").await;
    let last = updates[2].iter().rfind(|update| update["id"] == group.as_str()).unwrap();
    assert_eq!((&last["isActive"], &last["participants"]), (&json!(false), &json!([])));
    assert_eq!(last["participantCount"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_of_a_conversation_is_what_is_answered_about_it() {
    let stage = Stage::<3>::set().await;
    let [ada, bob, carl] = &stage.people;
    // So that what both say of them does not change in between.
    eventually("all are online", SOON, async || {
        let lobby = ada.rest.get(&format!("/api/conversations/{}", stage.lobby)).await.ok();
        let everybody = lobby["participants"].as_array().unwrap();
        everybody.iter().all(|person| person["status"] == "online").then_some(())
    })
    .await;
    let group = json!({ "name": "Chess", "type": "group", "participants": [bob.id, carl.id] });
    let group = ada.rest.post("/api/conversations", &group).await.ok()["id"].clone();
    let path = format!("/api/conversations/{}", group.as_str().unwrap());
    for name in ["Chess", "Go"] {
        if name != "Chess" {
            ada.rest.put(&path, &json!({ "name": name })).await.ok();
        }
        let told = stage.told("conversation:update").await;
        for (person, told) in stage.people.iter().zip(told) {
            let mut answered = person.rest.get(&path).await.ok();
            assert_eq!(answered["name"], name);
            // What is not the same for everybody in it, or is told by other events.
            for apart in ["messages", "unreadCount", "lastMessage"] {
                assert!(answered.as_object_mut().unwrap().remove(apart).is_some(), "{apart}");
            }
            let last = told.into_iter().rfind(|update| update["id"] == group);
            assert_eq!(last, Some(answered), "{}", person.name);
        }
    }
}
