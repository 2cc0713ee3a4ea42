//! Participants and what others see of users, kept coherent by the stream itself.
//!
//! Whatever is not cached is loaded *as it was just before the batch at hand* and then changed by the batch's
//! own changes, in order. So a streamer that lags, or starts again minutes back, addresses each message to
//! the participants of its own time and not to today's.
//!
//! | module | holds |
//! |---|---|
//! | [`missing`] | what a batch needs and the caches do not have |

mod missing;

use std::sync::Arc;

use mongodb::bson::RawDocument;
use protocol::{Id, Timestamp};
use rustc_hash::{FxHashMap, FxHashSet};
use store::document::Kind;
use store::stream::StreamError;
use tracing::warn;

use crate::change::UserChange;
use crate::change::raw::{date, id, ids, optional_date, optional_ids, optional_str};
use crate::metrics::Metrics;

pub(crate) use missing::{CONVERSATION_FIELDS, Missing};

/// The most conversations, users and activities, each, that are kept between batches.
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
    /// Whether one of the two of a direct conversation has blocked the other; `None` where that changed and was not
    /// looked up since.
    pub(crate) blocked: Option<bool>,
}

/// What others see of a user.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) name: String,
    pub(crate) avatar: Option<String>,
    pub(crate) status: String,
    pub(crate) last_seen: Option<Timestamp>,
}

/// Who takes part in an activity.
#[derive(Debug, Clone)]
pub(crate) struct Activity {
    pub(crate) host: Id,
    pub(crate) participants: Arc<[Id]>,
}

/// The caches.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) conversations: FxHashMap<Id, Conversation>,
    pub(crate) users: FxHashMap<Id, Summary>,
    pub(crate) activities: FxHashMap<Id, Activity>,
    /// Conversations that are being looked up beside the stream, as long as the stream does not change them: what
    /// is found of these is true when it arrives, too.
    looked_up: FxHashSet<Id>,
    metrics: Arc<Metrics>,
}

impl Cache {
    /// Empty caches.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let (conversations, users, activities) = Default::default();
        Self { conversations, users, activities, looked_up: FxHashSet::default(), metrics }
    }

    /// Applies the changed fields of a user's summary, if it is cached.
    pub(crate) fn change_user(&mut self, user: Id, change: UserChange) {
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
        summary.last_seen = change.last_seen.or(summary.last_seen);
    }

    /// Notes that the stream changes a conversation.
    pub(crate) fn touch(&mut self, conversation: Id) {
        self.looked_up.remove(&conversation);
    }

    /// Notes that these conversations are being looked up as they are after all changes so far.
    pub(crate) fn looking_up(&mut self, conversations: impl IntoIterator<Item = Id>) {
        self.looked_up = conversations.into_iter().collect();
    }

    /// Takes in what was found, but for what has changed meanwhile. Returns those that were looked up, have not changed
    /// and do not exist.
    pub(crate) fn learn(&mut self, found: &[impl AsRef<RawDocument>]) -> FxHashSet<Id> {
        let mut looked_up = std::mem::take(&mut self.looked_up);
        for document in found {
            if id(document.as_ref(), "_id").is_ok_and(|id| looked_up.remove(&id)) {
                keep(&mut self.conversations, document.as_ref(), Conversation::parse, &self.metrics);
            }
        }
        looked_up
    }

    /// Keeps the caches within their capacity. Only between batches, since a batch counts on what was loaded
    /// for it. Half of an overfull cache goes, whichever half: loading again is one query.
    pub(crate) fn trim(&mut self) {
        trim(&mut self.conversations);
        trim(&mut self.users);
        trim(&mut self.activities);
    }
}

/// Caches a document, if it can be read.
fn keep<T>(
    map: &mut FxHashMap<Id, T>,
    document: &RawDocument,
    parse: fn(&RawDocument) -> Result<T, StreamError>,
    metrics: &Metrics,
) {
    match id(document, "_id").and_then(|id| Ok((id, parse(document)?))) {
        Ok((id, parsed)) => drop(map.insert(id, parsed)),
        Err(error) => {
            metrics.skipped.increment(1);
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
            blocked: Some(!optional_ids(document, "blockedBy")?.is_empty()),
        })
    }

    /// Whether this user takes part.
    pub(crate) fn has(&self, user: Id) -> bool {
        self.participants.contains(&user)
    }

    /// Whether its participants may know whether the others are there, and what they type: in a direct conversation
    /// only as long as nobody blocks. `None` where that has to be looked up.
    pub(crate) fn is_open(&self) -> Option<bool> {
        if self.kind == Kind::Direct.as_str() { self.blocked.map(|blocked| !blocked) } else { Some(true) }
    }
}

