//! Crashes: of a streamer, of the whole launcher.

mod launcher;
mod membership;

use std::time::Duration;

use protocol::code::close;

use crate::support::people::{Person, register};
use crate::support::socket::{Dialect, Socket};
use crate::support::stack::{Plan, Stack};
use crate::support::traffic::Scene;
use crate::support::{SOON, eventually};

/// A crashed streamer is replaced after this time.
const LEASE_TTL: Duration = Duration::from_millis(700);

fn plan() -> Plan {
    Plan { lease_ttl: LEASE_TTL, ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamer_that_stands_by_takes_over_from_one_that_crashed() {
    const COUNT: usize = 1_000;
    let mut stack = Stack::with(plan()).await;
    let scene = Scene::set(&stack.bases()).await;
    stack.streamer_saved().await;
    stack.start_streamer();
    let crash = async {
        scene.is_under_way(COUNT / 4).await;
        stack.crash_streamer().await;
    };
    let (sent, ()) = tokio::join!(scene.send(COUNT), crash);
    scene.judge(sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_system_whose_streamer_restarts_or_crashes_keeps_its_sockets() {
    let mut stack = Stack::with(plan()).await;
    let base = stack.base();
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let conversation = ada.talk_to(&[&bob]).await;
    let sockets = [ada.connect(&base, Dialect::SocketIo).await, bob.connect(&base, Dialect::Plain).await];
    let mut expected = Vec::new();
    for crash in [false, true, false, true] {
        stack.streamer_saved().await;
        if crash {
            stack.crash_streamer().await;
        } else {
            stack.stop_streamer().await;
        }
        stack.start_streamer();
        expected.push(said(&ada, &conversation).await);
        for socket in &sockets {
            arrives(socket, &conversation, &expected).await;
        }
    }
    assert_eq!(sockets.map(|socket| socket.close_code()), [None, None]);
}

/// Says something and returns its number.
async fn said(person: &Person, conversation: &str) -> i64 {
    person.say(conversation, "anybody there?").await["seq"].as_i64().unwrap()
}

async fn arrives(socket: &Socket, conversation: &str, expected: &[i64]) {
    eventually("the message arrives", SOON, async || {
        (socket.seqs(conversation).len() >= expected.len()).then_some(())
    })
    .await;
    assert_eq!(socket.seqs(conversation), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_history_is_lost_clients_are_sent_away_to_catch_up_and_nothing_is_missing() {
    let mut stack = Stack::with(plan()).await;
    let base = stack.base();
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let conversation = ada.talk_to(&[&bob]).await;
    let sockets = [bob.connect(&base, Dialect::SocketIo).await, bob.connect(&base, Dialect::Plain).await];
    let first = said(&ada, &conversation).await;
    for socket in &sockets {
        arrives(socket, &conversation, &[first]).await;
    }
    stack.crash_streamer().await;
    let missed = said(&ada, &conversation).await;
    stack.lose_history().await;
    stack.start_streamer();
    for socket in &sockets {
        assert_eq!(socket.closed().await, close::TRY_AGAIN);
    }
    let again = bob.connect(&base, Dialect::Plain).await;
    let found = bob.messages_after(&conversation, first).await;
    assert_eq!(found.iter().map(|message| message["seq"].as_i64().unwrap()).collect::<Vec<_>>(), [missed]);
    let live = said(&ada, &conversation).await;
    arrives(&again, &conversation, &[live]).await;
}

/// A gateway without a streamer lets nobody in, since it could not promise them their events, and loses nobody
/// who waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_connects_while_there_is_no_streamer_is_let_in_when_there_is_one() {
    let mut stack = Stack::with(plan()).await;
    let base = stack.base();
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let conversation = ada.talk_to(&[&bob]).await;
    drop(ada.connect(&base, Dialect::Plain).await);
    stack.crash_streamer().await;
    let waiting = tokio::spawn({
        let (bob, base) = (bob.clone(), base.clone());
        async move { bob.connect(&base, Dialect::Plain).await }
    });
    let first = said(&ada, &conversation).await;
    assert!(!waiting.is_finished(), "nobody can promise Bob his events yet");
    stack.start_streamer();
    let socket = waiting.await.unwrap();
    let second = said(&ada, &conversation).await;
    eventually("the message arrives", SOON, async || {
        socket.seqs(&conversation).contains(&second).then_some(())
    })
    .await;
    // What was sent before he was let in may arrive or not; he finds it over REST.
    assert!([&[second][..], &[first, second]].contains(&&socket.seqs(&conversation)[..]));
}
