//! Peers that do not read.

use gateway::transport::Config;

use crate::app::{Server, text_event};
use crate::client::{Client, frame};

/// An event too large to vanish in a few kernel buffers.
fn big(number: usize) -> gateway::transport::Event {
    text_event("big", &format!("{number},\"{}\"", "x".repeat(32_000)))
}

#[tokio::test]
async fn a_slow_consumer_is_closed_while_another_keeps_receiving() {
    let config = Config { outbound_limit: 300_000, ..Config::default() };
    let mut server = Server::start(config).await;
    for socketio in [true, false] {
        let (mut slow, mut reading) = match socketio {
            true => (Client::socketio(server.address).await, Client::socketio(server.address).await),
            false => (Client::plain(server.address).await, Client::plain(server.address).await),
        };
        let slow_id = server.connected().await;
        let reading_id = server.connected().await;
        let sockets = [server.app.socket(slow_id), server.app.socket(reading_id)];
        let mut sent = 0;
        while server.app.sockets.lock().unwrap().contains_key(&slow_id) {
            let event = big(sent);
            sockets.iter().for_each(|socket| socket.emit(&event));
            let text = reading.text().await;
            assert!(text.contains(&format!("[\"big\",{sent},")), "in order");
            sent += 1;
            assert!(sent < 10_000, "the kernel takes everything");
        }
        server.assert_disconnected(slow_id).await;
        // What was begun is finished, and the reason is the next it reads.
        assert_eq!(slow.closed().await, 4508);
        sockets[1].emit(&big(sent));
        assert!(reading.text().await.contains(&format!("[\"big\",{sent},")));
        drop(reading);
        server.assert_disconnected(reading_id).await;
    }
    server.stopped(()).await;
}

/// The answers to what a client sends count too.
#[tokio::test]
async fn a_client_that_only_sends_is_a_slow_consumer() {
    let config = Config { outbound_limit: 100_000, ..Config::default() };
    let mut server = Server::start(config).await;
    let client = Client::plain(server.address).await;
    let id = server.connected().await;
    let ping = frame(true, 9, &[b'x'; 125]).repeat(500);
    let mut written = 0;
    while server.app.sockets.lock().unwrap().contains_key(&id) {
        // The server stops reading it, too, so this must not wait for ever. What was written of a frame stays written.
        if let Ok(count) = client.stream.try_write(&ping[written..]) {
            written = (written + count) % ping.len();
        }
        tokio::task::yield_now().await;
    }
    server.assert_disconnected(id).await;
    server.stopped(client).await;
}

/// Many events to many sockets, with partial writes on the way: each gets all, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fan_out_reaches_everyone_in_order() {
    const SOCKETS: usize = 20;
    const EVENTS: usize = 2_000;
    let config = Config { outbound_limit: 64 << 20, ..Config::default() };
    let mut server = Server::start(config).await;
    let mut clients = Vec::new();
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        clients.push(Client::socketio(server.address).await);
        let id = server.connected().await;
        sockets.push(server.app.socket(id));
    }
    let sender = tokio::spawn(async move {
        for number in 0..EVENTS {
            let event = text_event("n", &format!("{number},\"{}\"", "x".repeat(number % 700)));
            sockets.iter().for_each(|socket| socket.emit(&event));
            if number % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    let readers = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            for number in 0..EVENTS {
                assert!(client.text().await.starts_with(&format!("42[\"n\",{number},")));
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    sender.await.unwrap();
    server.stopped(()).await;
}
