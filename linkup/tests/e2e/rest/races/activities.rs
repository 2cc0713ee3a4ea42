//! Places in activities, and the conversations that follow them.

use hyper::StatusCode;
use protocol::Id;
use serde_json::{Value, json};
use store::bson::doc;
use store::convert::oid;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Pair, at_once, count, post, statuses};
use crate::rest::fixture::{Person, id};
use crate::support::{SOON, eventually};

impl Pair {
    /// An activity of `host`'s in which so many may take part.
    async fn activity(&self, host: &Person, places: usize) -> Id {
        let body = json!({
            "title": "Tea", "activityType": "social", "dateTime": "2099-01-01T12:00:00Z", "maxParticipants": places,
        });
        id(&host.rest.post("/api/activities", &body).await.ok())
    }

    /// Who takes part in an activity, and who in its conversation.
    async fn members(&self, activity: Id) -> (Vec<Id>, Vec<Id>) {
        let store = &self.0[0].store;
        let mut members = store.activity(activity).await.unwrap().unwrap().participants;
        let mut talkers = store.conversation_of_activity(activity).await.unwrap().unwrap().participants;
        members.sort();
        talkers.sort();
        (members, talkers)
    }

    async fn assert_agreement(&self, activity: Id) -> usize {
        let (members, talkers) = self.members(activity).await;
        assert_eq!(members, talkers);
        members.len()
    }
}

