//! Every message arrives once and in order, whatever lies between.

use std::time::Duration;

use bus::InProcess;
use serde_json::{Value, json};
use service::metrics::Registry;
use store::bson::oid::ObjectId;
use store::bson::{Document, doc};

use crate::support::cluster::Cluster;
use crate::support::cutter::Cutter;
use crate::support::people::register;
use crate::support::socket::Dialect;
use crate::support::stack::{Plan, Stack};
use crate::support::traffic::{Scene, acknowledged};
use crate::support::unlucky::Unlucky;
use crate::support::{SOON, database, eventually, mongo};

/// How many messages are exchanged.
const COUNT: usize = 2_000;

/// Two users exchange messages in both directions over all their connections at once, and each connection is
/// given each message once and in order.
async fn exchange(bases: &[String]) {
    let scene = Scene::set(bases).await;
    let sent = scene.send(COUNT).await;
    scene.judge(sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_over_sockets_and_rest_arrive_once_and_in_order() {
    let stack = Stack::start().await;
    exchange(&stack.bases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_api_nodes_that_write_to_one_conversation_leave_no_gap() {
    let stack = Stack::with(Plan { apis: 2, gateways: 2, ..Plan::default() }).await;
    exchange(&stack.bases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_mongodb_that_are_lost_after_the_commit_double_nothing() {
    let database = database();
    // Once, and several times on end; early, since fast senders make few and large batches. Each cut makes the driver
    // look for its server for half a second, so there cannot be many.
    let choice = |insert| matches!(insert, 3 | 7..=9 | 13..=17);
    let cutter = Cutter::start(mongo::server().await, choice).await;
    let mongo_uri = Some(mongo::uri(&database).await);
    let plan = Plan { mongo_uri, api_mongo_uri: Some(cutter.uri(&database)), apis: 2, ..Plan::default() };
    let stack = Stack::with(plan).await;
    exchange(&stack.bases()).await;
    assert_eq!(cutter.cuts(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_loses_deliveries_and_requests_costs_no_message() {
    let bus = Unlucky::new(InProcess::new(&Registry::new()), 11, 5);
    let stack = Stack::on(bus.clone(), Plan { gateways: 2, ..Plan::default() }).await;
    exchange(&stack.bases()).await;
    let (deliveries, uplinks) = bus.lost();
    assert!(deliveries >= 3 && uplinks >= 1, "lost only {deliveries} deliveries and {uplinks} uplinks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_joined_by_nats_deliver_as_one_does() {
    let cluster = Cluster::start(1, 2).await;
    exchange(&cluster.bases()).await;
    cluster.stop().await;
}

/// The gateway sends an unanswered batch again, to the other node, and nothing of it is doubled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_node_that_is_killed_costs_sockets_nothing() {
    let mut cluster = Cluster::start(2, 1).await;
    let scene = Scene::set(&cluster.bases()).await.with_sockets_only();
    let lane = protocol::route::lane(scene.conversation.parse().unwrap());
    let kill = async {
        scene.is_under_way(COUNT / 4).await;
        cluster.kill_api_of(lane).await;
    };
    let (sent, ()) = tokio::join!(scene.send(COUNT), kill);
    // Its last message goes to the node that is gone, if none before did.
    scene.judge(sent).await;
    cluster.gateway_logs("a batch was not answered").await;
    cluster.stop().await;
}

/// A message that cannot be sent is refused with its own reason; those before and after it in the same batch
/// are sent, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_message_among_many_harms_none_of_its_neighbours() {
    let stack = Stack::start().await;
    let base = stack.base();
    let [ada, bob, eve] =
        [register(&base, "Ada").await, register(&base, "Bob").await, register(&base, "Eve").await];
    let conversation = ada.talk_to(&[&bob]).await;
    let strangers = bob.talk_to(&[&eve]).await;
    let bad = [
        (json!({ "conversationId": conversation }), "bad_request"),
        (json!({ "conversationId": conversation, "content": { "$ne": null } }), "bad_request"),
        (json!({ "conversationId": conversation, "content": "x".repeat(4_001) }), "bad_request"),
        (json!({ "conversationId": conversation, "content": " " }), "bad_request"),
        (json!({ "conversationId": { "$gt": "" }, "content": "x" }), "bad_request"),
        (json!({ "content": "x" }), "bad_request"),
        (json!(["not", "an", "object"]), "bad_request"),
        (Value::Null, "bad_request"),
        (json!({ "conversationId": strangers, "content": "x" }), "forbidden"),
        (json!({ "conversationId": protocol::Id::mint().to_string(), "content": "x" }), "not_found"),
    ];
    for dialect in [Dialect::SocketIo, Dialect::Plain] {
        let (from, to) = (ada.connect(&base, dialect).await, bob.connect(&base, dialect).await);
        let first = ada.say(&conversation, "the first one").await["seq"].as_i64().unwrap();
        let mut answers = Vec::new();
        for (payload, code) in &bad {
            let good = json!({ "conversationId": conversation, "content": format!("before {code}") });
            answers.push((from.ask("message:send", &good), None));
            answers.push((from.ask("message:send", payload), Some(*code)));
            answers.push((from.ask("message:send", &good), None));
        }
        let mut expected = vec![first];
        for (answer, refusal) in answers {
            let answer = answer.await.unwrap();
            match refusal {
                Some(code) => {
                    assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!(code)))
                }
                None => expected.push(acknowledged(Some(answer))["seq"].as_i64().unwrap()),
            }
        }
        assert_eq!(expected, (first..first + expected.len() as i64).collect::<Vec<_>>());
        eventually("all good messages arrive", SOON, async || {
            (to.seqs(&conversation).len() >= expected.len()).then_some(())
        })
        .await;
        assert_eq!(to.seqs(&conversation), expected, "{dialect:?}");
    }
}

/// Somebody writes past the api: what cannot be read is left out, and everybody else's events go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_cannot_be_read_cost_nobody_else_their_events() {
    let mongo_uri = mongo::uri(&database()).await;
    // No renewal that is held up may cost the streamer its lease.
    let lease_ttl = Duration::from_secs(60);
    let stack = Stack::with(Plan { mongo_uri: Some(mongo_uri.clone()), lease_ttl, ..Plan::default() }).await;
    let base = stack.base();
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let conversation = ada.talk_to(&[&bob]).await;
    let socket = bob.connect(&base, Dialect::Plain).await;
    ada.say(&conversation, "before").await;

    let store = mongo::store(&mongo_uri).await;
    let (conversations, messages) = (
        store.database().collection::<Document>("conversations"),
        store.database().collection::<Document>("messages"),
    );
    let odd = ObjectId::new();
    let mut document = conversations.find_one(doc! {}).await.unwrap().unwrap();
    document.insert("_id", odd);
    document.remove("isActive");
    document.remove("directKey");
    // Neither the api nor the validator would let it through.
    conversations.insert_one(document).bypass_document_validation(true).await.unwrap();
    let mut message = messages.find_one(doc! {}).await.unwrap().unwrap();
    message.insert("_id", ObjectId::new());
    message.insert("conversationId", odd);
    messages.insert_one(message).bypass_document_validation(true).await.unwrap();

    ada.say(&conversation, "after").await;
    eventually("what comes after arrives", SOON, async || {
        (socket.seqs(&conversation).len() >= 2).then_some(())
    })
    .await;
    assert_eq!(socket.seqs(&conversation), [1, 2]);
    assert!(socket.seqs(&odd.to_hex()).is_empty());
    let lease = store.database().collection::<Document>("leases").find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(lease.get_i64("term").unwrap(), 1, "the streamer did not have to start again");
    assert_eq!(socket.close_code(), None);
}
