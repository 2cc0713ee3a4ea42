//! Queries on messages: what the group commit needs, and pages of a conversation.

use futures_util::TryStreamExt;
use mongodb::bson::{
    Bson, Document, RawArrayBuf, RawDocumentBuf, doc, rawdoc, serialize_to_raw_document_buf,
};
use mongodb::options::{ReadConcern, ReturnDocument};
use protocol::{Id, Timestamp};
use serde::Deserialize;

use crate::command::Command;
use crate::connect::majority;
use crate::convert::{date, oid, oids, stored};
use crate::document::{Message, MessageChange};
use crate::error::{DUPLICATE_KEY, TRANSIENT};
use crate::{COMMAND_TIMEOUT, Store, StoreError, name, readable};

/// How many messages after a cursor are looked at to count the unread ones among them. Without it somebody who writes
/// much and marks nothing as read would have all they ever wrote read for every list.
pub const UNREAD_SCAN: i64 = 5_000;
/// How many in all conversations of a list together, as long as each gets its least. So a list never looks at more than
/// half a million messages, and nearly always at a few dozen.
const UNREAD_SCAN_OF_ALL: i64 = 500_000;
/// How many of each conversation at the least: as many as are counted.
const UNREAD_SCAN_AT_LEAST: i64 = 1_000;

/// The messages of a conversation after one and up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The conversation.
    pub conversation: Id,
    /// The number of the message before the first.
    pub after: i64,
    /// The number of the last.
    pub last: i64,
}

/// The number and time of a conversation's last message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Last {
    /// Its number; 0 where there is no message yet.
    pub seq: i64,
    /// When it was committed.
    #[serde(rename = "createdAt", with = "stored")]
    pub at: Timestamp,
}

impl Last {
    /// Of a conversation without a message.
    pub const NONE: Self = Self { seq: 0, at: Timestamp::from_millis(0) };
}

/// By what a message is recognised when it is sent again.
#[derive(Clone, Copy, Debug)]
pub struct MessageKey<'a> {
    /// Its identifier.
    pub id: Id,
    /// Who sent it.
    pub sender: Id,
    /// Where to.
    pub conversation: Id,
    /// The sender's own identifier of it.
    pub client_message_id: Option<&'a str>,
}

/// How an ordered insert ended, when MongoDB answered.
#[derive(Debug)]
pub enum Inserted {
    /// Every message is stored, and a majority has it.
    All,
    /// The messages before `at` are stored, and a majority has them. The message there was refused, and none
    /// after it was tried.
    Stopped {
        /// Index of the refused message.
        at: usize,
        /// Whether a unique index refused it; otherwise something is wrong with this very document.
        duplicate: bool,
        /// MongoDB's error code. Its words are kept back, since they may quote the message.
        code: i32,
    },
}

/// Which messages of a conversation, counted from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The newest after skipping so many. Without deleted ones.
    Newest {
        /// How many to skip.
        skip: u64,
    },
    /// The newest of those committed before a time. Without deleted ones.
    BeforeTime(Timestamp),
    /// The newest of those with a lower number. Without deleted ones.
    BeforeSeq(i64),
    /// The oldest of those with a higher number, deleted ones too: what a client that was away missed.
    AfterSeq(i64),
    /// Those that were edited or deleted at or after a time, in the order of their last change.
    ChangedSince(Timestamp),
}

