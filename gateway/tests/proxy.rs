//! What passes through the gateway to an api node: files of any bytes, whole and in parts, and who sent them.

#![allow(clippy::unwrap_used, reason = "a helper that cannot go on has failed its test")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bus::InProcess;
use bytes::Bytes;
use gateway::Config;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, LOCATION,
    ORIGIN, RANGE,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use protocol::Id;
use service::config::Env;
use service::leftover;
use service::monitoring::Monitoring;
use service::shutdown::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where a frontend is served from.
const ORIGIN_URL: &str = "http://localhost:3000";

/// Bytes of all values, in no order that a text could have.
fn file(length: usize) -> Bytes {
    (0..length).map(|n| (n * 131 % 251) as u8).collect()
}

/// Stands in for an api node. It tells in `x-received-…` what it was sent.
async fn node() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(async |request| Ok::<_, Infallible>(answer(request).await));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}

async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let mut response = match head.method {
        Method::POST if head.uri.query() == Some("refuse") => {
            // The file is not even looked at.
            leftover::discard(body, u64::MAX, PATIENCE);
            let mut response = Response::new(Full::from("too large"));
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            response
        }
        Method::POST => {
            let mut response = Response::new(Full::new(body.collect().await.unwrap().to_bytes()));
            *response.status_mut() = StatusCode::CREATED;
            response.headers_mut().insert(LOCATION, "/api/uploads/1".parse().unwrap());
            response
        }
        _ => {
            let mut response = Response::new(Full::new(file(1000).slice(10..20)));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let headers = response.headers_mut();
            headers.insert(CONTENT_RANGE, "bytes 10-19/1000".parse().unwrap());
            headers.insert(ACCEPT_RANGES, "bytes".parse().unwrap());
            headers.insert(CONTENT_DISPOSITION, "attachment; filename*=UTF-8''a%20b".parse().unwrap());
            response
        }
    };
    for name in ["content-length", "content-type", "range", "x-forwarded-for", "x-request-id"] {
        if let Some(value) = head.headers.get(name) {
            let name = format!("x-received-{name}").parse::<hyper::header::HeaderName>().unwrap();
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// Starts a gateway before a node; it trusts these proxies.
async fn gateway(node: SocketAddr, trusted: &str) -> SocketAddr {
    let pairs = [
        ("JWT_SECRET", "a secret of the tests, and of no other use"),
        ("API_URLS", &format!("http://{node}")),
        ("TRUSTED_PROXIES", trusted),
    ];
    let mut env = Env::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let config = Config::from_env(&mut env);
    env.finish().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let monitoring = Monitoring::default();
    let bus = InProcess::new(&monitoring.registry);
    tokio::spawn(gateway::run(listener, bus, config, monitoring, Shutdown::new()));
    address
}

/// Sends one request on a connection of its own.
async fn send(gateway: SocketAddr, request: Request<Full<Bytes>>) -> (StatusCode, HeaderMap, Bytes) {
    let sent = async {
        let stream = TcpStream::connect(gateway).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (head, body) = client.send_request(request).await.unwrap().into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes())
    };
    timeout(PATIENCE, sent).await.expect("an answer")
}

#[tokio::test]
async fn a_file_arrives_as_it_was_sent() {
    let gateway = gateway(node().await, "").await;
    let sent = file(3 << 20);
    let request = Request::post("/api/uploads?name=a.png")
        .header(ORIGIN, ORIGIN_URL)
        .header(CONTENT_TYPE, "image/png")
        .body(Full::new(sent.clone()))
        .unwrap();
    let (status, headers, echoed) = send(gateway, request).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(echoed == sent, "{} bytes came back of {}", echoed.len(), sent.len());
    assert_eq!(headers["x-received-content-length"], sent.len().to_string());
    assert_eq!(headers["x-received-content-type"], "image/png");
    assert_eq!(headers[LOCATION], "/api/uploads/1");
    assert_eq!(headers["access-control-allow-origin"], ORIGIN_URL);
    assert!(headers["access-control-expose-headers"].to_str().unwrap().contains("location"));
}

#[tokio::test]
async fn a_part_of_a_file_is_asked_for_and_given() {
    let gateway = gateway(node().await, "").await;
    let request =
        Request::get("/api/uploads/1/2-3").header(RANGE, "bytes=10-19").body(Full::default()).unwrap();
    let (status, headers, part) = send(gateway, request).await;
    assert_eq!(status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(headers["x-received-range"], "bytes=10-19");
    assert_eq!(part, file(1000).slice(10..20));
    assert_eq!(headers[CONTENT_RANGE], "bytes 10-19/1000");
    assert_eq!(headers[ACCEPT_RANGES], "bytes");
    assert_eq!(headers[CONTENT_LENGTH], "10");
    assert_eq!(headers[CONTENT_DISPOSITION], "attachment; filename*=UTF-8''a%20b");
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_upload_reaches_the_client() {
    let gateway = gateway(node().await, "").await;
    let request = Request::post("/api/uploads?refuse").body(Full::new(file(8 << 20))).unwrap();
    let (status, _, text) = send(gateway, request).await;
    assert_eq!((status, text.as_ref()), (StatusCode::PAYLOAD_TOO_LARGE, &b"too large"[..]));
}

#[tokio::test]
async fn the_api_is_told_who_calls_and_what_the_request_is_called() {
    let node = node().await;
    let request = || {
        Request::get("/api/anything")
            .header("x-forwarded-for", "1.1.1.1, 203.0.113.9")
            .header("x-request-id", "given-by-the-proxy")
            .body(Full::default())
            .unwrap()
    };
    let (_, headers, _) = send(gateway(node, "127.0.0.0/8").await, request()).await;
    assert_eq!(headers["x-received-x-forwarded-for"], "203.0.113.9");
    assert_eq!(headers["x-received-x-request-id"], "given-by-the-proxy");
    assert_eq!(headers["x-request-id"], "given-by-the-proxy");

    let (_, headers, _) = send(gateway(node, "").await, request()).await;
    assert_eq!(headers["x-received-x-forwarded-for"], "127.0.0.1");
    assert!(headers["x-request-id"].to_str().unwrap().parse::<Id>().is_ok());
    assert_eq!(headers["x-request-id"], headers["x-received-x-request-id"]);
}

#[tokio::test]
async fn an_answer_of_the_gateways_own_has_a_name_too() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let request = Request::get("/api/anything").body(Full::default()).unwrap();
    let (status, headers, _) = send(gateway(nobody, "").await, request).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers["x-request-id"].to_str().unwrap().parse::<Id>().is_ok());
}
