//! Passwords, sessions, secrets, and the end of an account.

use api::Config;
use hyper::StatusCode;
use protocol::token::Tokens;
use protocol::upload::{Links, stored};
use protocol::{Id, Timestamp};
use serde_json::{Value, json};

use super::fixture::{Node, Person, config, each, id, refused, seq};
use crate::support::rest::{Reply, Rest};
use crate::support::stack::links;
use crate::support::{SECRET, mongo_uri};

const PASSWORD: &str = "correct horse";

/// Registers somebody whose address is their name's.
async fn register(node: &Node, name: &str) -> Person {
    let account = json!({"name": name, "email": email(name), "password": PASSWORD});
    let session = node.rest.post("/api/auth/register", &account).await.ok();
    let token = session["token"].as_str().unwrap().to_owned();
    Person { id: id(&session["user"]), rest: node.rest.with_token(&token), token }
}

fn email(name: &str) -> String {
    format!("{}@example.org", name.to_lowercase())
}

async fn login(node: &Node, name: &str, password: &str) -> Reply {
    node.rest.post("/api/auth/login", &json!({"email": email(name), "password": password})).await
}

/// Another session of somebody.
async fn session(node: &Node, name: &str) -> Rest {
    let session = login(node, name, PASSWORD).await.ok();
    node.rest.with_token(session["token"].as_str().unwrap())
}

