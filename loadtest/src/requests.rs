//! What is done over REST while the connections are driven: on the runtime, beside the engine's thread.

use std::sync::Arc;
use std::time::Instant;

use protocol::Id;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::clock::Clock;
use crate::engine::Handle;
use crate::plan::Action;
use crate::rest::Rest;
use crate::traffic::control::Command;

/// How many requests are under way at most. What is beyond waits, and its latency counts from its scheduled time.
const AT_ONCE: usize = 256;

/// Something to be done.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it is done for.
    pub action: Action,
    /// Whose it is: the seat's place in its process.
    pub seat: usize,
    /// Authenticates the user.
    pub token: Arc<str>,
    /// The request.
    pub request: Request,
    /// When it was due.
    pub due_us: u64,
    /// When it was handed over.
    pub started_us: u64,
}

/// A request.
#[derive(Clone, Debug)]
pub enum Request {
    /// Send a message; `index` is its place in the ledger.
    Post {
        /// Where to.
        conversation: Id,
        /// Its text.
        content: String,
        /// Its place in the ledger.
        index: u32,
    },
    /// The newest messages of a conversation.
    Page {
        /// Of which.
        conversation: Id,
    },
    /// The conversations of the user.
    List,
    /// A file of so many bytes.
    Upload {
        /// How many.
        bytes: usize,
    },
}

impl Request {
    /// The place in the ledger of the message that it sends.
    #[must_use]
    pub const fn index(&self) -> Option<u32> {
        match self {
            Self::Post { index, .. } => Some(*index),
            _ => None,
        }
    }
}

/// What came of a job.
#[derive(Debug)]
pub struct Answer {
    /// The job.
    pub job: Job,
    /// When the answer was there.
    pub done_us: u64,
    /// What was found, or why not.
    pub result: Result<Found, String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The message is committed.
    Posted {
        /// Its place in the ledger.
        index: u32,
        /// Its number.
        seq: i64,
    },
    /// The newest messages.
    Page {
        /// Of which conversation.
        conversation: Id,
        /// The newest one's identifier.
        last: Option<String>,
    },
    /// Nothing that is of interest.
    Nothing,
}

/// Does all jobs as they come, until there is nobody left who gives any.
pub async fn serve(rest: Rest, clock: Clock, mut jobs: UnboundedReceiver<Job>, engine: Handle<Command>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(job) = jobs.recv().await {
        // Invariant: the semaphore is never closed.
        let permit = Arc::clone(&room).acquire_owned().await.expect("an open semaphore");
        let (rest, engine) = (rest.clone(), engine.clone());
        tokio::spawn(async move {
            let result = perform(&rest, &job).await.map_err(|error| error.to_string());
            let done_us = clock.micros(Instant::now());
            engine.send(Command::Requested(Answer { job, done_us, result }));
            drop(permit);
        });
    }
}

async fn perform(rest: &Rest, job: &Job) -> Result<Found, crate::error::Error> {
    let token = &job.token;
    match &job.request {
        Request::Post { conversation, content, index } => {
            let seq = rest.send(token, *conversation, content).await?;
            Ok(Found::Posted { index: *index, seq })
        }
        Request::Page { conversation } => {
            let last = rest.newest(token, *conversation).await?;
            Ok(Found::Page { conversation: *conversation, last })
        }
        Request::List => rest.conversations(token).await.map(|()| Found::Nothing),
        Request::Upload { bytes } => rest.upload(token, *bytes).await.map(|()| Found::Nothing),
    }
}
