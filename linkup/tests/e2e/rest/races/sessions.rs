//! Accounts, passwords, sessions and friends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use protocol::Id;
use serde_json::{Value, json};
use store::bson::doc;
use store::convert::oid;
use store::document::User;

use super::{Pair, at_once, count, post, put, statuses};
use crate::rest::fixture::{Person, each, id, tokens};

const PASSWORD: &str = "correct horse";

impl Pair {
    /// Somebody with a password.
    async fn registered(&self, name: &str) -> Person {
        let account = json!({"name": name, "email": email(name), "password": PASSWORD});
        let session = self.0[0].rest.post("/api/auth/register", &account).await.ok();
        self.0[0].as_person(id(&session["user"]))
    }

    async fn user(&self, id: Id) -> Option<User> {
        self.0[0].store.user(id).await.unwrap()
    }

    /// The status of an attempt to sign in.
    async fn login(&self, name: &str, password: &str) -> StatusCode {
        let credentials = json!({"email": email(name), "password": password});
        self.0[1].rest.post("/api/auth/login", &credentials).await.status
    }
}

fn email(name: &str) -> String {
    format!("{name}@example.org")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_one_account_however_many_register_it() {
    let pair = Pair::start().await;
    let account = |n: usize| {
        // As different as people write one address.
        let email = ["ada@example.org", "Ada@Example.ORG"][n % 2];
        json!({"name": "Ada", "email": email, "password": format!("{PASSWORD} {n}")})
    };
    let registrations = (0..20).map(|n| post(pair.0[n % 2].rest.clone(), "/api/auth/register", account(n)));
    let replies = at_once(registrations).await;
    let counts = (count(&replies, StatusCode::CREATED), count(&replies, StatusCode::CONFLICT));
    assert_eq!(counts, (1, 19), "{:?}", statuses(&replies));
    let winner = replies.iter().position(|reply| reply.status == StatusCode::CREATED).unwrap();
    for n in [winner, (winner + 1) % 20] {
        let right = pair.login("ada", &format!("{PASSWORD} {n}")).await == StatusCode::OK;
        assert_eq!(right, n == winner);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_one_name_all_get_a_handle() {
    let pair = Pair::start().await;
    let registrations = (0..20).map(|n| {
        let account = json!({"name": "Ada", "email": email(&n.to_string()), "password": PASSWORD});
        post(pair.0[n % 2].rest.clone(), "/api/auth/register", account)
    });
    let replies = at_once(registrations).await;
    assert_eq!(count(&replies, StatusCode::CREATED), 20, "{:?}", statuses(&replies));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_cross_make_friends() {
    let pair = Pair::start().await;
    for round in 0..12 {
        let privacy = ["friends-only", "public"][round % 2];
        let ada = pair.0[0].person_with("Ada", privacy).await;
        let bob = pair.0[0].person_with("Bob", privacy).await;
        let add = |n: usize, one: &Person, other: &Person| {
            post(pair.at(n, one), &format!("{}/friends/{}", one.path(), other.id), json!({}))
        };
        for reply in at_once([add(0, &ada, &bob), add(1, &bob, &ada)]).await {
            reply.ok();
        }
        for (one, other) in [(&ada, &bob), (&bob, &ada)] {
            let list = async |status: &str| {
                one.rest.get(&format!("{}/friends?status={status}", one.path())).await.ok()
            };
            assert_eq!(each(&list("friends").await, "id"), [json!(other.id)]);
            assert_eq!((list("requested").await, list("received").await), (json!([]), json!([])));
            assert_eq!(one.sees(other).await["friendship"], "friends");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_blocked_while_they_become_a_friend_is_none() {
    let pair = Pair::start().await;
    for _ in 0..15 {
        let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
        let path = |one: &Person, what: &str, other: &Person| format!("{}/{what}/{}", one.path(), other.id);
        let changes = [
            post(pair.at(0, &ada), &path(&ada, "friends", &bob), json!({})),
            post(pair.at(1, &bob), &path(&bob, "blocks", &ada), json!({})),
        ];
        let replies = at_once(changes).await;
        assert_eq!(replies[1].status, StatusCode::OK);
        let bob = pair.user(bob.id).await.unwrap();
        assert_eq!((bob.friends, bob.blocked), (Vec::new(), vec![ada.id]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_new_passwords_one_counts() {
    let pair = Pair::start().await;
    for round in 0..3 {
        let name = format!("ada{round}");
        let ada = pair.registered(&name).await;
        let new = ["battery staple", "something else"];
        let changes = new.iter().enumerate().map(|(n, new)| {
            let change = json!({"currentPassword": PASSWORD, "newPassword": new});
            put(pair.at(n, &ada), "/api/auth/password", change)
        });
        let replies = at_once(changes).await;
        let won = replies.iter().position(|reply| reply.status == StatusCode::OK);
        let won = won.unwrap_or_else(|| panic!("{:?}", statuses(&replies)));
        // Refused because of the other change, or because that has ended the session already.
        let lost = replies[1 - won].status;
        assert!([StatusCode::CONFLICT, StatusCode::UNAUTHORIZED].contains(&lost), "{lost}");
        assert_eq!(pair.login(&name, new[won]).await, StatusCode::OK);
        assert_eq!(pair.login(&name, new[1 - won]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(pair.login(&name, PASSWORD).await, StatusCode::UNAUTHORIZED);
        // The session that the change began is the only one left.
        let token = replies[won].body["token"].as_str().unwrap();
        for node in &pair.0 {
            assert_eq!(node.rest.with_token(token).get("/api/auth/me").await.status, StatusCode::OK);
            assert_eq!(
                node.rest.with_token(&ada.token).get("/api/auth/me").await.status,
                StatusCode::UNAUTHORIZED
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_with_an_ended_session_is_answered() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
    let sends = format!("/api/conversations/{}/messages", ada.conversation(&[&bob]).await);
    for generation in 0..5_i64 {
        let token = |generation| tokens().sign(ada.id, generation, Duration::from_secs(60)).unwrap();
        let now = token(generation);
        let ended = Arc::new(AtomicBool::new(false));
        let clients = (0..6).map(|n| {
            let (rest, ended, sends) = (pair.0[n % 2].rest.with_token(&now), ended.clone(), sends.clone());
            async move {
                loop {
                    let before = ended.load(Ordering::SeqCst);
                    let reply = match n % 3 {
                        0 => rest.get("/api/auth/me").await,
                        1 => rest.get("/api/conversations").await,
                        _ => rest.post(&sends, &json!({"content": "hi"})).await,
                    };
                    if reply.status == StatusCode::UNAUTHORIZED {
                        return;
                    }
                    assert!(reply.status.is_success(), "{}: {}", reply.status, reply.body);
                    assert!(!before, "answered after all sessions were ended");
                }
            }
        });
        let clients: Vec<_> = clients.map(tokio::spawn).collect();
        pair.0[0].rest.with_token(&now).delete("/api/auth/sessions", None).await.ok();
        ended.store(true, Ordering::SeqCst);
        for client in clients {
            client.await.unwrap();
        }
        pair.0[1].rest.with_token(&token(generation + 1)).get("/api/auth/me").await.ok();
    }
}

/// What goes on and on until somebody is gone, each returning when it is told so.
struct Haunt<'a> {
    pair: &'a Pair,
    ada: Person,
    bob: Person,
    eve: Person,
}

impl Haunt<'_> {
    fn tea() -> Value {
        json!({"title": "Tea", "activityType": "social", "dateTime": "2099-01-01T12:00:00Z"})
    }

    /// Ada begins groups with her.
    async fn taken_in(&self) {
        let (rest, members) =
            (self.pair.at(1, &self.ada), json!({"participants": [self.bob.id, self.eve.id]}));
        while rest.post("/api/conversations", &members).await.status == StatusCode::CREATED {}
    }

    /// Ada adds her to groups that are there.
    async fn added(&self) {
        let (rest, third) = (self.pair.at(0, &self.ada), self.pair.person("Third").await);
        loop {
            let members = json!({"participants": [self.bob.id, third.id]});
            let group = id(&rest.post("/api/conversations", &members).await.ok());
            let more = json!({"participants": [self.ada.id, self.bob.id, third.id, self.eve.id]});
            let reply = rest.put(&format!("/api/conversations/{group}"), &more).await;
            if reply.status != StatusCode::OK {
                return;
            }
        }
    }

    /// She hosts activities.
    async fn hosting(&self) {
        let rest = self.pair.at(1, &self.eve);
        while rest.post("/api/activities", &Self::tea()).await.status == StatusCode::CREATED {}
    }

    /// She joins activities of Bob's.
    async fn joining(&self) {
        let (rest, host) = (self.pair.at(0, &self.eve), self.pair.at(0, &self.bob));
        loop {
            let activity = id(&host.post("/api/activities", &Self::tea()).await.ok());
            let reply = rest.post(&format!("/api/activities/{activity}/join"), &json!({})).await;
            if reply.status != StatusCode::OK {
                return;
            }
        }
    }

    /// She deletes her account.
    async fn going(&self) {
        let password = json!({"password": PASSWORD});
        self.pair.at(1, &self.eve).delete(&self.eve.path(), Some(&password)).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_is_gone_takes_part_in_anything() {
    let pair = &Pair::start().await;
    let store = &pair.0[0].store;
    for round in 0..6 {
        let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
        let haunt = Haunt { pair, ada, bob, eve: pair.registered(&format!("eve{round}")).await };
        tokio::join!(haunt.going(), haunt.taken_in(), haunt.added(), haunt.hosting(), haunt.joining());
        assert!(pair.user(haunt.eve.id).await.is_none());
        let me = oid(haunt.eve.id);
        let (member, host) = (doc! {"participants": me}, doc! {"hostId": me});
        let groups = store.conversations().count_documents(member.clone()).await.unwrap();
        let joined = store.activities().count_documents(member).await.unwrap();
        let hosted = store.activities().count_documents(host).await.unwrap();
        assert_eq!((groups, joined, hosted), (0, 0, 0), "groups, activities joined or hosted, hosted");
    }
}
