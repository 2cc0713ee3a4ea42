//! Read receipts in small and big conversations.

use serde_json::{Value, json};
use store::conversation::SMALL;

use super::{Stage, assert_told};
use crate::support::crowd::{conversations, crowd};
use crate::support::people::Person;

async fn read(person: &Person, message: &Value) -> Value {
    let path = format!("/api/messages/{}/read", message["id"].as_str().unwrap());
    person.rest.put(&path, &json!({})).await.ok()
}

/// The receipt of `reader`, as the answer tells it.
fn receipt(reader: &Person, message: &Value, answer: &Value) -> Value {
    let entry =
        answer["readBy"].as_array().unwrap().iter().find(|entry| entry["userId"] == reader.id.as_str());
    json!({
        "messageId": message["id"], "userId": reader.id, "conversationId": message["conversationId"],
        "readAt": entry.expect("the reader's own entry")["readAt"], "seq": message["seq"],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_small_conversation_everybody_is_told_who_has_read() {
    let stage = Stage::<4>::set().await;
    let [ada, bob, carl, _] = &stage.people;
    let group = ada.talk_to(&[bob, carl]).await;
    let message = ada.say(&group, "hello").await;
    let expected = receipt(bob, &message, &read(bob, &message).await);
    // Once more changes nothing, so nobody is told anything.
    read(bob, &message).await;
    let each = [&expected];
    assert_told(&stage.told("message:read").await, &[&each, &each, &each, &[]]);

    // Who has left has nothing to tell.
    let later = ada.say(&group, "and so on").await;
    let members = json!({ "participants": [ada.id, bob.id] });
    ada.rest.put(&format!("/api/conversations/{group}"), &members).await.ok();
    let second = receipt(bob, &later, &read(bob, &later).await);
    let both = [&expected, &second];
    assert_told(&stage.told("message:read").await, &[&both, &both, &each, &[]]);
}

/// That somebody reads tells that they are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_somebody_blocks_only_the_reader_is_told() {
    let stage = Stage::<3>::set().await;
    let [ada, bob, _] = &stage.people;
    let talk = ada.talk_to(&[bob]).await;
    let message = ada.say(&talk, "hello").await;
    bob.rest.post(&format!("/api/users/{}/blocks/{}", bob.id, ada.id), &json!({})).await.ok();
    let expected = receipt(bob, &message, &read(bob, &message).await);
    assert_told(&stage.told("message:read").await, &[&[], &[&expected], &[]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_big_one_only_the_reader_and_now_and_then_the_author_are() {
    let stage = Stage::<3>::set().await;
    let [ada, bob, carl] = &stage.people;
    let others = crowd(stage.stack.store(), &stage.stack.base(), SMALL - 2).await;
    let mut members = vec![ada.clone(), bob.clone(), carl.clone()];
    members.extend(others.iter().cloned());
    let group = conversations(stage.stack.store(), [members.as_slice()]).await.remove(0);
    let message = ada.say(&group, "hello").await;
    let answer = read(bob, &message).await;
    let expected = receipt(bob, &message, &answer);
    assert_told(&stage.told("message:read").await, &[&[&expected], &[&expected], &[]]);

    // Everybody else reads, too: within one second the author is told of one of them, however many they are.
    for other in &others {
        read(other, &message).await;
    }
    let own = receipt(carl, &message, &read(carl, &message).await);
    let told = stage.told("message:read").await;
    assert_told(&told[1..], &[&[&expected], &[&own]]);
    let second = |receipt: &Value| receipt["readAt"].as_str().unwrap()[..19].to_owned();
    let mut seconds: Vec<String> = told[0].iter().map(second).collect();
    let count = seconds.len();
    seconds.dedup();
    // The moment of reading and that of writing may lie on two sides of a second's end.
    assert!(count <= seconds.len() + 1, "{:?}", told[0]);
}
