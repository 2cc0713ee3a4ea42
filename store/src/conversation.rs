//! Queries on conversations.
//!
//! | module | holds |
//! |---|---|
//! | [`list`] | conversations with what a list shows of them |

mod list;

use futures_util::TryStreamExt;
use mongodb::bson::{RawDocumentBuf, doc};
use mongodb::options::ReturnDocument;
use protocol::{Id, Timestamp};
use serde::Deserialize;

use crate::command::Command;
use crate::convert::{date, oid, oids, stored};
use crate::document::{Conversation, ConversationChange, Kind, LastMessage};
use crate::message::whole;
use crate::{COMMAND_TIMEOUT, Store, StoreError, name, readable};

pub use list::{LISTED_PARTICIPANTS, Listed, MAX_LISTED};

/// The most participants of a conversation.
pub const MAX_PARTICIPANTS: usize = 1_000;
/// Up to this many participants, [`Access::participants`] holds all of them, and `readBy` names each.
pub const SMALL: usize = 32;
/// How often a conversation is made active anew when others change it at the same time.
const REACTIVATE_TRIES: usize = 20;

/// What it takes to decide whether somebody may use a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// The conversation.
    #[serde(rename = "_id", with = "stored")]
    pub id: Id,
    /// False once archived.
    pub is_active: bool,
    /// Whether one of the two of a direct conversation has blocked the other.
    pub blocked: bool,
    /// How many take part.
    pub size: usize,
    /// All participants of a [`SMALL`] conversation; of a larger one those who were asked about.
    #[serde(with = "stored")]
    pub participants: Vec<Id>,
}

/// What the view of a conversation is to show.
#[derive(Clone, Debug)]
pub struct View {
    /// Which conversation.
    pub conversation: Id,
    /// Its last message, as far as is known.
    pub last: LastMessage,
}

/// The key of the direct conversation between two people.
#[must_use]
pub fn direct_key(one: Id, other: Id) -> String {
    format!("{}:{}", one.min(other), one.max(other))
}

