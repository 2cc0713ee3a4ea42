//! Changes in, addressed events out. No I/O but the loads of the caches.
//!
//! | module | holds |
//! |---|---|
//! | [`apply`] | what each change does to the caches, and whom it is told to |
//! | [`beside`] | what is loaded for a batch and not cached |

mod apply;
mod beside;

use std::sync::Arc;

use protocol::upload::Links;
use protocol::{Clock, UnixMicros};
use store::Store;
use store::stream::{Batch, StreamError};
use tracing::warn;

use crate::cache::{Cache, Missing};
use crate::change::{self, Change, Kind};
use crate::log::Addressed;
use crate::metrics::Metrics;
use crate::past::Snapshot;
use crate::receipts::Receipts;

use apply::Emitter;
use beside::Beside;

/// How often a batch is given up and read again because it takes too long to find out whom to tell its statuses. After
/// that the users alone are told: nobody's messages wait longer for somebody's thousands of friends.
const AUDIENCE_TRIES: u32 = 2;

/// Turns batches of changes into addressed events with clocks.
#[derive(Debug)]
pub(crate) struct Addresser {
    store: Store,
    /// Signs the addresses of uploads.
    links: Links,
    pub(crate) cache: Cache,
    receipts: Receipts,
    /// How often on end the audiences of a batch took too long.
    late_audiences: u32,
    /// The cluster time of the last change, and which change of it that was.
    time: u64,
    change: u32,
    metrics: Arc<Metrics>,
}

/// An event that was just made.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) event: Addressed,
    /// Of a new message: when the first server received it.
    pub(crate) received: Option<UnixMicros>,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// In clock order.
    pub(crate) events: Vec<Fresh>,
    /// When its first change was committed; `None` where it has none.
    pub(crate) oldest: Option<UnixMicros>,
    /// When each of its messages was committed.
    pub(crate) committed: Vec<UnixMicros>,
}

impl Addresser {
    /// With empty caches; the first batch begins after cluster time `time`.
    pub(crate) fn new(store: Store, links: Links, time: u64, metrics: Arc<Metrics>) -> Self {
        let (cache, receipts) = (Cache::new(Arc::clone(&metrics)), Receipts::default());
        Self { store, links, cache, receipts, late_audiences: 0, time, change: 0, metrics }
    }

    /// The events of a batch.
    ///
    /// # Errors
    ///
    /// When the caches could not be loaded. The batch may be given again.
    pub(crate) async fn address(&mut self, batch: &Batch) -> Result<Outcome, StreamError> {
        self.cache.trim();
        let mut outcome = Outcome::default();
        let mut changes = Vec::new();
        let mut missing = Missing::default();
        for item in batch.changes()? {
            let event = item?.as_document().ok_or(StreamError::Malformed)?;
            let committed = change::committed(event);
            outcome.oldest = outcome.oldest.or(committed);
            self.metrics.change(change::collection(event));
            match Change::parse(event) {
                Ok(Some(change)) => {
                    if matches!(change.kind, Kind::Message(_)) {
                        outcome.committed.extend(committed);
                    }
                    changes.push(change);
                }
                Ok(None) => {}
                // Somebody wrote past the api; one odd document must not stop everybody's events.
                Err(error) => {
                    self.metrics.skipped.increment(1);
                    warn!(%error, "a change was skipped: its document is not as LinkUp writes it");
                }
            }
        }
        beside::mark_overtaken(&mut changes);
        for change in &changes {
            self.cache.note_missing(change, &mut missing);
        }
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return Ok(outcome) };
        self.cache.load(&self.store, missing, first.time - 1).await?;
        let beside = self.beside(&changes, last.time).await?;
        outcome.events.reserve(changes.len());
        for change in changes {
            let clock = self.next_clock(change.time);
            let metrics = Arc::clone(&self.metrics);
            let emitter = Emitter { clock, received: None, events: &mut outcome.events, metrics: &metrics };
            self.apply(change, &beside, emitter);
        }
        Ok(outcome)
    }

    /// What the changes need beside the caches, as of the last of them, at cluster time `at`.
    async fn beside(&mut self, changes: &[Change<'_>], at: u64) -> Result<Beside, StreamError> {
        let mut beside = Beside::default();
        let past = Snapshot { store: &self.store, at };
        beside.load_texts(&past, changes).await?;
        match beside.load_audiences(&past, changes).await {
            Err(StreamError::TimedOut) if self.late_audiences >= AUDIENCE_TRIES => {
                self.metrics.late_audiences.increment(1);
                warn!("it takes too long to find out whom to tell who came and went; only they are told");
            }
            Err(StreamError::TimedOut) => {
                self.metrics.late_audiences.increment(1);
                self.late_audiences += 1;
                return Err(StreamError::TimedOut);
            }
            loaded => {
                if loaded? {
                    self.metrics.audiences.increment(1);
                }
            }
        }
        self.late_audiences = 0;
        Ok(beside)
    }

    /// The clock of the last change that was addressed.
    pub(crate) fn position(&self) -> Clock {
        Clock { time: self.time, change: self.change, event: u32::MAX }
    }

    fn next_clock(&mut self, time: u64) -> Clock {
        if time == self.time {
            self.change += 1;
        } else {
            (self.time, self.change) = (time, 0);
        }
        Clock { time, change: self.change, event: 0 }
    }
}