impl Store {
    /// The last message of each of these conversations, as a majority has it. Conversations without a message
    /// are left out. One command, none if there is nothing to ask.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn last_messages(&self, conversations: &[Id]) -> Result<Vec<(Id, Last)>, StoreError> {
        if conversations.is_empty() {
            return Ok(Vec::new());
        }
        self.read_last_messages(conversations).await
    }

    async fn read_last_messages(&self, conversations: &[Id]) -> Result<Vec<(Id, Last)>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "_id", with = "stored")]
            id: Id,
            last: Vec<Last>,
        }
        let newest = doc! {
            "from": name::MESSAGES, "localField": "_id", "foreignField": "conversationId", "as": "last",
            "pipeline": [{"$sort": {"seq": -1}}, {"$limit": 1}, {"$project": {"_id": 0, "seq": 1, "createdAt": 1}}],
        };
        let pipeline = [
            doc! {"$match": {"_id": {"$in": oids(conversations.iter().copied())}}},
            doc! {"$project": {"_id": 1}},
            doc! {"$lookup": newest},
        ];
        let collection = self.conversations();
        let action = collection
            .aggregate(pipeline)
            .read_concern(ReadConcern::majority())
            .batch_size(whole(conversations.len()))
            .max_time(COMMAND_TIMEOUT)
            .with_type::<Row>();
        let rows: Vec<Row> =
            self.run(Command::Aggregate, async { action.await?.try_collect().await }).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.id, *row.last.first()?))).collect())
    }

    /// Those messages that are stored already, by identifier or by the sender's own identifier, and that a majority
    /// has. One command, none if there is nothing to ask.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn stored_messages(&self, keys: &[MessageKey<'_>]) -> Result<Vec<Message>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut either = vec![doc! {"_id": {"$in": oids(keys.iter().map(|key| key.id))}}];
        let named: Vec<_> = keys.iter().filter(|key| key.client_message_id.is_some()).collect();
        if !named.is_empty() {
            // Wider than asked for (any sender with any identifier), so that one index scan answers; the
            // caller looks for its own among them.
            either.push(doc! {
                "sender": {"$in": oids(named.iter().map(|key| key.sender))},
                "conversationId": {"$in": oids(named.iter().map(|key| key.conversation))},
                "clientMessageId": {"$in": named.iter().filter_map(|key| key.client_message_id).collect::<Vec<_>>()},
            });
        }
        let messages = self.messages();
        let action = messages
            .find(doc! {"$or": either})
            .batch_size(whole(keys.len() * 2))
            .read_concern(ReadConcern::majority())
            .max_time(COMMAND_TIMEOUT);
        self.run(Command::Find, async { action.await?.try_collect().await }).await
    }

    /// Inserts messages in order, up to the first that is refused, and waits for a majority.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Where it [`is unavailable`](StoreError::is_unavailable), any number of the messages
    /// may have been stored, or may yet be.
    pub async fn insert_in_order(&self, messages: &[Message]) -> Result<Inserted, StoreError> {
        let mut documents = RawArrayBuf::new();
        for message in messages {
            documents.push(serialize_to_raw_document_buf(message)?);
        }
        // As a plain command: the driver's own insert is retryable, for which the server writes one more document
        // per batch. Here a lost answer is resolved by looking, so that write would buy nothing.
        let command = rawdoc! {
            "insert": name::MESSAGES,
            "documents": documents,
            "ordered": true,
            "writeConcern": RawDocumentBuf::try_from(&majority())?,
        };
        let answer = self.run(Command::Insert, self.database().run_raw_command(command)).await?;
        // Also beside a write error: then it is unknown whether a majority has those before it.
        if let Some(problem) = answer.get("writeConcernError") {
            self.commands.failed(Command::Insert);
            return Err(StoreError::NotReplicated(problem.to_string()));
        }
        let Ok(errors) = answer.get_array("writeErrors") else { return Ok(Inserted::All) };
        let first = errors.first().and_then(Bson::as_document);
        let number = |field| first.and_then(|error| error.get_i32(field).ok());
        match (number("index"), number("code")) {
            (Some(_), Some(code)) if TRANSIENT.contains(&code) => {
                Err(StoreError::NotReplicated(format!("code {code}")))
            }
            (Some(at), Some(code)) => {
                Ok(Inserted::Stopped { at: at as usize, duplicate: code == DUPLICATE_KEY, code })
            }
            _ => Err(StoreError::Refused(format!("{errors:?}"))),
        }
    }

    /// A page of a conversation, oldest first. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn messages_page(
        &self,
        conversation: Id,
        page: Page,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        let mut filter = doc! {"conversationId": oid(conversation)};
        let (mut sort, mut skip) = (doc! {"seq": -1}, 0);
        match page {
            Page::Newest { skip: some } => skip = some,
            Page::BeforeSeq(seq) => drop(filter.insert("seq", doc! {"$lt": seq})),
            Page::AfterSeq(seq) => {
                filter.insert("seq", doc! {"$gt": seq});
                sort = doc! {"seq": 1};
            }
            Page::BeforeTime(time) => {
                filter.insert("createdAt", doc! {"$lt": date(time)});
                sort = doc! {"createdAt": -1, "seq": -1};
            }
            Page::ChangedSince(time) => {
                filter.insert("change.at", doc! {"$gte": date(time)});
                sort = doc! {"change.at": 1, "seq": 1};
            }
        }
        let oldest_first = matches!(page, Page::AfterSeq(_) | Page::ChangedSince(_));
        if !oldest_first {
            filter.insert("isDeleted", false);
        }
        let messages = self.messages();
        let action =
            messages.find(filter).sort(sort).skip(skip).limit(i64::from(limit)).max_time(COMMAND_TIMEOUT);
        let mut found: Vec<Message> = self
            .run(Command::Find, async { action.batch_size(limit + 1).await?.try_collect().await })
            .await?;
        if !oldest_first {
            found.reverse();
        }
        Ok(found)
    }

    /// One message. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn message(&self, id: Id) -> Result<Option<Message>, StoreError> {
        let messages = self.messages();
        self.run(Command::Find, messages.find_one(doc! {"_id": oid(id)}).max_time(COMMAND_TIMEOUT)).await
    }

    /// Those of these messages that exist. One command, none if there is nothing to ask.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn messages_by_id(&self, ids: &[Id]) -> Result<Vec<Message>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let messages = self.messages().clone_with_type::<RawDocumentBuf>();
        let action = messages
            .find(doc! {"_id": {"$in": oids(ids.iter().copied())}})
            .batch_size(whole(ids.len()))
            .max_time(COMMAND_TIMEOUT);
        let rows: Vec<RawDocumentBuf> =
            self.run(Command::Find, async { action.await?.try_collect().await }).await?;
        Ok(readable(name::MESSAGES, &rows))
    }

    /// Edits a message, or deletes it where there is no `content`, if it is not deleted and still at the revision
    /// before the change's; otherwise nothing is returned. A classic update of whole fields: the change stream then
    /// carries all of `change`. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn change_message(
        &self,
        id: Id,
        change: &MessageChange,
        content: Option<&str>,
    ) -> Result<Option<Message>, StoreError> {
        let before = (change.rev > 1).then_some(change.rev - 1);
        // Of a message that was never changed, `change.rev` is null to a query.
        let filter = doc! {"_id": oid(id), "isDeleted": false, "change.rev": before};
        let mut fields = doc! {
            "content": content.unwrap_or_default(),
            "updatedAt": date(change.at),
            "change": mongodb::bson::serialize_to_bson(change)?,
        };
        let mut update = doc! {};
        match content {
            Some(_) => drop(fields.insert("editedAt", date(change.at))),
            None => {
                fields.insert("isDeleted", true);
                update.insert("$unset", doc! {"attachmentUrl": ""});
            }
        }
        update.insert("$set", fields);
        let messages = self.messages();
        self.run(
            Command::FindAndModify,
            messages.find_one_and_update(filter, update).return_document(ReturnDocument::After),
        )
        .await
    }

    /// How many messages of others than `reader` there are in each of these stretches; of a stretch with more than
    /// [`UNREAD_SCAN`] messages only the newest are looked at, and of many long ones fewer. One command for all of
    /// them, none if there is nothing to count.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn unread_counts(
        &self,
        reader: Id,
        stretches: &[Stretch],
    ) -> Result<Vec<(Id, i64)>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "_id", with = "stored")]
            conversation: Id,
            n: i64,
        }
        if stretches.is_empty() {
            return Ok(Vec::new());
        }
        let most = scan(stretches.len());
        let each: Vec<Document> = stretches
            .iter()
            .map(|stretch| {
                let after = stretch.after.max(stretch.last.saturating_sub(most));
                doc! {"conversationId": oid(stretch.conversation), "seq": {"$gt": after, "$lte": stretch.last}}
            })
            .collect();
        let pipeline = [
            doc! {"$match": {"$or": each}},
            doc! {"$match": {"sender": {"$ne": oid(reader)}, "isDeleted": false}},
            doc! {"$group": {"_id": "$conversationId", "n": {"$sum": 1_i64}}},
        ];
        let messages = self.messages();
        let action = messages
            .aggregate(pipeline)
            .batch_size(whole(stretches.len()))
            .max_time(COMMAND_TIMEOUT)
            .with_type::<Row>();
        let rows: Vec<Row> =
            self.run(Command::Aggregate, async { action.await?.try_collect().await }).await?;
        Ok(rows.into_iter().map(|row| (row.conversation, row.n)).collect())
    }
}

/// How many messages of each of so many stretches are looked at.
fn scan(stretches: usize) -> i64 {
    let share = UNREAD_SCAN_OF_ALL / i64::try_from(stretches).unwrap_or(i64::MAX).max(1);
    share.clamp(UNREAD_SCAN_AT_LEAST, UNREAD_SCAN)
}

/// A batch size with which `n` rows and the notice that there are no more come in one answer.
pub(crate) fn whole(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX - 1) + 1
}
