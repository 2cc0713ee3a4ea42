//! Messages that are sent again.

use futures_util::future::join_all;
use protocol::Id;
use serde_json::{Value, json};

use super::{batch, command};
use crate::rest::fixture::{Node, Person, assert_gapless, id};
use crate::support::mongo_uri;

async fn send(person: &Person, conversation: Id, name: &str, text: &str) -> Value {
    let body = json!({"content": text, "clientMessageId": name});
    person.rest.post(&format!("/api/conversations/{conversation}/messages"), &body).await.ok()
}

#[tokio::test]
async fn a_clients_retry_is_answered_with_the_stored_message() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let elsewhere = ada.conversation(&[&bob, &node.person("Eve").await]).await;
    let first = send(&ada, conversation, "n1", "original").await;
    assert_eq!(send(&ada, conversation, "n1", "changed").await, first);
    // The same name means another message when somebody else sends it, or to somewhere else.
    assert_ne!(id(&send(&bob, conversation, "n1", "mine").await), id(&first));
    assert_ne!(id(&send(&ada, elsewhere, "n1", "there").await), id(&first));
    assert_gapless(&ada.everything(conversation).await, 2);
}

#[tokio::test]
async fn the_same_message_from_many_sides_at_once_is_stored_once() {
    let uri = mongo_uri().await;
    let (one, other) = (Node::on(&uri).await, Node::on(&uri).await);
    let (ada, bob) = (one.person("Ada").await, one.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let twin = other.as_person(ada.id);
    let sends = (0..60).map(|n| {
        let person = if n % 2 == 0 { &ada } else { &twin };
        let name = format!("n{}", n % 6);
        async move { (name.clone(), id(&send(person, conversation, &name, &name).await)) }
    });
    let answers = join_all(sends).await;
    for (name, id) in &answers {
        assert!(answers.iter().all(|(other, other_id)| (name == other) == (id == other_id)));
    }
    assert_gapless(&ada.everything(conversation).await, 6);
}

#[tokio::test]
async fn a_repetition_within_one_batch_is_stored_once() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let message = Id::mint();
    let named = json!({"content": "named", "clientMessageId": "n1"});
    let commands = [
        command(message, ada.id, conversation, &json!({"content": "a"})),
        command(message, ada.id, conversation, &json!({"content": "a"})),
        command(Id::mint(), ada.id, conversation, &named),
        command(Id::mint(), ada.id, conversation, &named),
        command(Id::mint(), bob.id, conversation, &named),
    ];
    let answers = batch(&node.gateway(), &commands).await;
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[2], answers[3]);
    let numbers: Vec<_> = answers.iter().map(|answer| answer["ok"]["seq"].clone()).collect();
    assert_eq!(json!(numbers), json!([1, 1, 2, 2, 3]));
}

#[tokio::test]
async fn a_batch_sent_again_to_another_node_doubles_nothing_and_goes_on() {
    let uri = mongo_uri().await;
    let (one, other) = (Node::on(&uri).await, Node::on(&uri).await);
    let (ada, bob) = (one.person("Ada").await, one.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let commands: Vec<Value> = (0..40)
        .map(|n| command(Id::mint(), ada.id, conversation, &json!({"content": n.to_string()})))
        .collect();
    // The first node has stored the first half when the gateway turns to the other one with all of it.
    let first = batch(&one.gateway(), &commands[..20]).await;
    let all = batch(&other.gateway(), &commands).await;
    assert_eq!(all[..20], first);
    let again = batch(&one.gateway(), &commands).await;
    assert_eq!(again, all);
    let stored = ada.everything(conversation).await;
    assert_gapless(&stored, 40);
    let texts: Vec<_> = stored.iter().map(|message| message["content"].clone()).collect();
    assert_eq!(texts, (0..40).map(|n| json!(n.to_string())).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_identifier_of_somebody_elses_message_is_taken() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let taken = id(&bob.say(conversation, "mine").await);
    let text = json!({"content": "text"});
    let commands = [
        command(Id::mint(), ada.id, conversation, &text),
        command(taken, ada.id, conversation, &text),
        command(Id::mint(), ada.id, conversation, &text),
    ];
    let answers = batch(&node.gateway(), &commands).await;
    assert_eq!(answers[1]["err"]["code"], "conflict");
    assert_eq!((&answers[0]["ok"]["seq"], &answers[2]["ok"]["seq"]), (&json!(2), &json!(3)));
}

#[tokio::test]
async fn who_has_left_since_still_learns_what_became_of_a_message() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let group = ada.conversation(&[&bob, &eve]).await;
    let stored = send(&eve, group, "n1", "hi").await;
    let path = format!("/api/conversations/{group}");
    ada.rest.put(&path, &json!({"participants": [ada.id, bob.id]})).await.ok();
    assert_eq!(send(&eve, group, "n1", "hi").await, stored);
}
