//! Reading committed changes in order, and reading the past as it was.
//!
//! One change stream over the whole database, taken in raw batches: the reply of each `getMore` is looked at
//! where it lies, without building documents. Beside it [`snapshot`] reads documents as they were at a
//! cluster time, so that a streamer that lags addresses old messages to the members of that time.

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use mongodb::bson::{Bson, Document, RawArray, RawDocument, RawDocumentBuf, Timestamp, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::RunCursorCommandOptions;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use tokio::time::timeout;

use crate::command::{Command, Commands};
use crate::{COMMAND_TIMEOUT, Store};

/// How long the server holds a `getMore` open while nothing happens. An empty batch tells the reader that it
/// has caught up, and moves its resume token along.
const MAX_AWAIT: Duration = Duration::from_millis(500);

/// The resume point is no longer in the oplog, or the token cannot be resumed from.
const HISTORY_LOST: [i32; 2] = [286, 280];
/// The snapshot's time is older than the server keeps.
const SNAPSHOT_TOO_OLD: i32 = 239;

/// Why the stream, or a snapshot, could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The oplog no longer reaches back to where reading should start: events are lost for good.
    #[error("the oplog no longer reaches back to where the change stream should start")]
    HistoryLost,
    /// The server no longer keeps documents as they were at that time.
    #[error("the database no longer keeps the documents of that time")]
    SnapshotTooOld,
    /// The stream has ended: the database was dropped, or the server closed the cursor.
    #[error("the change stream has ended")]
    Ended,
    /// No reply in time.
    #[error("the database did not answer in time")]
    TimedOut,
    /// A reply that has not the shape of a change stream's.
    #[error("the database answered with something that is not a change")]
    Malformed,
    /// Anything else: the stream should be opened again where it stopped.
    #[error("the database failed: {}", .0.kind)]
    Database(#[source] Error),
}

impl StreamError {
    /// Whether the past cannot be read any more: reading has to start afresh at the present.
    #[must_use]
    pub const fn is_history(&self) -> bool {
        matches!(self, Self::HistoryLost | Self::SnapshotTooOld)
    }
}

impl From<Error> for StreamError {
    fn from(error: Error) -> Self {
        match error.kind.as_ref() {
            ErrorKind::Command(command) if HISTORY_LOST.contains(&command.code) => Self::HistoryLost,
            ErrorKind::Command(command) if command.code == SNAPSHOT_TOO_OLD => Self::SnapshotTooOld,
            _ => Self::Database(error),
        }
    }
}

impl From<mongodb::bson::error::Error> for StreamError {
    fn from(_: mongodb::bson::error::Error) -> Self {
        Self::Malformed
    }
}

/// Where a change stream starts.
#[derive(Debug, Clone)]
pub enum Start {
    /// With the first change at or after this cluster time.
    At(u64),
    /// Behind the change that this resume token stands for.
    After(RawDocumentBuf),
}

/// A cluster time as one number: seconds in the upper half, increment in the lower.
#[must_use]
pub fn cluster_time(timestamp: Timestamp) -> u64 {
    u64::from(timestamp.time) << 32 | u64::from(timestamp.increment)
}

fn timestamp(time: u64) -> Timestamp {
    Timestamp { time: (time >> 32) as u32, increment: time as u32 }
}

/// An open change stream.
pub struct Changes {
    cursor: RawBatchCursor,
    commands: Commands,
    /// Since when an answer is awaited.
    asked: Option<Instant>,
    /// Whether the next batch came with the answer to opening.
    has_first: bool,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Changes")
    }
}

/// What one round trip brought: the changes since the last, in order; none if nothing happened.
#[derive(Debug)]
pub struct Batch {
    reply: RawBatch,
}

impl Changes {
    /// Opens a change stream on the whole database. `filter` is a `$match` on change events; it runs on the server,
    /// so what it leaves out costs no network.
    ///
    /// # Errors
    ///
    /// [`StreamError::HistoryLost`] when the start is no longer in the oplog.
    pub async fn open(store: &Store, start: &Start, filter: Document) -> Result<Self, StreamError> {
        let options = match start {
            Start::At(time) => doc! { "startAtOperationTime": timestamp(*time) },
            Start::After(token) => doc! { "startAfter": Document::try_from(token.as_ref())? },
        };
        let command = doc! {
            "aggregate": 1,
            "pipeline": [{ "$changeStream": options }, { "$match": filter }],
            "cursor": {},
            "readConcern": { "level": "majority" },
        };
        let options = RunCursorCommandOptions::builder().max_time(MAX_AWAIT).build();
        let open = store.database().run_cursor_command(command).with_options(options).batch();
        let cursor = in_time(store, Command::Aggregate, open).await?;
        Ok(Self { cursor, commands: store.commands.clone(), asked: None, has_first: true })
    }

