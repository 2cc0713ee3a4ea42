//! Polling sessions that go on over a WebSocket.

use std::time::Duration;

use gateway::transport::Config;

use crate::app::{Server, Told, text_event};
use crate::client::{BINARY, Client, SOCKET_IO, TEXT, frame, handshake, http};
use crate::poller::{Poller, packets};

fn text(text: &str) -> Vec<u8> {
    frame(true, TEXT, text.as_bytes())
}

/// The rest of an upgrade, as the stock client does it: its poll is released, and it starts no other.
async fn upgrade(poller: &Poller) -> Client {
    let mut client = poller.websocket(b"").await;
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    assert_eq!(poller.poll().await.ok(), "6");
    client.send("5").await;
    client
}

#[tokio::test]
async fn a_session_goes_on_over_a_websocket() {
    let mut server = Server::start(Config::default()).await;
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    let waiting = poller.polled();
    let mut client = poller.websocket(b"").await;
    // Until it proves itself it is nobody's.
    client.assert_well().await;
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    assert_eq!(waiting.await.unwrap().ok(), "6");
    // As long as polls are released, packets that are there go with them.
    server.app.socket(id).emit(&text_event("n", "0"));
    assert_eq!(poller.poll().await.ok(), "42[\"n\",0]");
    server.app.socket(id).emit(&text_event("n", "1"));
    client.send("5").await;
    assert_eq!(client.text().await, "42[\"n\",1]");
    client.send("42[\"a\",2]").await;
    assert_eq!(client.text().await, "42[\"a\",2]");
    assert_eq!(poller.poll().await.error(), 3);
    assert_eq!(poller.post("3").await.error(), 3);
    assert!(matches!(server.told().await, Told::Event(..)));
    client.send("1").await;
    assert_eq!(client.closed().await, 1000);
    server.assert_disconnected(id).await;
    server.stopped(client).await;
}

