//! Uploaded files: a GridFS bucket, so that other programs can read it, without the driver's own streams. Those have no
//! bound on their waits, leave chunks behind when they are dropped in the middle of a write, and read a file from its
//! beginning only.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt, stream};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, doc};
use mongodb::{Collection, Cursor};
use protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

use crate::command::{Command, Commands};
use crate::convert::{oid, stored};
use crate::{COMMAND_TIMEOUT, Store, StoreError, bounded};

/// The collection of the files of [`crate::name::UPLOADS`].
pub const FILES: &str = "uploads.files";
/// The collection of their bytes.
pub const CHUNKS: &str = "uploads.chunks";

/// How many bytes a chunk has, but for the last of a file. GridFS' own default: with the rest of its document, just
/// below a power of two.
const CHUNK: usize = 255 << 10;
/// How many chunks one answer brings while a file is read: together they are what a slow reader keeps in memory.
const CHUNKS_READ: u32 = 4;

/// How often the removal of what was left of an upload is tried, and how long it waits in between: longer
/// than an election of a new primary takes.
const REMOVAL_TRIES: usize = 10;
const REMOVAL_INTERVAL: Duration = Duration::from_secs(3);

/// What is known of an uploaded file: its document in [`FILES`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// The identifier.
    #[serde(rename = "_id", with = "stored")]
    pub id: Id,
    /// How many bytes it has.
    pub length: i64,
    /// How many bytes each of its chunks has, but for the last.
    chunk_size: i32,
    /// When all of it was there.
    #[serde(with = "stored")]
    pub upload_date: Timestamp,
    /// What it is called, if it has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// What GridFS itself does not know.
    pub metadata: Metadata,
}

/// What LinkUp knows of a file beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Who uploaded it.
    #[serde(with = "stored")]
    pub owner: Id,
    /// Its media type, without parameters.
    pub content_type: String,
}

/// A piece of a file.
#[derive(Serialize, Deserialize)]
struct Chunk {
    #[serde(rename = "_id")]
    id: ObjectId,
    #[serde(with = "stored")]
    files_id: Id,
    n: i32,
    data: Binary,
}

/// A file that is being uploaded. Unless it is [finished](UploadWriter::finish), what was written is removed again,
/// whether it is dropped or fails.
#[derive(Debug)]
pub struct UploadWriter {
    /// Less than a chunk.
    rest: BytesMut,
    steps: mpsc::Sender<Step>,
    /// The task that writes, until its outcome is known.
    writing: Option<JoinHandle<Result<Upload, StoreError>>>,
}

/// What a writer has its task do.
#[derive(Debug)]
enum Step {
    /// Write this chunk.
    Chunk(Bytes),
    /// There are no more.
    Finish,
}

impl UploadWriter {
    /// Adds bytes to the file. Waits while more than a chunk is yet to be written, so that whoever sends no faster than
    /// this returns fills no memory.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: then the file has failed for good.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.rest.len()));
            self.rest.extend_from_slice(now);
            bytes = later;
            if self.rest.len() == CHUNK {
                let chunk = self.rest.split().freeze();
                self.step(Step::Chunk(chunk)).await?;
            }
        }
        Ok(())
    }

    /// Ends the file. When this returns, a majority has all of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: then there is no file.
    pub async fn finish(mut self) -> Result<Upload, StoreError> {
        if !self.rest.is_empty() {
            let chunk = self.rest.split().freeze();
            self.step(Step::Chunk(chunk)).await?;
        }
        self.step(Step::Finish).await?;
        self.outcome().await
    }

    async fn step(&mut self, step: Step) -> Result<(), StoreError> {
        match self.steps.send(step).await {
            Ok(()) => Ok(()),
            // The task has ended, and knows why.
            Err(_) => self.outcome().await.map(drop),
        }
    }

    async fn outcome(&mut self) -> Result<Upload, StoreError> {
        let failed = || StoreError::Refused("the upload has failed before".to_owned());
        let outcome = self.writing.take().ok_or_else(failed)?.await;
        outcome.unwrap_or_else(|error| Err(StoreError::Refused(format!("the writing task failed: {error}"))))
    }
}

/// Where a file is written to.
struct Target {
    files: Collection<Upload>,
    chunks: Collection<Chunk>,
    commands: Commands,
    upload: Upload,
}

impl Target {
    /// Writes what it is told to. In a task of its own, so that no write is ever under way when its chunks are removed.
    async fn write(mut self, mut steps: mpsc::Receiver<Step>) -> Result<Upload, StoreError> {
        let outcome = self.write_all(&mut steps).await;
        drop(steps);
        match outcome {
            Ok(true) => return Ok(self.upload),
            Ok(false) => {}
            Err(error) => {
                // Whoever waits for this need not wait for the removal.
                tokio::spawn(self.remove());
                return Err(error);
            }
        }
        self.remove().await;
        Err(StoreError::Refused("the upload was given up".to_owned()))
    }

