//! Who tries too often is told when to come back.

use std::time::Duration;

use api::Config;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Method, Request};
use protocol::Id;
use serde_json::{Value, json};
use service::client_address::TrustedProxies;
use service::throttle::Rate;

use super::fixture::{Node, config, refused};
use crate::support::rest::Reply;
use crate::support::{SOON, eventually, mongo_uri};

/// So many times in so long a time that none comes back while a test runs.
fn times(count: u32) -> Rate {
    Rate { count, per: Duration::from_secs(60 * 60) }
}

async fn node(config: Config) -> Node {
    Node::with(&mongo_uri().await, config).await
}

/// A request that comes from an address, by way of this machine.
async fn from(
    node: &Node,
    address: &str,
    (method, path, body): (Method, &str, &Value),
    token: &str,
) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", node.address))
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header("x-forwarded-for", address)
        .body(Full::new(Bytes::from(body.to_string())));
    node.rest.send(request.unwrap()).await
}

/// An attempt to sign in that leads nowhere, and costs nothing to be refused.
async fn try_from(node: &Node, address: &str) -> Reply {
    from(node, address, (Method::POST, "/api/auth/login", &json!({})), "").await
}

fn throttled(reply: &Reply, at_most: u64) {
    refused(reply, 429, "too_many_requests", "Too many requests, please try again later");
    let wait: u64 = reply.headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=at_most).contains(&wait), "{wait}");
}

#[tokio::test]
async fn an_address_has_so_many_attempts_at_everything_that_takes_a_password() {
    let node = node(Config { auth_rate_per_address: times(4), ..config() }).await;
    let ada = node.person("Ada").await;
    let (empty, path) = (json!({}), ada.path());
    let attempts = [
        (Method::POST, "/api/auth/register", &empty),
        (Method::POST, "/api/auth/login", &empty),
        (Method::PUT, "/api/auth/password", &empty),
        (Method::DELETE, path.as_str(), &empty),
    ];
    for attempt in attempts.clone() {
        assert_eq!(from(&node, "198.51.100.1", attempt, &ada.token).await.status, 400);
    }
    for attempt in attempts.clone() {
        // A quarter of an hour for each of four.
        throttled(&from(&node, "198.51.100.1", attempt, &ada.token).await, 15 * 60);
    }
    // Others are not held up, nor is what takes no password.
    for attempt in attempts {
        assert_eq!(from(&node, "198.51.100.2", attempt, &ada.token).await.status, 400);
    }
    let me = (Method::GET, "/api/auth/me", &empty);
    assert_eq!(from(&node, "198.51.100.1", me, &ada.token).await.status, 200);
}

#[tokio::test]
async fn a_proxy_is_believed_what_it_saw_and_nothing_that_it_was_told() {
    let node = node(Config { auth_rate_per_address: times(2), ..config() }).await;
    for n in 1..=2 {
        assert_eq!(try_from(&node, &format!("203.0.113.{n}, 198.51.100.1")).await.status, 400);
    }
    throttled(&try_from(&node, "203.0.113.3, 198.51.100.1").await, 30 * 60);
    throttled(&try_from(&node, "198.51.100.1:4711").await, 30 * 60);
    assert_eq!(try_from(&node, "198.51.100.1, 198.51.100.2").await.status, 400);
    // All of this machine's proxies are passed by.
    throttled(&try_from(&node, "198.51.100.1, 127.0.0.1").await, 30 * 60);
}

#[tokio::test]
async fn whoever_is_no_trusted_proxy_is_not_believed_at_all() {
    let nobody = TrustedProxies::default();
    let node = node(Config { auth_rate_per_address: times(2), trusted_proxies: nobody, ..config() }).await;
    for n in 1..=2 {
        assert_eq!(try_from(&node, &format!("198.51.100.{n}")).await.status, 400);
    }
    throttled(&try_from(&node, "198.51.100.3").await, 30 * 60);
}

#[tokio::test]
async fn a_network_of_ipv6_addresses_counts_as_one() {
    let node = node(Config { auth_rate_per_address: times(2), ..config() }).await;
    for n in 1..=2 {
        assert_eq!(try_from(&node, &format!("2001:db8:1:2::{n}")).await.status, 400);
    }
    throttled(&try_from(&node, "2001:db8:1:2:ffff::1").await, 30 * 60);
    assert_eq!(try_from(&node, "2001:db8:1:3::1").await.status, 400);
}

#[tokio::test]
async fn a_password_cannot_be_guessed_from_many_addresses() {
    let node = node(Config { auth_rate_per_account: times(3), ..config() }).await;
    let account = |email: &str, password: &str| json!({"name": "Ada", "email": email, "password": password});
    let register = account("ada@example.org", "correct horse");
    node.rest.post("/api/auth/register", &register).await.ok();
    let login = async |n: usize, email: &str, password: &str| {
        let body = account(email, password);
        from(&node, &format!("198.51.100.{n}"), (Method::POST, "/api/auth/login", &body), "").await
    };
    // Whether there is such an account or not.
    for email in ["ada@example.org", "nobody@example.org"] {
        for n in 0..3 {
            let reply = login(n, email, "wrong horse").await;
            refused(&reply, 401, "unauthorized", "Invalid email or password");
        }
        throttled(&login(4, email, "correct horse").await, 20 * 60);
        throttled(&login(5, &email.to_uppercase(), "correct horse").await, 20 * 60);
    }
    refused(&login(6, "bob@example.org", "x").await, 401, "unauthorized", "Invalid email or password");
    // Whether an address is taken cannot be asked without end either.
    for n in 0..3 {
        let call = (Method::POST, "/api/auth/register", &register);
        let reply = from(&node, &format!("203.0.113.{n}"), call, "").await;
        assert_eq!(reply.status.as_u16(), if n < 2 { 409 } else { 429 }, "{}", reply.body);
    }
}

