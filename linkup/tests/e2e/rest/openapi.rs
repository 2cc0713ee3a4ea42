//! The api's document, and whether the tests notice when an answer is not as it says.

use std::collections::BTreeSet;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use protocol::Id;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::fixture::Node;
use crate::support::contract::Contract;
use crate::support::rest::{Reply, Rest};

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

/// Each operation with its path and method.
fn operations(document: &Value) -> Vec<(&str, Method, &Value)> {
    let mut all = Vec::new();
    for (path, item) in object(&document["paths"]) {
        for (name, operation) in object(item).iter().filter(|(name, _)| *name != "parameters") {
            let method = Method::from_bytes(name.to_ascii_uppercase().as_bytes()).unwrap();
            all.push((path.as_str(), method, operation));
        }
    }
    all
}

/// Calls `visit` with every object within `value`, and with its key.
fn walk<'a>(key: &str, value: &'a Value, visit: &mut impl FnMut(&str, &'a Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            visit(key, map);
            map.iter().for_each(|(key, value)| walk(key, value, visit));
        }
        Value::Array(list) => list.iter().for_each(|value| walk(key, value, visit)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_served_to_everybody_as_the_api_has_it() {
    let node = Node::alone().await;
    let path = "/api/openapi.json";
    let reply = node.rest.get(path).await;
    assert_eq!(reply.headers[CACHE_CONTROL], "public, max-age=300");
    assert_eq!(reply.ok(), api::openapi::document());
    // Somebody who has no good token may have it too.
    assert_eq!(node.rest.with_token("junk").get(path).await.status, StatusCode::OK);
}

#[test]
fn the_document_is_well_formed() {
    let document = api::openapi::document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut schemas: Vec<Value> = object(&document["components"]["schemas"]).values().cloned().collect();
    walk("", &document, &mut |key, map| {
        if key == "schema" {
            schemas.push(Value::Object(map.clone()));
        }
        if let Some(Value::String(reference)) = map.get("$ref") {
            let pointer = reference.strip_prefix('#').expect("all is in one document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    });
    for schema in &schemas {
        if let Err(error) = jsonschema::draft202012::meta::validate(schema) {
            panic!("{error}: {schema}");
        }
    }
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        assert!(names.insert(operation["operationId"].as_str().unwrap()), "{operation}");
        assert!(
            object(&operation["responses"]).keys().any(|status| status.starts_with('2')),
            "{method} {path}"
        );
        let wanted = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let given = document["paths"][path]["parameters"].as_array().into_iter().flatten();
        let given = given.map(|parameter| parameter["name"].as_str().unwrap());
        assert_eq!(given.collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "{path}");
    }
}

#[tokio::test]
async fn a_token_is_asked_for_wherever_the_document_says_so() {
    let node = Node::alone().await;
    let document = api::openapi::document();
    let call = async |path: &str, method: &Method, token: Option<&str>| {
        let path = path.replace("{seal}", &format!("0-{}", "A".repeat(43)));
        let path =
            ["{id}", "{other}"].iter().fold(path, |path, name| path.replace(name, &Id::mint().to_string()));
        let request = Request::builder().method(method).uri(format!("http://{}{path}", node.address));
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = match token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        node.rest.send(request.body(Full::new(Bytes::from("{}"))).unwrap()).await
    };
    for (path, method, operation) in operations(&document) {
        let is_open = operation["security"] == json!([]);
        for (token, message) in [(None, "Authorization token required"), (Some("junk"), "Invalid token")] {
            let reply = call(path, &method, token).await;
            assert_eq!(reply.status == StatusCode::UNAUTHORIZED, !is_open, "{method} {path}: {}", reply.body);
            assert!(is_open || reply.body["message"] == message, "{method} {path}: {}", reply.body);
        }
    }
}

/// An answer as the api would give it.
fn reply(status: u16, body: &Value) -> Reply {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-request-id", "1"),
        ("retry-after", "1"),
        ("allow", "GET"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let status = StatusCode::from_u16(status).unwrap();
    Reply { status, headers, body: body.clone(), bytes: body.to_string().into() }
}

/// The same answer without one of its headers.
fn without(name: &str, mut reply: Reply) -> Reply {
    reply.headers.remove(name).unwrap();
    reply
}

/// What comes with this body, whatever it is.
fn with_body(body: &'static str, reply: Reply) -> Reply {
    Reply { bytes: Bytes::from_static(body.as_bytes()), ..reply }
}

/// A conversation with a last message.
fn conversation() -> Value {
    let (id, at) = ("0123456789abcdef01234567", "2026-11-23T04:26:30.123Z");
    let ada = json!({"_id": id, "id": id, "name": "Ada", "avatar": null});
    json!({
        "_id": id, "id": id, "name": null, "type": "direct", "participants": [ada], "participantCount": 1,
        "isActive": true,
        "createdAt": at, "updatedAt": at, "unreadCount": 0,
        "lastMessage": {
            "_id": id, "id": id, "conversationId": id, "seq": 1, "sender": ada, "content": "hi", "contentType": "text",
            "readBy": [{"userId": id, "readAt": at}], "createdAt": at, "updatedAt": at, "isDeleted": false,
        },
    })
}

/// The same with something put at a place within it.
fn changed(pointer: &str, value: Value) -> Value {
    let mut conversation = conversation();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    conversation.pointer_mut(parent).unwrap()[name] = value;
    json!([conversation])
}

const LIST: &str = "/api/conversations";

#[test]
fn what_the_document_says_passes() {
    let contract = Contract::new(&api::openapi::document());
    let error = |code: &str| json!({"message": "No.", "code": code});
    let preflight = Reply { headers: HeaderMap::new(), ..with_body("", reply(204, &Value::Null)) };
    let file = with_body("GIF89a", without("retry-after", reply(206, &Value::Null)));
    let upload = "/api/uploads/0123456789abcdef01234567/0-A";
    for (method, path, reply) in [
        (Method::GET, LIST, reply(200, &json!([conversation()]))),
        (Method::GET, LIST, reply(200, &changed("/lastMessage", Value::Null))),
        (Method::HEAD, LIST, with_body("", reply(200, &Value::Null))),
        (Method::GET, LIST, reply(401, &error("unauthorized"))),
        (Method::GET, LIST, reply(503, &error("unavailable"))),
        (Method::POST, LIST, reply(201, &conversation())),
        (Method::PUT, LIST, reply(405, &error("method_not_allowed"))),
        (Method::GET, "/api/nothing", reply(404, &error("not_found"))),
        (Method::GET, upload, file),
        (Method::GET, upload, with_body("", reply(304, &Value::Null))),
        (Method::OPTIONS, LIST, preflight),
        (Method::POST, "/internal/commands", reply(200, &json!({"answers": []}))),
        (Method::GET, "/", with_body("<!doctype html>", reply(200, &Value::Null))),
    ] {
        assert_eq!(contract.check(&method, path, &reply), Ok(()), "{method} {path} {}", reply.status);
    }
}

#[test]
fn what_the_document_does_not_say_is_noticed() {
    let contract = Contract::new(&api::openapi::document());
    let good = || json!([conversation()]);
    let error = |code: &str| json!({"message": "No.", "code": code});
    let talkative = json!({"message": "No.", "code": "not_found", "stack": "main.rs"});
    let html = without("content-type", reply(200, &good()));
    for (method, path, reply, what) in [
        (Method::GET, LIST, reply(200, &conversation()), "not of type \"array\""),
        (Method::GET, LIST, reply(200, &changed("/unreadCount", json!("1"))), "/0/unreadCount"),
        (Method::GET, LIST, reply(200, &changed("/id", json!("12"))), "/0/id"),
        (Method::GET, LIST, reply(200, &changed("/createdAt", json!("now"))), "date-time"),
        (Method::GET, LIST, reply(200, &changed("/name", json!(7))), "/0/name"),
        // Nothing is given away, however deep, and nothing that may be missing is null.
        (Method::GET, LIST, reply(200, &changed("/directKey", json!("x"))), "'directKey' was unexpected"),
        (Method::GET, LIST, reply(200, &changed("/participants/0/email", json!("x"))), "/0/participants/0"),
        (
            Method::GET,
            LIST,
            reply(200, &changed("/lastMessage/sender/password", json!("x"))),
            "/0/lastMessage",
        ),
        (Method::GET, LIST, reply(200, &changed("/activityId", Value::Null)), "/0/activityId"),
        (Method::GET, LIST, reply(202, &good()), "no such status"),
        (Method::POST, LIST, reply(302, &good()), "no such status"),
        (Method::GET, LIST, reply(404, &talkative), "'stack' was unexpected"),
        (Method::GET, LIST, reply(404, &json!({"message": "No."})), "\"code\" is a required property"),
        (Method::GET, LIST, reply(404, &error("who_knows")), "/code"),
        (Method::GET, LIST, reply(404, &error("conflict")), "status 409"),
        (Method::GET, LIST, reply(500, &json!("oops")), "not of type \"object\""),
        (Method::GET, LIST, with_body("oops", reply(500, &Value::Null)), "no JSON"),
        (Method::GET, LIST, html, "not JSON"),
        (Method::HEAD, LIST, reply(200, &good()), "no body"),
        (Method::PUT, LIST, reply(200, &good()), "no such path or method"),
        (Method::GET, "/api/nothing", reply(200, &json!({})), "no such path or method"),
        (Method::GET, "/api/nothing", reply(403, &error("forbidden")), "no such path or method"),
        (Method::GET, LIST, without("x-content-type-options", reply(200, &good())), "nosniff"),
        (Method::GET, LIST, without("cache-control", reply(200, &good())), "be kept"),
        (Method::GET, LIST, without("x-request-id", reply(200, &good())), "name its request"),
        (Method::GET, LIST, without("retry-after", reply(503, &error("unavailable"))), "when to come back"),
        (Method::PUT, LIST, without("allow", reply(405, &error("method_not_allowed"))), "which methods"),
    ] {
        let problem = contract.check(&method, path, &reply).expect_err(what);
        assert!(problem.contains(what), "{what}: {problem}");
    }
}

#[tokio::test]
async fn a_test_fails_that_gets_another_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rest = Rest::new(&format!("http://{}", listener.local_addr().unwrap()));
    let test = tokio::spawn(async move { rest.get("/api/auth/me").await });
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_u8().await.unwrap();
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        .await
        .unwrap();
    let panic = test.await.unwrap_err().into_panic();
    let told = panic.downcast::<String>().unwrap();
    assert!(told.starts_with("GET /api/auth/me was answered against the document: 200 OK: "), "{told}");
}