    /// True if the file was finished, false if it was given up.
    async fn write_all(&mut self, steps: &mut mpsc::Receiver<Step>) -> Result<bool, StoreError> {
        let mut n = 0;
        loop {
            let bytes = match steps.recv().await {
                Some(Step::Chunk(bytes)) => bytes,
                Some(Step::Finish) => break,
                None => return Ok(false),
            };
            self.upload.length += bytes.len() as i64;
            let data = Binary { subtype: BinarySubtype::Generic, bytes: bytes.into() };
            let chunk = Chunk { id: ObjectId::new(), files_id: self.upload.id, n, data };
            self.commands.run(Command::Insert, self.chunks.insert_one(chunk)).await?;
            n += 1;
        }
        // The last, so that a file that is there is there as a whole.
        self.upload.upload_date = Timestamp::now();
        self.commands.run(Command::Insert, self.files.insert_one(&self.upload)).await?;
        Ok(true)
    }

    /// Removes whatever was written. The file goes first: it must not be there without its bytes.
    async fn remove(self) {
        let id = oid(self.upload.id);
        for attempt in 1.. {
            let removed = async {
                self.commands.run(Command::Delete, self.files.delete_one(doc! {"_id": id})).await?;
                self.commands.run(Command::Delete, self.chunks.delete_many(doc! {"files_id": id})).await
            };
            match removed.await {
                Ok(_) => return,
                Err(error) if attempt == REMOVAL_TRIES => {
                    tracing::warn!(%error, upload = %self.upload.id, "chunks of an upload that failed are left behind");
                    return;
                }
                Err(_) => sleep(REMOVAL_INTERVAL).await,
            }
        }
    }
}

impl Store {
    /// Begins a new file. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start_upload(&self, metadata: Metadata, filename: Option<String>) -> UploadWriter {
        let upload = Upload {
            id: Id::mint(),
            length: 0,
            chunk_size: CHUNK as i32,
            upload_date: Timestamp::now(),
            filename,
            metadata,
        };
        let (files, chunks) = (self.database().collection(FILES), self.database().collection(CHUNKS));
        let commands = self.commands.clone();
        // One chunk is being written, one waits, and the next fills.
        let (steps, to_do) = mpsc::channel(1);
        let writing = tokio::spawn(Target { files, chunks, commands, upload }.write(to_do));
        UploadWriter { rest: BytesMut::new(), steps, writing: Some(writing) }
    }

    /// What is known of a file. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn upload(&self, id: Id) -> Result<Option<Upload>, StoreError> {
        let files = self.database().collection::<Upload>(FILES);
        self.run(Command::Find, files.find_one(doc! {"_id": oid(id)}).max_time(COMMAND_TIMEOUT)).await
    }

    /// Some of the bytes of a file, which must be within it; read as they are asked for, in one command for about a
    /// million of them. An item waits for the database, if at all, no longer than [`COMMAND_TIMEOUT`].
    ///
    /// The stream ends with its first error: [`StoreError::Incomplete`] where bytes are missing; others.
    pub fn upload_bytes(
        &self,
        upload: &Upload,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + use<> {
        let reading = Reading {
            chunks: self.database().collection(CHUNKS),
            commands: self.commands.clone(),
            cursor: None,
            file: upload.id,
            length: u64::try_from(upload.length).unwrap_or(0),
            size: u64::try_from(upload.chunk_size).unwrap_or(0).max(1),
            range,
        };
        stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|bytes| (bytes, reading)))
        })
    }
}

/// A file that is being read.
struct Reading {
    chunks: Collection<Chunk>,
    commands: Commands,
    cursor: Option<Cursor<Chunk>>,
    file: Id,
    /// Of the whole file.
    length: u64,
    /// Of a chunk.
    size: u64,
    /// What is still to be read.
    range: Range<u64>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.range.is_empty() {
            return Ok(None);
        }
        if self.cursor.is_none() {
            self.cursor = Some(self.open().await?);
        }
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        // Not measured: nearly always it is here already.
        let chunk = bounded(cursor.try_next()).await?.ok_or(StoreError::Incomplete(self.file))?;
        let begins = self.range.start / self.size * self.size;
        let ends = self.length.min(begins + self.size);
        let bytes = Bytes::from(chunk.data.bytes);
        if i64::from(chunk.n) != (begins / self.size) as i64 || bytes.len() as u64 != ends - begins {
            return Err(StoreError::Incomplete(self.file));
        }
        let until = ends.min(self.range.end);
        let wanted = bytes.slice((self.range.start - begins) as usize..(until - begins) as usize);
        self.range.start = until;
        Ok(Some(wanted))
    }

    async fn open(&mut self) -> Result<Cursor<Chunk>, StoreError> {
        let (first, last) = (self.range.start / self.size, (self.range.end - 1) / self.size);
        let numbers = doc! {"$gte": first as i64, "$lte": last as i64};
        let find = self
            .chunks
            .find(doc! {"files_id": oid(self.file), "n": numbers})
            .sort(doc! {"files_id": 1, "n": 1})
            // With the limit, the server knows that there is nothing behind the last, and need not be asked.
            .limit((last - first + 1) as i64)
            .batch_size(CHUNKS_READ)
            .max_time(COMMAND_TIMEOUT);
        self.commands.run(Command::Find, find).await
    }
}
