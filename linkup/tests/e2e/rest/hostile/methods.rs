//! Methods, paths and bodies that nobody expects.

use std::collections::BTreeSet;

use hyper::header::{ALLOW, CONTENT_LENGTH};
use hyper::{Method, StatusCode};
use serde_json::json;

use super::document::operations;
use super::raw::{Then, say, statuses};
use super::{Besieged, JSON, request};
use crate::rest::access::quiet_node;

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_refused_with_those_it_has() {
    let node = quiet_node().await;
    let besieged = Besieged::on(&node).await;
    let all = operations();
    let templates: BTreeSet<&str> = all.iter().map(|operation| operation.template.as_str()).collect();
    for template in templates {
        let here: Vec<_> = all.iter().filter(|operation| operation.template == template).collect();
        let path = here[0].path(&besieged.world);
        let has = |method: &str| here.iter().any(|operation| operation.method == method);
        for name in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "get", "$ne"] {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            if has(name) {
                continue;
            }
            let body = json!({"content": "x", "name": "x"}).to_string();
            let reply = request(&node, &besieged.world.ada, &method, &path, Some(JSON), body).await;
            assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}: {}", reply.body);
            assert_eq!(reply.body["code"], "method_not_allowed", "{method} {path}");
            let allowed: BTreeSet<&str> = reply.headers[ALLOW].to_str().unwrap().split(", ").collect();
            let mut wanted: BTreeSet<&str> = here.iter().map(|operation| operation.method.as_str()).collect();
            if has("GET") {
                wanted.insert("HEAD");
            }
            assert_eq!(allowed, wanted, "{path}");
        }
    }
    besieged.stands("methods").await;
}

#[tokio::test]
async fn head_is_get_without_the_body_and_changes_nothing() {
    let node = quiet_node().await;
    let besieged = Besieged::on(&node).await;
    let world = &besieged.world;
    for operation in operations() {
        let path = operation.path(world);
        if operation.method != Method::GET {
            let words = format!("HEAD {path} HTTP/1.1\r\nconnection: close\r\n\r\n");
            let answer = say(node.address, words.as_bytes(), Then::Waits).await;
            assert!(matches!(statuses(&answer)[..], [401 | 405]), "{path}: {answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{path}: {answer}");
            continue;
        }
        let head = request(&node, &world.ada, &Method::HEAD, &path, None, "").await;
        assert!(head.bytes.is_empty(), "{path}: {:?}", head.bytes);
        let get = world.ada.rest.get(&path).await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.headers[CONTENT_LENGTH], get.headers[CONTENT_LENGTH], "{path}");
    }
    besieged.stands("HEAD").await;
}

#[tokio::test]
async fn bodies_that_nobody_asked_for_are_left_unread() {
    let node = quiet_node().await;
    let besieged = Besieged::on(&node).await;
    let world = &besieged.world;
    let odd = json!({"id": {"$ne": null}, "$where": "1", "participants": [world.eve.id]}).to_string();
    for operation in operations().iter().filter(|operation| operation.method == Method::GET) {
        let path = operation.path(world);
        let plain = world.ada.rest.get(&path).await;
        for body in [odd.clone(), "{".to_owned(), "x".repeat(200_000)] {
            let reply = request(&node, &world.ada, &Method::GET, &path, Some(JSON), body).await;
            assert_eq!((reply.status, &reply.bytes), (plain.status, &plain.bytes), "{path}");
        }
    }
    besieged.stands("bodies of GET").await;
}

/// Paths that lead nowhere, whoever asks.
const NOWHERE: &[&str] = &[
    "/",
    "//",
    "/api",
    "/api/",
    "//api/auth/me",
    "/api//auth/me",
    "/api/auth//me",
    "/api/auth/me/",
    "/api/./auth/me",
    "/api/auth/../auth/me",
    "/api/users/../auth/me",
    "/API/auth/me",
    "/api/auth/ME",
    "/api/auth/me;x=1",
    "/api/auth/me%00",
    "/api/auth/me%20",
    "/api/auth/me%2f",
    "/api/auth%2fme",
    "/api%2fauth%2fme",
    "/%61pi/auth/me",
    "/api/%61uth/me",
    "/api/auth/me%3fx",
    "/api/auth/me\\",
    "/api\\auth\\me",
    "/api/auth/{id}",
    "/api/{id}",
    "/internal",
    "/internal/",
    "/internal/commands/",
    "/internal//commands",
    "//internal/commands",
    "/Internal/commands",
    "/internal%2fcommands",
    "/internal/command%73",
    "/%69nternal/commands",
    "/./internal/commands",
    "/api/../internal/commands",
    "/api/%2e%2e/internal/commands",
    "/api/%2e%2e%2finternal%2fcommands",
    "/api/..%2finternal/commands",
    "/api/..;/internal/commands",
    "/api/internal/commands",
    "/metrics",
    "/livez",
    "/.env",
    "*",
];

/// What is no identifier where one is expected.
const NO_IDENTIFIER: &[&str] = &[
    "$ne",
    "%24ne",
    "null",
    "undefined",
    "..",
    "%00",
    "0",
    "-1",
    "[object%20Object]",
    "0123456789abcdef0123456",
    "0123456789abcdef012345678",
    "0123456789abcdef0123456g",
    "0123456789abcdef01234567%00",
    "%30123456789abcdef01234567",
    "{id}",
];

#[tokio::test]
async fn tricks_with_paths_lead_nowhere() {
    let node = quiet_node().await;
    let besieged = Besieged::on(&node).await;
    let (world, long) = (&besieged.world, format!("/api/{}", "a".repeat(60_000)));
    let token = &world.ada.token;
    let ask = async |method: &str, target: &str| {
        let words = format!(
            "{method} {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: 15\r\n\r\n{{\"commands\":[]}}",
        );
        let answer = say(node.address, words.as_bytes(), Then::Waits).await;
        (statuses(&answer), answer)
    };
    for method in ["GET", "POST"] {
        for target in NOWHERE.iter().copied().chain([long.as_str()]) {
            let (found, answer) = ask(method, target).await;
            let refused = found == [404] || found == [400];
            assert!(refused, "{method} {}: {answer}", &target[..target.len().min(100)]);
        }
        // A user's token opens nothing there, in whichever form the target is written.
        for target in ["/internal/commands", "/internal/commands?x", "http://x/internal/commands"] {
            let (found, answer) = ask(method, target).await;
            assert_eq!(found, [if method == "POST" { 401 } else { 405 }], "{method} {target}: {answer}");
        }
    }
    for template in
        ["/api/users/{}", "/api/conversations/{}", "/api/messages/{}/read", "/api/activities/{}/conversation"]
    {
        for odd in NO_IDENTIFIER {
            let target = template.replace("{}", odd);
            let method = if target.ends_with("/read") { "PUT" } else { "GET" };
            let (found, answer) = ask(method, &target).await;
            assert!(
                found == [400] && answer.contains("\"id: is not a valid identifier\""),
                "{target}: {answer}"
            );
        }
    }
    // The same resource by its whole address.
    let (found, answer) = ask("GET", "http://elsewhere.example/api/auth/me").await;
    assert!(found == [200] && answer.contains(&world.ada.id.to_string()), "{answer}");
    for target in ["x:443", "/api/auth/me"] {
        let (found, answer) = ask("CONNECT", target).await;
        assert!(found.iter().all(|status| [400, 404, 405].contains(status)), "{target}: {answer}");
    }
    besieged.stands("paths").await;
}
