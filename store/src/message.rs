//! Queries on messages: what the group commit needs, and pages of a conversation.

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, RawArrayBuf, doc, rawdoc, serialize_to_raw_document_buf};
use mongodb::options::ReadConcern;
use protocol::{Id, Timestamp};
use serde::Deserialize;

use crate::connect::WRITE_CONCERN_TIMEOUT;
use crate::convert::{date, oid, oids, stored};
use crate::document::Message;
use crate::error::{DUPLICATE_KEY, TRANSIENT};
use crate::{COMMAND_TIMEOUT, Store, StoreError, bounded, name};

/// How many messages after a cursor are looked at to count the unread ones among them. Without it somebody who writes
/// much and marks nothing as read would have all they ever wrote read for every list: their own messages do not
/// count, so the bound on the count never stops the scan.
pub const UNREAD_SCAN: i64 = 5_000;

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
        let rows: Vec<Row> = bounded(async { action.await?.try_collect().await }).await?;
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
            .read_concern(ReadConcern::majority())
            .max_time(COMMAND_TIMEOUT);
        bounded(async { action.await?.try_collect().await }).await
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
            "writeConcern": { "w": "majority", "wtimeout": WRITE_CONCERN_TIMEOUT.as_millis() as i64 },
        };
        let answer = bounded(self.database().run_raw_command(command)).await?;
        // Also beside a write error: then it is unknown whether a majority has those before it.
        if let Some(problem) = answer.get("writeConcernError") {
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
        }
        let oldest_first = matches!(page, Page::AfterSeq(_));
        if !oldest_first {
            filter.insert("isDeleted", false);
        }
        let messages = self.messages();
        let action =
            messages.find(filter).sort(sort).skip(skip).limit(i64::from(limit)).max_time(COMMAND_TIMEOUT);
        let mut found: Vec<Message> =
            bounded(async { action.batch_size(limit + 1).await?.try_collect().await }).await?;
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
        bounded(messages.find_one(doc! {"_id": oid(id)}).max_time(COMMAND_TIMEOUT)).await
    }

    /// For each (conversation, cursor), how many messages of others than `reader` come after the cursor; counted up
    /// to `cap`, and exact where no more than [`UNREAD_SCAN`] messages come after it: of more, only the newest are
    /// looked at. One command for all of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn unread_counts(
        &self,
        reader: Id,
        cursors: &[(Id, i64)],
        cap: i64,
    ) -> Result<Vec<(Id, i64)>, StoreError> {
        #[derive(Deserialize)]
        struct Count {
            n: i64,
        }
        #[derive(Deserialize)]
        struct Row {
            #[serde(with = "stored")]
            c: Id,
            unread: Vec<Count>,
        }
        if cursors.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<Document> = cursors.iter().map(|(c, seq)| doc! {"c": oid(*c), "seq": *seq}).collect();
        let count = doc! {
            "from": name::MESSAGES, "localField": "c", "foreignField": "conversationId", "as": "unread",
            "let": {"seq": "$seq"},
            "pipeline": [
                {"$match": {"$expr": {"$gt": ["$seq", "$$seq"]}}},
                // The order of the index, so nothing is sorted.
                {"$sort": {"seq": -1}},
                {"$limit": UNREAD_SCAN},
                {"$match": {"sender": {"$ne": oid(reader)}, "isDeleted": false}},
                {"$limit": cap},
                {"$count": "n"},
            ],
        };
        let pipeline = [doc! {"$documents": asked}, doc! {"$lookup": count}, doc! {"$project": {"seq": 0}}];
        let action = self
            .database()
            .aggregate(pipeline)
            .batch_size(whole(cursors.len()))
            .max_time(COMMAND_TIMEOUT)
            .with_type::<Row>();
        let rows: Vec<Row> = bounded(async { action.await?.try_collect().await }).await?;
        Ok(rows.iter().map(|row| (row.c, row.unread.first().map_or(0, |count| count.n))).collect())
    }
}

/// A batch size with which `n` rows and the notice that there are no more come in one answer.
pub(crate) fn whole(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX - 1) + 1
}
