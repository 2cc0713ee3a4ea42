//! Queries on read cursors.

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc, serialize_to_bson};
use protocol::Id;
use serde::Deserialize;

use crate::command::Command;
use crate::connect::majority;
use crate::conversation::MAX_PARTICIPANTS;
use crate::convert::{date, oid};
use crate::document::{LastRead, ReadCursor, ReadKey};
use crate::error::DUPLICATE_KEY;
use crate::message::whole;
use crate::{COMMAND_TIMEOUT, Store, StoreError, name, readable};

/// How many moves a cursor remembers.
pub(crate) const MARKS: i32 = 16;

/// As many cursors as the largest conversation has come in one answer.
const READERS: u32 = MAX_PARTICIPANTS as u32 + 1;

/// How far somebody has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Reading {
    /// Whose, and where.
    #[serde(rename = "_id")]
    pub key: ReadKey,
    /// Everything up to this number is read.
    pub seq: i64,
    /// Everything up to this number is from before their time.
    #[serde(default)]
    pub from: i64,
}

/// A move of a read cursor to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which cursor.
    pub key: ReadKey,
    /// The message.
    pub last: LastRead,
    /// Whether the cursor was not there when it was looked for. Only then is it made.
    pub is_new: bool,
}

impl ReadKey {
    fn document(self) -> Document {
        doc! {"c": oid(self.conversation), "u": oid(self.user)}
    }
}

impl Store {
    /// Those of these cursors that exist. One command, none if there is nothing to ask.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn read_cursors(&self, keys: &[ReadKey]) -> Result<Vec<ReadCursor>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<Document> = keys.iter().map(|key| key.document()).collect();
        let reads = self.reads().clone_with_type::<RawDocumentBuf>();
        let action =
            reads.find(doc! {"_id": {"$in": wanted}}).batch_size(whole(keys.len())).max_time(COMMAND_TIMEOUT);
        let rows: Vec<RawDocumentBuf> =
            self.run(Command::Find, async { action.await?.try_collect().await }).await?;
        Ok(readable(name::READS, &rows))
    }

    /// Moves cursors forward, each to its message unless it is there or further already. One command for all of them,
    /// none if there is nothing to move; two where a cursor is made at the same moment by somebody else.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn advance_cursors(&self, moves: &[Move]) -> Result<(), StoreError> {
        if moves.is_empty() {
            return Ok(());
        }
        let mut updates = Vec::with_capacity(moves.len());
        for Move { key, last, is_new } in moves {
            // A classic update of whole fields: the change stream then carries all of `last`.
            updates.push(doc! {
                "q": {"_id": key.document(), "seq": {"$lt": last.seq}},
                "u": {
                    "$set": {"seq": last.seq, "last": serialize_to_bson(last)?},
                    "$push": {"marks": {"$each": [{"seq": last.seq, "at": date(last.at)}], "$slice": -MARKS}},
                },
                "upsert": *is_new,
            });
        }
        let done = self.update_each(name::READS, updates, majority()).await?;
        // A cursor that is there and is not found by its update is as far already: see `Store::update_each`.
        let refused: Vec<i32> =
            done.refused.into_iter().map(|(_, code)| code).filter(|code| *code != DUPLICATE_KEY).collect();
        if refused.is_empty() {
            Ok(())
        } else {
            Err(StoreError::Refused(format!("moves of read cursors with codes {refused:?}")))
        }
    }

    /// How far the members of a conversation have read: for each, the last message when they joined and the last that
    /// they have read. Of those who have left, too, as long as there are not more cursors than a conversation can have
    /// members. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn reading(&self, conversation: Id) -> Result<Vec<Reading>, StoreError> {
        // The keys of one conversation lie side by side in the index on `_id`.
        let c = oid(conversation);
        let keys = doc! {"$gte": {"c": c, "u": Bson::MinKey}, "$lte": {"c": c, "u": Bson::MaxKey}};
        let reads = self.reads().clone_with_type::<Reading>();
        let action = reads
            .find(doc! {"_id": keys})
            .projection(doc! {"seq": 1, "from": 1})
            .limit(i64::from(READERS))
            .batch_size(READERS + 1)
            .max_time(COMMAND_TIMEOUT);
        self.run(Command::Find, async { action.await?.try_collect().await }).await
    }

    /// Moves the cursors of members who are about to join to `seq`, so that nothing from before their time counts as
    /// unread by them, nor later as read. One command.
    ///
    /// `seq` must have been the last message *before* the membership was read in which they are missing. Then
    /// everything up to it is from before their time, and no race with somebody else who adds them can take away
    /// a message that they have not seen.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn start_cursors(&self, conversation: Id, users: &[Id], seq: i64) -> Result<(), StoreError> {
        let updates: Vec<Document> = users
            .iter()
            .map(|&user| {
                let key = ReadKey { conversation, user }.document();
                doc! {
                    "q": {"_id": key},
                    "u": {"$max": {"seq": seq, "from": seq}, "$setOnInsert": {"marks": []}},
                    "upsert": true,
                }
            })
            .collect();
        self.update_many_documents(name::READS, updates, majority()).await
    }
}