#[tokio::test]
async fn a_stolen_token_does_not_help_to_guess_the_password() {
    let node = node(Config { auth_rate_per_account: times(3), ..config() }).await;
    let account = json!({"name": "Ada", "email": "ada@example.org", "password": "correct horse"});
    let session = node.rest.post("/api/auth/register", &account).await.ok();
    let path = format!("/api/users/{}", session["user"]["id"].as_str().unwrap());
    let rest = node.rest.with_token(session["token"].as_str().unwrap());
    let change = |current: &str| json!({"currentPassword": current, "newPassword": "battery staple"});
    let wrong = json!({"password": "wrong horse"});
    for _ in 0..2 {
        let reply = rest.put("/api/auth/password", &change("wrong horse")).await;
        refused(&reply, 403, "forbidden", "Invalid password");
    }
    refused(&rest.delete(&path, Some(&wrong)).await, 403, "forbidden", "Invalid password");
    throttled(&rest.put("/api/auth/password", &change("correct horse")).await, 20 * 60);
    throttled(&rest.delete(&path, Some(&json!({"password": "correct horse"}))).await, 20 * 60);
    // The owner is not locked out by that, the session goes on, and so do others.
    node.rest.post("/api/auth/login", &account).await.ok();
    rest.get("/api/auth/me").await.ok();
    assert_eq!(rest.get(&format!("/api/users/{}", Id::mint())).await.status, 404);
}

#[tokio::test]
async fn whoever_waits_as_long_as_they_were_told_may_try_again() {
    let rate = Rate { count: 1, per: Duration::from_secs(2) };
    let node = node(Config { auth_rate_per_address: rate, ..config() }).await;
    let refused = eventually("somebody tries twice within a moment", SOON, async || {
        assert_eq!(eventually("an attempt is taken", SOON, async || taken(&node).await.ok()).await, 400);
        taken(&node).await.err()
    });
    throttled(&refused.await, 2);
    // Trying meanwhile makes it no longer.
    eventually("another attempt is taken", SOON, async || taken(&node).await.ok()).await;
}

/// The status of an attempt that was not throttled; the answer to one that was.
async fn taken(node: &Node) -> Result<u16, Reply> {
    let reply = try_from(node, "198.51.100.1").await;
    if reply.status == 429 { Err(reply) } else { Ok(reply.status.as_u16()) }
}

#[tokio::test]
async fn a_user_brings_so_many_people_into_conversations() {
    let node = node(Config { invite_rate_per_user: times(4), ..config() }).await;
    let ada = node.person("Ada").await;
    let mut people = Vec::new();
    for n in 0..6 {
        people.push(node.person(&format!("Person {n}")).await);
    }
    let begin = async |ids: &[Id]| ada.rest.post("/api/conversations", &json!({"participants": ids})).await;
    // More than there can ever be.
    let all: Vec<Id> = people.iter().map(|person| person.id).collect();
    throttled(&begin(&all).await, 60 * 60);
    let group = begin(&all[..3]).await.ok();
    let path = format!("/api/conversations/{}", group["id"].as_str().unwrap());
    let members = |more: &[Id]| {
        let ids = [&[ada.id], more].concat();
        json!({ "participants": ids })
    };
    // Only those who are new count.
    ada.rest.put(&path, &members(&all[..4])).await.ok();
    throttled(&ada.rest.put(&path, &members(&all[..5])).await, 15 * 60);
    throttled(&begin(&all[5..]).await, 15 * 60);
    // To be brought in costs nothing, nor does what is there already, and others have their own count.
    let direct = people[5].conversation(&[&ada]).await;
    assert_eq!(begin(&all[5..]).await.ok()["id"], json!(direct));
}

#[tokio::test]
async fn a_user_changes_conversations_and_activities_so_often() {
    let node = node(Config { change_rate_per_user: times(3), ..config() }).await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let group = ada.conversation(&[&bob, &eve]).await;
    let tea = json!({"title": "Tea", "activityType": "social", "dateTime": "2099-06-01T10:00:00.000Z"});
    let tea = bob.rest.post("/api/activities", &tea).await.ok()["id"].clone();
    let rename =
        async |name: &str| ada.rest.put(&format!("/api/conversations/{group}"), &json!({"name": name})).await;
    let go = async |how: &str| {
        ada.rest.post(&format!("/api/activities/{}/{how}", tea.as_str().unwrap()), &json!({})).await
    };
    rename("Chess").await.ok();
    go("join").await.ok();
    go("leave").await.ok();
    for refused in [rename("Go").await, go("join").await, go("leave").await] {
        throttled(&refused, 20 * 60);
    }
    let shown = ada.rest.get(&format!("/api/conversations/{group}")).await.ok();
    assert_eq!(shown["name"], "Chess");
    // Others have their own count.
    let left = json!({"participants": [ada.id, eve.id]});
    bob.rest.put(&format!("/api/conversations/{group}"), &left).await.ok();
}
