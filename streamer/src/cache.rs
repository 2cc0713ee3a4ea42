//! Participants and what others see of users, kept coherent by the stream itself.
//!
//! Whatever is not cached is loaded *as it was just before the batch at hand* and then changed by the batch's
//! own changes, in order. So a streamer that lags, or starts again minutes back, addresses each message to
//! the participants of its own time and not to today's.

use std::sync::Arc;

use mongodb::Database;
use mongodb::bson::{Document, RawDocument, doc};
use protocol::{Id, Timestamp};
use rustc_hash::{FxHashMap, FxHashSet};
use store::name;
use store::stream::{StreamError, snapshot};
use tracing::warn;

use crate::change::{Change, Kind, SummaryChange, date, id, ids, optional_str};
use crate::metrics::METRICS;

/// The most conversations, and the most users, that are kept between batches.
const CAPACITY: usize = 200_000;

/// What is known of a conversation.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) participants: Arc<[Id]>,
    pub(crate) name: Option<String>,
    pub(crate) kind: String,
    pub(crate) created_by: Option<Id>,
    pub(crate) activity_id: Option<Id>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) is_active: bool,
}

/// What others see of a user.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) name: String,
    pub(crate) avatar: Option<String>,
    pub(crate) status: String,
}

/// The caches.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    pub(crate) conversations: FxHashMap<Id, Conversation>,
    pub(crate) users: FxHashMap<Id, Summary>,
}

/// What a batch needs and the caches do not have.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    conversations: FxHashSet<Id>,
    users: FxHashSet<Id>,
}

impl Missing {
    pub(crate) fn is_empty(&self) -> bool {
        self.conversations.is_empty() && self.users.is_empty()
    }
}

impl Cache {
    /// Notes what is needed to address `change` and is not cached.
    pub(crate) fn note_missing(&self, change: &Change<'_>, missing: &mut Missing) {
        let mut conversation = |id: &Id| {
            if !self.conversations.contains_key(id) {
                missing.conversations.insert(*id);
            }
        };
        let users: &[Id] = match &change.kind {
            Kind::Message(message) => {
                conversation(&message.conversation);
                std::slice::from_ref(&message.sender)
            }
            Kind::ConversationMade(_, made) => &made.participants,
            Kind::ConversationChanged(id, change) => {
                conversation(id);
                &change.participants
            }
            _ => &[],
        };
        missing.users.extend(users.iter().filter(|user| !self.users.contains_key(user)));
    }

    /// Loads what is missing, as it was at cluster time `at`. What did not exist then stays missing; the stream
    /// brings it. So does a document that is not as LinkUp writes it: it must not stop everybody's events.
    pub(crate) async fn load(
        &mut self,
        database: &Database,
        missing: Missing,
        at: u64,
    ) -> Result<(), StreamError> {
        if !missing.conversations.is_empty() {
            let fields = doc! {
                "participants": 1, "name": 1, "type": 1, "createdBy": 1, "activityId": 1, "createdAt": 1,
                "updatedAt": 1, "isActive": 1,
            };
            for document in fetch(database, name::CONVERSATIONS, &missing.conversations, fields, at).await? {
                keep(&mut self.conversations, &document, Conversation::parse);
            }
        }
        if !missing.users.is_empty() {
            let fields = doc! { "name": 1, "avatar": 1, "status": 1 };
            for document in fetch(database, name::USERS, &missing.users, fields, at).await? {
                keep(&mut self.users, &document, Summary::parse);
            }
        }
        Ok(())
    }

    /// Applies the changed fields of a user's summary, if it is cached.
    pub(crate) fn change_user(&mut self, user: Id, change: SummaryChange) {
        let Some(summary) = self.users.get_mut(&user) else { return };
        if let Some(name) = change.name {
            summary.name = name;
        }
        if let Some(avatar) = change.avatar {
            summary.avatar = avatar;
        }
        if let Some(status) = change.status {
            summary.status = status;
        }
    }

    /// Keeps the caches within their capacity. Only between batches, since a batch counts on what was loaded
    /// for it. Half of an overfull cache goes, whichever half: loading again is one query.
    pub(crate) fn trim(&mut self) {
        trim(&mut self.conversations);
        trim(&mut self.users);
    }
}

/// Caches a document, if it can be read.
fn keep<T>(
    map: &mut FxHashMap<Id, T>,
    document: &RawDocument,
    parse: fn(&RawDocument) -> Result<T, StreamError>,
) {
    match id(document, "_id").and_then(|id| Ok((id, parse(document)?))) {
        Ok((id, parsed)) => drop(map.insert(id, parsed)),
        Err(error) => {
            METRICS.malformed.inc();
            warn!(id = ?document.get("_id").ok().flatten(), %error, "a document was left out: it is not as LinkUp writes it");
        }
    }
}

fn trim<T>(map: &mut FxHashMap<Id, T>) {
    if map.len() > CAPACITY {
        let mut keep = false;
        map.retain(|_, _| {
            keep = !keep;
            keep
        });
    }
}

async fn fetch(
    database: &Database,
    collection: &str,
    ids: &FxHashSet<Id>,
    fields: Document,
    at: u64,
) -> Result<Vec<mongodb::bson::RawDocumentBuf>, StreamError> {
    let filter = doc! { "_id": { "$in": store::convert::oids(ids.iter().copied()) } };
    snapshot(database, collection, filter, fields, at).await
}

impl Conversation {
    /// Reads a conversation's document.
    pub(crate) fn parse(document: &RawDocument) -> Result<Self, StreamError> {
        let optional_id = |field| document.get_object_id(field).ok().map(store::convert::id);
        Ok(Self {
            participants: ids(document.get_array("participants")?)?.into(),
            name: optional_str(document, "name")?.map(str::to_owned),
            kind: document.get_str("type")?.to_owned(),
            created_by: optional_id("createdBy"),
            activity_id: optional_id("activityId"),
            created_at: date(document, "createdAt")?,
            updated_at: date(document, "updatedAt")?,
            is_active: document.get_bool("isActive")?,
        })
    }
}

impl Summary {
    /// Reads a user's document.
    pub(crate) fn parse(document: &RawDocument) -> Result<Self, StreamError> {
        Ok(Self {
            name: document.get_str("name")?.to_owned(),
            avatar: optional_str(document, "avatar")?.map(str::to_owned),
            status: optional_str(document, "status")?.unwrap_or("offline").to_owned(),
        })
    }
}
