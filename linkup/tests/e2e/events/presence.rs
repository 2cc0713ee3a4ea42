//! Who is told that somebody came or went.
//!
//! The status is written straight into the database here: what connections make of it is shown elsewhere.

use std::time::Instant;

use futures_util::TryStreamExt as _;
use protocol::{Id, Timestamp};
use serde_json::{Value, json};
use store::Store;
use store::bson::{Document, doc};
use store::convert::{date, oid, oids};

use super::{Stage, named};
use crate::support::crowd::{conversations, crowd};
use crate::support::people::Person;
use crate::support::socket::Event;
use crate::support::{SOON, eventually};

/// A time that no connection has brought about.
const SEEN: i64 = 1_700_000_000_000;

/// Writes what somebody is, seen so many milliseconds after [`SEEN`]; as it is to be told.
async fn becomes(store: &Store, person: &Person, status: &str, after: i64) -> Value {
    let seen = Timestamp::from_millis(SEEN + after);
    let id: Id = person.id.parse().unwrap();
    let change = doc! { "$set": { "status": status, "lastSeen": date(seen) } };
    store.users().update_one(doc! { "_id": oid(id) }, change).await.unwrap();
    json!({ "userId": person.id, "status": status, "lastSeen": seen })
}

async fn add(person: &Person, other: &Person) {
    person.rest.post(&format!("/api/users/{}/friends/{}", person.id, other.id), &json!({})).await.ok();
}

async fn block(person: &Person, other: &Person) {
    person.rest.post(&format!("/api/users/{}/blocks/{}", person.id, other.id), &json!({})).await.ok();
}

async fn unblock(person: &Person, other: &Person) {
    person.rest.delete(&format!("/api/users/{}/blocks/{}", person.id, other.id), None).await.ok();
}

/// The same as it is told to those who do not see when that was.
fn without_time(status: &Value) -> Value {
    let mut status = status.clone();
    status["lastSeen"] = Value::Null;
    status
}

