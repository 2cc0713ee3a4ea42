//! MongoDB away, slow clients, stopping.

use std::time::{Duration, Instant};

use api::Config;
use futures_util::future::join_all;
use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use serde_json::json;
use store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fixture::{Node, config};
use crate::commit::link::Link;
use crate::support::{SOON, eventually, mongo_uri};

#[tokio::test]
async fn while_mongodb_is_away_answers_are_503_and_come_in_time() {
    let uri = mongo_uri().await;
    let link = Link::to(&uri).await;
    let impatient = Config { commit_timeout: Duration::from_secs(2), ..config() };
    let node = Node::with(&link.uri(), impatient).await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    link.down();
    let began = Instant::now();
    let reply = ada.rest.get("/api/conversations").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);
    assert_eq!(
        (&reply.body["code"], reply.headers[RETRY_AFTER].as_bytes()),
        (&json!("unavailable"), &b"1"[..])
    );
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    link.up();
    let path = format!("/api/conversations/{conversation}/messages");
    eventually("messages can be sent again", SOON, async || {
        let reply = ada.rest.post(&path, &json!({"content": "back"})).await;
        (reply.status == StatusCode::CREATED).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nodes_may_start_at_the_same_time_and_again() {
    let store = Store::connect(&mongo_uri().await, "api-test").await.unwrap();
    for _ in 0..2 {
        for prepared in join_all((0..8).map(|_| store.prepare())).await {
            prepared.unwrap();
        }
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_reported_with_what_to_do() {
    let error = Store::connect("mongodb://127.0.0.1:9/linkup", "api-test").await.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:9") && error.contains("MONGODB_URI"), "{error}");
    let error = Store::connect("http://127.0.0.1", "api-test").await.unwrap_err().to_string();
    assert!(error.contains("mongodb://host"), "{error}");
}

/// Sends bytes, and returns all that comes back until the server closes.
async fn talk(node: &Node, bytes: &str) -> String {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn slow_clients_are_not_waited_for() {
    let short = Duration::from_millis(200);
    let hasty = Config { body_timeout: short, ..config() };
    let node = Node::with(&mongo_uri().await, hasty).await;
    let head = "POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n";
    let answer = talk(&node, &format!("{head}\r\n{{")).await;
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.ends_with(r#""code":"request_timeout"}"#),
        "{answer}"
    );
    // A head that never ends: the connection closes.
    let hasty = Config { head_timeout: short, ..config() };
    let node = Node::with(&mongo_uri().await, hasty).await;
    talk(&node, head).await;
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_takes_nothing_new() {
    let node = Node::alone().await;
    let address = node.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = json!({"email": "a@example.org", "password": "whatever"}).to_string();
    let head = format!(
        "POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body, so the request is under way.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let stopping = tokio::spawn(node.stop());
    eventually("new connections are refused", SOON, async || TcpStream::connect(address).await.err()).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    stopping.await.unwrap();
}
