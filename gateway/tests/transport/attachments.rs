//! Binary attachments of Socket.IO packets, and acknowledgements that the server asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gateway::transport::Config;

use crate::app::{Server, Told, text_event};
use crate::client::{BINARY, CONTINUATION, Client, TEXT, frame};

const LIMIT: usize = 1_000;

async fn start() -> Server {
    Server::start(Config { max_payload: LIMIT, ..Config::default() }).await
}

const ONE: &str = r#"451-["a",{"_placeholder":true,"num":0}]"#;
const TWO: &str = r#"452-["a",{"x":[{"_placeholder":true,"num":1}]},{"num":0,"_placeholder":true}]"#;

#[tokio::test]
async fn attachments_come_with_their_event_and_go_back() {
    let mut server = start().await;
    let mut client = Client::socketio(server.address).await;
    server.connected().await;
    client.send("40/custom").await;
    client.text().await;
    server.connected().await;
    let (first, second) = (vec![0xff, 0x1e, 0], vec![7; 300]);
    for namespace in ["", "/custom,"] {
        let packet = TWO.replace('-', &format!("-{namespace}"));
        client.send(&packet).await;
        client.send_frame(true, BINARY, &first).await;
        // Heartbeats are of another layer, and fragments are no attachments of their own.
        client.send("3").await;
        client.send_frame(false, BINARY, &second[..100]).await;
        client.send_frame(true, CONTINUATION, &second[100..]).await;
        assert_eq!(client.text().await, packet);
        assert_eq!(client.next().await, (BINARY, first.clone()));
        assert_eq!(client.next().await, (BINARY, second.clone()));
        assert!(matches!(server.told().await, Told::Event(_, name, _, None) if name == "a"));
    }
    client.send(&ONE.replace('-', "-12")).await;
    client.send_frame(true, BINARY, b"").await;
    assert_eq!(client.text().await, r#"461-12[{"_placeholder":true,"num":0}]"#);
    assert_eq!(client.next().await, (BINARY, Vec::new()));
    client.send("450-[\"none\"]").await;
    assert_eq!(client.text().await, "42[\"none\"]");
    server.stopped(client).await;
}

#[tokio::test]
async fn what_does_not_fit_together_ends_the_connection() {
    let mut server = start().await;
    let mut witness = Client::socketio(server.address).await;
    server.connected().await;
    let text = |text: &str| frame(true, TEXT, text.as_bytes());
    let binary = |length| frame(true, BINARY, &vec![1; length]);
    let cases: [(&str, Vec<Vec<u8>>, u16); 8] = [
        ("an attachment of nothing", vec![binary(3)], 1002),
        ("a packet in between", vec![text(ONE), text("42[\"b\"]")], 1002),
        ("the same packet again", vec![text(ONE), text(ONE)], 1002),
        ("a disconnect in between", vec![text(TWO), binary(1), text("41")], 1002),
        ("one too many", vec![text(ONE), binary(1), binary(1)], 1002),
        ("too large", vec![text(ONE), binary(LIMIT + 1)], 1009),
        ("too large with its packet", vec![text(ONE), binary(LIMIT - 10)], 1009),
        ("too large together", vec![text(TWO), binary(LIMIT / 2), binary(LIMIT / 2)], 1009),
    ];
    for (name, frames, code) in cases {
        let mut client = Client::socketio(server.address).await;
        let id = server.connected().await;
        client.send_bytes(&frames.concat()).await;
        assert_eq!(client.closed().await, code, "{name}");
        while server.told().await != Told::Disconnect(id) {}
        witness.assert_well().await;
    }
    server.stopped(witness).await;
}

/// Attachments that never come hold nothing up but themselves, and a connection that breaks within is reported.
#[tokio::test]
async fn events_stream_out_while_attachments_are_missing() {
    let mut server = start().await;
    let mut client = Client::socketio(server.address).await;
    let id = server.connected().await;
    client.send(TWO).await;
    client.send_frame(true, BINARY, b"1").await;
    client.assert_well().await;
    server.app.socket(id).emit(&text_event("now", ""));
    assert_eq!(client.text().await, "42[\"now\"]");
    drop(client);
    server.assert_disconnected(id).await;
    server.stopped(()).await;
}

#[tokio::test]
async fn the_client_acknowledges_what_it_is_asked_to() {
    let mut server = start().await;
    let mut client = Client::socketio(server.address).await;
    let id = server.connected().await;
    client.send("42[\"ask\",1,{}]").await;
    assert_eq!(client.text().await, "427[\"asked\",1,{}]");
    server.told().await;
    client.send("437[\"yes\" , 2]").await;
    assert_eq!(server.told().await, Told::Acknowledged(id, 7, "\"yes\" , 2".into()));
    client.send(r#"461-8[{"_placeholder":true,"num":0}]"#).await;
    client.send_frame(true, BINARY, b"x").await;
    assert_eq!(server.told().await, Told::Acknowledged(id, 8, r#"{"_placeholder":true,"num":0}"#.into()));
    let mut plain = Client::plain(server.address).await;
    server.connected().await;
    plain.send("[\"ask\",1]").await;
    assert_eq!(plain.text().await, "[\"asked\",1]", "there is no such thing here");
    server.stopped((client, plain)).await;
}

/// However slowly frames come in, and whatever goes out meanwhile, every message arrives and nothing comes between an
/// event and its attachments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_come_byte_by_byte_while_events_stream_out() {
    let mut server = start().await;
    let mut client = Client::socketio(server.address).await;
    let id = server.connected().await;
    let socket = server.app.socket(id);
    // How many events the client has seen: the stream stays a little ahead of it, all the time.
    let seen = Arc::new(AtomicUsize::new(0));
    let stream = tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            for number in 0.. {
                socket.emit(&text_event("stream", &number.to_string()));
                while number > seen.load(Ordering::SeqCst) + 20 {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    for round in 0..6_u8 {
        let data = vec![round; [0, 1, 125, 126, 200, 3][usize::from(round)]];
        let packet = ONE.replace("451-", &format!("451-{round}"));
        let mut bytes = frame(true, TEXT, packet.as_bytes());
        bytes.extend(frame(false, BINARY, &data));
        bytes.extend(frame(true, CONTINUATION, &data));
        let answer = format!(r#"461-{round}[{{"_placeholder":true,"num":0}}]"#);
        let mut bytes = bytes.iter();
        loop {
            match bytes.next() {
                Some(byte) => client.send_bytes(&[*byte]).await,
                None => tokio::task::yield_now().await,
            }
            let text = client.text().await;
            if text == answer {
                assert_eq!(client.next().await, (BINARY, data.repeat(2)));
                break;
            }
            assert_eq!(text, format!("42[\"stream\",{}]", seen.fetch_add(1, Ordering::SeqCst)));
        }
        assert_eq!(bytes.len(), 0, "answered when all is there, and not before");
    }
    stream.abort();
    server.stopped(client).await;
}
