//! Who is told that somebody types.

use serde_json::{Value, json};

use super::{Stage, named};
use crate::support::people::Person;
use crate::support::socket::{Event, Socket};
use crate::support::{SOON, eventually};

fn types(socket: &Socket, conversation: &str, is_typing: bool) {
    let payload = json!({ "conversationId": conversation, "isTyping": is_typing });
    socket.emit("conversation:typing", &payload);
}

fn told(person: &Person, conversation: &str, is_typing: bool) -> Value {
    json!({ "conversationId": conversation, "userId": person.id, "isTyping": is_typing })
}

fn heard(socket: &Socket) -> Vec<Event> {
    named(socket, "conversation:typing")
}

async fn hears(socket: &Socket, expected: &Value) {
    hears_times(socket, expected, 1).await;
}

async fn hears_times(socket: &Socket, expected: &Value, times: usize) {
    eventually("typing is told", SOON, async || {
        (heard(socket).iter().filter(|event| event.payload == *expected).count() >= times).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_are_told_who_types_and_neither_the_typist_nor_outsiders_are() {
    let stage = Stage::<4>::set().await;
    let [ada, bob, carl, _] = &stage.people;
    let group = ada.talk_to(&[bob, carl]).await;
    // An outsider who types is not passed on; nor is one who types nowhere.
    types(&stage.sockets[3][0], &group, true);
    types(&stage.sockets[3][1], &protocol::Id::mint().to_string(), true);
    for (times, socket) in (1..).zip(&stage.sockets[0]) {
        for is_typing in [true, false] {
            types(socket, &group, is_typing);
            for other in stage.sockets[1..3].iter().flatten() {
                hears_times(other, &told(ada, &group, is_typing), times).await;
            }
        }
    }
    stage.told("message:new").await;
    for sockets in &stage.sockets[1..3] {
        for socket in sockets {
            let events = heard(socket);
            assert!(events.iter().all(|event| event.payload["userId"] == ada.id.as_str()), "{events:?}");
            assert!(events.iter().all(|event| event.clock.is_none()), "typing has no place in the order");
        }
    }
    for n in [0, 3] {
        assert_eq!([heard(&stage.sockets[n][0]), heard(&stage.sockets[n][1])], [vec![], vec![]]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_blocks_the_other_neither_is_told_what_the_other_types() {
    let stage = Stage::<3>::set().await;
    let [ada, bob, carl] = &stage.people;
    let (talk, other) = (ada.talk_to(&[bob]).await, ada.talk_to(&[bob, carl]).await);
    types(&stage.sockets[0][0], &talk, true);
    hears(&stage.sockets[1][0], &told(ada, &talk, true)).await;
    types(&stage.sockets[0][0], &talk, false);
    hears(&stage.sockets[1][0], &told(ada, &talk, false)).await;

    let path = format!("/api/users/{}/blocks/{}", bob.id, ada.id);
    bob.rest.post(&path, &json!({})).await.ok();
    stage.told("message:new").await;
    let before: Vec<usize> = stage.sockets.iter().map(|sockets| heard(&sockets[0]).len()).collect();
    for (from, to) in [(0, 1), (1, 0)] {
        types(&stage.sockets[from][0], &talk, true);
        // In a group they still share, they are told.
        types(&stage.sockets[from][0], &other, true);
        hears(&stage.sockets[to][0], &told(&stage.people[from], &other, true)).await;
    }
    for n in [0, 1] {
        let events = heard(&stage.sockets[n][0]).split_off(before[n]);
        assert!(events.iter().all(|event| event.payload["conversationId"] == other.as_str()), "{events:?}");
    }

    bob.rest.delete(&path, None).await.ok();
    stage.told("message:new").await;
    types(&stage.sockets[1][1], &talk, false);
    types(&stage.sockets[1][1], &talk, true);
    hears(&stage.sockets[0][1], &told(bob, &talk, true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_removed_is_not_told_who_types_any_more() {
    let stage = Stage::<3>::set().await;
    let [ada, bob, carl] = &stage.people;
    let group = ada.talk_to(&[bob, carl]).await;
    types(&stage.sockets[1][0], &group, true);
    hears(&stage.sockets[2][0], &told(bob, &group, true)).await;
    let before = heard(&stage.sockets[2][0]).len();
    let members = json!({ "participants": [ada.id, bob.id] });
    ada.rest.put(&format!("/api/conversations/{group}"), &members).await.ok();
    stage.told("message:new").await;
    types(&stage.sockets[1][0], &group, false);
    hears(&stage.sockets[0][0], &told(bob, &group, false)).await;
    let after = heard(&stage.sockets[2][0]);
    let later = &after[before..];
    assert!(later.iter().all(|event| event.payload["isTyping"] == false), "no more than an end: {later:?}");
    // What the removed one types reaches nobody.
    types(&stage.sockets[2][0], &group, true);
    types(&stage.sockets[1][0], &group, true);
    hears(&stage.sockets[0][0], &told(bob, &group, true)).await;
    assert!(heard(&stage.sockets[0][0]).iter().all(|event| event.payload["userId"] != carl.id.as_str()));
}
