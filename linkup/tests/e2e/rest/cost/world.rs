//! A database with something of everything, and enough of it that MongoDB has a choice.

use std::time::Duration;

use api::Config;
use hyper::StatusCode;
use protocol::{Id, Timestamp};
use serde_json::{Value, json};
use store::Store;
use store::bson::doc;
use store::conversation::direct_key;
use store::convert::{oid, oids};
use store::document::{
    Activity, Conversation, Kind, Message, MessageChange, ReadCursor, ReadKey, ReadMark, User,
};
use store::upload::Metadata;

use super::monitor::Monitor;
use crate::rest::fixture::{Node, Person, config, id};
use crate::support::mongo_uri;

/// How many there are of everything, about.
const MANY: usize = 400;
/// The password of those who have one.
pub(super) const PASSWORD: &str = "correct horse";

/// A node on such a database, and who and what is in it.
pub(super) struct World {
    pub(super) node: Node,
    pub(super) monitor: Monitor,
    /// Who asks.
    pub(super) ada: Person,
    /// Who has a direct conversation with Ada.
    pub(super) bob: Person,
    pub(super) eve: Person,
    /// Everybody else.
    pub(super) crowd: Vec<Id>,
    /// Of Ada and Bob, with many messages.
    pub(super) direct: Id,
    /// Of Ada, Bob and Eve.
    pub(super) group: Id,
    /// Of Ada, Bob and 38 others, with some messages.
    pub(super) large: Id,
}

/// A node whose commands are noted, and which writes nothing unless it is asked.
pub(super) async fn watched() -> (Monitor, Node) {
    let (monitor, store) = Monitor::connect(&mongo_uri().await).await;
    // What is done behind the answers is done at some other time.
    let (view_interval, sweep_interval) = (Duration::from_secs(3600), Duration::from_secs(3600));
    (monitor, Node::over(store, Config { view_interval, sweep_interval, ..config() }).await)
}

impl World {
    pub(super) async fn make() -> Self {
        let (monitor, node) = watched().await;
        let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
        let crowd = crowd(&node.store, ada.id, bob.id).await;
        let direct = ada.conversation(&[&bob]).await;
        let group = ada.conversation(&[&bob, &eve]).await;
        let members: Vec<Id> = [ada.id, bob.id].into_iter().chain(crowd[100..138].iter().copied()).collect();
        let large = add_conversation(&node.store, conversation(members)).await;
        add_messages(&node.store, direct, &[ada.id, bob.id], MANY as i64).await;
        add_messages(&node.store, group, &[ada.id, bob.id, eve.id], 30).await;
        add_messages(&node.store, large, &[ada.id, bob.id, crowd[100]], 60).await;
        let world = Self { node, monitor, ada, bob, eve, crowd, direct, group, large };
        world.befriend().await;
        world.fill().await;
        world
    }

    /// Friends of Ada's, people whom she has added, people who have added her, and people whom she has blocked.
    async fn befriend(&self) {
        let users = self.node.store.users();
        let [friends, requested, received, blocked] =
            [0..10, 10..20, 20..30, 30..40].map(|range| &self.crowd[range]);
        let added = [friends, requested].concat();
        let own = doc! {"$set": {"friends": oids(added), "blocked": oids(blocked.to_vec())}};
        users.update_one(doc! {"_id": oid(self.ada.id)}, own).await.unwrap();
        let adding = doc! {"_id": {"$in": oids([friends, received].concat())}};
        users.update_many(adding, doc! {"$push": {"friends": oid(self.ada.id)}}).await.unwrap();
    }

    /// What has nothing to do with Ada, and lies around hers.
    async fn fill(&self) {
        let (store, crowd) = (&self.node.store, &self.crowd);
        for pair in crowd.windows(2) {
            let one = add_conversation(store, conversation(pair.to_vec())).await;
            let (messages, cursor) = (messages(one, pair, 2), cursor(one, pair[0], 1));
            store.messages().insert_many(messages).await.unwrap();
            store.reads().insert_one(cursor).await.unwrap();
        }
        let kinds = ["academic", "hobby", "wellness", "social"];
        let activities = (0..MANY).map(|n| {
            let host = crowd[n % 20];
            let participants = vec![host, crowd[(n % 7) + 40], crowd[(n % 11) + 60]];
            activity(host, participants, kinds[n % kinds.len()], n)
        });
        store.activities().insert_many(activities).await.unwrap();
        for _ in 0..MANY / 4 {
            let metadata = Metadata { owner: crowd[0], content_type: "text/plain".to_owned() };
            let mut upload = store.start_upload(metadata, None);
            upload.write(b"some text").await.unwrap();
            upload.finish().await.unwrap();
        }
    }

    /// Somebody with a password.
    pub(super) async fn registered(&self, name: &str) -> Person {
        let account = json!({"name": name, "email": format!("{name}@example.com"), "password": PASSWORD});
        let session = self.node.rest.post("/api/auth/register", &account).await.ok();
        self.node.as_person(id(&session["user"]))
    }