impl Store {
    /// Whether `users` take part in these conversations; those that do not exist or cannot be read are left out. One
    /// command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn accesses(&self, conversations: &[Id], users: &[Id]) -> Result<Vec<Access>, StoreError> {
        // The intersection keeps a room of thousands from travelling; for a small one it would cost more than it saves.
        let size = doc! {"$size": "$participants"};
        let asked = doc! {"$setIntersection": ["$participants", oids(users.iter().copied())]};
        let small = i64::try_from(SMALL).unwrap_or(i64::MAX);
        let projection = doc! {
            "isActive": 1,
            "blocked": {"$gt": [{"$size": {"$ifNull": ["$blockedBy", []]}}, 0]},
            "size": size.clone(),
            "participants": {"$cond": [{"$lte": [size, small]}, "$participants", asked]},
        };
        let collection = self.conversations().clone_with_type::<RawDocumentBuf>();
        let action = collection
            .find(doc! {"_id": {"$in": oids(conversations.iter().copied())}})
            .projection(projection)
            .batch_size(whole(conversations.len()))
            .max_time(COMMAND_TIMEOUT);
        let rows: Vec<RawDocumentBuf> =
            self.run(Command::Find, async { action.await?.try_collect().await }).await?;
        Ok(readable(name::CONVERSATIONS, &rows))
    }

    /// One conversation, whole. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn conversation(&self, id: Id) -> Result<Option<Conversation>, StoreError> {
        self.run(
            Command::Find,
            self.conversations().find_one(doc! {"_id": oid(id)}).max_time(COMMAND_TIMEOUT),
        )
        .await
    }

    /// Stores a new conversation. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn insert_conversation(&self, conversation: &Conversation) -> Result<(), StoreError> {
        self.run(Command::Insert, self.conversations().insert_one(conversation)).await.map(drop)
    }

    /// Stores a new direct conversation, unless the two people have one: then that one is returned. One command;
    /// two where another node makes it at the same time.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn find_or_insert_direct(&self, new: &Conversation) -> Result<Conversation, StoreError> {
        match self.upsert(new, "directKey").await {
            Err(error) if error.is_duplicate() => self.upsert(new, "directKey").await,
            result => result,
        }
    }

    /// Stores a new conversation unless there is one with the same `key`, a field with a unique index.
    async fn upsert(&self, new: &Conversation, key: &str) -> Result<Conversation, StoreError> {
        let mut fields = mongodb::bson::serialize_to_document(new)?;
        // An upsert takes the key from its filter, and refuses to be told twice.
        let value = fields.remove(key);
        let collection = self.conversations();
        let action = collection
            .find_one_and_update(doc! {key: value}, doc! {"$setOnInsert": fields})
            .upsert(true)
            .return_document(ReturnDocument::After);
        Ok(self.run(Command::FindAndModify, action).await?.unwrap_or_else(|| new.clone()))
    }

    /// Changes name, participants, creator and whether it is active, if the conversation is still at the revision
    /// before the change's; otherwise nothing is returned. `archived_seq` is the last message that an archiving has
    /// seen. A classic update of whole fields: the change stream then carries all of `change`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn change_conversation(
        &self,
        id: Id,
        change: &ConversationChange,
        archived_seq: Option<i64>,
    ) -> Result<Option<Conversation>, StoreError> {
        let filter = doc! {"_id": oid(id), "rev": change.rev - 1};
        let mut fields = doc! {
            "participants": oids(change.participants.iter().copied()),
            "name": change.name.clone(),
            "updatedAt": date(change.at),
            "isActive": change.is_active,
            "rev": change.rev,
            "change": mongodb::bson::serialize_to_bson(change)?,
        };
        if let Some(creator) = change.created_by {
            fields.insert("createdBy", oid(creator));
        }
        if let Some(seq) = archived_seq {
            fields.insert("archivedSeq", seq);
        }
        let collection = self.conversations();
        let action = collection
            .find_one_and_update(filter, doc! {"$set": fields})
            .return_document(ReturnDocument::After);
        self.run(Command::FindAndModify, action).await
    }

    /// Makes an archived conversation active again, because somebody of it writes. False if it is not there. Two
    /// commands, two more for each time that somebody else changed it first.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn reactivate(&self, id: Id, by: Id, at: Timestamp) -> Result<bool, StoreError> {
        for _ in 0..REACTIVATE_TRIES {
            let Some(current) = self.conversation(id).await? else { return Ok(false) };
            if current.is_active {
                return Ok(true);
            }
            let change = ConversationChange {
                kind: "reactivate".to_owned(),
                is_active: true,
                participants: current.participants,
                removed: Vec::new(),
                name: current.name,
                created_by: None,
                by,
                at,
                rev: current.rev + 1,
            };
            if self.change_conversation(id, &change, None).await?.is_some() {
                return Ok(true);
            }
        }
        Err(StoreError::Contended)
    }

    /// The direct conversation of two users. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn direct_conversation(&self, one: Id, other: Id) -> Result<Option<Conversation>, StoreError> {
        let filter = doc! {"directKey": direct_key(one, other)};
        self.run(Command::Find, self.conversations().find_one(filter).max_time(COMMAND_TIMEOUT)).await
    }

    /// The conversation of an activity. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn conversation_of_activity(&self, activity: Id) -> Result<Option<Conversation>, StoreError> {
        let filter = doc! {"activityId": oid(activity)};
        self.run(Command::Find, self.conversations().find_one(filter).max_time(COMMAND_TIMEOUT)).await
    }

    /// Stores the new conversation of an activity, unless it has one: then that one is returned. One command; two where
    /// another node makes it at the same time.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn find_or_insert_for_activity(&self, new: &Conversation) -> Result<Conversation, StoreError> {
        match self.upsert(new, "activityId").await {
            Err(error) if error.is_duplicate() => self.upsert(new, "activityId").await,
            result => result,
        }
    }

    /// The groups in which a user takes part, archived ones too. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn groups_of(&self, user: Id) -> Result<Vec<Id>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "_id", with = "stored")]
            id: Id,
        }
        let groups = self.conversations().clone_with_type::<Row>();
        let filter = doc! {"participants": oid(user), "type": Kind::Group.as_str()};
        let action = groups.find(filter).projection(doc! {"_id": 1}).max_time(COMMAND_TIMEOUT);
        let rows: Vec<Row> = self.run(Command::Find, async { action.await?.try_collect().await }).await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Writes views of conversations, none over a newer one. One command; the primary's word is enough, since
    /// nothing but the order of pages relies on them.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn write_views(&self, views: &[View]) -> Result<(), StoreError> {
        let mut updates = Vec::with_capacity(views.len());
        for view in views {
            let last = mongodb::bson::serialize_to_bson(&view.last)?;
            let (seq, rev) = (view.last.seq, view.last.rev);
            let older = doc! {"lastMessage.seq": {"$not": {"$gte": seq}}};
            let edited = doc! {"lastMessage.seq": seq, "lastMessage.rev": {"$not": {"$gte": rev}}};
            let newer = if rev == 0 {
                older
            } else {
                doc! {"$or": [older, edited]}
            };
            updates.push(doc! {
                "q": {"_id": oid(view.conversation), "$and": [newer]},
                "u": {"$set": {"lastMessage": last}, "$max": {"updatedAt": date(view.last.timestamp)}},
            });
        }
        self.update_many_documents(name::CONVERSATIONS, updates, doc! {"w": 1}).await
    }
}

impl Conversation {
    /// A new conversation: between two people it is direct, between any other number a group, and only a group has a
    /// name.
    #[must_use]
    pub fn new(creator: Id, participants: Vec<Id>, name: Option<String>, now: Timestamp) -> Self {
        let direct_key = match participants.as_slice() {
            [one, other] => Some(direct_key(*one, *other)),
            _ => None,
        };
        Self {
            id: Id::mint(),
            kind: if direct_key.is_some() { Kind::Direct } else { Kind::Group },
            // Two people are shown each other's names.
            name: name.filter(|_| direct_key.is_none()),
            participants,
            created_by: Some(creator),
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

    /// Whether this user takes part.
    #[must_use]
    pub fn has(&self, user: Id) -> bool {
        self.participants.contains(&user)
    }

    /// Whether it is between two people.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.kind == Kind::Direct
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direct_key_is_the_same_from_both_sides() {
        let (one, other) = (Id::from_bytes([1; 12]), Id::from_bytes([2; 12]));
        assert_eq!(direct_key(one, other), direct_key(other, one));
        assert_eq!(direct_key(other, one), format!("{one}:{other}"));
    }

    #[test]
    fn two_people_are_direct_and_three_are_a_group() {
        let [one, two, three] = [1, 2, 3].map(|n| Id::from_bytes([n; 12]));
        let named = |people| Conversation::new(one, people, Some("x".to_owned()), Timestamp::now());
        let direct = named(vec![one, two]);
        assert!(direct.is_direct() && direct.direct_key.is_some() && direct.name.is_none());
        let group = named(vec![one, two, three]);
        assert!(!group.is_direct() && group.direct_key.is_none() && group.name.is_some());
    }
}
