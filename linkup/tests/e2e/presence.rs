//! Presence and read receipts as gateways tell them to the api: what users are by that, whatever is lost, repeated or
//! late.
//!
//! | module | shows |
//! |---|---|
//! | [`deltas`] | versions, several gateways of one user, what was left undone |
//! | [`gateways`] | heartbeats, and gateways that fall silent |
//! | [`marks`] | `message:read` as a command |
//! | [`carried`] | what the change stream carries of all this |
//! | [`sockets`] | what connections make of it, and who sees it |

mod carried;
mod deltas;
mod gateways;
mod marks;
mod sockets;

use std::time::Duration;

use api::Config;
use mongodb::bson::{DateTime, Document, doc};
use protocol::command::{PATH, Presence};
use protocol::{Id, Timestamp};
use serde_json::{Value, json};
use store::Store;
use store::convert::oid;

use crate::rest::fixture::{Node, Person, config};
use crate::support::mongo_uri;
use crate::support::rest::Rest;

/// A gateway, as the api knows it: an identifier, and versions that rise.
struct Gateway {
    id: Id,
    rest: Rest,
}

impl Gateway {
    fn of(node: &Node) -> Self {
        Self { id: Id::mint(), rest: node.gateway() }
    }

    /// What a user has become here.
    fn delta(&self, user: Id, version: u64, presence: Presence) -> Value {
        self.delta_at(user, version, presence, Timestamp::now())
    }

    fn delta_at(&self, user: Id, version: u64, presence: Presence, at: Timestamp) -> Value {
        json!({"presence": {
            "gateway": self.id, "user": user, "version": version, "presence": presence, "at": at,
        }})
    }

    /// Tells that a user has become something.
    async fn tell(&self, user: Id, version: u64, presence: Presence) {
        let answers = batch(&self.rest, &[self.delta(user, version, presence)]).await;
        assert_eq!(answers, [json!({"ok": null})]);
    }

    /// Which of its lives it is told to be in.
    async fn beat(&self) -> i64 {
        let answers = batch(&self.rest, &[json!({"alive": {"gateway": self.id}})]).await;
        answers[0]["ok"]["epoch"].as_i64().unwrap_or_else(|| panic!("{answers:?}"))
    }

    /// Has the last heartbeat be so long ago.
    async fn silent_for(&self, store: &Store, time: Duration) -> Timestamp {
        let at = Timestamp::from_millis(Timestamp::now().millis() - time.as_millis() as i64);
        let heard = doc! {"$set": {"at": DateTime::from_millis(at.millis()), "alive": true}};
        let gateway = doc! {"_id": oid(self.id)};
        store.gateways().update_one(gateway, heard).upsert(true).await.unwrap();
        at
    }
}

/// Sends a batch as a gateway does.
async fn batch(gateway: &Rest, commands: &[Value]) -> Vec<Value> {
    let answers = gateway.post(PATH, &json!({"commands": commands})).await.ok();
    answers["answers"].as_array().unwrap().clone()
}

/// What somebody is, and when they became it, as others see it.
async fn seen(viewer: &Person, person: &Person) -> (String, Option<String>) {
    let user = viewer.sees(person).await;
    let text = |field: &str| user[field].as_str().map(str::to_owned);
    (text("status").unwrap(), text("lastSeen"))
}

async fn status(viewer: &Person, person: &Person) -> String {
    seen(viewer, person).await.0
}

/// A user's document of [`store::name::PRESENCE`].
async fn stored(store: &Store, user: Id) -> Option<Document> {
    store.presence().find_one(doc! {"_id": oid(user)}).await.unwrap()
}

/// A user's document, as it is stored.
async fn user(store: &Store, user: Id) -> Document {
    let users = store.users().clone_with_type::<Document>();
    users.find_one(doc! {"_id": oid(user)}).await.unwrap().unwrap()
}

/// A node that looks for silent gateways all the time.
async fn sweeping(uri: &str) -> Node {
    Node::with(uri, Config { sweep_interval: Duration::from_millis(50), ..config() }).await
}

/// A node that never looks for them.
async fn idle() -> Node {
    idle_on(&mongo_uri().await).await
}

async fn idle_on(uri: &str) -> Node {
    Node::with(uri, Config { sweep_interval: Duration::from_secs(3600), ..config() }).await
}

async fn people(node: &Node, count: usize) -> Vec<Person> {
    let mut people = Vec::with_capacity(count);
    for n in 0..count {
        people.push(node.person(&format!("Person {n}")).await);
    }
    people
}
