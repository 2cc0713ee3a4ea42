//! Heartbeats, and gateways that fall silent.

use std::time::Duration;

use mongodb::bson::{DateTime, Document, doc};
use protocol::command::Presence::{Away, Offline, Online};
use protocol::{Id, Timestamp};
use store::Store;
use store::convert::oid;
use store::presence::Delta;
use store::presence::sweep::Swept;

use super::{Gateway, batch, idle, idle_on, people, seen, status, stored, sweeping, user};
use crate::rest::fixture::{Node, Person};
use crate::support::mongo::store as prepared;
use crate::support::{SOON, eventually, mongo_uri};

/// Longer than a gateway may be silent.
const LONG: Duration = Duration::from_secs(31);

async fn gateways(store: &Store) -> Vec<Document> {
    use futures_util::TryStreamExt as _;
    store.gateways().find(doc! {}).await.unwrap().try_collect().await.unwrap()
}

/// Has the last heartbeat be so long ago, and nothing else changed.
async fn wait(store: &Store, gateway: &Gateway, time: Duration) {
    let at = DateTime::from_millis(Timestamp::now().millis() - time.as_millis() as i64);
    let wait = doc! {"$set": {"at": at}};
    store.gateways().update_one(doc! {"_id": oid(gateway.id)}, wait).await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_is_heard_of_in_time_stays_in_its_life() {
    let node = idle().await;
    let gateway = Gateway::of(&node);
    let first = gateway.beat().await;
    // An answer may be lost, and it may ask again at once, or be late.
    assert_eq!(gateway.beat().await, first);
    wait(&node.store, &gateway, Duration::from_secs(12)).await;
    assert_eq!(gateway.beat().await, first);
    assert_eq!(gateways(&node.store).await.len(), 1);
}

#[tokio::test]
async fn the_users_of_a_gateway_that_fell_silent_are_what_they_are_elsewhere() {
    let uri = mongo_uri().await;
    let node = idle_on(&uri).await;
    let people = people(&node, 600).await;
    let (dead, alive) = (Gateway::of(&node), Gateway::of(&node));
    alive.beat().await;
    // All are on the one, some on the other as well, or were there.
    for chunk in people.chunks(300) {
        let mut deltas: Vec<_> = chunk.iter().map(|person| dead.delta(person.id, 1, Online)).collect();
        deltas.extend(chunk[..100].iter().map(|person| alive.delta(person.id, 1, Away)));
        deltas.extend(chunk[100..110].iter().map(|person| alive.delta(person.id, 1, Offline)));
        batch(&dead.rest, &deltas).await;
    }
    assert_eq!(status(&people[0], &people[0]).await, "online");
    dead.silent_for(&node.store, LONG).await;
    let both = [sweeping(&uri).await, sweeping(&uri).await];
    eventually("the gateway is gone", SOON, async || (gateways(&node.store).await.len() == 1).then_some(()))
        .await;
    for (n, person) in people.iter().enumerate().step_by(20) {
        let expected = if n % 300 < 100 { "away" } else { "offline" };
        assert_eq!(status(&people[0], person).await, expected, "{n}");
    }
    assert_eq!(gateways(&node.store).await[0].get_object_id("_id").unwrap(), oid(alive.id));
    let left = doc! {"nodes": [alive.id.to_string()]};
    assert_eq!(node.store.presence().count_documents(left).await.unwrap(), 220);
    eventually("documents of users who are nowhere are gone", SOON, async || {
        (node.store.presence().count_documents(doc! {}).await.unwrap() == 220).then_some(())
    })
    .await;
    let presence = stored(&node.store, people[0].id).await.unwrap();
    assert_eq!(presence.get_document("g").unwrap().keys().collect::<Vec<_>>(), [&alive.id.to_string()]);
    for node in both {
        node.stop().await;
    }
}

#[tokio::test]
async fn who_was_on_a_gateway_that_fell_silent_was_last_seen_when_it_was() {
    let node = idle().await;
    let people = people(&node, 2).await;
    let gateway = Gateway::of(&node);
    let hour = Timestamp::from_millis(Timestamp::now().millis() - 3_600_000);
    batch(&gateway.rest, &[gateway.delta_at(people[0].id, 1, Online, hour)]).await;
    let heard = gateway.silent_for(&node.store, LONG).await;
    assert_eq!(node.store.sweep_gateways().await.unwrap(), Swept { gateways: 1, transitions: 1 });
    assert_eq!(seen(&people[1], &people[0]).await, ("offline".to_owned(), Some(heard.to_string())));
    assert_eq!(stored(&node.store, people[0].id).await, None);
    assert_eq!(node.store.sweep_gateways().await.unwrap(), Swept::default());
}

#[tokio::test]
async fn a_gateway_that_was_taken_for_dead_is_told_so_and_tells_everybody_again() {
    let node = idle().await;
    let people = people(&node, 2).await;
    let gateway = Gateway::of(&node);
    let first = gateway.beat().await;
    gateway.tell(people[0].id, 1, Online).await;
    gateway.silent_for(&node.store, LONG).await;
    node.store.sweep_gateways().await.unwrap();
    let second = gateway.beat().await;
    assert!(second > first);
    // However often it has to ask until it hears the answer.
    assert_eq!(gateway.beat().await, second);
    assert_eq!(status(&people[1], &people[0]).await, "offline");
    gateway.tell(people[0].id, 2, Online).await;
    assert_eq!(status(&people[1], &people[0]).await, "online");
    node.store.sweep_gateways().await.unwrap();
    assert_eq!(status(&people[1], &people[0]).await, "online");
}

#[tokio::test]
async fn a_gateway_that_is_late_but_not_too_late_keeps_its_users() {
    let node = idle().await;
    let people = people(&node, 2).await;
    let gateway = Gateway::of(&node);
    gateway.tell(people[0].id, 1, Online).await;
    let life = gateway.beat().await;
    gateway.silent_for(&node.store, Duration::from_secs(25)).await;
    assert_eq!(node.store.sweep_gateways().await.unwrap(), Swept::default());
    assert_eq!(gateway.beat().await, life);
    assert_eq!(status(&people[1], &people[0]).await, "online");
}

/// A gateway on which somebody was online, and which has fallen silent.
async fn silent(node: &Node, person: &Person) -> Gateway {
    let gateway = Gateway::of(node);
    gateway.tell(person.id, 1, Online).await;
    gateway.silent_for(&node.store, LONG).await;
    gateway
}

#[tokio::test]
async fn a_sweep_that_was_interrupted_is_gone_on_with() {
    let node = idle().await;
    let people = people(&node, 5).await;
    let store = &node.store;
    let mut silent_ones = Vec::new();
    for person in &people[..4] {
        silent_ones.push(silent(&node, person).await);
    }
    let presence = store.presence();
    let change = async |n: usize, change: Document| {
        presence.update_one(doc! {"_id": oid(people[n].id)}, change).await.unwrap();
    };
    let entry = |n: usize| format!("g.{}", silent_ones[n].id);
    let dead = doc! {"$set": {"alive": false}};
    // After each of the steps: the gateway is marked; the entry is changed; the users know; the entry is gone.
    store.gateways().update_many(doc! {}, dead).await.unwrap();
    for n in 1..4 {
        let offline = doc! {format!("{}.s", entry(n)): "offline", "status": "offline", "at": DateTime::now()};
        change(n, doc! {"$set": offline, "$inc": {"rev": 1_i64}}).await;
    }
    for person in &people[2..4] {
        let rev = stored(store, person.id).await.unwrap().get_i64("rev").unwrap();
        let known = doc! {"$set": {"status": "offline", "presenceRev": rev}};
        store.users().update_one(doc! {"_id": oid(person.id)}, known).await.unwrap();
    }
    change(3, doc! {"$unset": {entry(3): ""}, "$set": {"nodes": []}}).await;
    let swept = store.sweep_gateways().await.unwrap();
    assert_eq!(swept, Swept { gateways: 4, transitions: 2 });
    for person in &people {
        assert_eq!(status(&people[4], person).await, "offline");
    }
    assert_eq!(presence.count_documents(doc! {}).await.unwrap(), 0);
    assert!(gateways(store).await.is_empty());
}

#[tokio::test]
async fn users_of_a_gateway_that_nobody_knows_have_as_long_as_others() {
    let node = idle().await;
    let people = people(&node, 2).await;
    let gateway = Gateway::of(&node);
    // It tells of a user, for instance late and after it was swept, and is never heard of again.
    gateway.tell(people[0].id, 1, Online).await;
    assert_eq!(node.store.sweep_gateways().await.unwrap(), Swept::default());
    assert_eq!(status(&people[1], &people[0]).await, "online");
    assert_eq!(gateways(&node.store).await.len(), 1);
    wait(&node.store, &gateway, LONG).await;
    assert_eq!(node.store.sweep_gateways().await.unwrap(), Swept { gateways: 1, transitions: 1 });
    assert_eq!(status(&people[1], &people[0]).await, "offline");
}

#[tokio::test]
async fn a_gateway_whose_users_were_noticed_before_its_first_heartbeat_begins_a_life_with_it() {
    let node = idle().await;
    let gateway = Gateway::of(&node);
    gateway.tell(node.person("Ada").await.id, 1, Online).await;
    node.store.sweep_gateways().await.unwrap();
    assert!(gateway.beat().await > 0);
}

#[tokio::test]
async fn what_cannot_be_swept_holds_nobody_else_up() {
    let node = idle().await;
    let people = people(&node, 2).await;
    let gateway = silent(&node, &people[0]).await;
    let spoilt = doc! {"_id": oid(Id::from_bytes([0; 12])), "nodes": [gateway.id.to_string()], "g": 7};
    node.store.presence().insert_one(spoilt).bypass_document_validation(true).await.unwrap();
    node.store.sweep_gateways().await.ok();
    assert_eq!(status(&people[1], &people[0]).await, "offline");
}

/// While nodes take away what it left behind, the gateway is heard of again, and tells everybody anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_lives_again_while_it_is_swept_loses_nobody() {
    const USERS: usize = 600;
    let store = prepared(&mongo_uri().await).await;
    let node = Node::over(store.clone(), crate::rest::fixture::config()).await;
    let people = people(&node, USERS).await;
    let gateway = Gateway::of(&node);
    let mut version = 0;
    let mut interrupted = 0;
    for round in 0..12 {
        version += 1;
        let life = store.beat(gateway.id).await.unwrap();
        tell_all(&store, &gateway, &people, version).await;
        gateway.silent_for(&store, LONG).await;
        let living = async {
            tokio::time::sleep(Duration::from_millis(round * 4)).await;
            if store.beat(gateway.id).await.unwrap() != life {
                interrupted += 1;
                tell_all(&store, &gateway, &people, version + 1).await;
            }
        };
        let (one, other, ()) = tokio::join!(store.sweep_gateways(), store.sweep_gateways(), living);
        one.unwrap();
        other.unwrap();
        version += 1;
        let gone = doc! {"status": {"$ne": "online"}};
        assert_eq!(store.users().count_documents(gone).await.unwrap(), 0, "round {round}");
        let there = doc! {"nodes": gateway.id.to_string(), "status": "online"};
        assert_eq!(store.presence().count_documents(there).await.unwrap(), USERS as u64, "round {round}");
        assert_eq!(user(&store, people[0].id).await.get_str("status").unwrap(), "online");
    }
    assert!(interrupted > 0);
}

/// Has everybody be online under this version.
async fn tell_all(store: &Store, gateway: &Gateway, people: &[Person], version: u64) {
    for chunk in people.chunks(300) {
        let deltas: Vec<Delta> = chunk
            .iter()
            .map(|person| Delta {
                gateway: gateway.id,
                user: person.id,
                version,
                presence: Online,
                at: Timestamp::now(),
            })
            .collect();
        let told = store.tell_presence(&deltas).await.unwrap();
        assert!(told.refused.is_empty(), "{told:?}");
    }
}
