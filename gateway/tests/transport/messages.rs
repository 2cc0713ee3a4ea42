//! Protocols without events: messages of Engine.IO, and of bare WebSockets (see also `autobahn`).

use std::time::Duration;

use gateway::transport::Config;

use crate::app::{Server, text_event};
use crate::client::{BINARY, CONTINUATION, Client, PING, TEXT};

const ENGINE: &str = "/engine.io/?EIO=4&transport=websocket";

#[tokio::test]
async fn engine_io_messages_are_text_or_binary() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::open_with(server.address, ENGINE, "", b"").await;
    assert!(client.text().await.starts_with("0{\"sid\":\""));
    let id = server.connected().await;
    for text in ["4hello", "4", "4äöü", "40{}"] {
        client.send(text).await;
        assert_eq!(client.text().await, text);
    }
    client.send_frame(true, BINARY, &[1, 2, 0xff]).await;
    assert_eq!(client.next().await, (BINARY, vec![1, 2, 0xff]));
    client.send_frame(false, BINARY, &[1]).await;
    client.send_frame(true, CONTINUATION, &[2]).await;
    assert_eq!(client.next().await, (BINARY, vec![1, 2]));
    server.app.socket(id).emit(&text_event("a", ""));
    assert_eq!(client.text().await, "4[\"a\"]");
    client.send("1").await;
    assert_eq!(client.closed().await, 1000);
    server.assert_disconnected(id).await;
    for packet in ["abc", "", "0", "2", "5", "7", "b"] {
        let mut client = Client::open_with(server.address, ENGINE, "", b"").await;
        let id = server.connected().await;
        client.send(packet).await;
        assert_eq!(client.closed().await, 1002, "{packet}");
        server.assert_disconnected(id).await;
    }
    server.stopped(()).await;
}

/// Nobody asks to be connected here, so nobody can be late with it; heartbeats are the protocol's own.
#[tokio::test]
async fn they_stay_open_without_a_connect() {
    let config = Config {
        connect_timeout: Duration::from_millis(100),
        ping_interval: Duration::from_millis(300),
        ..Config::default()
    };
    let server = Server::start(config).await;
    let mut engine = Client::open_with(server.address, ENGINE, "", b"").await;
    let mut raw = Client::open_with(server.address, "/echo", "", b"").await;
    engine.text().await;
    assert_eq!(engine.next().await, (TEXT, b"2".to_vec()));
    engine.send("3").await;
    assert_eq!(raw.next().await, (PING, Vec::new()));
    engine.assert_well().await;
    raw.assert_well().await;
    server.stopped((engine, raw)).await;
}

#[tokio::test]
async fn a_panic_of_the_application_ends_one_connection() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::open_with(server.address, "/echo", "", b"").await;
    let id = server.connected().await;
    client.send("panic").await;
    server.assert_disconnected(id).await;
    server.stopped(client).await;
}
