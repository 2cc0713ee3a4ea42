//! What connections make of people's presence, and who sees it.

use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, doc};
use serde_json::{Value, json};

use crate::support::people::{Person, register};
use crate::support::socket::{Dialect, Socket};
use crate::support::stack::{Plan, Stack};
use crate::support::{SOON, eventually};

/// People who leave are gone soon.
fn hasty() -> Plan {
    Plan { gateway: |config| config.presence_grace = Duration::from_millis(200), ..Plan::default() }
}

/// People who leave have time to come back, even on a machine that is busy with other tests.
fn patient() -> Plan {
    Plan { gateway: |config| config.presence_grace = Duration::from_secs(4), ..Plan::default() }
}

async fn befriend(one: &Person, other: &Person) {
    let add = async |one: &Person, other: &Person| {
        one.rest.post(&format!("/api/users/{}/friends/{}", one.id, other.id), &json!({})).await.ok()
    };
    add(one, other).await;
    add(other, one).await;
}

/// What `socket` was told that somebody is, one after the other.
fn told(socket: &Socket, person: &Person) -> Vec<Value> {
    let about = |event: &crate::support::socket::Event| {
        event.name == "user:status" && event.payload["userId"] == json!(person.id)
    };
    socket.events().into_iter().filter(about).map(|event| event.payload).collect()
}

fn statuses(socket: &Socket, person: &Person) -> Vec<String> {
    told(socket, person).iter().map(|told| told["status"].as_str().unwrap().to_owned()).collect()
}

/// Waits until what was told of somebody is this, and nothing else.
async fn sees(socket: &Socket, person: &Person, expected: &[&str]) {
    eventually(&format!("{} is seen as {expected:?}", person.name), SOON, async || {
        let seen = statuses(socket, person);
        assert!(expected.starts_with(&seen.iter().map(String::as_str).collect::<Vec<_>>()), "{seen:?}");
        (seen.len() == expected.len()).then_some(())
    })
    .await;
}

/// Waits until `socket` has been told everything that happened before now; `speaker` says so.
async fn caught_up(socket: &Socket, speaker: &Person, conversation: &str) {
    let mark = speaker.say(conversation, "a mark").await["seq"].as_i64().unwrap();
    eventually("the mark arrives", SOON, async || socket.seqs(conversation).contains(&mark).then_some(()))
        .await;
}

fn object_id(id: &str) -> ObjectId {
    id.parse().unwrap()
}