/// Fails unless a session is over.
async fn over(rest: &Rest) {
    for path in ["/api/auth/me", "/api/users", "/api/conversations"] {
        refused(&rest.get(path).await, 401, "unauthorized", "Invalid token");
    }
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions_and_begins_one() {
    let node = Node::alone().await;
    let ada = register(&node, "Ada").await;
    let other = session(&node, "Ada").await;
    let before = ada.me().await;
    let change = json!({"currentPassword": PASSWORD, "newPassword": "battery staple"});
    let reply = ada.rest.put("/api/auth/password", &change).await;
    assert_eq!(reply.status, StatusCode::OK);
    let mut expected = before;
    expected["updatedAt"] = reply.body["user"]["updatedAt"].clone();
    assert_eq!(reply.body, json!({"user": expected, "token": reply.body["token"]}));
    over(&ada.rest).await;
    over(&other).await;
    let next = node.rest.with_token(reply.body["token"].as_str().unwrap());
    assert_eq!(next.get("/api/auth/me").await.ok(), expected);
    refused(&login(&node, "Ada", PASSWORD).await, 401, "unauthorized", "Invalid email or password");
    assert_eq!(login(&node, "Ada", "battery staple").await.ok()["user"], expected);
    // And again, from the session that it began.
    let change = json!({"currentPassword": "battery staple", "newPassword": PASSWORD});
    next.put("/api/auth/password", &change).await.ok();
    over(&next).await;
    login(&node, "Ada", PASSWORD).await.ok();
}

#[tokio::test]
async fn a_password_is_not_changed_without_the_old_one() {
    let node = Node::alone().await;
    let ada = register(&node, "Ada").await;
    let change = |current: Value, new: Value| json!({"currentPassword": current, "newPassword": new});
    let good = json!("battery staple");
    for (body, status, code, message) in [
        (change(json!("wrong horse"), good.clone()), 403, "forbidden", "Invalid password"),
        (
            change(json!(PASSWORD), json!("short")),
            400,
            "bad_request",
            "newPassword: must have 8 to 128 characters",
        ),
        (
            change(json!(PASSWORD), json!("x".repeat(129))),
            400,
            "bad_request",
            "newPassword: must have 8 to 128 characters",
        ),
        (change(json!(PASSWORD), Value::Null), 400, "bad_request", "newPassword: is required"),
        (change(Value::Null, good.clone()), 400, "bad_request", "currentPassword: is required"),
        (change(json!({"$ne": ""}), good.clone()), 400, "bad_request", "currentPassword: must be a string"),
        (
            change(json!(""), good.clone()),
            400,
            "bad_request",
            "currentPassword: must have 1 to 128 characters",
        ),
    ] {
        refused(&ada.rest.put("/api/auth/password", &body).await, status, code, message);
    }
    let body = change(json!(PASSWORD), good);
    let nobody = node.rest.put("/api/auth/password", &body).await;
    refused(&nobody, 401, "unauthorized", "Authorization token required");
    ada.me().await;
    login(&node, "Ada", PASSWORD).await.ok();
}

#[tokio::test]
async fn all_sessions_end_when_their_user_says_so() {
    let node = Node::alone().await;
    let (ada, bob) = (register(&node, "Ada").await, register(&node, "Bob").await);
    let other = session(&node, "Ada").await;
    for rest in [&ada.rest, &other] {
        rest.get("/api/auth/me").await.ok();
    }
    assert_eq!(other.delete("/api/auth/sessions", None).await.ok(), json!({"success": true}));
    for rest in [&ada.rest, &other] {
        over(rest).await;
        refused(&rest.delete("/api/auth/sessions", None).await, 401, "unauthorized", "Invalid token");
    }
    bob.me().await;
    // Another one can be begun, and ended.
    let third = session(&node, "Ada").await;
    third.get("/api/auth/me").await.ok();
    third.delete("/api/auth/sessions", None).await.ok();
    over(&third).await;
    session(&node, "Ada").await.get("/api/auth/me").await.ok();
}

#[tokio::test]
async fn a_secret_is_replaced_while_everybody_stays_signed_in() {
    let uri = mongo_uri().await;
    let with = async |tokens: Tokens| {
        let links = Links::new(tokens.clone(), None);
        Node::with(&uri, Config { tokens, links, ..config() }).await
    };
    let new = Tokens::new("another secret of the tests, of no use either".as_bytes());
    let (old_node, both, new_node) =
        (Node::on(&uri).await, with(new.clone().with_previous([SECRET])).await, with(new).await);
    let ada = register(&old_node, "Ada").await;
    let fresh = login(&both, "Ada", PASSWORD).await.ok()["token"].as_str().unwrap().to_owned();
    for (node, token, is_good) in [
        (&old_node, &ada.token, true),
        (&both, &ada.token, true),
        (&new_node, &ada.token, false),
        (&old_node, &fresh, false),
        (&both, &fresh, true),
        (&new_node, &fresh, true),
    ] {
        let rest = node.rest.with_token(token);
        if is_good {
            rest.get("/api/auth/me").await.ok();
        } else {
            over(&rest).await;
        }
    }
    // Addresses of uploads are signed by the same secrets.
    let address = links().shown(&stored(Id::mint()), Timestamp::now()).into_owned();
    let change = json!({ "avatar": address });
    let kept = both.rest.with_token(&fresh).put(&ada.path(), &change).await.ok()["avatar"].clone();
    assert_ne!(kept, json!(address));
    new_node.rest.with_token(&fresh).put(&ada.path(), &json!({ "avatar": kept })).await.ok();
    let reply = new_node.rest.with_token(&fresh).put(&ada.path(), &change).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    // A gateway that has the old secret still reaches a node that has both.
    let commands = json!({"commands": []});
    let internal = old_node.gateway();
    internal.post(protocol::command::PATH, &commands).await.ok();
    let internal = both.rest.with_token(&super::fixture::tokens().sign_internal().unwrap());
    internal.post(protocol::command::PATH, &commands).await.ok();
}

async fn end(person: &Person, password: &str) -> Reply {
    person.rest.delete(&person.path(), Some(&json!({ "password": password }))).await
}

#[tokio::test]
async fn an_account_is_not_ended_without_its_password() {
    let node = Node::alone().await;
    let (ada, bob) = (register(&node, "Ada").await, register(&node, "Bob").await);
    refused(&end(&ada, "wrong horse").await, 403, "forbidden", "Invalid password");
    for other in [bob.id, Id::mint()] {
        let reply =
            ada.rest.delete(&format!("/api/users/{other}"), Some(&json!({"password": PASSWORD}))).await;
        refused(&reply, 403, "forbidden", "This is not your account");
    }
    refused(
        &ada.rest.delete(&ada.path(), Some(&json!({}))).await,
        400,
        "bad_request",
        "password: is required",
    );
    let reply = ada.rest.delete(&ada.path(), None).await;
    refused(&reply, 415, "unsupported_media_type", "The body must be application/json");
    let nobody = node.rest.delete(&ada.path(), Some(&json!({"password": PASSWORD}))).await;
    refused(&nobody, 401, "unauthorized", "Authorization token required");
    for person in [&ada, &bob] {
        person.me().await;
    }
}

/// What a group has of its members, and whose it is, as somebody sees it.
async fn group(person: &Person, conversation: Id) -> (Vec<Value>, Value) {
    let group = person.rest.get(&format!("/api/conversations/{conversation}")).await.ok();
    (each(&group["participants"], "name"), group["createdBy"].clone())
}

#[tokio::test]
async fn a_deleted_user_leaves_their_words_and_nothing_else() {
    let node = Node::alone().await;
    let ada = register(&node, "Ada").await;
    let (bob, eve) = (node.person("Bob").await, node.person_with("Eve", "friends-only").await);
    ada.change(&json!({"avatar": "https://example.org/a.png"})).await;
    ada.add(&bob).await;
    ada.add(&eve).await;
    bob.add(&ada).await;
    let direct = ada.conversation(&[&bob]).await;
    let (of_ada, of_eve) = (ada.conversation(&[&bob, &eve]).await, eve.conversation(&[&ada, &bob]).await);
    for conversation in [direct, of_ada, of_eve] {
        ada.say(conversation, "hello").await;
    }
    let alone = ada.conversation(&[&bob, &eve]).await;
    let only_ada = json!({"participants": [ada.id]});
    ada.rest.put(&format!("/api/conversations/{alone}"), &only_ada).await.ok();
    let tea = json!({"title": "Tea", "activityType": "social", "dateTime": "2099-01-01T10:00:00Z"});
    let (hosted, joined) = (
        ada.rest.post("/api/activities", &tea).await.ok(),
        bob.rest.post("/api/activities", &tea).await.ok(),
    );
    let path =
        |activity: &Value, of: &str| format!("/api/activities/{}{of}", activity["id"].as_str().unwrap());
    bob.rest.post(&path(&hosted, "/join"), &json!({})).await.ok();
    ada.rest.post(&path(&joined, "/join"), &json!({})).await.ok();
    let at_ada = id(&bob.rest.get(&path(&hosted, "/conversation")).await.ok());
    let at_bob = id(&bob.rest.get(&path(&joined, "/conversation")).await.ok());
    ada.say(at_ada, "welcome").await;

    assert_eq!(end(&ada, PASSWORD).await.ok(), json!({"success": true}));
    refused(&ada.rest.get("/api/auth/me").await, 401, "unauthorized", "User not found");
    refused(&end(&ada, PASSWORD).await, 401, "unauthorized", "User not found");
    refused(&login(&node, "Ada", PASSWORD).await, 401, "unauthorized", "Invalid email or password");
    refused(&bob.rest.get(&ada.path()).await, 404, "not_found", "User not found");
    assert_eq!(bob.rest.get("/api/users?search=ada").await.ok(), json!([]));
    assert_eq!(
        (bob.me().await["friends"].clone(), eve.me().await["friends"].clone()),
        (json!([]), json!([]))
    );
    assert_eq!(bob.rest.get(&format!("{}/friends", bob.path())).await.ok(), json!([]));
    let waiting = eve.rest.get(&format!("{}/friends?status=received", eve.path())).await.ok();
    assert_eq!(waiting, json!([]));

    // What they wrote stays, as somebody's who is gone.
    let gone = json!({"_id": ada.id, "id": ada.id, "name": "Deleted user", "avatar": null});
    for conversation in [direct, of_ada, of_eve, at_ada] {
        let message = bob.messages(conversation, "").await.remove(0);
        assert_eq!((&message["sender"], message["content"] == ""), (&gone, false));
    }
    // Two people's conversation stays theirs, to the one who is left.
    let listed = bob.list().await;
    assert_eq!(listed.iter().find(|c| id(c) == direct).unwrap()["lastMessage"]["sender"], gone);
    assert!(
        bob.rest.get(&format!("/api/conversations/{direct}")).await.ok()["participants"]
            .as_array()
            .unwrap()
            .contains(&gone)
    );
    assert_eq!(seq(&bob.say(direct, "are you there?").await), 2);
    // Groups go on without them, and theirs are somebody else's.
    for (conversation, heirs) in [(of_ada, vec![bob.id, eve.id]), (of_eve, vec![eve.id])] {
        let (mut members, creator) = group(&bob, conversation).await;
        members.sort_by_key(Value::to_string);
        assert_eq!(members, ["Bob", "Eve"]);
        assert!(heirs.contains(&creator.as_str().unwrap().parse().unwrap()), "{creator}");
    }
    let stored = node.store.conversation(alone).await.unwrap().unwrap();
    assert!(!stored.is_active && stored.participants.is_empty());
    // What they hosted is cancelled, and what others host goes on without them.
    refused(&bob.rest.get(&path(&hosted, "")).await, 404, "not_found", "Activity not found");
    let activity = bob.rest.get(&path(&joined, "")).await.ok();
    assert_eq!(
        (each(&activity["participants"], "name"), &activity["participantCount"]),
        (vec![json!("Bob")], &json!(1))
    );
    assert_eq!(group(&bob, at_bob).await.0, ["Bob"]);
    assert_eq!(group(&bob, at_ada).await.0, ["Bob"]);
    assert!(listed.iter().all(|conversation| id(conversation) != at_ada));

    // Their address and handle are free again, for somebody who is nobody of before.
    let again = register(&node, "Ada").await;
    assert_ne!(again.id, ada.id);
    let me = again.me().await;
    assert_eq!((&me["username"], &me["friends"]), (&json!("ada"), &json!([])));
    assert!(again.list().await.is_empty());
}
