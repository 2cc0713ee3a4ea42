//! Changes in, addressed events out. No I/O but the loads of the caches.
//!
//! | module | holds |
//! |---|---|
//! | [`apply`] | what each change does to the caches, and whom it is told to |
//! | [`beside`] | what is loaded for a batch and not cached |

mod apply;
mod beside;

use mongodb::Database;
use protocol::Clock;
use protocol::upload::Links;
use store::stream::{Batch, StreamError};
use tracing::warn;

use crate::cache::{Cache, Missing};
use crate::change::Change;
use crate::log::Addressed;
use crate::metrics::METRICS;
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
    database: Database,
    /// Signs the addresses of uploads.
    links: Links,
    pub(crate) cache: Cache,
    receipts: Receipts,
    /// How often on end the audiences of a batch took too long.
    late_audiences: u32,
    /// The cluster time of the last change, and which change of it that was.
    time: u64,
    change: u32,
}

impl Addresser {
    /// With empty caches; the first batch begins after cluster time `time`.
    pub(crate) fn new(database: Database, links: Links, time: u64) -> Self {
        let (cache, receipts) = (Cache::default(), Receipts::default());
        Self { database, links, cache, receipts, late_audiences: 0, time, change: 0 }
    }

    /// The events of a batch, in clock order.
    ///
    /// # Errors
    ///
    /// When the caches could not be loaded. The batch may be given again.
    pub(crate) async fn address(&mut self, batch: &Batch) -> Result<Vec<Addressed>, StreamError> {
        self.cache.trim();
        let mut changes = Vec::new();
        let mut missing = Missing::default();
        for item in batch.changes()? {
            let event = item?.as_document().ok_or(StreamError::Malformed)?;
            match Change::parse(event) {
                Ok(Some(change)) => changes.push(change),
                Ok(None) => {}
                // Somebody wrote past the api; one odd document must not stop everybody's events.
                Err(error) => {
                    METRICS.malformed.inc();
                    warn!(%error, "a change was skipped: its document is not as LinkUp writes it");
                }
            }
        }
        beside::mark_overtaken(&mut changes);
        for change in &changes {
            self.cache.note_missing(change, &mut missing);
        }
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return Ok(Vec::new()) };
        self.cache.load(&self.database, missing, first.time - 1).await?;
        let beside = self.beside(&changes, last.time).await?;
        let mut events = Vec::with_capacity(changes.len());
        for change in changes {
            let clock = self.next_clock(change.time);
            self.apply(change, &beside, Emitter { clock, events: &mut events });
        }
        Ok(events)
    }

    /// What the changes need beside the caches, as of the last of them, at cluster time `at`.
    async fn beside(&mut self, changes: &[Change<'_>], at: u64) -> Result<Beside, StreamError> {
        let mut beside = Beside::default();
        let past = Snapshot { database: &self.database, at };
        beside.load_texts(&past, changes).await?;
        match beside.load_audiences(&past, changes).await {
            Err(StreamError::TimedOut) if self.late_audiences >= AUDIENCE_TRIES => {
                METRICS.audience_failures.inc();
                warn!("it takes too long to find out whom to tell who came and went; only they are told");
            }
            Err(StreamError::TimedOut) => {
                self.late_audiences += 1;
                return Err(StreamError::TimedOut);
            }
            loaded => loaded?,
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
