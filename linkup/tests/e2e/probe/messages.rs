//! What probes write is removed after a day.

use std::time::Duration;

use api::Config;
use mongodb::bson::{DateTime, Document, doc};
use protocol::command;
use protocol::probe::Name;
use protocol::{Id, Timestamp};
use serde_json::json;
use store::convert::oid;
use store::probe::Pair;

use crate::rest::fixture::{Node, config};
use crate::support::{SOON, eventually, mongo_uri};

const HOUR: i64 = 60 * 60 * 1000;

/// Sends a message of a probe, as a gateway does.
async fn say(node: &Node, pair: &Pair) -> i64 {
    let send = json!({"send": {
        "message": Id::mint(), "sender": pair.users[0].id, "conversation": pair.conversation,
        "payload": {"content": "probe"},
    }});
    let answers = node.gateway().post(command::PATH, &json!({"commands": [send]})).await.ok();
    answers["answers"][0]["ok"]["seq"].as_i64().unwrap_or_else(|| panic!("{answers}"))
}

/// Has messages be as old as this.
async fn age(node: &Node, conversation: Id, seqs: Document, hours: i64) {
    let at = DateTime::from_millis(Timestamp::now().millis() - hours * HOUR);
    let of = doc! {"conversationId": oid(conversation), "seq": seqs};
    node.store.messages().update_many(of, doc! {"$set": {"createdAt": at}}).await.unwrap();
}

/// The numbers of the messages that are there.
async fn seqs(node: &Node, conversation: Id) -> Vec<i64> {
    let of = doc! {"conversationId": oid(conversation)};
    let mut seqs: Vec<i64> = node
        .store
        .messages()
        .distinct("seq", of)
        .await
        .unwrap()
        .iter()
        .map(|seq| seq.as_i64().unwrap())
        .collect();
    seqs.sort_unstable();
    seqs
}

async fn becomes(node: &Node, conversation: Id, wanted: &[i64]) {
    let what = format!("only {wanted:?} are left");
    eventually(&what, SOON, async || (seqs(node, conversation).await == wanted).then_some(())).await;
}

#[tokio::test]
async fn messages_of_probes_go_after_a_day_and_those_of_people_stay() {
    let often = Config { probe_sweep_interval: Duration::from_millis(50), ..config() };
    let node = Node::with(&mongo_uri().await, often).await;
    let now = Timestamp::now();
    let one = node.store.probe_pair(&Name::default(), now).await.unwrap();
    let other = node.store.probe_pair(&"other".parse().unwrap(), now).await.unwrap();
    let [ada, bob] = [node.person("Ada").await, node.person("Bob").await];
    let talk = ada.conversation(&[&bob]).await;
    for n in 1..=6 {
        assert_eq!((say(&node, &one).await, say(&node, &other).await), (n, n));
        ada.say(talk, "hi").await;
    }
    age(&node, talk, doc! {"$gte": 1}, 48).await;
    age(&node, one.conversation, doc! {"$lte": 3}, 25).await;
    age(&node, one.conversation, doc! {"$in": [4, 5]}, 23).await;
    becomes(&node, one.conversation, &[4, 5, 6]).await;
    // Had the others been taken for old, they would be gone when these are.
    age(&node, other.conversation, doc! {"$lte": 2}, 25).await;
    becomes(&node, other.conversation, &[3, 4, 5, 6]).await;
    assert_eq!(seqs(&node, one.conversation).await, [4, 5, 6]);
    // However old, the newest stays, and the next number follows from it, on every node.
    age(&node, one.conversation, doc! {"$gte": 1}, 48).await;
    becomes(&node, one.conversation, &[6]).await;
    let another = Node::over(node.store.clone(), config()).await;
    assert_eq!((say(&another, &one).await, say(&node, &one).await), (7, 8));
    becomes(&node, one.conversation, &[7, 8]).await;
    assert_eq!(seqs(&node, talk).await, [1, 2, 3, 4, 5, 6]);
}
