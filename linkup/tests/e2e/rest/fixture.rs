//! An api node and its users, without the cost of hashing their passwords.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::Config;
use protocol::probe::Name;
use protocol::token::Tokens;
use protocol::{Id, Timestamp};
use serde_json::{Value, json};
use service::metrics::Registry;
use service::monitoring::Monitoring;
use service::throttle::Rate;
use store::Store;
use store::document::User;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::rest::{Reply, Rest};
use crate::support::{SECRET, mongo_uri};

/// One api node, run in this process.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    /// As nobody.
    pub(crate) rest: Rest,
    pub(crate) store: Store,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

/// A registered user with a token.
pub(crate) struct Person {
    pub(crate) id: Id,
    pub(crate) rest: Rest,
    pub(crate) token: String,
}

pub(crate) fn tokens() -> Tokens {
    Tokens::new(SECRET.as_bytes())
}

/// The defaults, but for what would hold tests up.
pub(crate) fn config() -> Config {
    // More often than any test tries.
    let often = Rate { count: 1_000_000, per: Duration::from_secs(1) };
    Config {
        auth_rate_per_address: often,
        auth_rate_per_account: often,
        invite_rate_per_user: often,
        change_rate_per_user: often,
        upload_rate_per_user: often,
        view_interval: Duration::from_millis(100),
        ..Config::new(tokens())
    }
}

impl Node {
    /// A node on a database of its own.
    pub(crate) async fn alone() -> Self {
        Self::on(&mongo_uri().await).await
    }

    /// A node on this database.
    pub(crate) async fn on(uri: &str) -> Self {
        Self::with(uri, config()).await
    }

    /// A node on this database with these settings.
    pub(crate) async fn with(uri: &str, config: Config) -> Self {
        let store = Store::connect(uri, "api-test", "api", &Registry::new()).await.unwrap();
        store.prepare().await.unwrap();
        Self::over(store, config).await
    }

    /// A node that uses this prepared store.
    pub(crate) async fn over(store: Store, config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let running = api::run(listener, store.clone(), config, Monitoring::default(), shutdown.clone());
        let task = tokio::spawn(running);
        Self { address, rest: Rest::new(&format!("http://{address}")), store, shutdown, task }
    }

    /// A new user.
    pub(crate) async fn person(&self, name: &str) -> Person {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let handle = format!("user{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let email = format!("{handle}@example.org");
        let user = User::new(name.to_owned(), email, handle, "no hash".to_owned(), Timestamp::now());
        self.store.insert_user(&user).await.unwrap();
        self.as_person(user.id)
    }

    /// A new user whose profile is `public`, `friends-only` or `private`.
    pub(crate) async fn person_with(&self, name: &str, privacy: &str) -> Person {
        let person = self.person(name).await;
        person.change(&json!({"settings": {"privacy": privacy}})).await;
        person
    }

    /// Somebody who exists, as seen by this node. Their sessions were never ended.
    pub(crate) fn as_person(&self, id: Id) -> Person {
        let token = tokens().sign(id, 0, Duration::from_secs(60 * 60)).unwrap();
        Person { id, rest: self.rest.with_token(&token), token }
    }

    /// A client with a gateway's token.
    pub(crate) fn gateway(&self) -> Rest {
        self.rest.with_token(&tokens().sign_internal().unwrap())
    }

    /// A client with the token of the probe of this name.
    pub(crate) fn probe(&self, name: &Name) -> Rest {
        self.rest.with_token(&tokens().sign_probe(name).unwrap())
    }

    /// Stops the node and waits until it has stopped.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

impl Person {
    /// A conversation with these people, made by this one.
    pub(crate) async fn conversation(&self, others: &[&Person]) -> Id {
        let participants: Vec<Id> = others.iter().map(|person| person.id).collect();
        let reply = self.rest.post("/api/conversations", &json!({ "participants": participants })).await;
        id(&reply.ok())
    }

    /// Sends a text and returns the message.
    pub(crate) async fn say(&self, conversation: Id, text: &str) -> Value {
        let path = format!("/api/conversations/{conversation}/messages");
        self.rest.post(&path, &json!({ "content": text })).await.ok()
    }

    /// The messages that a query finds.
    pub(crate) async fn messages(&self, conversation: Id, query: &str) -> Vec<Value> {
        let path = format!("/api/conversations/{conversation}/messages?{query}");
        self.rest.get(&path).await.ok().as_array().unwrap().clone()
    }

    /// All messages of a conversation, oldest first, deleted ones too.
    pub(crate) async fn everything(&self, conversation: Id) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().map_or(0, seq);
            let page = self.messages(conversation, &format!("after={after}&limit=100")).await;
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// The caller's list of conversations.
    pub(crate) async fn list(&self) -> Vec<Value> {
        self.rest.get("/api/conversations").await.ok().as_array().unwrap().clone()
    }

    /// Where their profile is.
    pub(crate) fn path(&self) -> String {
        format!("/api/users/{}", self.id)
    }

    /// Their profile, as they see it.
    pub(crate) async fn me(&self) -> Value {
        self.rest.get("/api/auth/me").await.ok()
    }

    /// Changes fields of their profile, which is returned.
    pub(crate) async fn change(&self, fields: &Value) -> Value {
        self.rest.put(&self.path(), fields).await.ok()
    }

    /// Somebody's profile, as this person sees it.
    pub(crate) async fn sees(&self, other: &Self) -> Value {
        self.rest.get(&other.path()).await.ok()
    }

    /// Adds somebody as a friend; this person afterwards.
    pub(crate) async fn add(&self, other: &Self) -> Value {
        self.rest.post(&format!("{}/friends/{}", self.path(), other.id), &json!({})).await.ok()
    }

    /// Blocks somebody; this person afterwards.
    pub(crate) async fn block(&self, other: &Self) -> Value {
        self.rest.post(&format!("{}/blocks/{}", self.path(), other.id), &json!({})).await.ok()
    }
}

/// Fails unless a request was refused like this, in exactly these words.
pub(crate) fn refused(reply: &Reply, status: u16, code: &str, message: &str) {
    assert_eq!((reply.status.as_u16(), &reply.body), (status, &json!({"message": message, "code": code})));
}

/// A field of each of these.
pub(crate) fn each(list: &Value, field: &str) -> Vec<Value> {
    list.as_array().unwrap().iter().map(|item| item[field].clone()).collect()
}

pub(crate) fn id(value: &Value) -> Id {
    assert_eq!(value["_id"], value["id"], "{value}");
    value["_id"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn seq(message: &Value) -> i64 {
    message["seq"].as_i64().unwrap()
}

/// Fails unless the messages are numbered 1, 2, 3 … without a gap and no time goes back.
pub(crate) fn assert_gapless(messages: &[Value], count: usize) {
    let numbers: Vec<i64> = messages.iter().map(seq).collect();
    assert_eq!(numbers, (1..=count as i64).collect::<Vec<_>>());
    let times: Vec<&str> = messages.iter().map(|message| message["createdAt"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

/// Fails unless no text is there twice and none of `texts` is missing.
pub(crate) fn assert_each_once(messages: &[Value], texts: impl IntoIterator<Item = String>) {
    let mut found: Vec<String> = messages.iter().map(|m| m["content"].as_str().unwrap().to_owned()).collect();
    let mut wanted: Vec<String> = texts.into_iter().collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}