    /// The next batch. Cancel-safe: a request in flight goes on with the next call.
    ///
    /// # Errors
    ///
    /// After an error the stream must be opened again.
    pub async fn next(&mut self) -> Result<Batch, StreamError> {
        let asked = *self.asked.get_or_insert_with(Instant::now);
        let reply = self.cursor.next().await;
        self.asked = None;
        if !std::mem::take(&mut self.has_first) {
            self.commands.answered(Command::GetMore, asked.elapsed());
        }
        match reply {
            Some(Ok(reply)) => Ok(Batch { reply }),
            Some(Err(error)) => {
                self.commands.failed(Command::GetMore);
                Err(error.into())
            }
            None => Err(StreamError::Ended),
        }
    }
}

impl Batch {
    /// The changes, in order.
    ///
    /// # Errors
    ///
    /// A reply without a batch.
    pub fn changes(&self) -> Result<&RawArray, StreamError> {
        Ok(self.reply.doc_slices()?)
    }

    /// Where the server's reading stands after this batch, also when the batch is empty.
    #[must_use]
    pub fn token(&self) -> Option<&RawDocument> {
        let cursor = self.reply.as_raw_document().get_document("cursor").ok()?;
        cursor.get_document("postBatchResumeToken").ok()
    }
}

/// The cluster time that a resume token stands for: an event's own, or, in the token of an empty batch, one
/// before which nothing more can come. `None` if the token is not of the known form: `_data` holds hexadecimal
/// digits, first the type byte `82` of a timestamp, then its eight bytes.
#[must_use]
pub fn token_time(token: &RawDocument) -> Option<u64> {
    let digits = token.get_str("_data").ok()?.strip_prefix("82")?.get(..16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// Awaits one answer for at most [`COMMAND_TIMEOUT`], and measures it.
async fn in_time<T>(
    store: &Store,
    command: Command,
    action: impl IntoFuture<Output = Result<T, impl Into<StreamError>>>,
) -> Result<T, StreamError> {
    let asked = Instant::now();
    let answer = match timeout(COMMAND_TIMEOUT, action.into_future()).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(StreamError::TimedOut),
    };
    store.commands.answered(command, asked.elapsed());
    if answer.is_err() {
        store.commands.failed(command);
    }
    answer
}

/// The cluster time up to which a majority has everything: a snapshot can be read there.
///
/// # Errors
///
/// When the database does not answer, or is not a replica set.
pub async fn now(store: &Store) -> Result<u64, StreamError> {
    let hello = store.database().run_command(doc! { "hello": 1 });
    let hello = in_time(store, Command::Other, hello).await?;
    let last = hello.get_document("lastWrite").and_then(|last| last.get_document("majorityOpTime"));
    match last.map(|time| time.get("ts")) {
        Ok(Some(Bson::Timestamp(time))) => Ok(cluster_time(*time)),
        _ => Err(StreamError::Malformed),
    }
}

/// The documents of `collection` that match `filter`, as they were at cluster time `at`; only the fields of
/// `projection`.
///
/// # Errors
///
/// [`StreamError::SnapshotTooOld`] when `at` is further back than the server keeps (five minutes by default).
pub async fn snapshot(
    store: &Store,
    collection: &str,
    filter: Document,
    projection: Document,
    at: u64,
) -> Result<Vec<RawDocumentBuf>, StreamError> {
    let command = doc! {
        "find": collection,
        "filter": filter,
        "projection": projection,
        "readConcern": { "level": "snapshot", "atClusterTime": timestamp(at) },
    };
    let read = async {
        let mut cursor = store.database().run_cursor_command(command).batch().await?;
        let mut documents = Vec::new();
        while let Some(reply) = cursor.next().await {
            for document in reply?.doc_slices()? {
                let document = document?.as_document().ok_or(StreamError::Malformed)?;
                documents.push(document.to_owned());
            }
        }
        Ok::<_, StreamError>(documents)
    };
    in_time(store, Command::Find, read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_times_keep_their_order_as_numbers() {
        let (a, b) = (Timestamp { time: 5, increment: u32::MAX }, Timestamp { time: 6, increment: 0 });
        assert_eq!(cluster_time(a) + 1, cluster_time(b));
        assert_eq!(timestamp(cluster_time(a)), a);
    }
}
