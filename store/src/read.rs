//! Queries on read cursors.

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use protocol::{Id, Timestamp};
use serde::Deserialize;

use crate::connect::majority;
use crate::conversation::MAX_PARTICIPANTS;
use crate::convert::{date, oid};
use crate::document::{ReadCursor, ReadKey};
use crate::message::whole;
use crate::{COMMAND_TIMEOUT, Store, StoreError, bounded, name, readable};

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
        let rows: Vec<RawDocumentBuf> = bounded(async { action.await?.try_collect().await }).await?;
        Ok(readable(name::READS, &rows))
    }

    /// Moves cursors forward, each to its `seq` unless it is there or further already. One command for all of them, none if
    /// there is nothing to move; two where a cursor is made at the same moment by somebody else.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn advance_cursors(&self, moves: &[(ReadKey, i64)], at: Timestamp) -> Result<(), StoreError> {
        if moves.is_empty() {
            return Ok(());
        }
        let marks = doc! {"$ifNull": ["$marks", []]};
        let updates = moves.iter().map(|(key, seq)| {
            let mark = doc! {"seq": *seq, "at": date(at)};
            let moved = doc! {"$slice": [{"$concatArrays": [marks.clone(), [mark]]}, -MARKS]};
            // A pipeline, so that an idle repetition changes nothing: MongoDB then writes nothing either.
            let update = vec![doc! {"$set": {
                "marks": {"$cond": [{"$gt": [*seq, {"$ifNull": ["$seq", 0]}]}, moved, marks.clone()]},
                "seq": {"$max": ["$seq", *seq]},
            }}];
            doc! {"q": {"_id": key.document()}, "u": update, "upsert": true}
        });
        self.update_many_documents(name::READS, updates.collect(), majority()).await
    }

    /// How far the members of a conversation have read: for each, the last message when they joined and the last that they
    /// have read. Of those who have left, too, as long as there are not more cursors than
    /// a conversation can have members. One command.
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
        bounded(async { action.await?.try_collect().await }).await
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
