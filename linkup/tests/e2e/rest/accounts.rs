//! Register, login, me, and who is let in.

use std::time::Duration;

use hyper::StatusCode;
use protocol::Id;
use serde_json::{Value, json};
use store::bson::doc;
use store::convert::oid;

use super::fixture::{Node, tokens};
use crate::support::rest::Reply;
use crate::support::{SOON, eventually};

fn refused(reply: &Reply, status: u16, code: &str, message: &str) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.body);
    assert_eq!(reply.body, json!({"message": message, "code": code}));
}

#[tokio::test]
async fn one_registers_signs_in_and_is_oneself() {
    let node = Node::alone().await;
    let account = json!({"name": " Ada Lovelace ", "email": "Ada@Example.org", "password": "correct horse"});
    let reply = node.rest.post("/api/auth/register", &account).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let session = reply.body;
    let user = &session["user"];
    assert_eq!(user["_id"], user["id"]);
    for (field, value) in [
        ("name", json!("Ada Lovelace")),
        ("email", json!("ada@example.org")),
        ("username", json!("ada-lovelace")),
        ("avatar", Value::Null),
        ("status", json!("offline")),
        ("bio", json!("")),
        ("score", json!(0)),
        ("interests", json!([])),
        ("settings", json!({"notifications": true, "privacy": "public"})),
    ] {
        assert_eq!(user[field], value, "{field}");
    }
    for secret in ["password", "terms", "nameLower"] {
        assert!(user.get(secret).is_none(), "{secret}");
    }

    let credentials = json!({"email": "ADA@example.org", "password": "correct horse"});
    let login = node.rest.post("/api/auth/login", &credentials).await.ok();
    assert_eq!(login["user"], *user);
    for token in [&session["token"], &login["token"]] {
        let me = node.rest.with_token(token.as_str().unwrap()).get("/api/auth/me").await.ok();
        assert_eq!(me, *user);
    }
}

#[tokio::test]
async fn an_address_is_registered_once_and_a_handle_gets_a_suffix() {
    let node = Node::alone().await;
    let account = |email: &str| json!({"name": "Ada", "email": email, "password": "correct horse"});
    let register = async |email: &str| node.rest.post("/api/auth/register", &account(email)).await;
    assert_eq!(register("ada@example.org").await.ok()["user"]["username"], "ada");
    let reply = register("ADA@example.org").await;
    refused(&reply, 409, "conflict", "This email address is already registered");
    let handle = register("ada@example.com").await.ok()["user"]["username"].clone();
    assert!(handle.as_str().unwrap().starts_with("ada-"), "{handle}");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_answered_alike() {
    let node = Node::alone().await;
    let account = json!({"name": "Ada", "email": "ada@example.org", "password": "correct horse"});
    node.rest.post("/api/auth/register", &account).await.ok();
    for (email, password) in [("ada@example.org", "wrong horse"), ("bob@example.org", "correct horse")] {
        let reply = node.rest.post("/api/auth/login", &json!({"email": email, "password": password})).await;
        refused(&reply, 401, "unauthorized", "Invalid email or password");
    }
}

#[tokio::test]
async fn refusals_are_in_the_specifications_words() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let expired = node.rest.with_token(&tokens().sign(ada.id, Duration::ZERO).unwrap());
    let reply = eventually("a token expires within its second", SOON, async || {
        let reply = expired.get("/api/auth/me").await;
        (!reply.status.is_success()).then_some(reply)
    });
    refused(&reply.await, 401, "unauthorized", "Invalid token");
    let forged = protocol::token::Tokens::new(&[7; 32]).sign(ada.id, Duration::from_secs(60)).unwrap();
    let stranger = tokens().sign(Id::mint(), Duration::from_secs(60)).unwrap();
    let internal = tokens().sign_internal().unwrap();
    for path in ["/api/auth/me", "/api/users", "/api/conversations"] {
        refused(&node.rest.get(path).await, 401, "unauthorized", "Authorization token required");
        for token in [forged.as_str(), &internal, "junk"] {
            let reply = node.rest.with_token(token).get(path).await;
            refused(&reply, 401, "unauthorized", "Invalid token");
        }
        let reply = node.rest.with_token(&stranger).get(path).await;
        refused(&reply, 401, "unauthorized", "User not found");
        ada.rest.get(path).await.ok();
    }
}

#[tokio::test]
async fn a_deleted_user_is_out_at_once() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    ada.rest.get("/api/users").await.ok();
    node.store.users().delete_one(doc! {"_id": oid(ada.id)}).await.unwrap();
    refused(&ada.rest.get("/api/users").await, 401, "unauthorized", "User not found");
}

#[tokio::test]
async fn internal_routes_take_internal_tokens_only() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let connects = json!({"commands": [
        {"connect": {"user": ada.id, "issued_at": "2026-11-23T04:26:30.123Z"}},
        {"connect": {"user": Id::mint(), "issued_at": "2026-11-23T04:26:30.123Z"}},
    ]});
    let path = protocol::command::PATH;
    let reply = node.rest.post(path, &connects).await;
    refused(&reply, 401, "unauthorized", "Authorization token required");
    refused(&ada.rest.post(path, &connects).await, 401, "unauthorized", "Invalid token");
    let answers = node.gateway().post(path, &connects).await.ok()["answers"].clone();
    assert_eq!(answers[0]["ok"], json!({"_id": ada.id, "id": ada.id, "name": "Ada", "avatar": null}));
    assert_eq!(answers[1]["err"], json!({"message": "User not found", "code": "unauthorized"}));
}
