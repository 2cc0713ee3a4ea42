//! Whose fault it is when exchanges fail.

use std::time::Duration;

use linkup::probe::Outcome;
use protocol::token::Tokens;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::Probe;
use crate::support::stack::Stack;

/// Longer than a busy machine holds a timer up, short enough to wait for.
const TIMEOUT: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_gateway_it_is_unreachable_until_there_is_one() {
    let mut stack = Stack::start().await;
    let probe = Probe::start(&stack.base(), |_| {});
    probe.more(Outcome::Delivered, 2).await;
    let address = stack.stop_gateway(0).await;
    probe.more(Outcome::Unreachable, 2).await;
    assert_eq!(probe.value("linkup_probe_up", &[]), 0.0);
    stack.start_gateway(address).await;
    probe.more(Outcome::Delivered, 2).await;
    assert_eq!(probe.value("linkup_probe_up", &[]), 1.0);
    assert_eq!(probe.count(Outcome::ProbeError) + probe.count(Outcome::Refused), 0);
    probe.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_api_messages_are_late_and_then_nobody_connects_any_more() {
    let mut stack = Stack::start().await;
    let probe = Probe::start(&stack.base(), |config| config.timeout = TIMEOUT);
    probe.more(Outcome::Delivered, 2).await;
    stack.stop_api().await;
    probe.more(Outcome::Late, 1).await;
    probe.more(Outcome::Unreachable, 2).await;
    assert_eq!(probe.count(Outcome::ProbeError), 0);
    probe.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_streamer_messages_are_late_until_there_is_one() {
    let mut stack = Stack::start().await;
    let probe = Probe::start(&stack.base(), |config| config.timeout = TIMEOUT);
    probe.more(Outcome::Delivered, 2).await;
    stack.stop_streamer().await;
    probe.more(Outcome::Late, 1).await;
    probe.more(Outcome::Unreachable, 1).await;
    stack.start_streamer();
    probe.more(Outcome::Delivered, 2).await;
    assert_eq!(probe.count(Outcome::ProbeError) + probe.count(Outcome::Refused), 0);
    probe.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_is_refused() {
    let stack = Stack::start().await;
    let probe = Probe::start(&stack.base(), |_| {});
    probe.more(Outcome::Delivered, 1).await;
    // As if one of the two had blocked the other.
    let [conversation] = stack.store().probe_conversations().await.unwrap()[..] else { panic!("one") };
    let oid = store::convert::oid(conversation);
    let (of, block) = (store::bson::doc! {"_id": oid}, store::bson::doc! {"$set": {"blockedBy": [oid]}});
    stack.store().conversations().update_one(of, block).await.unwrap();
    probe.more(Outcome::Refused, 2).await;
    probe.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_is_set_up_wrongly_blames_itself() {
    let stack = Stack::start().await;
    let wrong_secret = Probe::start(&stack.base(), |config| config.tokens = Tokens::new(&[7; 32]));
    // The api knows the accounts, and has no sockets.
    let wrong_address = Probe::start(&format!("http://{}", stack.apis()[0]), |_| {});
    for probe in [wrong_secret, wrong_address] {
        probe.more(Outcome::ProbeError, 2).await;
        assert_eq!(probe.failures(), probe.count(Outcome::ProbeError));
        assert_eq!(probe.count(Outcome::Delivered), 0);
        probe.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_says_nothing_is_unreachable_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(
                async move { while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} },
            );
        }
    });
    let probe = Probe::start(&format!("http://{address}"), |config| config.timeout = TIMEOUT);
    probe.more(Outcome::Unreachable, 1).await;
    probe.stop().await;
    silent.abort();
}

#[test]
fn a_probe_that_is_held_up_blames_itself() {
    // One thread, which is held up for longer than a message may take.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let timeout = Duration::from_millis(400);
        let probe = Probe::start(&base, |config| config.timeout = timeout);
        // It has connected, and waits for an answer that never comes.
        let (_stream, _) = listener.accept().await.unwrap();
        std::thread::sleep(timeout);
        probe.more(Outcome::ProbeError, 1).await;
        assert_eq!(probe.failures(), 1);
        probe.stop().await;
    });
}
