//! What passes through the gateway to the api, seen from both sides.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;

use bus::InProcess;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use service::metrics::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::SOON;
use crate::support::rest::Rest;
use crate::support::stack::{CLIENT_URL, Stack, start_gateway};

/// How much is sent, in pieces: far more than any buffer on the way holds.
const PIECES: usize = 256;
const PIECE: usize = 64 << 10;

/// Stands in for an api node: sends every body back as it comes, tells in `x-received` which headers it was given,
/// and answers with some that are for the next hop only.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(answer(request)));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}

fn answer(request: Request<Incoming>) -> Response<Incoming> {
    let received: BTreeMap<&str, &str> =
        request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let received = json!({ "target": request.uri().to_string(), "headers": received }).to_string();
    Response::builder()
        .status(StatusCode::ACCEPTED)
        .header("x-received", received)
        .header("x-end-to-end", "kept")
        .header("x-of-this-hop", "dropped")
        .header("keep-alive", "timeout=5")
        .header("connection", "x-of-this-hop")
        .body(request.into_body())
        .unwrap()
}

/// The headers that the api was given, and the target.
fn received(headers: &HeaderMap) -> serde_json::Value {
    serde_json::from_slice(headers["x-received"].as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_stream_both_ways_and_headers_of_a_hop_stay_on_it() {
    let api = echo().await;
    let gateway = start_gateway(InProcess::new(&Registry::new()), None, vec![format!("http://{api}")]).await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (pieces, mut queue) = mpsc::channel::<Bytes>(1);
    let body = futures_util::stream::poll_fn(move |context| queue.poll_recv(context))
        .map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/anything?a=b%20c")
        .header("host", "chat.example.org")
        .header("x-end-to-end", "kept")
        .header("x-of-this-hop", "dropped")
        .header("te", "trailers")
        .header("connection", "keep-alive, x-of-this-hop")
        .body(StreamBody::new(body))
        .unwrap();

    // The answer begins before the request has ended, so neither is held back.
    let piece = Bytes::from(vec![b'x'; PIECE]);
    pieces.send(piece.clone()).await.unwrap();
    let response = timeout(SOON, client.send_request(request)).await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let (parts, mut body) = response.into_parts();
    let mut arrived = 0;
    for sent in 1..=PIECES {
        while arrived < sent * PIECE {
            let frame = timeout(SOON, body.frame()).await.expect("a piece is held back").unwrap().unwrap();
            arrived += frame.into_data().unwrap().len();
        }
        if sent < PIECES {
            pieces.send(piece.clone()).await.unwrap();
        }
    }
    drop(pieces);
    assert!(timeout(SOON, body.frame()).await.unwrap().is_none(), "the end arrives too");

    assert_eq!(parts.headers["x-end-to-end"], "kept");
    assert!(!parts.headers.contains_key("x-of-this-hop"));
    // The edge's own word, and not the api's.
    let idle = gateway::transport::Config::HEADER_READ_TIMEOUT.as_secs();
    assert_eq!(parts.headers["keep-alive"], format!("timeout={idle}"));
    let received = received(&parts.headers);
    assert_eq!(received["target"], "/api/anything?a=b%20c");
    assert_eq!(received["headers"]["x-end-to-end"], "kept");
    assert_eq!(received["headers"]["x-forwarded-for"], "127.0.0.1");
    assert_eq!(received["headers"]["host"], api.to_string());
    for name in ["x-of-this-hop", "te", "connection"] {
        assert!(received["headers"][name].is_null(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_of_the_frontends_origin_may_call_and_others_may_not() {
    let stack = Stack::start().await;
    let rest = Rest::new(&stack.base());
    let request = |method: Method, origin: &'static str| {
        let mut request = Request::new(Full::<Bytes>::default());
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}/api/auth/me", stack.base()).parse().unwrap();
        request.headers_mut().insert("origin", HeaderValue::from_static(origin));
        request.headers_mut().insert("access-control-request-method", HeaderValue::from_static("PUT"));
        request
    };
    for (origin, allowed) in [(CLIENT_URL, true), ("http://elsewhere.example", false)] {
        let preflight = rest.send(request(Method::OPTIONS, origin)).await;
        assert_eq!(preflight.status, StatusCode::NO_CONTENT);
        let answer = rest.send(request(Method::GET, origin)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "it reaches the api");
        assert_eq!(answer.body["message"], "Authorization token required");
        for reply in [preflight, answer] {
            let permission =
                reply.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
            assert_eq!(permission, allowed.then_some(origin));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn internal_routes_cannot_be_reached_through_the_edge() {
    let stack = Stack::start().await;
    let internal = crate::support::stack::tokens().sign_internal().unwrap();
    let rest = Rest::new(&stack.base()).with_token(&internal);
    for path in [
        "/internal/commands",
        "/api/../internal/commands",
        "/api/%2e%2e/internal/commands",
        "//internal/commands",
    ] {
        let reply = rest.post(path, &json!({ "commands": [] })).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_is_away_is_answered_with_503_and_when_to_come_back() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway =
        start_gateway(InProcess::new(&Registry::new()), None, vec![format!("http://{nobody}")]).await;
    let reply = Rest::new(&format!("http://{}", gateway.address())).get("/api/auth/me").await;
    assert_eq!((reply.status, &reply.body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    assert!(reply.headers.contains_key("retry-after"));
}
