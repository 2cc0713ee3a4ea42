//! What is counted and timed.

use std::time::{Duration, Instant};

use gateway::transport::Config;
use protocol::UnixMicros;
use service::metrics::Registry;

use crate::app::{Server, text_event};
use crate::client::{Client, DEADLINE, PING, PONG, SOCKET_IO, handshake, http};
use crate::poller::{self, Poller};

/// Waits until a series stands there.
async fn until(registry: &Registry, name: &str, labels: &[(&str, &str)], expected: f64) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let value = registry.value(name, labels);
        if value == Some(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{name} {labels:?} is {value:?} and not {expected}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn everything_is_there_from_the_start_and_servers_do_not_share_it() {
    let (mut one, other) = (Server::start(Config::default()).await, Server::start(Config::default()).await);
    for (name, labels) in [
        ("linkup_gateway_handshakes_total", &[("outcome", "broken")][..]),
        ("linkup_gateway_closes_total", &[("reason", "slow_consumer")]),
        ("linkup_gateway_connections", &[("protocol", "socketio"), ("transport", "polling")]),
        ("linkup_gateway_client_connections", &[("library", "okhttp"), ("version", "4")]),
        ("linkup_gateway_client_connections", &[("library", "none"), ("version", "none")]),
        ("linkup_gateway_frames_total", &[("direction", "in")]),
        ("linkup_gateway_bytes_total", &[("direction", "out")]),
        ("linkup_gateway_passed_requests_total", &[("outcome", "late")]),
        ("linkup_gateway_accept_errors_total", &[]),
        ("linkup_gateway_polls_total", &[]),
        ("linkup_gateway_upgrades_total", &[]),
        ("linkup_gateway_heartbeat_seconds_count", &[]),
        ("linkup_gateway_backlog_bytes", &[]),
        ("linkup_message_delivery_seconds_count", &[]),
        ("linkup_message_stage_seconds_count", &[("stage", "socket")]),
    ] {
        assert_eq!(one.registry.value(name, labels), Some(0.0), "{name} {labels:?}");
    }
    let limit = one.registry.value("linkup_gateway_backlog_limit_bytes", &[]);
    assert_eq!(limit, Some(Config::BACKLOG_TOTAL as f64));
    let client = Client::plain(one.address).await;
    one.connected().await;
    let open = [("protocol", "ws"), ("transport", "websocket")];
    until(&one.registry, "linkup_gateway_connections", &open, 1.0).await;
    until(&other.registry, "linkup_gateway_connections", &open, 0.0).await;
    one.stopped(client).await;
    other.stopped(()).await;
}

#[tokio::test]
async fn what_happens_is_counted() {
    let mut server = Server::start(Config::default()).await;
    let registry = server.registry.clone();
    let value = |name: &str, labels: &[(&str, &str)]| registry.value(name, labels).unwrap();
    http(server.address, &handshake("/nowhere", "").replace("keep-alive, Upgrade", "close")).await;
    http(server.address, &handshake("/socket.io/", "").replace("keep-alive, Upgrade", "close")).await;
    http(
        server.address,
        &handshake("/ws", "X-Overload: 1\r\n").replace("keep-alive, Upgrade", "close, Upgrade"),
    )
    .await;
    let mut client = Client::plain(server.address).await;
    let id = server.connected().await;
    let open = [("protocol", "ws"), ("transport", "websocket")];
    assert_eq!(value("linkup_gateway_connections", &open), 1.0);
    client.send("nonsense").await;
    assert_eq!(client.closed().await, 1002);
    server.assert_disconnected(id).await;
    for (outcome, count) in [("accepted", 1.0), ("transport", 1.0), ("application", 1.0), ("session", 0.0)] {
        let counted = value("linkup_gateway_handshakes_total", &[("outcome", outcome)]);
        assert_eq!(counted, count, "{outcome}");
    }
    assert_eq!(value("linkup_gateway_closes_total", &[("reason", "protocol")]), 1.0);
    for direction in ["in", "out"] {
        let labels = [("direction", direction)];
        assert!(value("linkup_gateway_frames_total", &labels) >= 2.0, "{direction}");
        assert!(value("linkup_gateway_bytes_total", &labels) >= 20.0, "{direction}");
    }
    server.stopped(client).await;
    assert_eq!(value("linkup_gateway_connections", &open), 0.0);
}

#[tokio::test]
async fn connections_are_counted_by_what_clients_say_they_are() {
    let mut server = Server::start(Config::default()).await;
    let registry = server.registry.clone();
    let okhttp = [("library", "okhttp"), ("version", "4")];
    let other = [("library", "other"), ("version", "other")];
    let name = "linkup_gateway_client_connections";
    let client = Client::open_with(server.address, SOCKET_IO, "User-Agent: okhttp/4.12.0\r\n", b"").await;
    until(&registry, name, &okhttp, 1.0).await;
    // A session is what its first request says, whatever it goes on over.
    let path = "/socket.io/?EIO=4&transport=polling";
    let opened = poller::send(server.address, "GET", path, "User-Agent: Who/1\r\n", b"").await.ok();
    let sid = opened.split('"').nth(3).unwrap().to_owned();
    until(&registry, name, &other, 1.0).await;
    let poller = Poller { address: server.address, path: format!("/socket.io/?EIO=4&sid={sid}"), sid };
    let mut websocket = poller.websocket(b"").await;
    websocket.send("2probe").await;
    assert_eq!(websocket.text().await, "3probe");
    websocket.send("5").await;
    websocket.send("40{}").await;
    server.connected().await;
    assert_eq!(registry.value(name, &other), Some(1.0));
    assert_eq!(registry.value("linkup_gateway_upgrades_total", &[]), Some(1.0));
    let none = [("library", "none"), ("version", "none")];
    assert_eq!(registry.value(name, &none), Some(0.0));
    server.stopped((client, websocket)).await;
    assert_eq!((registry.value(name, &okhttp), registry.value(name, &other)), (Some(0.0), Some(0.0)));
}

#[tokio::test]
async fn pongs_are_timed_on_every_protocol() {
    let quick = Config { ping_interval: Duration::from_millis(200), ..Config::default() };
    let server = Server::start(quick).await;
    let name = "linkup_gateway_heartbeat_seconds_count";
    let mut plain = Client::plain(server.address).await;
    assert_eq!(plain.next().await.0, PING);
    // A pong that nobody asked for is none, nor is the second one.
    plain.send_frame(true, PONG, b"").await;
    plain.send_frame(true, PONG, b"").await;
    plain.assert_well().await;
    assert_eq!(server.registry.value(name, &[]), Some(1.0));
    let poller = Poller::socketio(server.address).await;
    assert_eq!(poller.poll().await.ok(), "2");
    let before = server.registry.value(name, &[]).unwrap();
    assert_eq!(poller.post("3").await.ok(), "ok");
    assert_eq!(server.registry.value(name, &[]), Some(before + 1.0));
    server.stopped(plain).await;
}

/// Over a WebSocket and by polling: what carries its times is measured where it is written, and nothing else is.
#[tokio::test]
async fn the_way_of_a_message_is_timed_where_it_is_written() {
    let mut server = Server::start(Config::default()).await;
    let registry = server.registry.clone();
    let stage = [("stage", "socket")];
    let count = || registry.value("linkup_message_stage_seconds_count", &stage);
    let mut client = Client::plain(server.address).await;
    let plain = server.connected().await;
    let poller = Poller::socketio(server.address).await;
    let polling = server.connected().await;
    let arrived = UnixMicros::now();
    let received = UnixMicros::from_micros(arrived.micros() - 5_000_000);
    let (timed, other) = (text_event("n", "1").timed(received, arrived), text_event("n", "2"));
    for event in [&timed, &other, &timed] {
        server.app.socket(plain).emit(event);
        assert!(client.text().await.starts_with("[\"n\","));
    }
    until(&registry, "linkup_message_delivery_seconds_count", &[], 2.0).await;
    assert_eq!(count(), Some(2.0));
    server.app.socket(polling).emit(&other);
    server.app.socket(polling).emit(&timed);
    assert_eq!(count(), Some(2.0), "it waits to be fetched");
    assert_eq!(poller.poll().await.ok(), "42[\"n\",2]\u{1e}42[\"n\",1]");
    assert_eq!(count(), Some(3.0));
    let whole = registry.value("linkup_message_delivery_seconds_sum", &[]).unwrap();
    let here = registry.value("linkup_message_stage_seconds_sum", &stage).unwrap();
    assert!((whole - here - 15.0).abs() < 0.001, "{whole} {here}");
    server.stopped((client, poller)).await;
}
