//! Socket.IO and `/ws` messages: what is understood, and what ends a connection.

use gateway::transport::Config;

use crate::app::{Server, Told};
use crate::client::Client;

#[tokio::test]
async fn events_and_acknowledgements_of_socket_io() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::socketio(server.address).await;
    let id = server.connected().await;
    client.send(r#"42["echo",1,"2",{"3":[true]}]"#).await;
    assert_eq!(client.text().await, r#"42["echo",1,"2",{"3":[true]}]"#);
    assert_eq!(server.told().await, Told::Event(id, "echo".into(), "1".into(), None));
    client.send(r#"4212["echo",{"a":"ü"},null]"#).await;
    assert_eq!(client.text().await, r#"4312[{"a":"ü"},null]"#);
    assert_eq!(server.told().await, Told::Event(id, "echo".into(), r#"{"a":"ü"}"#.into(), Some(12)));
    client.send(r#"420["echo"]"#).await;
    assert_eq!(client.text().await, "430[]");
    server.stopped(client).await;
}

#[tokio::test]
async fn events_and_acknowledgements_of_plain_clients() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::plain(server.address).await;
    let id = server.connected().await;
    client.send(r#"["echo",{"a":1},7]"#).await;
    assert_eq!(client.text().await, r#"["ack",{"a":1},7]"#);
    assert_eq!(server.told().await, Told::Event(id, "echo".into(), r#"{"a":1}"#.into(), Some(7)));
    client.send(r#"["echo",{"a":1}]"#).await;
    assert_eq!(client.text().await, r#"["echo",{"a":1}]"#);
    server.stopped(client).await;
}

#[tokio::test]
async fn a_refused_client_may_try_again_on_the_same_transport() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::engine(server.address).await;
    for _ in 0..2 {
        client.send(r#"40{"token":"refuse"}"#).await;
        assert_eq!(client.text().await, r#"44{"message":"Authentication error"}"#);
        let id = server.connected().await;
        server.assert_disconnected(id).await;
    }
    client.send("40{}").await;
    assert!(client.text().await.starts_with("40{"));
    server.stopped(client).await;
}

#[tokio::test]
async fn a_refused_client_that_does_not_wait_for_the_answer_may_try_again() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::engine(server.address).await;
    let mut bytes = crate::client::frame(true, 1, br#"40{"token":"refuse"}"#);
    bytes.extend(crate::client::frame(true, 1, b"40{}"));
    client.send_bytes(&bytes).await;
    assert!(client.text().await.starts_with("44{"));
    assert!(client.text().await.starts_with("40{"));
    let first = server.connected().await;
    server.assert_disconnected(first).await;
    assert!(server.connected().await > first);
    server.stopped(client).await;
}

#[tokio::test]
async fn a_refused_plain_client_is_closed() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::open_with(server.address, "/ws", "", b"").await;
    client.send(r#"["user:connect",{"token":"refuse"}]"#).await;
    assert_eq!(client.text().await, r#"["connect_error",{"message":"Authentication error"}]"#);
    assert_eq!(client.closed().await, 4401);
    let id = server.connected().await;
    server.assert_disconnected(id).await;
    server.stopped(client).await;
}

#[tokio::test]
async fn the_application_may_answer_later_and_nothing_is_sent_before() {
    let mut server = Server::start(Config::default()).await;
    for make in ["socketio", "plain"] {
        let mut client = match make {
            "socketio" => Client::engine(server.address).await,
            _ => Client::open_with(server.address, "/ws", "", b"").await,
        };
        let (hello, early) = match make {
            "socketio" => (r#"40{"token":"wait"}"#, r#"42["early"]"#),
            _ => (r#"["user:connect",{"token":"wait"}]"#, r#"["early"]"#),
        };
        client.send(hello).await;
        let id = server.connected().await;
        client.send(early).await;
        assert!(matches!(server.told().await, Told::Event(_, name, ..) if name == "early"));
        let socket = server.app.socket(id);
        socket.emit(&crate::app::text_event("too-early", ""));
        assert!(socket.accept());
        socket.emit(&crate::app::text_event("now", ""));
        assert!(client.text().await.contains("\"sid\""));
        assert!(client.text().await.ends_with("[\"now\"]"));
        assert!(!socket.accept(), "answered already");
        socket.refuse("too late");
        client.assert_well().await;
        drop(client);
        server.assert_disconnected(id).await;
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn namespaces_that_the_application_does_not_know_do_not_exist() {
    let server = Server::start(Config::default()).await;
    let mut client = Client::engine(server.address).await;
    for packet in ["40/random", "40/random,", r#"40/random,{"token":"x"}"#] {
        client.send(packet).await;
        assert_eq!(client.text().await, r#"44/random,{"message":"Invalid namespace"}"#, "{packet}");
    }
    client.send("40/,{}").await;
    assert!(client.text().await.starts_with("40{"));
    client.send("40/more").await;
    assert_eq!(client.text().await, r#"44/more,{"message":"Invalid namespace"}"#);
    server.stopped(client).await;
}

#[tokio::test]
async fn after_a_disconnect_the_transport_serves_another_client() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::socketio(server.address).await;
    let first = server.connected().await;
    let stale = server.app.socket(first);
    client.send("41").await;
    server.assert_disconnected(first).await;
    client.send("40").await;
    assert!(client.text().await.starts_with("40{"));
    assert_ne!(server.connected().await, first);
    stale.emit(&crate::app::text_event("stale", ""));
    stale.close(4503, "stale");
    client.assert_well().await;
    client.send("41").await;
    client.send("42[\"late\"]").await;
    assert_eq!(client.closed().await, 1002);
    server.stopped(client).await;
}

/// What no client may send to `/socket.io/`, connected or not.
const MALFORMED: [&str; 46] = [
    "",
    "0",
    "2",
    "2probe",
    "5",
    "abc",
    "4",
    "4abc",
    "40",
    "40{}",
    "42{}",
    "42[]",
    "42[1]",
    "42abc[\"a\"]",
    "4299999999999999999999[\"a\"]",
    "42[\"connect\"]",
    "42[\"connect_error\"]",
    "42[\"disconnect\"]",
    "42[\"disconnecting\"]",
    "42[\"newListener\"]",
    "42[\"removeListener\"]",
    "42/custom,[\"a\"]",
    "41/custom",
    "41{}",
    "43[]",
    "43abc[]",
    "431{}",
    "4399999999999999999999[]",
    "43/custom,1[]",
    "44{}",
    "45[\"a\"]",
    "45-[\"a\"]",
    "45x-[\"a\"]",
    "451-[\"a\"]",
    "451-[\"connect\",{\"_placeholder\":true,\"num\":0}]",
    "451-[\"a\",{\"_placeholder\":true,\"num\":1}]",
    "451-[\"a\",{\"_placeholder\":true,\"num\":-1}]",
    "451-[\"a\",{\"_placeholder\":true}]",
    "452-[\"a\",{\"_placeholder\":true,\"num\":0}]",
    "452-[\"a\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":0}]",
    "4511-[\"a\"]",
    "451-/custom,[\"a\",{\"_placeholder\":true,\"num\":0}]",
    "461-[{\"_placeholder\":true,\"num\":0}]",
    "461-0[]",
    "47",
    "49",
];

/// What none may send before it has connected.
const EARLY: [&str; 7] = [
    "42[\"a\"]",
    "41",
    "430[]",
    "40abc",
    "40[]",
    "451-[\"a\",{\"_placeholder\":true,\"num\":0}]",
    "42/custom,[\"a\"]",
];

#[tokio::test]
async fn a_malformed_packet_ends_its_own_connection_and_no_other() {
    let mut server = Server::start(Config::default()).await;
    let mut witness = Client::socketio(server.address).await;
    server.connected().await;
    for packet in MALFORMED {
        let mut client = Client::socketio(server.address).await;
        let id = server.connected().await;
        client.send(packet).await;
        assert_eq!(client.closed().await, 1002, "{packet}");
        server.assert_disconnected(id).await;
        witness.assert_well().await;
    }
    for packet in EARLY {
        let mut client = Client::engine(server.address).await;
        client.send(packet).await;
        assert_eq!(client.closed().await, 1002, "{packet}, before any connect");
    }
    server.stopped(witness).await;
}

#[tokio::test]
async fn a_malformed_plain_message_ends_the_connection() {
    let mut server = Server::start(Config::default()).await;
    for message in ["", "x", "{}", "[]", "[1]", r#"["a",{},"7"]"#, r#"["a",{},-1]"#] {
        let mut client = Client::plain(server.address).await;
        let id = server.connected().await;
        client.send(message).await;
        assert_eq!(client.closed().await, 1002, "{message}");
        server.assert_disconnected(id).await;
    }
    for message in [r#"["message:send",{}]"#, r#"["user:connect",[]]"#, r#"["user:connect",7]"#] {
        let mut client = Client::open_with(server.address, "/ws", "", b"").await;
        client.send(message).await;
        assert_eq!(client.closed().await, 1002, "{message}, before any connect");
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn an_engine_io_close_packet_closes() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::socketio(server.address).await;
    let id = server.connected().await;
    client.send("1").await;
    assert_eq!(client.closed().await, 1000);
    server.assert_disconnected(id).await;
    server.stopped(client).await;
}

#[tokio::test]
async fn the_application_closes_and_then_hears_nothing_more() {
    let mut server = Server::start(Config::default()).await;
    for make in 0..2 {
        let mut client = match make {
            0 => Client::socketio(server.address).await,
            _ => Client::plain(server.address).await,
        };
        let id = server.connected().await;
        let prefix = if make == 0 { "42" } else { "" };
        let mut bytes = crate::client::frame(true, 1, format!("{prefix}[\"close\"]").as_bytes());
        bytes.extend(crate::client::frame(true, 1, format!("{prefix}[\"after\"]").as_bytes()));
        client.send_bytes(&bytes).await;
        assert_eq!(client.closed().await, 4503);
        assert!(matches!(server.told().await, Told::Event(_, name, ..) if name == "close"));
        server.assert_disconnected(id).await;
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn a_panic_of_the_application_ends_one_connection_and_is_reported() {
    let mut server = Server::start(Config::default()).await;
    let mut witness = Client::socketio(server.address).await;
    server.connected().await;
    let mut client = Client::socketio(server.address).await;
    let id = server.connected().await;
    client.send("42[\"panic\"]").await;
    server.assert_disconnected(id).await;
    witness.assert_well().await;
    server.stopped((witness, client)).await;
}
