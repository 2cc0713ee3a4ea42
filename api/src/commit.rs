//! Group commit: the write path of messages.
//!
//! A conversation always takes the same lane, and a lane has one batch in flight; while it is, the next one fills. A
//! batch is authorised by one fresh query and stored by one ordered insert, and each message gets its own answer.
//!
//! What is promised, and by what:
//!
//! - *Acknowledged is kept*: an answer comes after a majority has the message.
//! - *A retry never doubles*: `_id` and `clientMessageId` are unique, and what they find is answered as stored.
//! - *`seq` is 1, 2, 3 … without a gap*: it is unique within a conversation, and a message is only ever inserted after
//!   the one before it, which a majority has or which stands before it in the same ordered insert. Wherever an insert
//!   stops, the rest is numbered anew.
//! - *A lost answer is not a failure*: after a network error, a timeout or a write concern error the lane looks up what
//!   is stored and inserts the rest again, in place, while its later batches wait. An earlier attempt may still land
//!   after that; `_id` being unique, it then finds the message there or is found by the next insert.
//!
//! | module | holds |
//! |---|---|
//! | [`batch`] | what is still to be answered, and the pure rules: repetitions, authorisation, numbering |
//! | [`lane`] | one lane: the attempts, what a lane remembers between batches |

mod batch;
mod lane;

use std::sync::Arc;
use std::time::Duration;

use protocol::body::NewMessage;
use protocol::route::{LANES, lane};
use protocol::{ErrorCode, Id, UnixMicros};
use service::batcher::{Batcher, Limits, Refused};
use store::Store;
use store::document::{Message, Profile};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::answer::Failure;
use crate::metrics::Metrics;
use crate::view::Views;
use lane::Lane;

/// A batch of this many messages commits about as fast as one; larger ones only make their first message wait.
const LIMITS: Limits = Limits { batch: 256, queue: 4_096 };

/// A message to be stored, already checked.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    /// Minted by the first server that saw the message.
    pub(crate) id: Id,
    pub(crate) conversation: Id,
    pub(crate) sender: Id,
    /// The sender's profile, where it is known already.
    pub(crate) profile: Option<Arc<Profile>>,
    pub(crate) body: NewMessage,
    /// When the first server received it, where that one says so.
    pub(crate) received: Option<UnixMicros>,
    /// When it arrived here: its patience runs from then.
    pub(crate) since: Instant,
}

/// A stored message and who wrote it.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) message: Message,
    pub(crate) sender: Arc<Profile>,
}

/// What came of a [`Send`].
pub(crate) type Outcome = Result<Arc<Committed>, Failure>;

/// The lanes.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    lanes: Vec<Batcher<Send, Outcome>>,
    metrics: Arc<Metrics>,
}

impl Commit {
    /// Starts the lanes. `patience` is how long a message may wait for MongoDB.
    pub(crate) fn start(store: &Store, views: &Views, patience: Duration, metrics: &Arc<Metrics>) -> Self {
        let lanes = (0..LANES).map(|_| {
            let lane = Arc::new(Lane::new(store.clone(), views.clone(), patience, metrics.clone()));
            Batcher::spawn(LIMITS, metrics.commit_batcher.clone(), move |sends| run(lane.clone(), sends))
        });
        Self { lanes: lanes.collect(), metrics: metrics.clone() }
    }

    /// Enqueues a message behind all earlier ones of its conversation; its outcome comes later.
    ///
    /// # Errors
    ///
    /// When the lane is full. The message had no effect.
    pub(crate) fn enqueue(&self, send: Send) -> Result<oneshot::Receiver<Outcome>, Failure> {
        self.lanes[lane(send.conversation)].enqueue(send).map_err(|refused| {
            if refused == Refused::Overloaded {
                self.metrics.overloads.increment(1);
            }
            refused.into()
        })
    }

    /// Enqueues a message and waits for its outcome.
    pub(crate) async fn send(&self, send: Send) -> Outcome {
        self.enqueue(send)?.await.unwrap_or_else(|_| Err(Refused::Stopped.into()))
    }
}

/// Commits a batch in a task of its own, so that a panic costs that batch an answer and not the lane its life.
async fn run(lane: Arc<Lane>, sends: Vec<Send>) -> Vec<Outcome> {
    let count = sends.len();
    match tokio::spawn(async move { lane.commit(sends).await }).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            let failure = Failure::fault(error);
            (0..count).map(|_| Err(failure.clone())).collect()
        }
    }
}

/// The answer to a message whose identifier belongs to another one.
fn taken() -> Failure {
    Failure::new(ErrorCode::Conflict, "A different message has this identifier")
}
