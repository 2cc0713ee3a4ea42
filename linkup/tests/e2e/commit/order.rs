//! Many senders, two nodes, batches.

use futures_util::future::join_all;
use protocol::Id;
use serde_json::json;

use super::{batch, command};
use crate::rest::fixture::{Node, assert_each_once, assert_gapless, seq};
use crate::support::mongo_uri;

#[tokio::test]
async fn parallel_sends_get_consecutive_numbers() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let texts: Vec<String> = (0..50).map(|n| format!("text {n}")).collect();
    let sends = texts.iter().enumerate().map(|(n, text)| {
        let sender = if n % 2 == 0 { &ada } else { &bob };
        sender.say(conversation, text)
    });
    let mut answered: Vec<i64> = join_all(sends).await.iter().map(seq).collect();
    answered.sort_unstable();
    assert_eq!(answered, (1..=50).collect::<Vec<_>>());
    let all = ada.everything(conversation).await;
    assert_gapless(&all, 50);
    assert_each_once(&all, texts);
}

#[tokio::test]
async fn two_nodes_write_to_one_conversation_at_once() {
    const EACH: usize = 150;
    let uri = mongo_uri().await;
    let (one, other) = (Node::on(&uri).await, Node::on(&uri).await);
    let (ada, bob) = (one.person("Ada").await, one.person("Bob").await);
    let bob = other.as_person(bob.id);
    let conversation = ada.conversation(&[&bob]).await;
    // Each has several sends under way, so that the two nodes' batches meet.
    let traffic = [(&ada, "a"), (&bob, "b")].into_iter().flat_map(|(person, name)| {
        (0..5).map(move |writer| async move {
            for n in 0..EACH / 5 {
                person.say(conversation, &format!("{name} {writer} {n}")).await;
            }
        })
    });
    join_all(traffic).await;
    let all = ada.everything(conversation).await;
    assert_gapless(&all, 2 * EACH);
    // What one writer sent, one after the other, stands in that order.
    for writer in ["a 0", "a 4", "b 0", "b 4"] {
        let texts = all.iter().filter_map(|m| m["content"].as_str()).filter(|text| text.starts_with(writer));
        let expected: Vec<String> = (0..EACH / 5).map(|n| format!("{writer} {n}")).collect();
        assert_eq!(texts.collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_gateways_batch_keeps_its_order_across_conversations() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let conversations = [
        ada.conversation(&[&bob]).await,
        ada.conversation(&[&eve]).await,
        ada.conversation(&[&bob, &eve]).await,
    ];
    let commands: Vec<_> = (0..300)
        .map(|n| command(Id::mint(), ada.id, conversations[n % 3], &json!({"content": format!("text {n}")})))
        .collect();
    let answers = batch(&node.gateway(), &commands).await;
    for (n, answer) in answers.iter().enumerate() {
        let message = &answer["ok"];
        assert_eq!(message["content"], format!("text {n}"), "{answer}");
        assert_eq!(message["conversationId"], json!(conversations[n % 3]));
        assert_eq!(seq(message), (n / 3 + 1) as i64);
        assert_eq!(message["sender"]["name"], "Ada");
    }
}

#[tokio::test]
async fn one_bad_message_harms_none_of_its_neighbours() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let conversation = ada.conversation(&[&bob]).await;
    let text = json!({"content": "fine"});
    let good = |id: Id| command(id, ada.id, conversation, &text);
    let first = Id::mint();
    let commands = [
        good(first),
        command(Id::mint(), ada.id, conversation, &json!({"content": {"$ne": 1}})),
        good(Id::mint()),
        command(Id::mint(), eve.id, conversation, &text),
        command(Id::mint(), ada.id, Id::mint(), &text),
        good(Id::mint()),
        command(Id::mint(), Id::mint(), conversation, &text),
        command(first, bob.id, conversation, &text),
        command(Id::mint(), ada.id, conversation, &json!({"content": "x".repeat(4001)})),
        good(Id::mint()),
    ];
    let answers = batch(&node.gateway(), &commands).await;
    let told: Vec<_> = answers
        .iter()
        .map(|answer| answer["ok"]["seq"].as_i64().map_or(answer["err"]["code"].clone(), |seq| json!(seq)))
        .collect();
    assert_eq!(
        json!(told),
        json!([
            1,
            "bad_request",
            2,
            "forbidden",
            "not_found",
            3,
            "unauthorized",
            "conflict",
            "bad_request",
            4
        ])
    );
    assert_gapless(&ada.everything(conversation).await, 4);
}

#[tokio::test]
async fn somebody_removed_is_refused_at_once() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let group = ada.conversation(&[&bob, &eve]).await;
    eve.say(group, "hi").await;
    let path = format!("/api/conversations/{group}");
    ada.rest.put(&path, &json!({"participants": [ada.id, bob.id]})).await.ok();
    let reply = eve.rest.post(&format!("{path}/messages"), &json!({"content": "still here"})).await;
    assert_eq!(reply.status.as_u16(), 403);
}