/// Who was told exactly this, by their places.
async fn heard<const N: usize>(stage: &Stage<N>, status: &Value) -> Vec<usize> {
    let told = stage.told("user:status").await;
    let count = |n: usize| told[n].iter().filter(|told| *told == status).count();
    assert!((0..N).all(|n| count(n) <= 1), "{status} was told twice");
    (0..N).filter(|n| count(*n) == 1).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn friends_and_partners_are_told_that_somebody_came_or_went_and_nobody_else_is() {
    let stage = Stage::<6>::set().await;
    let store = stage.stack.store();
    let [ada, friend, partner, admirer, admired, _stranger] = &stage.people;
    // Profiles are public, so that one who is added adds in turn; these two are asked first.
    for shy in [ada, admired] {
        let path = format!("/api/users/{}", shy.id);
        shy.rest.put(&path, &json!({ "settings": { "privacy": "friends-only" } })).await.ok();
    }
    add(ada, friend).await;
    add(friend, ada).await;
    let talk = ada.talk_to(&[partner]).await;
    add(admirer, ada).await;
    let admired_id: Id = admired.id.parse().unwrap();
    let ada_id: Id = ada.id.parse().unwrap();
    let one_sided = doc! { "$addToSet": { "friends": oid(admired_id) } };
    store.users().update_one(doc! { "_id": oid(ada_id) }, one_sided).await.unwrap();

    let status = becomes(store, ada, "away", 1).await;
    assert_eq!(heard(&stage, &status).await, [0, 1], "all of them share a group, which is no reason");
    // Her profile is for her friends.
    assert_eq!(heard(&stage, &without_time(&status)).await, [2]);
    // Who archives a conversation still has a partner.
    ada.rest.delete(&format!("/api/conversations/{talk}"), None).await.ok();
    let open = json!({ "settings": { "privacy": "public" } });
    ada.rest.put(&format!("/api/users/{}", ada.id), &open).await.ok();
    let status = becomes(store, ada, "online", 2).await;
    assert_eq!(heard(&stage, &status).await, [0, 1, 2]);
    let status = becomes(store, partner, "away", 3).await;
    assert_eq!(heard(&stage, &status).await, [0, 2]);
    let status = becomes(store, admirer, "away", 4).await;
    assert_eq!(heard(&stage, &status).await, [3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_blocked_before_is_not_told_on_either_side() {
    let stage = Stage::<3>::set().await;
    let store = stage.stack.store();
    let [ada, bob, carl] = &stage.people;
    add(ada, carl).await;
    ada.talk_to(&[bob]).await;
    let status = becomes(store, ada, "away", 1).await;
    assert_eq!(heard(&stage, &status).await, [0, 1, 2]);
    for (after, blocker, blocked, other, left) in [(10, ada, bob, 1, vec![0, 2]), (20, carl, ada, 2, vec![0])]
    {
        block(blocker, blocked).await;
        let status = becomes(store, ada, "online", after).await;
        assert_eq!(heard(&stage, &status).await, left);
        let status = becomes(store, &stage.people[other], "away", after).await;
        assert_eq!(heard(&stage, &status).await, [other]);
    }
    unblock(ada, bob).await;
    let status = becomes(store, ada, "away", 30).await;
    assert_eq!(
        heard(&stage, &status).await,
        [0, 1],
        "the friendship with Carl has ended, the conversation with Bob has not"
    );
}

/// A thousand who come at once hold nobody's messages up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_come_at_once_are_all_told() {
    const COUNT: usize = 1_000;
    let stage = Stage::<2>::set().await;
    let store = stage.stack.store();
    let [ada, bob] = &stage.people;
    let people = crowd(store, &stage.stack.base(), COUNT).await;
    let ids: Vec<Id> = people.iter().map(|person| person.id.parse().unwrap()).collect();
    let ada_id: Id = ada.id.parse().unwrap();
    // Each has Ada and ten others as friends.
    let mut updates = Vec::new();
    for n in 0..COUNT {
        let near = (1..=5).flat_map(|k| [ids[(n + k) % COUNT], ids[(n + COUNT - k) % COUNT]]);
        updates.push(doc! {
            "q": { "_id": oid(ids[n]) }, "u": { "$set": { "friends": oids(near.chain([ada_id])) } },
        });
    }
    let all = doc! { "$set": { "friends": oids(ids.iter().copied()) } };
    updates.push(doc! { "q": { "_id": oid(ada_id) }, "u": all });
    store.database().run_command(doc! { "update": "users", "updates": updates }).await.unwrap();

    let began = Instant::now();
    let come = doc! { "$set": { "status": "online", "lastSeen": date(Timestamp::from_millis(SEEN)) } };
    store.users().update_many(doc! { "_id": { "$in": oids(ids.iter().copied()) } }, come).await.unwrap();
    let written = began.elapsed();
    let talk = ada.talk_to(&[bob]).await;
    ada.say(&talk, "and in between").await;
    let socket = &stage.sockets[1][0];
    eventually("the message arrives", SOON, async || (socket.seqs(&talk) == [1]).then_some(())).await;
    eprintln!(
        "{COUNT} statuses: written in {written:?}, a message behind them arrived {:?} later",
        began.elapsed() - written
    );
    let came = |event: &Event| event.payload["lastSeen"] == json!(Timestamp::from_millis(SEEN));
    let told =
        |n: usize| named(&stage.sockets[n][1], "user:status").iter().filter(|event| came(event)).count();
    eventually("all are told", SOON, async || (told(0) == COUNT).then_some(())).await;
    assert_eq!(told(1), 0);
}

/// MongoDB says how it carried out what the streamer asked, among many who are nobody's friends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_to_tell_is_found_by_indexes() {
    let stage = Stage::<3>::set().await;
    let store = stage.stack.store();
    let [ada, bob, carl] = &stage.people;
    let strangers = crowd(store, &stage.stack.base(), 600).await;
    conversations(store, strangers.chunks(2)).await;
    add(ada, bob).await;
    ada.talk_to(&[carl]).await;
    store.database().run_command(doc! { "profile": 2 }).await.unwrap();
    let status = becomes(store, ada, "away", 1).await;
    assert_eq!(heard(&stage, &status).await, [0, 1, 2]);
    let snapshots = doc! { "op": "query", "command.readConcern.level": "snapshot" };
    let profile = store.database().collection::<Document>("system.profile");
    let asked: Vec<Document> = profile.find(snapshots).await.unwrap().try_collect().await.unwrap();
    let of = |collection: &str| {
        asked
            .iter()
            .filter(|query| {
                query.get_document("command").unwrap().get_str("find").is_ok_and(|name| name == collection)
            })
            .count()
    };
    assert!(of("users") >= 2 && of("conversations") >= 1, "{asked:?}");
    for query in &asked {
        let plan = query.get_str("planSummary").unwrap();
        let examined = query.get_i32("docsExamined").unwrap();
        assert!(
            !plan.contains("COLLSCAN") && examined <= 10,
            "{plan} looks at {examined} documents: {query}"
        );
    }
}
