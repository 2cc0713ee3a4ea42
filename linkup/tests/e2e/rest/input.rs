//! What is refused, and how.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};
use protocol::Id;
use protocol::body::MAX_CONTENT_CHARS;
use serde_json::{Value, json};

use super::fixture::{Node, Person};
use crate::support::rest::Reply;

/// A request with any body and any content type.
async fn raw(node: &Node, person: &Person, method: Method, path: &str, kind: &str, body: String) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", node.address))
        .header(AUTHORIZATION, format!("Bearer {}", person.token))
        .header(CONTENT_TYPE, kind)
        .body(Full::new(Bytes::from(body)));
    node.rest.send(request.unwrap()).await
}

fn assert_refused(reply: &Reply, field: &str, what: &str) {
    assert_eq!(reply.status.as_u16(), 400, "{what}: {}", reply.body);
    assert_eq!(reply.body["code"], "bad_request", "{what}");
    let message = reply.body["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("{field}: ")), "{what}: {message}");
}

#[tokio::test]
async fn bodies_are_refused_by_field() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let conversation = ada.conversation(&[&bob]).await;
    let group = ada.conversation(&[&bob, &eve]).await;
    let (register, login, create) = ("/api/auth/register", "/api/auth/login", "/api/conversations");
    let send = &format!("/api/conversations/{conversation}/messages");
    let change = &format!("/api/conversations/{group}");
    let operator = json!({"$ne": null});
    let account = |field: &str, value: Value| {
        let mut account = json!({"name": "Ada", "email": "a@example.org", "password": "correct horse"});
        account[field] = value;
        account
    };
    let many: Vec<Id> = (0..1001).map(|_| Id::mint()).collect();
    let upload = protocol::upload::stored(Id::mint());
    for (method, path, body, field) in [
        (Method::POST, register, json!([]), "body"),
        (Method::POST, register, json!({"email": "a@example.org", "password": "correct horse"}), "name"),
        (Method::POST, register, account("name", operator.clone()), "name"),
        (Method::POST, register, account("name", json!(" ")), "name"),
        (Method::POST, register, account("name", json!("x".repeat(81))), "name"),
        (Method::POST, register, account("email", json!("ada")), "email"),
        (Method::POST, register, account("email", operator.clone()), "email"),
        (Method::POST, register, account("password", json!("short")), "password"),
        (Method::POST, register, account("password", json!("x".repeat(129))), "password"),
        (Method::POST, register, account("password", json!(12_345_678)), "password"),
        (Method::POST, login, json!({"email": operator, "password": operator}), "email"),
        (Method::POST, login, json!({"email": "a@example.org", "password": operator}), "password"),
        (Method::POST, create, json!({}), "participants"),
        (Method::POST, create, json!({"participants": "all"}), "participants"),
        (Method::POST, create, json!({"participants": [operator]}), "participants"),
        (Method::POST, create, json!({"participants": ["x"]}), "participants"),
        (Method::POST, create, json!({"participants": [ada.id]}), "participants"),
        (Method::POST, create, json!({"participants": [Id::mint()]}), "participants"),
        (Method::POST, create, json!({"participants": many}), "participants"),
        (Method::POST, create, json!({"participants": [bob.id], "name": operator}), "name"),
        (Method::PUT, change, json!({"name": 7}), "name"),
        (Method::PUT, change, json!({"participants": operator}), "participants"),
        (Method::PUT, change, json!({"participants": []}), "participants"),
        (Method::PUT, change, json!({"participants": [ada.id, bob.id, Id::mint()]}), "participants"),
        (Method::POST, send, json!("hi"), "body"),
        (Method::POST, send, json!({}), "content"),
        (Method::POST, send, json!({"content": operator}), "content"),
        (Method::POST, send, json!({"content": " \n"}), "content"),
        (Method::POST, send, json!({"content": "é".repeat(MAX_CONTENT_CHARS + 1)}), "content"),
        (Method::POST, send, json!({"content": "a", "contentType": "video"}), "contentType"),
        (Method::POST, send, json!({"content": "a", "attachmentUrl": "javascript:x"}), "attachmentUrl"),
        (Method::POST, send, json!({"content": "a", "clientMessageId": operator}), "clientMessageId"),
        (Method::POST, send, json!({"content": "a", "attachmentUrl": "/api/users"}), "attachmentUrl"),
        // An upload is named by an address that was given out, not by its identifier.
        (Method::POST, send, json!({"content": "a", "attachmentUrl": upload}), "attachmentUrl"),
        (Method::PUT, &ada.path(), json!({"avatar": upload}), "avatar"),
    ] {
        let reply = raw(&node, &ada, method, path, "application/json", body.to_string()).await;
        assert_refused(&reply, field, &format!("{path} {body}"));
    }
    for body in ["{", "", "{\"content\":\"a\"}}", "\u{0}"] {
        let reply = raw(&node, &ada, Method::POST, send, "application/json", body.to_owned()).await;
        assert_refused(&reply, "body", body);
    }
    assert!(ada.everything(conversation).await.is_empty());
}

