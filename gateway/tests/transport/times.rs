//! Heartbeats, timeouts and the drain.

use std::time::{Duration, Instant};

use gateway::transport::Config;
use tokio::net::TcpStream;

use crate::app::Server;
use crate::client::{Client, PING, PONG, TEXT, http};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn quick() -> Config {
    Config { ping_interval: millis(300), ping_timeout: millis(200), ..Config::default() }
}

#[tokio::test]
async fn a_silent_client_is_gone_after_interval_and_timeout() {
    let mut server = Server::start(quick()).await;
    for socketio in [true, false] {
        let begun = Instant::now();
        let mut client = match socketio {
            true => Client::socketio(server.address).await,
            false => Client::plain(server.address).await,
        };
        let id = server.connected().await;
        let beat = client.next().await;
        assert_eq!(beat, if socketio { (TEXT, b"2".to_vec()) } else { (PING, Vec::new()) });
        assert!(begun.elapsed() >= millis(300));
        assert_eq!(client.closed().await, 4408);
        let lived = begun.elapsed();
        assert!(lived >= millis(500) && lived < millis(2_500), "{lived:?}");
        server.assert_disconnected(id).await;
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn a_client_that_answers_stays() {
    let server = Server::start(Config { ping_timeout: millis(1_000), ..quick() }).await;
    let mut socketio = Client::socketio(server.address).await;
    let mut plain = Client::plain(server.address).await;
    for _ in 0..5 {
        assert_eq!(socketio.next().await, (TEXT, b"2".to_vec()));
        socketio.send("3").await;
        assert_eq!(plain.next().await, (PING, Vec::new()));
        plain.send_frame(true, PONG, b"").await;
    }
    server.stopped((socketio, plain)).await;
}

/// Only whole frames are signs of life: who sends a frame byte by byte for ever is not alive.
#[tokio::test]
async fn dripping_bytes_are_no_sign_of_life() {
    let mut server = Server::start(quick()).await;
    let mut client = Client::plain(server.address).await;
    let id = server.connected().await;
    client.send_bytes(&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4]).await;
    let begun = Instant::now();
    let mut drip = tokio::time::interval(millis(20));
    while server.app.disconnects.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        drip.tick().await;
        let _ = client.stream.try_write(b"x");
        assert!(begun.elapsed() < millis(5_000));
    }
    server.assert_disconnected(id).await;
    server.stopped(client).await;
}

#[tokio::test]
async fn a_transport_without_a_client_is_closed_in_time() {
    let config = Config { connect_timeout: millis(600), ..Config::default() };
    let mut server = Server::start(config).await;
    let begun = Instant::now();
    // Three that never get in, and one that left again.
    let mut mute = Client::engine(server.address).await;
    let mut pending = Client::engine(server.address).await;
    pending.send(r#"40{"token":"wait"}"#).await;
    let waiting = server.connected().await;
    let mut refused = Client::engine(server.address).await;
    refused.send(r#"40{"token":"refuse"}"#).await;
    let id = server.connected().await;
    server.assert_disconnected(id).await;
    let mut left = Client::socketio(server.address).await;
    let id = server.connected().await;
    left.send("41").await;
    server.assert_disconnected(id).await;
    let mut admitted = Client::socketio(server.address).await;
    server.connected().await;

    for client in [&mut mute, &mut pending, &mut refused, &mut left] {
        assert_eq!(client.closed().await, 4408);
    }
    assert!(begun.elapsed() >= millis(600) && begun.elapsed() < millis(5_000));
    server.assert_disconnected(waiting).await;
    admitted.assert_well().await;
    server.stopped((mute, pending, refused, left, admitted)).await;
}

/// Long before anything else would be due.
#[tokio::test]
async fn a_client_whose_time_is_up_is_closed_in_time() {
    let mut server = Server::start(Config::default()).await;
    let mut extended = Client::socketio(server.address).await;
    let id = server.connected().await;
    server.app.socket(id).expire_at(Some(Instant::now()));
    server.app.socket(id).expire_at(Some(Instant::now() + millis(60_000)));
    for socketio in [true, false] {
        let mut client = match socketio {
            true => Client::socketio(server.address).await,
            false => Client::plain(server.address).await,
        };
        let id = server.connected().await;
        let begun = Instant::now();
        server.app.socket(id).expire_at(Some(begun + millis(300)));
        assert_eq!(client.closed().await, 4401);
        assert!(begun.elapsed() >= millis(299) && begun.elapsed() < millis(5_000));
        server.assert_disconnected(id).await;
    }
    extended.assert_well().await;
    server.stopped(extended).await;
}

#[tokio::test]
async fn a_slow_request_head_is_given_up() {
    let config = Config { header_read_timeout: millis(200), ..Config::default() };
    let server = Server::start(config).await;
    let answer = http(server.address, "GET / HTTP/1.1\r\nHost: x\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    server.stopped(()).await;
}

#[tokio::test]
async fn a_stopping_server_closes_transports_as_going_away() {
    let mut server = Server::start(Config::default()).await;
    let mut socketio = Client::socketio(server.address).await;
    let mut plain = Client::plain(server.address).await;
    let mut mute = Client::engine(server.address).await;
    server.connected().await;
    server.connected().await;
    let address = server.address;
    server.shutdown.cancel();
    for client in [&mut socketio, &mut plain, &mut mute] {
        // The close frame comes next: nothing like a Socket.IO disconnect, after which clients give up.
        let (opcode, payload) = client.next().await;
        assert_eq!((opcode, &payload[..2]), (8, &1001_u16.to_be_bytes()[..]));
    }
    server.stopped((socketio, plain, mute)).await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn peers_that_do_not_answer_do_not_hold_up_a_stop() {
    let config = Config { drain_timeout: millis(500), ..Config::default() };
    let mut server = Server::start(config).await;
    let deaf = Client::socketio(server.address).await;
    let id = server.connected().await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let begun = Instant::now();
    server.shutdown.cancel();
    server.assert_disconnected(id).await;
    server.stopped(()).await;
    assert!(begun.elapsed() < millis(5_000));
    drop((deaf, idle));
}