fn chat(activity: Id) -> String {
    format!("/api/activities/{activity}/conversation")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_place_is_taken_twice_and_none_is_left_empty() {
    let pair = Pair::start().await;
    let (host, guests) = (pair.person("Host").await, pair.people(50).await);
    for round in 0..5 {
        // The host has a place, too.
        let activity = pair.activity(&host, 6).await;
        if round % 2 == 0 {
            host.rest.get(&chat(activity)).await.ok();
        }
        let path = format!("/api/activities/{activity}/join");
        let joins = guests.iter().enumerate().map(|(n, guest)| post(pair.at(n, guest), &path, json!({})));
        let replies = at_once(joins).await;
        let counts = (count(&replies, StatusCode::OK), count(&replies, StatusCode::CONFLICT));
        assert_eq!(counts, (5, 45), "{:?}", statuses(&replies));
        host.rest.get(&chat(activity)).await.ok();
        assert_eq!(pair.assert_agreement(activity).await, 6);
        let (members, _) = pair.members(activity).await;
        for (guest, reply) in guests.iter().zip(&replies) {
            assert_eq!(members.contains(&guest.id), reply.status == StatusCode::OK);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conversation_follows_whoever_joins_and_leaves() {
    let pair = Pair::start().await;
    let (host, guests) = (pair.person("Host").await, pair.people(50).await);
    for round in 0..4 {
        let activity = pair.activity(&host, 100).await;
        let path = |what: &str| format!("/api/activities/{activity}/{what}");
        let (staying, leaving) = guests.split_at(25);
        for guest in leaving {
            guest.rest.post(&path("join"), &json!({})).await.ok();
        }
        if round % 2 == 0 {
            host.rest.get(&chat(activity)).await.ok();
        }
        let joins =
            staying.iter().enumerate().map(|(n, guest)| post(pair.at(n, guest), &path("join"), json!({})));
        let leaves =
            leaving.iter().enumerate().map(|(n, guest)| post(pair.at(n, guest), &path("leave"), json!({})));
        let mixed = joins.zip(leaves).flat_map(|(join, leave)| [tokio::spawn(join), tokio::spawn(leave)]);
        let mixed: Vec<_> = mixed.collect();
        // In every other round the conversation is made in the midst of it.
        host.rest.get(&chat(activity)).await.ok();
        for reply in mixed {
            reply.await.unwrap().ok();
        }
        assert_eq!(pair.assert_agreement(activity).await, 26);
        let listed = staying[0].list().await;
        assert_eq!(listed.iter().filter(|one| one["activityId"] == json!(activity)).count(), 1);
        assert!(leaving[0].list().await.iter().all(|one| one["activityId"] != json!(activity)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_and_leaves_and_joins_again_ends_as_they_did_last() {
    let pair = Pair::start().await;
    let (host, guests) = (pair.person("Host").await, pair.people(8).await);
    let activity = pair.activity(&host, 100).await;
    host.rest.get(&chat(activity)).await.ok();
    let walks = guests.iter().enumerate().map(|(n, guest)| {
        let (one, other) = (pair.at(n, guest), pair.at(n + 1, guest));
        async move {
            // The even ones stay.
            for step in 0..(7 - n % 2) {
                let (rest, what) = if step % 2 == 0 { (&one, "join") } else { (&other, "leave") };
                rest.post(&format!("/api/activities/{activity}/{what}"), &json!({})).await.ok();
            }
        }
    });
    at_once(walks).await;
    assert_eq!(pair.assert_agreement(activity).await, 1 + guests.len() / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activity_has_one_conversation_however_many_ask_first() {
    let pair = Pair::start().await;
    let (host, guest) = (pair.person("Host").await, pair.person("Guest").await);
    for _ in 0..3 {
        let activity = pair.activity(&host, 10).await;
        guest.rest.post(&format!("/api/activities/{activity}/join"), &json!({})).await.ok();
        let requests = (0..50).map(|n| {
            let rest = pair.at(n / 2, if n % 4 < 2 { &host } else { &guest });
            async move {
                match n % 2 {
                    0 => rest.get(&chat(activity)).await,
                    _ => rest.post("/api/conversations", &json!({"activityId": activity})).await,
                }
            }
        });
        let replies = at_once(requests).await;
        assert!(count(&replies, StatusCode::CREATED) <= 1, "{:?}", statuses(&replies));
        let bodies: Vec<Value> = replies.into_iter().map(super::Reply::ok).collect();
        assert!(bodies.iter().all(|body| id(body) == id(&bodies[0])));
        let store = &pair.0[0].store;
        let made = store.conversations().count_documents(doc! {"activityId": oid(activity)}).await.unwrap();
        let linked = store.activity(activity).await.unwrap().unwrap().conversation_id;
        assert_eq!((made, linked), (1, Some(id(&bodies[0]))));
        assert_eq!(pair.assert_agreement(activity).await, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_activity_leaves_no_conversation_that_anybody_sees() {
    let pair = Pair::start().await;
    let (host, guests) = (pair.person("Host").await, pair.people(4).await);
    for round in 0..30 {
        let activity = pair.activity(&host, 10).await;
        for guest in &guests[..2] {
            guest.rest.post(&format!("/api/activities/{activity}/join"), &json!({})).await.ok();
        }
        let asked = (0..2).map(|n| {
            let (rest, path) = (pair.at(n + round, &guests[n]), chat(activity));
            tokio::spawn(async move { rest.get(&path).await })
        });
        let asked: Vec<_> = asked.collect();
        let cancelled = super::delete(pair.at(round / 2, &host), &format!("/api/activities/{activity}"));
        tokio::spawn(cancelled).await.unwrap().ok();
        for reply in asked {
            let status = reply.await.unwrap().status;
            assert!([StatusCode::OK, StatusCode::NOT_FOUND].contains(&status), "{status}");
        }
        for guest in &guests[..2] {
            let seen = guest.list().await;
            assert!(seen.is_empty(), "in round {round}: {seen:?}");
        }
    }
}

/// Sends a request, and goes away as soon as its first effect is there.
async fn ask_and_leave(pair: &Pair, guest: &Person, activity: Id, what: &str) {
    let before = pair.0[0].store.activity(activity).await.unwrap().unwrap().participants;
    let mut stream = TcpStream::connect(pair.0[0].address).await.unwrap();
    let head = format!(
        "POST /api/activities/{activity}/{what} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-length: 0\r\n\r\n",
        guest.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    while pair.0[0].store.activity(activity).await.unwrap().unwrap().participants == before {
        tokio::task::yield_now().await;
    }
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_has_begun_is_carried_out_when_they_go_away() {
    let pair = Pair::start().await;
    let (host, guests) = (pair.person("Host").await, pair.people(20).await);
    let mut activities = Vec::new();
    for guest in &guests {
        let activity = pair.activity(&host, 5).await;
        host.rest.get(&chat(activity)).await.ok();
        ask_and_leave(&pair, guest, activity, "join").await;
        activities.push(activity);
    }
    let agree = async |members: usize| {
        eventually("the conversations have followed", SOON, async || {
            for activity in &activities {
                let (participants, talkers) = pair.members(*activity).await;
                if participants.len() != members || talkers != participants {
                    return None;
                }
            }
            Some(())
        })
        .await;
    };
    agree(2).await;
    for (guest, activity) in guests.iter().zip(&activities) {
        ask_and_leave(&pair, guest, *activity, "leave").await;
    }
    agree(1).await;
}
