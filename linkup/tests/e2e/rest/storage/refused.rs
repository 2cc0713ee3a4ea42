//! Which documents the validators refuse.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc, serialize_to_document};
use protocol::command::Presence;
use protocol::{Id, Timestamp};
use service::metrics::Registry;
use store::conversation::direct_key;
use store::document::{
    Activity, ActivityChange, Conversation, ConversationChange, Kind, LastMessage, LastRead, Message,
    MessageChange, ReadCursor, ReadKey, ReadMark, User,
};
use store::presence::Delta;
use store::read::Move;
use store::{Store, StoreError, name};

use crate::support::mongo_uri;

/// A store with one valid document of a collection, of which wrong ones are made.
struct Sample {
    store: Store,
    collection: &'static str,
    good: Document,
}

impl Sample {
    /// Fails unless `good` is taken as it is.
    async fn of(collection: &'static str, good: &impl serde::Serialize) -> Self {
        let store =
            Store::connect(&mongo_uri().await, "storage-test", "api", &Registry::new()).await.unwrap();
        store.prepare().await.unwrap();
        let good = serialize_to_document(good).unwrap();
        let sample = Self { store, collection, good };
        sample.insert(&sample.good).await.unwrap();
        sample
    }

    /// Inserts a document, in place of what there is.
    async fn insert(&self, document: &Document) -> Result<(), StoreError> {
        let collection = self.store.database().collection::<Document>(self.collection);
        collection.delete_many(doc! {}).await.unwrap();
        collection.insert_one(document).await.map(drop).map_err(StoreError::from)
    }

    /// Fails unless each of these fields, given by their paths, must be there.
    async fn needs(&self, fields: &[&str]) {
        for path in fields {
            let mut without = self.good.clone();
            let (parent, field) = parent(&mut without, path);
            parent.remove(field).unwrap_or_else(|| panic!("{path} is not there"));
            self.assert_refused(&without, &format!("without {path}")).await;
        }
    }

    /// Fails unless none of these values is taken for its field.
    async fn refuses(&self, values: impl IntoIterator<Item = (&str, Bson)>) {
        for (path, value) in values {
            let mut wrong = self.good.clone();
            let what = format!("{path}: {}", &value.to_string().chars().take(60).collect::<String>());
            let (parent, field) = parent(&mut wrong, path);
            parent.insert(field, value);
            self.assert_refused(&wrong, &what).await;
        }
    }

    /// Fails unless each of these values is taken for its field.
    async fn takes(&self, values: impl IntoIterator<Item = (&str, Bson)>) {
        for (path, value) in values {
            let mut other = self.good.clone();
            let (parent, field) = parent(&mut other, path);
            parent.insert(field, value);
            self.insert(&other)
                .await
                .unwrap_or_else(|error| panic!("{path} of {}: {error:?}", self.collection));
        }
    }

    async fn assert_refused(&self, document: &Document, what: &str) {
        let refused = self.insert(document).await;
        assert!(matches!(refused, Err(StoreError::NotValid(_))), "{} {what}: {refused:?}", self.collection);
    }
}

/// The document in which a path ends, and the last field.
fn parent<'a, 'b>(document: &'a mut Document, path: &'b str) -> (&'a mut Document, &'b str) {
    match path.split_once('.') {
        Some((first, rest)) => parent(document.get_document_mut(first).unwrap(), rest),
        None => (document, path),
    }
}

fn ids(count: usize) -> Bson {
    (0..count).map(|_| ObjectId::new()).collect::<Vec<_>>().into()
}

/// Texts, and values of types, that a number, an identifier and a time must not be.
fn text() -> Bson {
    "x".into()
}

#[tokio::test]
async fn users() {
    let user =
        User::new("Ada".to_owned(), "a@x".to_owned(), "ada".to_owned(), "-".to_owned(), Timestamp::now());
    let users = Sample::of(name::USERS, &user).await;
    users.needs(&["username", "name", "nameLower", "terms", "email", "password", "status", "friends"]).await;
    users.needs(&["settings", "settings.privacy", "joinedDate", "createdAt", "updatedAt"]).await;
    users
        .refuses([
            ("_id", text()),
            ("name", 7.into()),
            ("name", "".into()),
            ("status", "busy".into()),
            ("friends", ids(2_001)),
            ("friends", Bson::Array(vec![text()])),
            ("blocked", ids(1_001)),
            ("interests", vec!["x"; 51].into()),
            ("generation", (-1_i64).into()),
            ("score", 1.5.into()),
            ("avatar", 7.into()),
            ("lastSeen", text()),
            ("presenceRev", text()),
            ("settings.privacy", "secret".into()),
            ("settings.notifications", 1.into()),
            ("probe", "a:b".into()),
            ("probe", Bson::Null),
            ("createdAt", text()),
        ])
        .await;
    users
        .takes([
            ("avatar", "/a.png".into()),
            ("lastSeen", DateTime::now().into()),
            ("friends", ids(2_000)),
            ("blocked", ids(1_000)),
            ("interests", vec!["x"; 50].into()),
            // An update that is written by hand has 32 bits.
            ("generation", 1_i32.into()),
            ("score", 5_i32.into()),
            ("settings.privacy", "friends-only".into()),
            ("probe", "default".into()),
            ("something", "new".into()),
        ])
        .await;
}