/// Events stream all the time, first to polls and then to the WebSocket: each comes once, and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_on_the_way() {
    const EVENTS: usize = 3_000;
    let mut server = Server::start(Config { outbound_limit: 64 << 20, ..Config::default() }).await;
    for round in 0..5 {
        let poller = Poller::socketio(server.address).await;
        let id = server.connected().await;
        let socket = server.app.socket(id);
        let emitter = tokio::spawn(async move {
            for number in 0..EVENTS {
                socket.emit(&text_event("n", &number.to_string()));
                if number % 20 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
        let mut received = Vec::new();
        let keep = |received: &mut Vec<String>, payload: &str| {
            received.extend(packets(payload).into_iter().filter(|packet| *packet != "6").map(str::to_owned));
        };
        while received.len() < 100 * round {
            keep(&mut received, &poller.poll().await.ok());
        }
        let mut client = poller.websocket(b"").await;
        client.send("2probe").await;
        let waiting = poller.polled();
        assert_eq!(client.text().await, "3probe");
        keep(&mut received, &waiting.await.unwrap().ok());
        client.send("5").await;
        while received.len() < EVENTS {
            received.push(client.text().await);
        }
        for (number, packet) in received.iter().enumerate() {
            assert_eq!(*packet, format!("42[\"n\",{number}]"));
        }
        emitter.await.unwrap();
        client.assert_still_silent().await;
        drop(client);
        server.assert_disconnected(id).await;
    }
    server.stopped(()).await;
}

/// Everything in one write, the handshake included, and cut in the middle of a frame.
#[tokio::test]
async fn what_comes_behind_the_upgrade_is_not_lost() {
    let mut server = Server::start(Config::default()).await;
    let last = text("42[\"b\",\"ä\"]");
    for cut in 0..=last.len() {
        let poller = Poller::socketio(server.address).await;
        let id = server.connected().await;
        let early = [text("2probe"), text("5"), text("42[\"a\",1]"), last[..cut].to_vec()].concat();
        let mut client = poller.websocket(&early).await;
        assert_eq!(client.text().await, "3probe");
        assert_eq!(client.text().await, "42[\"a\",1]");
        client.send_bytes(&last[cut..]).await;
        assert_eq!(client.text().await, "42[\"b\",\"ä\"]");
        server.told().await;
        server.told().await;
        drop(client);
        server.assert_disconnected(id).await;
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn an_upgrade_may_come_byte_by_byte() {
    let mut server = Server::start(Config::default()).await;
    let poller = Poller::socketio(server.address).await;
    server.connected().await;
    let mut client = poller.websocket(b"").await;
    for byte in [text("2probe"), frame(true, 9, b"?"), text("5"), text("42[\"a\"]")].concat() {
        client.send_bytes(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.text().await, "3probe");
    assert_eq!(client.next().await, (10, b"?".to_vec()));
    assert_eq!(client.text().await, "42[\"a\"]");
    server.stopped(client).await;
}

#[tokio::test]
async fn a_second_websocket_disturbs_nobody() {
    let mut server = Server::start(Config::default()).await;
    let poller = Poller::socketio(server.address).await;
    server.connected().await;
    let mut client = poller.websocket(b"").await;
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    let mut second = poller.websocket(&text("2probe")).await;
    assert_eq!(second.closed().await, 1002);
    client.send("5").await;
    client.send("42[\"a\"]").await;
    assert_eq!(client.text().await, "42[\"a\"]");
    let mut third = poller.websocket(&[text("2probe"), text("5")].concat()).await;
    assert_eq!(third.closed().await, 1002);
    client.send("42[\"b\"]").await;
    assert_eq!(client.text().await, "42[\"b\"]");
    server.stopped((client, second, third)).await;
}

#[tokio::test]
async fn a_websocket_that_fails_leaves_the_session_as_it_was() {
    let config = Config { upgrade_timeout: Duration::from_millis(200), ..Config::default() };
    let mut server = Server::start(config).await;
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    let wrong: [Vec<u8>; 9] = [
        text("4hello"),
        text("2"),
        text("2prob"),
        text("55"),
        frame(true, BINARY, b"5"),
        frame(false, TEXT, b"5"),
        frame(true, TEXT, &[b'x'; 1_000]),
        b"\x81\x015".to_vec(),
        [text("2probe"), text("6")].concat(),
    ];
    for bytes in wrong {
        let mut client = poller.websocket(&bytes).await;
        assert_eq!(client.closed().await, 1002, "{bytes:?}");
    }
    let mut leaving = poller.websocket(&frame(true, 8, b"")).await;
    assert_eq!(leaving.closed().await, 1005);
    let mut silent = poller.websocket(b"").await;
    assert_eq!(silent.closed().await, 1002);
    drop(poller.websocket(&text("2probe")).await);
    // The session polls on, and a poll waits again as it did before.
    let waiting = poller.polled();
    poller.post("42[\"a\"]").await.ok();
    let mut answer = waiting.await.unwrap().ok();
    while answer == "6" {
        // The server has not noticed yet that the last one is gone.
        answer = poller.poll().await.ok();
    }
    assert_eq!(answer, "42[\"a\"]");
    assert!(matches!(server.told().await, Told::Event(event, ..) if event == id));
    let mut client = upgrade(&poller).await;
    client.send("42[\"b\"]").await;
    assert_eq!(client.text().await, "42[\"b\"]");
    server.stopped((client, leaving, silent)).await;
}

#[tokio::test]
async fn a_session_that_ends_takes_its_websocket_along() {
    let mut server = Server::start(Config::default()).await;
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    let mut client = poller.websocket(&text("2probe")).await;
    assert_eq!(client.text().await, "3probe");
    poller.post("1").await.ok();
    server.assert_disconnected(id).await;
    assert_eq!(poller.poll().await.ok(), "6");
    assert_eq!(client.closed().await, 1002);
    poller.assert_unknown().await;
    server.stopped(client).await;
}

#[tokio::test]
async fn a_stopping_server_closes_what_is_being_upgraded() {
    let mut server = Server::start(Config::default()).await;
    let upgrading = Poller::socketio(server.address).await;
    let upgraded = Poller::socketio(server.address).await;
    server.connected().await;
    server.connected().await;
    let mut probing = upgrading.websocket(&text("2probe")).await;
    assert_eq!(probing.text().await, "3probe");
    let mut client = upgrade(&upgraded).await;
    client.assert_well().await;
    server.shutdown.cancel();
    assert_eq!(client.closed().await, 1001);
    assert_eq!(probing.closed().await, 1002);
    server.stopped((client, probing)).await;
}

#[tokio::test]
async fn handshakes_for_sessions_that_are_none() {
    let server = Server::start(Config::default()).await;
    let poller = Poller::open(server.address, "/engine.io/").await;
    let path = format!("{SOCKET_IO}&sid=");
    for sid in ["abcdefghijklmnopqrst", "", &poller.sid] {
        let request = handshake(&format!("{path}{sid}"), "").replace("keep-alive, Upgrade", "close, Upgrade");
        let answer = http(server.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("Session ID unknown"), "{answer}");
    }
    // The right path.
    let mut client = upgrade(&poller).await;
    client.send_frame(true, BINARY, b"\x01\xff").await;
    assert_eq!(client.next().await, (BINARY, b"\x01\xff".to_vec()));
    server.stopped(client).await;
}
