//! Conversations with what a list shows of them: the last message and how far people have read.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use protocol::Id;
use rustc_hash::FxHashMap;
use serde::Deserialize;

use super::SMALL;
use crate::command::Command;
use crate::convert::{oid, oids};
use crate::document::{Conversation, Message, ReadCursor, ReadKey};
use crate::message::whole;
use crate::{COMMAND_TIMEOUT, Store, StoreError, name, readable};

/// The most conversations in a list, or on a page of it.
pub const MAX_LISTED: u32 = 500;
/// The most participants that a list names of one conversation, whoever asks among them. All of a [`SMALL`] one.
pub const LISTED_PARTICIPANTS: usize = SMALL;

/// A conversation with what a list shows of it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The conversation, without its view and its last change. In a list with at most [`LISTED_PARTICIPANTS`].
    pub conversation: Conversation,
    /// How many take part, named or not.
    pub size: usize,
    /// The message with the highest number.
    pub last: Option<Message>,
    /// The read cursor of whoever asked.
    pub cursor: Option<ReadCursor>,
    /// The read cursors of the others of a [`SMALL`] conversation, where they were read with it.
    pub others: Option<Vec<ReadCursor>>,
}

/// A conversation and how many take part.
#[derive(Deserialize)]
struct Row {
    conversation: Conversation,
    size: usize,
}

impl Store {
    /// A page of the active conversations of a user, in no order, of at most [`MAX_LISTED`]: those with the newest
    /// activity come on the first page. It is told by `updatedAt`, which may be a second behind: to look up every last
    /// message first would cost as much as the bound is there to save. An archived one with a message that its
    /// archiving has not seen counts as active. Three commands, two of them at once: joined by `$lookup`, conversation
    /// by conversation, it would be one that takes MongoDB three times as long.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn conversations_of(&self, user: Id, skip: u64, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let rows = self.rows_of(user, skip, limit.min(MAX_LISTED)).await?;
        let ids: Vec<Id> = rows.iter().map(|row| row.conversation.id).collect();
        let keys = cursors_of(&rows, user);
        let (lasts, cursors) = tokio::try_join!(self.newest_messages(&ids), self.read_cursors(&keys))?;
        let mut lasts: FxHashMap<Id, Message> =
            lasts.into_iter().map(|last| (last.conversation_id, last)).collect();
        let mut by_conversation: FxHashMap<Id, Vec<ReadCursor>> = FxHashMap::default();
        for cursor in cursors {
            by_conversation.entry(cursor.key.conversation).or_default().push(cursor);
        }
        let listed = rows.into_iter().map(|Row { conversation, size }| {
            let cursors = by_conversation.remove(&conversation.id).unwrap_or_default();
            let (own, others): (Vec<_>, Vec<_>) =
                cursors.into_iter().partition(|cursor| cursor.key.user == user);
            let last = lasts.remove(&conversation.id);
            Listed { cursor: own.into_iter().next(), others: Some(others), ..awake(conversation, size, last) }
        });
        Ok(listed.filter(|listed| listed.conversation.is_active).collect())
    }

    async fn rows_of(&self, user: Id, skip: u64, limit: u32) -> Result<Vec<Row>, StoreError> {
        let few = i64::try_from(LISTED_PARTICIPANTS).unwrap_or(i64::MAX);
        let others =
            doc! {"$filter": {"input": "$conversation.participants", "cond": {"$ne": ["$$this", oid(user)]}}};
        let named = doc! {"$concatArrays": [[oid(user)], {"$slice": [others, few - 1]}]};
        let pipeline = [
            doc! {"$match": {"participants": oid(user)}},
            doc! {"$sort": {"isActive": -1, "updatedAt": -1, "_id": -1}},
            doc! {"$skip": i64::try_from(skip).unwrap_or(i64::MAX)},
            doc! {"$limit": i64::from(limit)},
            doc! {"$project": {"change": 0, "lastMessage": 0}},
            doc! {"$replaceWith": {"conversation": "$$ROOT", "size": {"$size": "$participants"}}},
            doc! {"$set": {"conversation.participants": {
                "$cond": [{"$lte": ["$size", few]}, "$conversation.participants", named],
            }}},
        ];
        let collection = self.conversations();
        let action = collection
            .aggregate(pipeline)
            // All in the first answer, so that a list is one round trip.
            .batch_size(MAX_LISTED + 1)
            .max_time(COMMAND_TIMEOUT)
            .with_type::<RawDocumentBuf>();
        let rows: Vec<RawDocumentBuf> =
            self.run(Command::Aggregate, async { action.await?.try_collect().await }).await?;
        Ok(readable(name::CONVERSATIONS, &rows))
    }

    /// The newest message of each of these conversations, deleted or not. One command, none if there is nothing to ask.
    async fn newest_messages(&self, conversations: &[Id]) -> Result<Vec<Message>, StoreError> {
        if conversations.is_empty() {
            return Ok(Vec::new());
        }
        // Sorted as the index on `seq` is, the first of each group is one step in it: a DISTINCT_SCAN.
        let pipeline = [
            doc! {"$match": {"conversationId": {"$in": oids(conversations.iter().copied())}}},
            doc! {"$sort": {"conversationId": -1, "seq": -1}},
            doc! {"$group": {"_id": "$conversationId", "last": {"$first": "$$ROOT"}}},
            doc! {"$replaceWith": "$last"},
        ];
        let messages = self.messages();
        let action = messages
            .aggregate(pipeline)
            .batch_size(whole(conversations.len()))
            .max_time(COMMAND_TIMEOUT)
            .with_type::<RawDocumentBuf>();
        let rows: Vec<RawDocumentBuf> =
            self.run(Command::Aggregate, async { action.await?.try_collect().await }).await?;
        Ok(readable(name::MESSAGES, &rows))
    }

    /// One conversation with what a list shows of it, as seen by `user`. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn listed_conversation(&self, id: Id, user: Id) -> Result<Option<Listed>, StoreError> {
        #[derive(Deserialize)]
        struct Joined {
            conversation: Conversation,
            size: usize,
            last: Vec<Message>,
            cursor: Vec<ReadCursor>,
        }
        let collection = self.conversations();
        let action = collection.aggregate(joined(id, user)).max_time(COMMAND_TIMEOUT).with_type::<Joined>();
        let rows: Vec<Joined> =
            self.run(Command::Aggregate, async { action.await?.try_collect().await }).await?;
        Ok(rows.into_iter().next().map(|mut row| Listed {
            cursor: row.cursor.pop(),
            ..awake(row.conversation, row.size, row.last.pop())
        }))
    }
}

