//! Register, login, me, and who is let in.

use std::time::Duration;

use hyper::StatusCode;
use protocol::Id;
use serde_json::json;
use store::bson::doc;
use store::convert::oid;

use super::fixture::{Node, refused, tokens};
use crate::support::{SOON, eventually};

#[tokio::test]
async fn one_registers_signs_in_and_is_oneself() {
    let node = Node::alone().await;
    let account = json!({"name": " Ada Lovelace ", "email": "Ada@Example.org", "password": "correct horse"});
    let reply = node.rest.post("/api/auth/register", &account).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let session = reply.body;
    let user = &session["user"];
    let (id, at) = (&user["id"], &user["createdAt"]);
    let expected = json!({
        "_id": id, "id": id, "username": "ada-lovelace", "name": "Ada Lovelace", "avatar": null,
        "email": "ada@example.org", "status": "offline", "bio": "", "score": 0, "interests": [],
        "location": "", "occupation": "", "friends": [], "joinedDate": at,
        "settings": {"notifications": true, "privacy": "public"}, "createdAt": at, "updatedAt": at,
    });
    assert_eq!(session, json!({"user": expected, "token": session["token"]}));

    let credentials = json!({"email": "ADA@example.org", "password": "correct horse"});
    let login = node.rest.post("/api/auth/login", &credentials).await;
    assert_eq!(login.status, StatusCode::OK);
    assert_eq!(login.body["user"], *user);
    for token in [&session["token"], &login.body["token"]] {
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
    let (ada, hour) = (node.person("Ada").await, Duration::from_secs(60 * 60));
    let expired = node.rest.with_token(&tokens().sign(ada.id, 0, Duration::ZERO).unwrap());
    let reply = eventually("a token expires within its second", SOON, async || {
        let reply = expired.get("/api/auth/me").await;
        (!reply.status.is_success()).then_some(reply)
    });
    refused(&reply.await, 401, "unauthorized", "Invalid token");
    let forged = protocol::token::Tokens::new(&[7; 32]).sign(ada.id, 0, hour).unwrap();
    // Neither of before all sessions were ended nor of after.
    let of_another_time = [-1, 1].map(|generation| tokens().sign(ada.id, generation, hour).unwrap());
    let stranger = tokens().sign(Id::mint(), 0, hour).unwrap();
    let internal = tokens().sign_internal().unwrap();
    for path in ["/api/auth/me", "/api/users", "/api/conversations", "/api/activities"] {
        refused(&node.rest.get(path).await, 401, "unauthorized", "Authorization token required");
        for token in [&forged, &internal, &of_another_time[0], &of_another_time[1], "junk"] {
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
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    bob.rest.delete("/api/auth/sessions", None).await.ok();
    let connect = |user: Id, generation: i64| json!({"connect": {"user": user, "generation": generation}});
    let connects = json!({"commands": [
        connect(ada.id, 0), connect(Id::mint(), 0), connect(bob.id, 0), connect(bob.id, 1), connect(ada.id, 1),
    ]});
    let path = protocol::command::PATH;
    let reply = node.rest.post(path, &connects).await;
    refused(&reply, 401, "unauthorized", "Authorization token required");
    refused(&ada.rest.post(path, &connects).await, 401, "unauthorized", "Invalid token");
    let answers = node.gateway().post(path, &connects).await.ok();
    let ok = |id: Id, name: &str| json!({"ok": {"_id": id, "id": id, "name": name, "avatar": null}});
    let err = |message: &str| json!({"err": {"message": message, "code": "unauthorized"}});
    let ended = err("Authentication error");
    let expected = [ok(ada.id, "Ada"), err("User not found"), ended.clone(), ok(bob.id, "Bob"), ended];
    assert_eq!(answers, json!({ "answers": expected }));
}