/// One with everything that it can have.
fn conversation() -> Conversation {
    let (ada, bob, now) = (Id::mint(), Id::mint(), Timestamp::now());
    Conversation {
        id: Id::mint(),
        name: None,
        kind: Kind::Direct,
        participants: vec![ada, bob],
        created_by: Some(ada),
        direct_key: Some(direct_key(ada, bob)),
        activity_id: Some(Id::mint()),
        last_message: Some(LastMessage {
            content: "hi".to_owned(),
            sender: ada,
            timestamp: now,
            seq: 1,
            rev: 0,
        }),
        created_at: now,
        updated_at: now,
        is_active: true,
        archived_seq: Some(0),
        blocked_by: vec![ada],
        probe: Some("default".to_owned()),
        rev: 1,
        change: Some(ConversationChange {
            kind: "reactivate".to_owned(),
            is_active: true,
            participants: vec![ada, bob],
            removed: Vec::new(),
            name: None,
            created_by: Some(ada),
            by: ada,
            at: now,
            rev: 1,
        }),
    }
}

#[tokio::test]
async fn conversations() {
    let conversations = Sample::of(name::CONVERSATIONS, &conversation()).await;
    conversations.needs(&["type", "participants", "isActive", "rev", "createdAt", "updatedAt"]).await;
    conversations.needs(&["lastMessage.seq", "change.kind", "change.at", "change.rev", "change.by"]).await;
    conversations
        .refuses([
            ("type", "room".into()),
            ("participants", ids(1_001)),
            ("participants", Bson::Array(vec![text()])),
            ("isActive", 1.into()),
            ("rev", (-1_i64).into()),
            ("rev", text()),
            ("directKey", "me:you".into()),
            ("activityId", Bson::Null),
            ("blockedBy", ids(3)),
            ("blockRev", text()),
            ("probe", "a b".into()),
            ("lastMessage.seq", 0_i64.into()),
            ("lastMessage.sender", text()),
            ("change.kind", "rename".into()),
            ("change.participants", ids(1_001)),
            ("updatedAt", 1_i64.into()),
        ])
        .await;
    conversations
        .takes([
            ("participants", ids(1_000)),
            ("participants", ids(0)),
            ("name", "A group".into()),
            ("type", "group".into()),
            ("rev", 1_i32.into()),
        ])
        .await;
}

/// One with everything that it can have.
fn message() -> Message {
    let (sender, conversation_id, now) = (Id::mint(), Id::mint(), Timestamp::now());
    Message {
        id: Id::mint(),
        conversation_id,
        seq: 1,
        sender,
        content: String::new(),
        content_type: "image".to_owned(),
        attachment_url: Some("/a.png".to_owned()),
        client_message_id: Some("1".to_owned()),
        created_at: now,
        updated_at: now,
        edited_at: Some(now),
        is_deleted: true,
        change: Some(MessageChange {
            kind: "delete".to_owned(),
            conversation_id,
            seq: 1,
            sender,
            created_at: now,
            at: now,
            rev: 2,
        }),
        received: None,
    }
}

#[tokio::test]
async fn messages() {
    let message = message();
    let messages = Sample::of(name::MESSAGES, &message).await;
    let needed =
        ["conversationId", "seq", "sender", "content", "contentType", "isDeleted", "createdAt", "updatedAt"];
    messages.needs(&needed).await;
    messages
        .refuses([
            ("conversationId", text()),
            ("seq", 0_i64.into()),
            // Numbers of two types would still be one order, but what reads them asks for one.
            ("seq", 1_i32.into()),
            ("sender", Bson::Null),
            ("content", 7.into()),
            ("contentType", "video".into()),
            ("attachmentUrl", Bson::Array(Vec::new())),
            ("createdAt", text()),
            ("isDeleted", "no".into()),
            ("change", text()),
            ("change.kind", "move".into()),
        ])
        .await;
    let plain =
        Message { attachment_url: None, client_message_id: None, edited_at: None, change: None, ..message };
    messages.insert(&serialize_to_document(&plain).unwrap()).await.unwrap();
}

