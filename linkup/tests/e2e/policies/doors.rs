//! Who may begin a connection.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, HOST,
    HeaderMap, ORIGIN, RETRY_AFTER,
};
use hyper::{Method, Request};
use serde_json::{Value, json};
use service::client_address::TrustedProxies;
use service::throttle::Rate;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{refusals, stack, times};
use crate::support::people::register;
use crate::support::rest::Rest;
use crate::support::socket::{ConnectError, Dialect, Socket};
use crate::support::stack::{CLIENT_URL, Stack};
use crate::support::{SOON, eventually};

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

const SOCKET_IO: &str = "/socket.io/?EIO=4&transport=websocket";
const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// A handshake that was not accepted.
struct Refusal {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

/// Begins a connection with these headers.
async fn begin(base: &str, path: &str, headers: &[(&'static str, &str)]) -> Result<Stream, Refusal> {
    let mut request = format!("{}{path}", base.replacen("http", "ws", 1)).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((stream, _)) => Ok(stream),
        Err(Error::Http(answer)) => Err(Refusal {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap(),
        }),
        Err(error) => panic!("{path}: {error}"),
    }
}

/// Begins a connection by way of a proxy on this machine, which is trusted.
async fn begin_from(base: &str, address: &str) -> Result<Stream, Refusal> {
    begin(base, "/ws", &[("x-forwarded-for", address)]).await
}

/// How long it is told to wait, in seconds.
fn told_to_wait(refusal: Result<Stream, Refusal>) -> u64 {
    let refusal = refusal.expect_err("it should have been refused");
    assert_eq!(
        (refusal.status, &refusal.body["code"]),
        (429, &json!("too_many_requests")),
        "{}",
        refusal.body
    );
    assert!(refusal.body["message"].as_str().unwrap().starts_with("Too many connections"));
    refusal.headers[RETRY_AFTER].to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_pages_of_this_host_and_of_the_configured_origins_connect() {
    let stack = Stack::start().await;
    let before = refusals(&stack, "origin");
    let base = stack.base();
    for path in ["/ws", SOCKET_IO] {
        for foreign in ["https://evil.example", "null", "http://127.0.0.1:1"] {
            let refusal = begin(&base, path, &[("origin", foreign)]).await.expect_err(foreign);
            assert_eq!(refusal.status, 403);
            assert_eq!(refusal.body, json!({ "message": "Origin not allowed", "code": "forbidden" }));
            assert!(!refusal.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        }
        for good in [CLIENT_URL, base.as_str()] {
            assert!(begin(&base, path, &[("origin", good)]).await.is_ok(), "{good}");
        }
        assert!(begin(&base, path, &[]).await.is_ok(), "no browser");
    }
    assert!(refusals(&stack, "origin") >= before + 6.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_may_poll_from_the_configured_origins_and_from_no_others() {
    let stack = Stack::start().await;
    let (base, rest) = (stack.base(), Rest::new(&stack.base()));
    let send = async |method: Method, query: &str, origin: &str| {
        let request = Request::builder()
            .method(method)
            .uri(format!("{base}{POLLING}{query}"))
            .header(HOST, base.trim_start_matches("http://"))
            .header(ORIGIN, origin)
            .header(ACCESS_CONTROL_REQUEST_METHOD, "POST");
        rest.send(request.body(Full::new(Bytes::new())).unwrap()).await
    };
    let poll = send(Method::GET, "", CLIENT_URL).await;
    assert_eq!(poll.status, 200);
    assert!(poll.bytes.starts_with(b"0{"), "{:?}", poll.bytes);
    let preflight = send(Method::OPTIONS, "", CLIENT_URL).await;
    assert_eq!(preflight.status, 204);
    let unknown = send(Method::GET, "&sid=unknown", CLIENT_URL).await;
    assert_eq!((unknown.status.as_u16(), &unknown.body["code"]), (400, &json!(1)), "no such session");
    for answer in [poll, preflight, unknown] {
        assert_eq!(answer.headers[ACCESS_CONTROL_ALLOW_ORIGIN], CLIENT_URL);
        assert_eq!(answer.headers[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    }

    let poll = send(Method::GET, "", "https://evil.example").await;
    assert_eq!((poll.status.as_u16(), &poll.body["code"]), (403, &json!("forbidden")));
    let preflight = send(Method::OPTIONS, "", "https://evil.example").await;
    assert_eq!(preflight.status, 204);
    for answer in [poll, preflight] {
        assert!(!answer.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(!answer.headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_connects_too_often_waits_as_long_as_it_is_told() {
    let stack = stack(|config| {
        config.trusted_proxies = TrustedProxies::default().and_loopback();
        config.limits.handshake_rate_per_address = Rate { count: 3, per: Duration::from_secs(6) };
    })
    .await;
    let (base, before) = (stack.base(), refusals(&stack, "handshake_rate"));
    let refused = eventually("it is refused", SOON, async || {
        let begun = begin_from(&base, "203.0.113.1").await;
        begun.is_err().then_some(begun)
    });
    assert!((1..=2).contains(&told_to_wait(refused.await)));
    assert!(refusals(&stack, "handshake_rate") > before);
    assert!(begin_from(&base, "203.0.113.2").await.is_ok(), "another address");
    // This machine is no exception where a proxy speaks for it, and names whom it was told to name.
    eventually("it is refused as well", SOON, async || begin_from(&base, "127.0.0.1").await.err()).await;
    eventually("it is let in again", SOON, async || begin_from(&base, "203.0.113.1").await.ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_so_many_connections_at_once() {
    let stack = stack(|config| {
        config.trusted_proxies = TrustedProxies::default().and_loopback();
        config.limits.handshake_rate_per_address = times(1_000_000);
        config.limits.connections_per_address = 2;
    })
    .await;
    let (base, before) = (stack.base(), refusals(&stack, "address_connections"));
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(begin_from(&base, "2001:db8::1").await.ok().expect("there is a place"));
    }
    assert_eq!(told_to_wait(begin_from(&base, "2001:db8::ffff").await), 10);
    assert!(refusals(&stack, "address_connections") > before);
    assert!(begin_from(&base, "2001:db8:0:1::1").await.is_ok(), "another network");
    // A place is free as soon as its connection has ended, however it ends.
    drop(open.pop());
    let again = eventually("there is a place", SOON, async || begin_from(&base, "2001:db8::2").await.ok());
    open.push(again.await);
    assert!(begin_from(&base, "2001:db8::3").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_so_many_connections_at_once() {
    let stack = stack(|config| config.limits.connections_per_user = 2).await;
    let (base, before) = (stack.base(), refusals(&stack, "user_connections"));
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let first = ada.connect(&base, Dialect::SocketIo).await;
    let _second = ada.connect(&base, Dialect::Plain).await;
    for dialect in [Dialect::SocketIo, Dialect::Plain, Dialect::PlainHeader] {
        let refused = Socket::connect(&base, dialect, &ada.token).await.unwrap_err();
        assert!(matches!(&refused, ConnectError::Broken(how) if how.contains("4429")), "{refused:?}");
    }
    assert!(refusals(&stack, "user_connections") >= before + 3.0);
    drop(bob.connect(&base, Dialect::Plain).await);
    drop(first);
    let again = async || Socket::connect(&base, Dialect::Plain, &ada.token).await.ok();
    eventually("there is a place", SOON, again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_ends_its_connection_only() {
    let stack = stack(|config| config.transport.max_payload = 2_000).await;
    let ada = register(&stack.base(), "Ada").await;
    let other = ada.connect(&stack.base(), Dialect::Plain).await;
    for dialect in [Dialect::SocketIo, Dialect::Plain] {
        let socket = ada.connect(&stack.base(), dialect).await;
        socket.emit("message:send", &json!({ "content": "x".repeat(3_000) }));
        assert_eq!(socket.closed().await, 1009, "{dialect:?}");
    }
    assert!(other.ask("user:status", &json!({ "status": "online" })).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_after_the_handshake_is_let_go() {
    let stack = stack(|config| config.transport.connect_timeout = Duration::from_millis(200)).await;
    for path in ["/ws", SOCKET_IO] {
        let mut stream = begin(&stack.base(), path, &[]).await.ok().expect("a connection");
        let code = async {
            loop {
                match stream.next().await {
                    Some(Ok(Message::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
                    Some(Ok(_)) => {}
                    _ => break None,
                }
            }
        };
        let code = tokio::time::timeout(SOON, code).await.expect("it stays open");
        assert_eq!(code, Some(4408), "{path}");
    }
}