impl Summary {
    /// Reads a user's document.
    pub(crate) fn parse(document: &RawDocument) -> Result<Self, StreamError> {
        Ok(Self {
            name: document.get_str("name")?.to_owned(),
            avatar: optional_str(document, "avatar")?.map(str::to_owned),
            status: optional_str(document, "status")?.unwrap_or("offline").to_owned(),
            last_seen: optional_date(document, "lastSeen")?,
        })
    }
}

impl Activity {
    /// Reads an activity's document.
    pub(crate) fn parse(document: &RawDocument) -> Result<Self, StreamError> {
        Ok(Self {
            host: id(document, "hostId")?,
            participants: ids(document.get_array("participants")?)?.into(),
        })
    }

    /// Lets somebody take part, or no longer.
    pub(crate) fn change(&mut self, user: Id, joined: bool) {
        let others = self.participants.iter().copied().filter(|participant| *participant != user);
        self.participants = match (joined, self.participants.contains(&user)) {
            (true, false) => others.chain([user]).collect(),
            (false, true) => others.collect(),
            _ => return,
        };
    }

    /// Whom it concerns that this user joined or left: those who take part, the host and the user.
    pub(crate) fn concerned(&self, user: Id) -> Arc<[Id]> {
        let mut more: Vec<Id> = Vec::new();
        for id in [self.host, user] {
            if !self.participants.contains(&id) && !more.contains(&id) {
                more.push(id);
            }
        }
        if more.is_empty() {
            return Arc::clone(&self.participants);
        }
        self.participants.iter().copied().chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;
    use mongodb::bson::{DateTime, RawArrayBuf, RawDocumentBuf, rawdoc};

    use super::*;

    fn document(id: Id, blocked_by: Option<Id>) -> RawDocumentBuf {
        let (oid, now) = (store::convert::oid(id), DateTime::from_millis(1));
        rawdoc! {
            "_id": oid, "participants": [ObjectId::new(), ObjectId::new()], "type": "direct", "createdAt": now,
            "updatedAt": now, "isActive": true, "blockedBy": RawArrayBuf::from_iter(store::convert::oids(blocked_by)),
        }
    }

    #[test]
    fn what_is_found_beside_the_stream_counts_only_if_the_stream_did_not_change_it() {
        let mut cache = Cache::new(Metrics::unseen());
        let [same, changed, nowhere] = [Id::mint(), Id::mint(), Id::mint()];
        cache.looking_up([same, changed, nowhere]);
        cache.touch(changed);
        let found = [document(same, None), document(changed, None)];
        assert_eq!(cache.learn(&found), FxHashSet::from_iter([nowhere]));
        assert_eq!(cache.conversations.keys().collect::<Vec<_>>(), [&same]);
    }

    #[test]
    fn who_blocks_closes_a_direct_conversation_and_no_group() {
        let open = |blocked_by| Conversation::parse(&document(Id::mint(), blocked_by)).unwrap();
        assert_eq!(open(None).is_open(), Some(true));
        let closed = open(Some(Id::mint()));
        assert_eq!(closed.is_open(), Some(false));
        assert_eq!(Conversation { blocked: None, ..closed.clone() }.is_open(), None);
        assert_eq!(Conversation { kind: "group".to_owned(), ..closed }.is_open(), Some(true));
    }

    #[test]
    fn it_concerns_those_who_take_part_the_host_and_who_left() {
        let [host, one, other] = [1, 2, 3].map(|n| Id::from_bytes([n; 12]));
        let mut activity = Activity { host, participants: [host, one].into() };
        activity.change(other, true);
        activity.change(other, true);
        assert_eq!(*activity.participants, [host, one, other]);
        assert!(Arc::ptr_eq(&activity.concerned(other), &activity.participants), "shared, not copied");
        activity.change(one, false);
        assert_eq!(*activity.participants, [host, other]);
        assert_eq!(*activity.concerned(one), [host, other, one]);
    }
}