async fn set(socket: &Socket, status: &str) {
    let answer = socket.ask("user:status", &json!({ "status": status })).await.unwrap();
    assert_eq!(answer, json!({ "ok": true, "status": status }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn friends_see_somebody_come_turn_away_and_go_and_nobody_else_does() {
    let stack = Stack::with(hasty()).await;
    let base = stack.base();
    let [ada, bob, eve, zoe] = [
        register(&base, "Ada").await,
        register(&base, "Bob").await,
        register(&base, "Eve").await,
        register(&base, "Zoe").await,
    ];
    befriend(&ada, &bob).await;
    let group = ada.talk_to(&[&bob, &eve]).await;
    let elsewhere = zoe.talk_to(&[&bob, &eve]).await;
    let friend = bob.connect(&base, Dialect::SocketIo).await;
    let [member, stranger] =
        [eve.connect(&base, Dialect::SocketIo).await, zoe.connect(&base, Dialect::Plain).await];
    let socket = ada.connect(&base, Dialect::SocketIo).await;
    sees(&friend, &ada, &["online"]).await;
    for (n, status) in ["away", "online", "offline", "away"].into_iter().enumerate() {
        set(&socket, status).await;
        sees(&friend, &ada, &["online", "away", "online", "offline", "away"][..n + 2]).await;
    }
    // To say it again is no news.
    set(&socket, "away").await;
    drop(socket);
    sees(&friend, &ada, &["online", "away", "online", "offline", "away", "offline"]).await;

    let seen = told(&friend, &ada);
    let times: Vec<&str> = seen.iter().map(|told| told["lastSeen"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let profile = bob.rest.get(&format!("/api/users/{}", ada.id)).await.ok();
    assert_eq!((&profile["status"], &profile["lastSeen"]), (&json!("offline"), &seen[5]["lastSeen"]));

    caught_up(&member, &bob, &group).await;
    caught_up(&stranger, &bob, &elsewhere).await;
    assert_eq!(statuses(&member, &ada), [""; 0]);
    assert_eq!(statuses(&stranger, &ada), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_tabs_on_several_gateways_are_one_person() {
    let stack = Stack::with(Plan { gateways: 2, ..hasty() }).await;
    let bases = stack.bases();
    let [ada, bob] = [register(&bases[0], "Ada").await, register(&bases[0], "Bob").await];
    befriend(&ada, &bob).await;
    let friend = bob.connect(&bases[0], Dialect::SocketIo).await;
    let mut tabs = Vec::new();
    for base in [&bases[0], &bases[0], &bases[1]] {
        tabs.push(ada.connect(base, Dialect::SocketIo).await);
    }
    sees(&friend, &ada, &["online"]).await;
    // Each of these is told by the same gateway, in the same order, as what the witness does after it.
    for _ in 0..2 {
        set(&tabs[0], "away").await;
        drop(tabs.remove(0));
        witnessed(&bases[0], &friend, &bob).await;
        assert_eq!(statuses(&friend, &ada), ["online"]);
    }
    set(&tabs[0], "away").await;
    sees(&friend, &ada, &["online", "away"]).await;
    drop(tabs);
    sees(&friend, &ada, &["online", "away", "offline"]).await;
}

/// Somebody comes and goes through this gateway, and `friend` sees it. Whoever went before them is gone by then.
async fn witnessed(base: &str, friend: &Socket, bob: &Person) {
    let witness = register(base, "Witness").await;
    befriend(&witness, bob).await;
    drop(witness.connect(base, Dialect::SocketIo).await);
    sees(friend, &witness, &["online", "offline"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_in_time_was_never_gone() {
    let stack = Stack::with(Plan { gateways: 2, ..patient() }).await;
    let bases = stack.bases();
    let [ada, bob] = [register(&bases[0], "Ada").await, register(&bases[0], "Bob").await];
    befriend(&ada, &bob).await;
    let friend = bob.connect(&bases[0], Dialect::SocketIo).await;
    let mut socket = ada.connect(&bases[0], Dialect::SocketIo).await;
    sees(&friend, &ada, &["online"]).await;
    // To where it was, and to another gateway.
    for n in [0, 1] {
        socket.cut().await;
        socket = ada.connect(&bases[n], Dialect::SocketIo).await;
    }
    witnessed(&bases[0], &friend, &bob).await;
    assert_eq!(statuses(&friend, &ada), ["online"]);
    drop(socket);
    sees(&friend, &ada, &["online", "offline"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_restarted_makes_nobody_come_or_go() {
    let mut stack = Stack::with(Plan { gateways: 2, ..hasty() }).await;
    let bases = stack.bases();
    let [ada, bob, eve] = [
        register(&bases[0], "Ada").await,
        register(&bases[0], "Bob").await,
        register(&bases[0], "Eve").await,
    ];
    befriend(&ada, &bob).await;
    befriend(&eve, &bob).await;
    let talk = ada.talk_to(&[&bob, &eve]).await;
    let friend = bob.connect(&bases[1], Dialect::SocketIo).await;
    let before =
        [ada.connect(&bases[0], Dialect::SocketIo).await, eve.connect(&bases[0], Dialect::Plain).await];
    sees(&friend, &ada, &["online"]).await;
    sees(&friend, &eve, &["online"]).await;
    let eves = doc! {"_id": object_id(&eve.id)};
    let eves = stack.store().presence().find_one(eves).await.unwrap().unwrap();
    let old = object_id(eves.get_array("nodes").unwrap()[0].as_str().unwrap());
    stack.restart_gateway(0).await;
    for socket in &before {
        socket.closed().await;
    }
    // Ada comes back and Eve does not.
    let _socket = ada.connect(&stack.bases()[0], Dialect::SocketIo).await;
    eventually("the new gateway has told that Ada is there", SOON, async || {
        let there = doc! {"_id": object_id(&ada.id), "nodes": {"$size": 2}};
        stack.store().presence().find_one(there).await.unwrap()
    })
    .await;
    caught_up(&friend, &ada, &talk).await;
    assert_eq!((statuses(&friend, &ada).len(), statuses(&friend, &eve).len()), (1, 1));
    // The old one has been silent for too long.
    let gateway = doc! {"_id": old};
    let long = DateTime::from_millis(DateTime::now().timestamp_millis() - 31_000);
    let silent = doc! {"$set": {"at": long}};
    let found = stack.store().gateways().update_one(gateway.clone(), silent).await.unwrap();
    assert_eq!(found.matched_count, 1);
    sees(&friend, &eve, &["online", "offline"]).await;
    eventually("the old gateway is forgotten", SOON, async || {
        stack.store().gateways().find_one(gateway.clone()).await.unwrap().is_none().then_some(())
    })
    .await;
    caught_up(&friend, &ada, &talk).await;
    assert_eq!(statuses(&friend, &ada), ["online"]);
}
