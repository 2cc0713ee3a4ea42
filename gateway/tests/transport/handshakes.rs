//! What becomes a connection, and what does not.

use gateway::transport::Config;
use serde_json::{Value, json};

use crate::app::{Server, Told};
use crate::client::{Client, SOCKET_IO, TEXT, frame, handshake, http};

#[tokio::test]
async fn the_open_packet_tells_the_settings() {
    let server = Server::start(Config::default()).await;
    for path in [SOCKET_IO, "/socket.io?transport=websocket&EIO=4&t=abc"] {
        let mut client = Client::open_with(server.address, path, "", b"").await;
        let text = client.text().await;
        let mut open: Value = serde_json::from_str(text.strip_prefix('0').unwrap()).unwrap();
        assert_eq!(open["sid"].take().as_str().unwrap().len(), 20);
        let expected = json!({
            "sid": null, "upgrades": [], "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 100_000,
        });
        assert_eq!(open, expected);
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn the_session_id_of_socket_io_is_another_one() {
    let server = Server::start(Config::default()).await;
    let mut client = Client::open_with(server.address, SOCKET_IO, "", b"").await;
    let open: Value = serde_json::from_str(&client.text().await[1..]).unwrap();
    client.send("40").await;
    let connected: Value = serde_json::from_str(&client.text().await[2..]).unwrap();
    assert_eq!(connected.as_object().unwrap().len(), 1);
    assert_ne!(open["sid"], connected["sid"]);
    server.stopped(client).await;
}

#[tokio::test]
async fn bad_handshakes_are_answered_as_the_protocol_says() {
    let server = Server::start(Config::default()).await;
    let upgrade = |path: &str| handshake(path, "");
    let plain = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let post = "POST /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let cases = [
        (upgrade("/socket.io/"), 0, "Transport unknown"),
        (upgrade("/socket.io/?EIO=4"), 0, "Transport unknown"),
        (upgrade("/socket.io/?EIO=4&transport=abc"), 0, "Transport unknown"),
        (upgrade(&format!("{SOCKET_IO}&sid=abc")), 1, "Session ID unknown"),
        (post.to_owned(), 2, "Bad handshake method"),
        (plain("GET", SOCKET_IO), 3, "Bad request"),
        (upgrade("/socket.io/?transport=websocket"), 5, "Unsupported protocol version"),
        (upgrade("/socket.io/?EIO=3&transport=websocket"), 5, "Unsupported protocol version"),
    ];
    for (request, code, message) in cases {
        let request = request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let answer = http(server.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request}{answer}");
        assert!(answer.contains("content-type: application/json"), "{answer}");
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body, json!({ "code": code, "message": message }), "{request}");
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn other_handshakes_that_are_none() {
    let server = Server::start(Config::default()).await;
    let good = handshake("/ws", "Connection: close\r\n");
    let cases = [
        (good.replace("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"), "426"),
        (good.replace("Upgrade: websocket", "X: y"), "426"),
        (good.replace("GET", "DELETE"), "405"),
        (good.replace("Sec-WebSocket-Key: ", "X-Key: "), "400"),
        (good.replace("Host: localhost\r\n", "Host: localhost\r\nContent-Length: 2\r\n") + "hi", "400"),
        (good.replace("HTTP/1.1", "HTTP/1.0"), "400"),
        (good.replace("Host: localhost\r\n", "Host: localhost\r\nX-Overload: yes\r\n"), "503"),
    ];
    for (request, status) in cases {
        let answer = http(server.address, &request).await;
        assert_eq!(&answer[9..12], status, "{request}{answer}");
    }
    let request = "GET /api/things?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = http(server.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("GET /api/things?x=1"), "{answer}");
    server.stopped(()).await;
}

#[tokio::test]
async fn bytes_behind_the_handshake_are_not_lost() {
    let mut server = Server::start(Config::default()).await;
    let mut early = frame(true, TEXT, b"40{\"token\":\"early\"}");
    early.extend(frame(true, TEXT, b"42[\"first\",1]"));
    let last = frame(true, TEXT, b"42[\"second\",2]");
    early.extend(&last[..3]);
    let mut client = Client::open_with(server.address, SOCKET_IO, "", &early).await;
    assert!(matches!(server.told().await, Told::Connect(_, auth) if auth == r#"{"token":"early"}"#));
    assert!(matches!(server.told().await, Told::Event(_, name, ..) if name == "first"));
    client.send_bytes(&last[3..]).await;
    assert!(matches!(server.told().await, Told::Event(_, name, ..) if name == "second"));
    for start in ["0{", "40{", "42[\"first\",1]", "42[\"second\",2]"] {
        let text = client.text().await;
        assert!(text.starts_with(start), "{text}");
    }
    server.stopped(client).await;
}

#[tokio::test]
async fn a_bearer_token_connects_a_plain_client_at_once() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::open_with(server.address, "/ws", "Authorization: Bearer abc.def\r\n", b"").await;
    assert!(matches!(server.told().await, Told::Connect(_, auth) if auth == r#"{"token":"abc.def"}"#));
    assert!(client.text().await.starts_with("[\"connect\","));
    client.send(r#"["user:connect",{"token":"next"}]"#).await;
    assert!(matches!(server.told().await, Told::Event(_, name, ..) if name == "user:connect"));
    server.stopped(client).await;
}
