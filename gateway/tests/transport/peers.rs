//! Several nodes behind one address: a session lives on one of them, and any may be asked for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::transport::Config;
use tokio::net::TcpListener;

use crate::app::{Server, Told, text_event};
use crate::client::{Client, SOCKET_IO, handshake, http};
use crate::poller::{Poller, begin, finish, packets, send};

/// Two nodes that know each other.
async fn pair(config: Config) -> (Server, Server) {
    let a = Server::start_as(Some("gw-a"), config.clone()).await;
    let b = Server::start_as(Some("gw-b.zone"), config).await;
    know(&a, "gw-b.zone", b.address);
    know(&b, "gw-a", a.address);
    (a, b)
}

fn know(server: &Server, node: &str, address: SocketAddr) {
    server.app.peers.lock().unwrap().insert(node.to_owned(), format!("http://{address}"));
}

/// The same client, by another node.
fn by(node: &Server, poller: &Poller) -> Poller {
    Poller { address: node.address, path: poller.path.clone(), sid: poller.sid.clone() }
}

#[tokio::test]
async fn a_session_can_be_used_through_any_node() {
    let (mut a, mut b) = pair(Config::default()).await;
    let poller = Poller::open(a.address, "/socket.io/").await;
    assert_eq!(poller.sid[20..], *".gw-a");
    let elsewhere = by(&b, &poller);
    assert_eq!(elsewhere.post("40{\"token\":\"ä\"}").await.ok(), "ok");
    let id = a.connected().await;
    let poll = send(b.address, "GET", &elsewhere.polling(), "Origin: http://a\r\n", b"").await;
    for header in [
        "content-type: text/plain; charset=utf-8",
        "cache-control: no-store",
        "access-control-allow-origin: http://a",
    ] {
        assert_eq!(poll.head.matches(header).count(), 1, "{}", poll.head);
    }
    assert!(poll.ok().starts_with("40{"));
    let waiting = elsewhere.polled();
    a.app.socket(id).emit(&text_event("n", "1"));
    assert_eq!(waiting.await.unwrap().ok(), "42[\"n\",1]");
    assert_eq!(elsewhere.post("nonsense").await.error(), 3);
    a.assert_disconnected(id).await;
    elsewhere.assert_unknown().await;

    // And the other way round, by a name with a dot in it.
    let poller = Poller::open(b.address, "/socket.io/").await;
    assert_eq!(poller.sid[20..], *".gw-b.zone");
    let elsewhere = by(&a, &poller);
    elsewhere.post("40\u{1e}42[\"a\"]").await.ok();
    assert_eq!(packets(&elsewhere.poll().await.ok()).len(), 2);
    b.connected().await;
    a.stopped(()).await;
    b.stopped(()).await;
}

#[tokio::test]
async fn a_websocket_reaches_the_session_through_another_node() {
    let (mut a, b) = pair(Config::default()).await;
    let poller = Poller::socketio(a.address).await;
    let id = a.connected().await;
    let elsewhere = by(&b, &poller);
    let mut client = elsewhere.websocket(b"").await;
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    assert_eq!(elsewhere.poll().await.ok(), "6");
    a.app.socket(id).emit(&text_event("n", "1"));
    client.send("5").await;
    assert_eq!(client.text().await, "42[\"n\",1]");
    for number in 0..100 {
        let event = format!("42[\"a\",{number},\"{}\"]", "x".repeat(number * 100));
        client.send(&event).await;
        assert_eq!(client.text().await, event);
        assert!(matches!(a.told().await, Told::Event(..)));
    }
    assert_eq!(elsewhere.poll().await.error(), 3);
    let mut second = elsewhere.websocket(b"").await;
    assert_eq!(second.closed().await, 1002);
    client.send("1").await;
    assert_eq!(client.closed().await, 1000);
    a.assert_disconnected(id).await;
    drop((client, second));
    a.stopped(()).await;
    b.stopped(()).await;
}

