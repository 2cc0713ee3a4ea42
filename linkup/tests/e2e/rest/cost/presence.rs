//! What presence costs.

use std::time::Instant;

use mongodb::bson::{DateTime, doc};
use protocol::command::{MAX_BATCH, PATH, Presence};
use protocol::{Id, Timestamp};
use serde_json::{Value, json};
use store::Store;
use store::convert::oid;
use store::presence::Delta;

use super::monitor::{Monitor, tally};
use super::plan;
use super::world::watched;
use crate::rest::fixture::Node;

/// What these users are on a gateway.
fn deltas(gateway: Id, users: &[Id], version: u64, presence: Presence) -> Vec<Value> {
    let delta = |user: &Id| {
        json!({"presence": {
            "gateway": gateway, "user": user, "version": version, "presence": presence, "at": Timestamp::now(),
        }})
    };
    users.iter().map(delta).collect()
}

async fn users(node: &Node, count: usize) -> Vec<Id> {
    let mut users = Vec::new();
    for n in 0..count {
        users.push(node.person(&format!("User {n}")).await.id);
    }
    users
}

/// The commands of a batch that must be answered well.
async fn cost(monitor: &Monitor, node: &Node, commands: Vec<Value>) -> Vec<String> {
    let count = commands.len();
    let began = Instant::now();
    let (reply, sent) = monitor.watch(node.gateway().post(PATH, &json!({"commands": commands}))).await;
    println!("{count} commands: {:?}, {:?}", began.elapsed(), tally(&sent));
    let answers = reply.ok()["answers"].clone();
    assert!(answers.as_array().unwrap().iter().all(|answer| answer.get("ok").is_some()), "{answers}");
    sent.iter().map(super::monitor::name).collect()
}

const THREE: [&str; 3] = ["update presence", "find presence", "update users"];

#[tokio::test]
async fn a_full_batch_takes_three_commands() {
    let (monitor, node) = watched().await;
    let users = users(&node, MAX_BATCH).await;
    let gateway = Id::mint();
    for (version, presence) in [
        (1, Presence::Online),
        (1, Presence::Online),
        (2, Presence::Away),
        (3, Presence::Offline),
        (4, Presence::Online),
    ] {
        assert_eq!(cost(&monitor, &node, deltas(gateway, &users, version, presence)).await, THREE);
    }
    // Of one user, and of gateways that nobody has heard of.
    let one = (1..=MAX_BATCH as u64)
        .map(|version| deltas(Id::mint(), &users[..1], version, Presence::Online).remove(0));
    assert_eq!(cost(&monitor, &node, one.collect()).await, THREE);
    let online = doc! {"status": "online"};
    assert_eq!(node.store.users().count_documents(online).await.unwrap(), MAX_BATCH as u64);
}

/// A gateway on which these users are online, heard of so many seconds ago.
async fn gateway(store: &Store, users: &[Id], silent: i64) -> Id {
    let gateway = Id::mint();
    let at = Timestamp::now();
    let deltas: Vec<Delta> = users
        .iter()
        .map(|&user| Delta { gateway, user, version: 1, presence: Presence::Online, at })
        .collect();
    store.tell_presence(&deltas).await.unwrap();
    let at = DateTime::from_millis(at.millis() - silent * 1_000);
    let heard = doc! {"_id": oid(gateway), "at": at, "alive": true, "known": true};
    store.gateways().insert_one(heard).await.unwrap();
    gateway
}

#[tokio::test]
async fn sweeps_find_what_there_is_to_do_by_an_index() {
    let (monitor, node) = watched().await;
    let users = users(&node, 500).await;
    gateway(&node.store, &users, 0).await;
    let (swept, commands) = monitor.watch(node.store.sweep_gateways()).await;
    assert_eq!((swept.unwrap().gateways, commands.len()), (0, 2), "{commands:?}");
    for command in &commands {
        for plan in plan::plans(node.store.database(), command).await {
            // A gateway, or a key, for each gateway.
            assert!(plan.examined <= 2, "{command}: {plan:?}");
        }
    }
    gateway(&node.store, &users[..20], 60).await;
    let (swept, commands) = monitor.watch(node.store.sweep_gateways()).await;
    assert_eq!(swept.unwrap().gateways, 1);
    for command in &commands {
        for plan in plan::plans(node.store.database(), command).await {
            assert!(plan.faults.is_empty() && !plan.sorts && plan.examined < 100, "{command}: {plan:?}");
        }
    }
    let sent: Vec<String> = commands.iter().map(super::monitor::name).collect();
    assert_eq!(
        sent,
        [
            "find gateways",
            "distinct presence",
            "update gateways",
            "find presence",
            "find gateways",
            "update presence",
            "find presence",
            "update users",
            "update presence",
            "find presence",
            "find presence",
            "delete gateways",
            "delete presence",
        ]
    );
}