#[tokio::test]
async fn activities() {
    let (host, now) = (Id::mint(), Timestamp::now());
    let activity = Activity {
        id: Id::mint(),
        host_id: host,
        title: "Chess".to_owned(),
        description: String::new(),
        activity_type: "hobby".to_owned(),
        location_type: "indoors".to_owned(),
        date_time: now,
        duration: 60,
        max_participants: 8,
        participants: vec![host],
        conversation_id: Some(Id::mint()),
        created_at: now,
        updated_at: now,
        change: Some(ActivityChange { kind: "join".to_owned(), user: host, at: now }),
    };
    let activities = Sample::of(name::ACTIVITIES, &activity).await;
    activities.needs(&["hostId", "title", "activityType", "dateTime", "duration", "maxParticipants"]).await;
    activities.needs(&["participants", "createdAt", "updatedAt", "change.kind", "change.user"]).await;
    activities
        .refuses([
            ("hostId", text()),
            ("title", "".into()),
            ("activityType", "party".into()),
            ("dateTime", text()),
            ("duration", 0_i64.into()),
            ("maxParticipants", text()),
            ("participants", ids(0)),
            ("participants", ids(1_001)),
            ("conversationId", Bson::Null),
            ("change.kind", "cancel".into()),
        ])
        .await;
    activities.takes([("participants", ids(1_000)), ("duration", 30_i32.into())]).await;
}

#[tokio::test]
async fn read_cursors() {
    let key = ReadKey { conversation: Id::mint(), user: Id::mint() };
    let mark = ReadMark { seq: 3, at: Timestamp::now() };
    let last = LastRead { seq: 3, at: mark.at, message_id: Id::mint(), sender: Id::mint() };
    let cursor = ReadCursor { seq: 3, marks: vec![mark; 16], last: Some(last), ..ReadCursor::new(key) };
    let reads = Sample::of(name::READS, &cursor).await;
    reads.needs(&["seq", "_id.c", "_id.u", "last.seq", "last.at", "last.messageId", "last.sender"]).await;
    let marks = |count: usize| Bson::from(vec![doc! {"seq": 3_i64, "at": DateTime::now()}; count]);
    reads
        .refuses([
            ("_id.u", text()),
            ("seq", (-1_i64).into()),
            ("from", text()),
            ("marks", marks(17)),
            ("marks", Bson::Array(vec![doc! {"seq": 3_i64}.into()])),
        ])
        .await;
    reads.takes([("seq", 3_i32.into()), ("marks", marks(0))]).await;
    // What the queries make of nothing is valid too.
    reads.store.start_cursors(Id::mint(), &[Id::mint()], 5).await.unwrap();
    let key = ReadKey { conversation: Id::mint(), user: Id::mint() };
    reads.store.advance_cursors(&[Move { key, last, is_new: true }]).await.unwrap();
}

#[tokio::test]
async fn presence() {
    let entry = doc! {"v": 1_i64, "s": "online"};
    let (user, gateway) = (ObjectId::new(), ObjectId::new().to_hex());
    let document = doc! {
        "_id": user, "g": {&gateway: entry}, "nodes": [&gateway], "status": "online",
        "rev": 1_i64, "at": DateTime::now(),
    };
    let presence = Sample::of(name::PRESENCE, &document).await;
    let (entry, version) = (format!("g.{gateway}"), format!("g.{gateway}.v"));
    presence.needs(&["g", "nodes", "status", "rev", "at", &version]).await;
    presence
        .refuses([
            ("status", "busy".into()),
            ("rev", 0_i64.into()),
            ("at", text()),
            ("nodes", vec![7].into()),
            ("nodes", text()),
            (&entry, text()),
            (&version, text()),
        ])
        .await;
    presence.takes([("nodes", Bson::Array(Vec::new())), ("g", doc! {}.into())]).await;
    // What the queries make of nothing is valid too.
    let (gateway, user) = (Id::mint(), Id::mint());
    let delta = Delta { gateway, user, version: 0, presence: Presence::Away, at: Timestamp::now() };
    assert_eq!(presence.store.tell_presence(&[delta]).await.unwrap().refused, [0; 0]);
}

#[tokio::test]
async fn gateways() {
    let document = doc! {"_id": ObjectId::new(), "at": DateTime::now(), "alive": true, "epoch": 1_i64};
    let gateways = Sample::of(name::GATEWAYS, &document).await;
    gateways.needs(&["at", "alive"]).await;
    gateways.refuses([("_id", text()), ("at", text()), ("alive", text()), ("epoch", Bson::Null)]).await;
    assert!(gateways.store.beat(Id::mint()).await.unwrap() > 0);
}
