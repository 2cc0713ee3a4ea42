//! Registered users and their conversations.

use serde_json::{Value, json};

use super::rest::Rest;
use super::socket::{Comeback, Dialect, Socket};

/// A registered user.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) token: String,
    /// The REST API, as this user.
    pub(crate) rest: Rest,
}

/// Registers a user at `base`.
pub(crate) async fn register(base: &str, name: &str) -> Person {
    let rest = Rest::new(base);
    let email = format!("{}-{}@example.org", name.to_lowercase(), protocol::Id::mint());
    let body = json!({ "name": name, "email": email, "password": "correct horse" });
    let session = rest.post("/api/auth/register", &body).await.ok();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let token = text(&session["token"]);
    Person { id: text(&session["user"]["id"]), name: name.to_owned(), rest: rest.with_token(&token), token }
}

impl Person {
    /// Makes a conversation with `others` and returns its identifier.
    pub(crate) async fn talk_to(&self, others: &[&Self]) -> String {
        let others: Vec<&str> = others.iter().map(|person| person.id.as_str()).collect();
        let made = self.rest.post("/api/conversations", &json!({ "participants": others })).await.ok();
        made["id"].as_str().unwrap().to_owned()
    }

    /// Connects to `base` as this user.
    pub(crate) async fn connect(&self, base: &str, dialect: Dialect) -> Socket {
        let connected = Socket::connect(base, dialect, &self.token).await;
        connected.unwrap_or_else(|error| panic!("{} cannot connect: {error:?}", self.name))
    }

    /// Comes back to `base` after being cut off.
    pub(crate) async fn come_back(&self, base: &str, dialect: Dialect, from: &Comeback) -> Socket {
        let connected = Socket::come_back(base, dialect, &self.token, Some(from)).await;
        connected.unwrap_or_else(|error| panic!("{} cannot come back: {error:?}", self.name))
    }

    /// Sends a message over REST and returns it as stored.
    pub(crate) async fn say(&self, conversation: &str, content: &str) -> Value {
        self.rest.post(&messages_path(conversation), &json!({ "content": content })).await.ok()
    }

    /// All messages of a conversation after `seq`, page by page.
    pub(crate) async fn messages_after(&self, conversation: &str, seq: i64) -> Vec<Value> {
        let (mut messages, mut last) = (Vec::<Value>::new(), seq);
        loop {
            let path = format!("{}?limit=100&after={last}", messages_path(conversation));
            let page = self.rest.get(&path).await.ok();
            let page = page.as_array().expect("a list of messages");
            let Some(newest) = page.last() else { return messages };
            last = newest["seq"].as_i64().unwrap();
            messages.extend(page.iter().cloned());
        }
    }
}

/// The path of a conversation's messages.
fn messages_path(conversation: &str) -> String {
    format!("/api/conversations/{conversation}/messages")
}