#[tokio::test]
async fn queries_and_paths_are_refused_by_name() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let messages = |query: &str| format!("/api/conversations/{conversation}/messages?{query}");
    for (path, field) in [
        ("/api/users?limit=0".to_owned(), "limit"),
        ("/api/users?limit=101".to_owned(), "limit"),
        ("/api/users?page=0".to_owned(), "page"),
        ("/api/users?page=x".to_owned(), "page"),
        ("/api/users?page=101".to_owned(), "page"),
        ("/api/users?search=%00".to_owned(), "search"),
        (format!("/api/users?search={}", "x+".repeat(11)), "search"),
        ("/api/users?sort=age".to_owned(), "sort"),
        ("/api/activities?activityType=sleep".to_owned(), "activityType"),
        ("/api/activities?hostId=42".to_owned(), "hostId"),
        ("/api/activities?from=now".to_owned(), "from"),
        (format!("{}/friends?status=best", ada.path()), "status"),
        (format!("{}/blocks?limit=101", ada.path()), "limit"),
        (messages("page=101"), "page"),
        (format!("/api/users?search={}", "x".repeat(201)), "search"),
        (format!("/api/conversations/{conversation}?limit=-1"), "limit"),
        (messages("before=yesterday"), "before"),
        (messages("after=-1"), "after"),
        (messages("after=1&before=2"), "before"),
        (messages("before=2&updatedAfter=2026-11-23T04:26:30Z"), "before"),
        (messages("after=1&updatedAfter=2026-11-23T04:26:30Z"), "after"),
        (messages("updatedAfter=1"), "updatedAfter"),
        ("/api/conversations/42".to_owned(), "id"),
        ("/api/conversations/42/messages".to_owned(), "id"),
        ("/api/activities/42".to_owned(), "id"),
        ("/api/users/42/friends".to_owned(), "id"),
    ] {
        assert_refused(&ada.rest.get(&path).await, field, &path);
    }
}

#[tokio::test]
async fn other_refusals_are_json_too() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let reply = ada.rest.get("/api/nothing").await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (404, &json!("not_found")));

    let reply = ada.rest.put("/api/conversations", &json!({})).await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (405, &json!("method_not_allowed")));
    assert_eq!(reply.headers[ALLOW], "GET, HEAD, POST");

    let login = "/api/auth/login";
    let reply = raw(&node, &ada, Method::POST, login, "text/plain", "{}".to_owned()).await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (415, &json!("unsupported_media_type")));

    let reply = raw(&node, &ada, Method::POST, login, "application/json", " ".repeat(65_537)).await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (413, &json!("too_large")));
    // The longest text fits, however it is escaped.
    let body = format!(r#"{{"content":"{}"}}"#, "\\ud83d\\ude00".repeat(MAX_CONTENT_CHARS));
    let bob = node.person("Bob").await;
    let path = format!("/api/conversations/{}/messages", ada.conversation(&[&bob]).await);
    let reply = raw(&node, &ada, Method::POST, &path, "application/json; charset=utf-8", body).await;
    assert_eq!(reply.ok()["content"].as_str().unwrap().chars().count(), MAX_CONTENT_CHARS);
}

#[tokio::test]
async fn conversations_of_others_stay_theirs() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let conversation = ada.conversation(&[&bob]).await;
    let message = ada.say(conversation, "hi").await["_id"].as_str().unwrap().to_owned();
    let replies = async |conversation: Id, message: &str| {
        let path = format!("/api/conversations/{conversation}");
        let text = json!({"content": "hi"});
        [
            eve.rest.get(&path).await,
            eve.rest.put(&path, &json!({"name": "x"})).await,
            eve.rest.delete(&path, None).await,
            eve.rest.get(&format!("{path}/messages")).await,
            eve.rest.post(&format!("{path}/messages"), &text).await,
            eve.rest.put(&format!("/api/messages/{message}/read"), &json!({})).await,
            eve.rest.put(&format!("/api/messages/{message}"), &text).await,
            eve.rest.delete(&format!("/api/messages/{message}"), None).await,
        ]
    };
    for reply in replies(conversation, &message).await {
        assert_eq!((reply.status.as_u16(), &reply.body["code"]), (403, &json!("forbidden")));
    }
    for reply in replies(Id::mint(), &Id::mint().to_string()).await {
        assert_eq!((reply.status.as_u16(), &reply.body["code"]), (404, &json!("not_found")));
    }
    assert_eq!(ada.everything(conversation).await.len(), 1);
}