/// The stages that find a conversation and what a list shows of it. For a single one a join is the quicker way.
fn joined(id: Id, user: Id) -> [Document; 5] {
    [
        doc! {"$match": {"_id": oid(id)}},
        doc! {"$project": {"change": 0, "lastMessage": 0}},
        doc! {"$replaceWith": {
            "conversation": "$$ROOT", "size": {"$size": "$participants"}, "key": {"c": "$_id", "u": oid(user)},
        }},
        doc! {"$lookup": {
            "from": name::MESSAGES, "localField": "conversation._id", "foreignField": "conversationId",
            "pipeline": [{"$sort": {"seq": -1}}, {"$limit": 1}], "as": "last",
        }},
        doc! {"$lookup": {"from": name::READS, "localField": "key", "foreignField": "_id", "as": "cursor"}},
    ]
}

/// A conversation with its last message, active if that came after its archiving. An archiving of which nothing is
/// known has seen everything.
fn awake(mut conversation: Conversation, size: usize, last: Option<Message>) -> Listed {
    if let (Some(seen), Some(last)) = (conversation.archived_seq, &last) {
        conversation.is_active |= last.seq > seen;
    }
    Listed { conversation, size, last, cursor: None, others: None }
}

/// The cursors that a list tells of: the user's own, and those of the others in small conversations.
fn cursors_of(rows: &[Row], user: Id) -> Vec<ReadKey> {
    let keys = rows.iter().flat_map(|row| {
        let readers = if row.size <= SMALL { row.conversation.participants.as_slice() } else { &[] };
        let others = readers.iter().copied().filter(move |reader| *reader != user);
        std::iter::once(user).chain(others).map(|user| ReadKey { conversation: row.conversation.id, user })
    });
    keys.collect()
}
