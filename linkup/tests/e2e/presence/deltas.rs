//! Versions, several gateways of one user, what was left undone.

use std::time::Duration;

use futures_util::future::join_all;
use mongodb::bson::{Bson, doc};
use protocol::command::Presence::{self, Away, Offline, Online};
use protocol::{Id, Timestamp};
use serde_json::json;
use store::convert::oid;

use super::{Gateway, batch, idle, idle_on, people, seen, status, stored, user};
use crate::rest::fixture::id;
use crate::support::mongo_uri;

#[tokio::test]
async fn versions_count_and_not_the_order_in_which_they_come() {
    let node = idle().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let gateway = Gateway::of(&node);
    gateway.tell(ada.id, 3, Online).await;
    let first = seen(&bob, &ada).await;
    assert_eq!(first.0, "online");
    // Stale, and repeated.
    gateway.tell(ada.id, 2, Offline).await;
    gateway.tell(ada.id, 3, Online).await;
    gateway.tell(ada.id, 3, Offline).await;
    assert_eq!(seen(&bob, &ada).await, first);
    gateway.tell(ada.id, 4, Away).await;
    assert_eq!(status(&bob, &ada).await, "away");
    let batch_of = [(9, Online), (7, Away), (8, Offline)];
    let commands = batch_of.map(|(version, presence)| gateway.delta(ada.id, version, presence));
    assert_eq!(batch(&gateway.rest, &commands).await, vec![json!({"ok": null}); 3]);
    assert_eq!(status(&bob, &ada).await, "online");
    let left = Timestamp::now();
    let commands = [gateway.delta_at(ada.id, 10, Offline, left)];
    batch(&gateway.rest, &commands).await;
    assert_eq!(seen(&bob, &ada).await, ("offline".to_owned(), Some(left.to_string())));
    // It is not a change of the profile.
    assert_eq!(
        user(&node.store, ada.id).await.get("updatedAt"),
        user(&node.store, ada.id).await.get("createdAt")
    );
}

#[tokio::test]
async fn the_most_present_gateway_counts() {
    let node = idle().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let (one, other) = (Gateway::of(&node), Gateway::of(&node));
    let best = [
        (Online, Offline, "online"),
        (Online, Online, "online"),
        (Away, Online, "online"),
        (Away, Away, "away"),
        (Offline, Away, "away"),
        (Offline, Offline, "offline"),
        (Away, Offline, "away"),
        (Offline, Online, "online"),
    ];
    for (version, (here, there, expected)) in (1..).zip(best) {
        let commands = [one.delta(ada.id, version, here), other.delta(ada.id, version, there)];
        batch(&one.rest, &commands).await;
        assert_eq!(status(&bob, &ada).await, expected, "{here:?} and {there:?}");
        let (user, presence) = (user(&node.store, ada.id).await, stored(&node.store, ada.id).await.unwrap());
        assert_eq!(user.get("presenceRev"), presence.get("rev"));
    }
}

#[tokio::test]
async fn who_left_before_their_coming_was_told_has_left() {
    let node = idle().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    assert_eq!(seen(&bob, &ada).await, ("offline".to_owned(), None));
    let (gateway, left) = (Gateway::of(&node), Timestamp::now());
    batch(&gateway.rest, &[gateway.delta_at(ada.id, 2, Offline, left)]).await;
    // The batch that told of their coming was held up somewhere.
    gateway.tell(ada.id, 1, Online).await;
    assert_eq!(seen(&bob, &ada).await, ("offline".to_owned(), Some(left.to_string())));
}

#[tokio::test]
async fn nobody_is_seen_in_the_future() {
    let node = idle().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let gateway = Gateway::of(&node);
    let tomorrow = Timestamp::from_millis(Timestamp::now().millis() + 86_400_000);
    batch(&gateway.rest, &[gateway.delta_at(ada.id, 1, Online, tomorrow)]).await;
    let (status, seen) = seen(&bob, &ada).await;
    assert_eq!(status, "online");
    assert!(seen.unwrap() <= Timestamp::now().to_string());
}