    /// An activity of `host`'s to come; `changed` says what is other than usual.
    pub(super) async fn activity(&self, host: &Person, changed: &Value) -> Id {
        let mut body = json!({"title": "Tea", "activityType": "social", "dateTime": "2099-01-01T12:00:00Z"});
        body.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        id(&host.rest.post("/api/activities", &body).await.ok())
    }

    /// The same, with a conversation.
    pub(super) async fn activity_with_conversation(&self, host: &Person) -> Id {
        let activity = self.activity(host, &json!({})).await;
        host.rest.get(&format!("/api/activities/{activity}/conversation")).await.ok();
        activity
    }

    /// The same, in which `guest` takes part.
    pub(super) async fn joined(&self, activity: Id, guest: &Person) -> Id {
        let reply = guest.rest.post(&format!("/api/activities/{activity}/join"), &json!({})).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        activity
    }
}

/// Many users, some of whom hide or are friends with each other.
async fn crowd(store: &Store, ada: Id, bob: Id) -> Vec<Id> {
    let mut users: Vec<User> = (0..MANY)
        .map(|n| {
            let (name, handle) = (format!("Crowd {n:03}"), format!("crowd-{n:03}"));
            let email = format!("{handle}@example.org");
            let mut user = User::new(name, email, handle, "no hash".to_owned(), Timestamp::now());
            user.score = (n % 90) as i64;
            user.settings.privacy = match n {
                // Those of whom tests want more than to be around.
                0..200 => "public",
                _ if n % 7 == 0 => "private",
                _ if n % 5 == 0 => "friends-only",
                _ => "public",
            }
            .to_owned();
            user
        })
        .collect();
    let ids: Vec<Id> = users.iter().map(|user| user.id).collect();
    for (n, user) in users.iter_mut().enumerate().skip(200) {
        user.friends = vec![ids[n - 1], ids[n - 2], bob];
        user.blocked = if n % 50 == 0 { vec![ada] } else { Vec::new() };
    }
    store.users().insert_many(users).await.unwrap();
    ids
}

/// A conversation of these people that began just now.
pub(super) fn conversation(participants: Vec<Id>) -> Conversation {
    let now = Timestamp::now();
    let direct_key = match participants[..] {
        [one, other] => Some(direct_key(one, other)),
        _ => None,
    };
    Conversation {
        id: Id::mint(),
        name: None,
        kind: if direct_key.is_some() { Kind::Direct } else { Kind::Group },
        created_by: Some(participants[0]),
        participants,
        direct_key,
        activity_id: None,
        last_message: None,
        created_at: now,
        updated_at: now,
        is_active: true,
        archived_seq: None,
        blocked_by: Vec::new(),
        probe: None,
        rev: 0,
        change: None,
    }
}

async fn add_conversation(store: &Store, conversation: Conversation) -> Id {
    store.insert_conversation(&conversation).await.unwrap();
    conversation.id
}

/// Messages 1 to `count`, of these senders in turn; every fourth was edited.
pub(super) fn messages(conversation: Id, senders: &[Id], count: i64) -> Vec<Message> {
    let began = Timestamp::now().millis() - 1_000 * count;
    let message = |seq: i64| {
        let sender = senders[seq as usize % senders.len()];
        let created_at = Timestamp::from_millis(began + seq * 10);
        let change = MessageChange {
            kind: "edit".to_owned(),
            conversation_id: conversation,
            seq,
            sender,
            created_at,
            at: created_at,
            rev: 1,
        };
        Message {
            id: Id::mint(),
            conversation_id: conversation,
            seq,
            sender,
            content: format!("message {seq}"),
            content_type: "text".to_owned(),
            attachment_url: None,
            client_message_id: (seq % 2 == 0).then(|| format!("client {seq}")),
            created_at,
            updated_at: created_at,
            edited_at: None,
            is_deleted: false,
            change: (seq % 4 == 0).then_some(change),
            received: None,
        }
    };
    (1..=count).map(message).collect()
}

pub(super) async fn add_messages(store: &Store, conversation: Id, senders: &[Id], count: i64) {
    store.messages().insert_many(messages(conversation, senders, count)).await.unwrap();
    let cursors = senders.iter().map(|user| cursor(conversation, *user, count / 2));
    store.reads().insert_many(cursors).await.unwrap();
}

fn cursor(conversation: Id, user: Id, seq: i64) -> ReadCursor {
    let marks = vec![ReadMark { seq, at: Timestamp::now() }];
    ReadCursor { seq, marks, ..ReadCursor::new(ReadKey { conversation, user }) }
}

/// An activity that begins in so many days.
pub(super) fn activity(host: Id, participants: Vec<Id>, kind: &str, days: usize) -> Activity {
    let now = Timestamp::now();
    Activity {
        id: Id::mint(),
        host_id: host,
        title: format!("In {days} days"),
        description: String::new(),
        activity_type: kind.to_owned(),
        location_type: String::new(),
        date_time: Timestamp::from_millis(now.millis() + 86_400_000 * (days as i64 + 1)),
        duration: 60,
        max_participants: 10,
        participants,
        conversation_id: None,
        created_at: now,
        updated_at: now,
        change: None,
    }
}