/// The session has been allowed, but by the other node; and what comes second has no session.
#[tokio::test]
async fn a_websocket_that_is_passed_on_or_comes_second_has_to_be_allowed() {
    let (mut a, b) = pair(Config::default()).await;
    let poller = Poller::socketio(a.address).await;
    a.connected().await;
    let path = format!("{SOCKET_IO}&sid={}", poller.sid);
    let overload = handshake(&path, "x-overload: 1\r\n").replace("keep-alive, ", "close, ");
    let answer = http(b.address, &overload).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(Arc::strong_count(&b.app.permits), 1);
    let mut client = by(&b, &poller).websocket(b"").await;
    client.assert_well().await;
    assert_eq!(Arc::strong_count(&b.app.permits), 2);
    for node in [&a, &b] {
        let answer = http(node.address, &overload).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    drop(client);
    a.stopped(()).await;
    let permits = Arc::clone(&b.app.permits);
    b.stopped(()).await;
    assert_eq!(Arc::strong_count(&permits), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_gone_on_the_other_node_too() {
    let (mut a, b) = pair(Config::default()).await;
    let poller = Poller::socketio(a.address).await;
    let id = a.connected().await;
    let waiting = begin(b.address, "GET", &poller.polling(), "", b"").await;
    // When this is answered, the poll has reached the other node, too.
    assert_eq!(by(&b, &poller).post("3").await.ok(), "ok");
    drop(waiting);
    a.assert_disconnected(id).await;

    let poller = Poller::socketio(a.address).await;
    let id = a.connected().await;
    let mut client = by(&b, &poller).websocket(b"").await;
    client.send("5").await;
    client.assert_well().await;
    drop(client);
    a.assert_disconnected(id).await;
    a.stopped(()).await;
    b.stopped(()).await;
}

#[tokio::test]
async fn sessions_of_nodes_that_are_not_there_are_unknown() {
    let config = Config::default();
    let (a, b) = pair(config).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    know(&a, "gw-dead", gone);
    know(&a, "gw-unspeakable", "127.0.0.1:1".parse().unwrap());
    a.app.peers.lock().unwrap().insert("gw-odd".to_owned(), "no address at all".to_owned());
    // Two nodes that take each other for a third one.
    know(&a, "gw-c", b.address);
    know(&b, "gw-c", a.address);
    for node in
        ["gw-nobody", "", "gw-dead", "gw-unspeakable", "gw-odd", "gw-c", "gw-b.zone", "gw-a", "a/../%00"]
    {
        let sid = format!("abcdefghijklmnopqrst.{node}");
        let poller = Poller { address: a.address, path: format!("/socket.io/?EIO=4&sid={sid}"), sid };
        let answer = send(a.address, "GET", &poller.polling(), "Origin: http://a\r\n", b"").await;
        assert_eq!(
            answer.head.matches("access-control-allow-origin: http://a").count(),
            1,
            "{}",
            answer.head
        );
        assert_eq!(answer.error(), 1, "{node}");
        assert_eq!(poller.post("3").await.error(), 1, "{node}");
        let request = handshake(&format!("{SOCKET_IO}&sid={}", poller.sid), "").replace("keep-alive, ", "");
        let request = request.replace("Connection: Upgrade", "Connection: close, Upgrade");
        let answer = http(a.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("Session ID unknown"), "{answer}");
    }
    a.stopped(()).await;
    b.stopped(()).await;
}

/// A node that stops does not wait for what it passed on.
#[tokio::test]
async fn a_stopping_node_lets_go_of_sessions_of_others() {
    let (mut a, b) = pair(Config::default()).await;
    let polling = Poller::socketio(a.address).await;
    let id = a.connected().await;
    let upgraded = Poller::socketio(a.address).await;
    let upgraded_id = a.connected().await;
    let mut client = by(&b, &upgraded).websocket(b"").await;
    client.send("5").await;
    client.assert_well().await;
    let waiting = begin(b.address, "GET", &polling.polling(), "", b"").await;
    // To see that the poll has come.
    client.send("42[\"a\"]").await;
    client.text().await;
    a.told().await;
    let begun = Instant::now();
    b.shutdown.cancel();
    assert_eq!(finish(waiting).await.error(), 1, "the client begins anew");
    assert!(client_ended(client).await);
    b.stopped(()).await;
    assert!(begun.elapsed() < Duration::from_secs(4));
    let mut gone = [a.told().await, a.told().await];
    gone.sort_by_key(|told| *told != Told::Disconnect(id));
    assert_eq!(gone, [Told::Disconnect(id), Told::Disconnect(upgraded_id)]);
    a.stopped(()).await;
}

async fn client_ended(mut client: Client) -> bool {
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut rest);
    tokio::time::timeout(crate::client::DEADLINE, read).await.is_ok() && rest.is_empty()
}
