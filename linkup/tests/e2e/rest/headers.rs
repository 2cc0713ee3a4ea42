//! What every answer says beside what was asked for, and methods that are not there.

use std::collections::BTreeSet;

use api::endpoint::ENDPOINTS;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use protocol::Id;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::fixture::{Node, Person, refused};
use crate::support::SOON;
use crate::support::rest::Reply;

/// Makes a request with some headers.
async fn call(node: &Node, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut request = Request::builder().method(method).uri(format!("http://{}{path}", node.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    node.rest.send(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await
}

/// The same as somebody, and in JSON.
async fn call_as(node: &Node, person: &Person, method: Method, path: &str, body: &str) -> Reply {
    let token = format!("Bearer {}", person.token);
    let headers = [(AUTHORIZATION.as_str(), token.as_str()), (CONTENT_TYPE.as_str(), "application/json")];
    call(node, method, path, &headers, body).await
}

fn guarded(reply: &Reply, cache: &str) {
    for (name, value) in [
        ("cache-control", cache),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("content-type", "application/json"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        let told: Vec<_> = reply.headers.get_all(name).iter().collect();
        assert_eq!(told, [value], "{name} of {}", reply.status);
    }
    assert!(reply.headers.get("server").is_none());
}

#[tokio::test]
async fn every_answer_is_guarded_whatever_it_is() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let talk = format!("/api/conversations/{}", bob.conversation(&[&eve]).await);
    let create = json!({"participants": [bob.id]}).to_string();
    let long = " ".repeat(65_537);
    for (method, path, body, status) in [
        (Method::GET, "/api/auth/me", "", 200),
        (Method::HEAD, "/api/auth/me", "", 200),
        (Method::POST, "/api/conversations", create.as_str(), 201),
        (Method::POST, "/api/conversations", "{", 400),
        (Method::GET, "/api/users/1", "", 400),
        (Method::GET, talk.as_str(), "", 403),
        (Method::GET, "/api/nothing", "", 404),
        (Method::GET, "/", "", 404),
        (Method::PATCH, "/api/conversations", "", 405),
        (Method::OPTIONS, "/api/conversations", "", 405),
        (Method::POST, "/api/conversations", long.as_str(), 413),
        (Method::POST, "/internal/commands", "{}", 401),
    ] {
        let reply = call_as(&node, &ada, method, path, body).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        guarded(&reply, "no-store");
    }
    let reply = call(&node, Method::GET, "/api/auth/me", &[], "").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    guarded(&reply, "no-store");
    let reply = call(&node, Method::POST, "/api/auth/login", &[("content-type", "text/plain")], "{}").await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    guarded(&reply, "no-store");
    // Only what is the same for everybody may be kept.
    guarded(&call(&node, Method::GET, "/api/openapi.json", &[], "").await, "public, max-age=300");
}

/// The head of the answer to a HEAD request, as it comes over the connection: it has no body, whatever it is.
async fn head(node: &Node, path: &str) -> String {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let request = format!("HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    answer
}

#[tokio::test]
async fn a_request_keeps_the_name_that_it_came_with_and_gets_one_otherwise() {
    let node = Node::alone().await;
    let name = |reply: &Reply| reply.headers["x-request-id"].to_str().unwrap().to_owned();
    let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
    for path in ["/api/auth/me", "/api/nothing", "/api/users/1"] {
        for kept in ["a", "0af7651916cd43dd8448eb211c80319c", "A-b_c.9", &longest] {
            let reply = call(&node, Method::GET, path, &[("x-request-id", kept)], "").await;
            assert_eq!(name(&reply), kept);
        }
        let mut given = BTreeSet::new();
        for odd in ["", "a b", "a,b", "a\tb", "<b>", "\"", "é", &too_long] {
            let reply = call(&node, Method::GET, path, &[("x-request-id", odd)], "").await;
            given.insert(name(&reply));
        }
        given.insert(name(&call(&node, Method::GET, path, &[], "").await));
        assert!(given.len() == 9 && given.iter().all(|name| name.parse::<Id>().is_ok()), "{given:?}");
    }
}

#[tokio::test]
async fn head_answers_as_get_does_without_the_body() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    ada.say(talk, "hi").await;
    for path in [
        "/api/auth/me".to_owned(),
        "/api/users".to_owned(),
        bob.path(),
        "/api/conversations".to_owned(),
        format!("/api/conversations/{talk}/messages"),
        "/api/activities".to_owned(),
        "/api/openapi.json".to_owned(),
        format!("/api/users/{}", Id::mint()),
    ] {
        let get = call_as(&node, &ada, Method::GET, &path, "").await;
        let head = call_as(&node, &ada, Method::HEAD, &path, "").await;
        assert_eq!((head.status, head.bytes.len()), (get.status, 0), "{path}");
        assert_eq!(head.headers[CONTENT_LENGTH], get.bytes.len().to_string(), "{path}");
        for name in [CONTENT_TYPE, CACHE_CONTROL] {
            assert_eq!(head.headers[&name], get.headers[&name], "{path}");
        }
    }
    let head = call(&node, Method::HEAD, "/api/users", &[], "").await;
    assert_eq!((head.status, head.bytes.len()), (StatusCode::UNAUTHORIZED, 0));
}

/// Every path, and what can be done there.
const METHODS: [(&str, &str); 29] = [
    ("/api/auth/register", "POST"),
    ("/api/auth/login", "POST"),
    ("/api/auth/me", "GET, HEAD"),
    ("/api/auth/password", "PUT"),
    ("/api/auth/sessions", "DELETE"),
    ("/api/users", "GET, HEAD"),
    ("/api/users/{id}", "GET, HEAD, PUT, DELETE"),
    ("/api/users/{id}/friends", "GET, HEAD"),
    ("/api/users/{id}/friends/{other}", "POST, DELETE"),
    ("/api/users/{id}/blocks", "GET, HEAD"),
    ("/api/users/{id}/blocks/{other}", "POST, DELETE"),
    ("/api/conversations", "GET, HEAD, POST"),
    ("/api/conversations/{id}", "GET, HEAD, PUT, DELETE"),
    ("/api/conversations/{id}/messages", "GET, HEAD, POST"),
    ("/api/messages/{id}", "PUT, DELETE"),
    ("/api/messages/{id}/read", "PUT"),
    ("/api/activities", "GET, HEAD, POST"),
    ("/api/activities/{id}", "GET, HEAD, PUT, DELETE"),
    ("/api/activities/{id}/join", "POST"),
    ("/api/activities/{id}/leave", "POST"),
    ("/api/activities/{id}/conversation", "GET, HEAD"),
    ("/api/uploads", "POST"),
    ("/api/uploads/{id}/{seal}", "GET, HEAD"),
    ("/api/openapi.json", "GET, HEAD"),
    ("/api/probe", "POST"),
    ("/internal/commands", "POST"),
    ("/internal/ready", "GET, HEAD"),
    // An identifier is not looked at before the path is known.
    ("/api/nothing/{id}", ""),
    ("/api/users/{id}/nothing", ""),
];

#[tokio::test]
async fn a_method_that_is_not_there_is_answered_with_those_that_are() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    for (template, allowed) in METHODS {
        let path =
            template.replace("{id}", &Id::mint().to_string()).replace("{other}", &Id::mint().to_string());
        let path = path.replace("{seal}", "0-x");
        let all = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
        ];
        for method in all {
            if allowed.split(", ").any(|allowed| method == allowed) {
                continue;
            }
            let (status, text) =
                if allowed.is_empty() { (404, "Not Found") } else { (405, "Method Not Allowed") };
            if method == Method::HEAD {
                let answer = head(&node, &path).await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} {text}\r\n")), "{path}: {answer}");
                assert_eq!(answer.contains(&format!("\r\nallow: {allowed}\r\n")), status == 405, "{path}");
                continue;
            }
            let reply = call_as(&node, &ada, method.clone(), &path, "").await;
            if status == 405 {
                refused(&reply, 405, "method_not_allowed", "Method not allowed");
                assert_eq!(reply.headers[ALLOW], allowed, "{method} {path}");
            } else {
                refused(&reply, 404, "not_found", "Not found");
                assert!(reply.headers.get(ALLOW).is_none());
            }
        }
    }
    let told: BTreeSet<&str> =
        METHODS.iter().filter(|(_, allowed)| !allowed.is_empty()).map(|(path, _)| *path).collect();
    assert_eq!(told, ENDPOINTS.iter().map(|endpoint| endpoint.path).collect());
}

#[tokio::test]
async fn what_is_left_of_a_body_that_is_too_large_is_not_waited_for() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let reply = call_as(&node, &ada, Method::POST, "/api/conversations", &" ".repeat(65_537)).await;
    refused(&reply, 413, "too_large", "The body is too large");
    assert_eq!(reply.headers[CONNECTION], "close");
    let most = call_as(&node, &ada, Method::POST, "/api/conversations", &" ".repeat(65_536)).await;
    refused(&most, 400, "bad_request", "body: must be a JSON object");
}