#[tokio::test]
async fn what_was_left_undone_is_done_by_the_repetition() {
    let node = idle().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let gateway = Gateway::of(&node);
    gateway.tell(ada.id, 1, Online).await;
    // As if the node had died when the entry was there and the user did not know of it.
    let before = doc! {"$set": {"status": "offline"}, "$unset": {"presenceRev": "", "lastSeen": ""}};
    node.store.users().update_one(doc! {"_id": oid(ada.id)}, before).await.unwrap();
    assert_eq!(status(&bob, &ada).await, "offline");
    gateway.tell(ada.id, 1, Online).await;
    assert_eq!(status(&bob, &ada).await, "online");
    // What a user has learned later is not undone.
    let later = doc! {"$set": {"status": "away", "presenceRev": i64::MAX}};
    node.store.users().update_one(doc! {"_id": oid(ada.id)}, later).await.unwrap();
    gateway.tell(ada.id, 2, Offline).await;
    assert_eq!(status(&bob, &ada).await, "away");
}

#[tokio::test]
async fn a_document_that_cannot_be_changed_holds_nobody_else_up() {
    let node = idle().await;
    let people = people(&node, 3).await;
    let spoilt = doc! {"_id": oid(people[1].id), "g": "nothing that LinkUp writes", "nodes": 7};
    node.store.presence().insert_one(spoilt).bypass_document_validation(true).await.unwrap();
    let gateway = Gateway::of(&node);
    let commands: Vec<_> = people.iter().map(|person| gateway.delta(person.id, 1, Online)).collect();
    let answers = batch(&gateway.rest, &commands).await;
    assert_eq!(answers[1]["err"]["code"], "conflict");
    assert_eq!([&answers[0], &answers[2]], [&json!({"ok": null}); 2]);
    for (person, expected) in people.iter().zip(["online", "offline", "online"]) {
        assert_eq!(status(&people[0], person).await, expected);
    }
}

#[tokio::test]
async fn who_is_gone_or_never_was_is_answered_and_nothing_comes_of_it() {
    let node = idle().await;
    let account = json!({"name": "Ada", "email": "ada@example.com", "password": "correct horse"});
    let session = node.rest.post("/api/auth/register", &account).await.ok();
    let ada = node.as_person(id(&session["user"]));
    let gateway = Gateway::of(&node);
    gateway.tell(ada.id, 1, Online).await;
    ada.rest.delete(&ada.path(), Some(&json!({"password": "correct horse"}))).await.ok();
    gateway.tell(ada.id, 2, Offline).await;
    gateway.tell(Id::mint(), 1, Online).await;
    assert_eq!(node.store.users().count_documents(doc! {}).await.unwrap(), 0);
    // What is kept of them goes with the gateway.
    gateway.silent_for(&node.store, Duration::from_secs(31)).await;
    assert_eq!(node.store.sweep_gateways().await.unwrap().gateways, 1);
    assert_eq!(node.store.presence().count_documents(doc! {}).await.unwrap(), 0);
}

/// One gateway's changes come one after the other, as the gateway waits for each answer; those of several in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_gateways_on_two_nodes_agree_in_the_end() {
    const GATEWAYS: u64 = 8;
    const ROUNDS: u64 = 25;
    let uri = mongo_uri().await;
    let nodes = [idle_on(&uri).await, idle_on(&uri).await];
    let people = people(&nodes[0], 5).await;
    // A different mixture for each gateway and user, the last of which is what counts.
    let presence = |gateway: u64, person: usize, round: u64| -> Presence {
        let mixed = (gateway + 1) * 7_919 + (person as u64 + 1) * 104_729 + round * 1_299_709;
        [Offline, Offline, Away, Online][(mixed / 7 % 4) as usize]
    };
    let gateways = (0..GATEWAYS).map(|number| {
        let (id, people, presence, nodes) = (Id::mint(), &people, &presence, &nodes);
        async move {
            for round in 1..=ROUNDS {
                let gateway = Gateway { id, ..Gateway::of(&nodes[((number + round) % 2) as usize]) };
                let deltas: Vec<_> = people
                    .iter()
                    .enumerate()
                    .map(|(n, person)| gateway.delta(person.id, round, presence(number, n, round)))
                    .collect();
                let answers = batch(&gateway.rest, &deltas).await;
                assert!(answers.iter().all(|answer| *answer == json!({"ok": null})), "{answers:?}");
            }
        }
    });
    join_all(gateways).await;
    for (n, person) in people.iter().enumerate() {
        let best = (0..GATEWAYS).map(|number| presence(number, n, ROUNDS)).max().unwrap();
        assert_eq!(status(&people[0], person).await, best.as_str());
        let (user, presence) =
            (user(&nodes[0].store, person.id).await, stored(&nodes[0].store, person.id).await.unwrap());
        assert_eq!(user.get("presenceRev"), presence.get("rev"));
        assert_eq!(presence.get("status"), Some(&Bson::from(best.as_str())));
    }
}
