//! Queries on read cursors.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;
use protocol::{Id, Timestamp};

use crate::connect::WRITE_CONCERN_TIMEOUT;
use crate::convert::{date, oid};
use crate::document::{ReadCursor, ReadKey};
use crate::message::whole;
use crate::{COMMAND_TIMEOUT, Store, StoreError, bounded, name};

/// How many moves a cursor remembers.
const MARKS: i32 = 16;

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
        let reads = self.reads();
        let action =
            reads.find(doc! {"_id": {"$in": wanted}}).batch_size(whole(keys.len())).max_time(COMMAND_TIMEOUT);
        bounded(async { action.await?.try_collect().await }).await
    }

    /// Moves a cursor to `seq`, unless it is there or further already, and returns where it is. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn advance_cursor(
        &self,
        key: ReadKey,
        seq: i64,
        at: Timestamp,
    ) -> Result<ReadCursor, StoreError> {
        match self.try_advance(key, seq, at).await {
            // Two first moves raced to make the document; now it is there.
            Err(error) if error.is_duplicate() => self.try_advance(key, seq, at).await,
            result => result,
        }
    }

    async fn try_advance(&self, key: ReadKey, seq: i64, at: Timestamp) -> Result<ReadCursor, StoreError> {
        let marks = doc! {"$ifNull": ["$marks", []]};
        let mark = doc! {"seq": seq, "at": date(at)};
        let moved = doc! {"$slice": [{"$concatArrays": [marks.clone(), [mark]]}, -MARKS]};
        // A pipeline, so that an idle repetition changes nothing: MongoDB then writes nothing either.
        let update = vec![doc! {"$set": {
            "marks": {"$cond": [{"$gt": [seq, {"$ifNull": ["$seq", 0]}]}, moved, marks]},
            "seq": {"$max": ["$seq", seq]},
        }}];
        let reads = self.reads();
        let action = reads
            .find_one_and_update(doc! {"_id": key.document()}, update)
            .upsert(true)
            .return_document(ReturnDocument::After);
        let cursor = bounded(action).await?;
        Ok(cursor.unwrap_or(ReadCursor { key, seq, from: 0, marks: Vec::new() }))
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
        let wtimeout = WRITE_CONCERN_TIMEOUT.as_millis() as i64;
        self.update_many_documents(name::READS, updates, doc! {"w": "majority", "wtimeout": wtimeout}).await
    }
}
