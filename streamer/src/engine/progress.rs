//! How far reading has come, and how fast it goes.

use std::time::{Duration, Instant};

use mongodb::bson::RawDocument;
use protocol::Clock;
use store::lease::ResumePoint;
use store::stream::{Batch, Start, StreamError, cluster_time, token_time};

/// Above this many changes a second the reader paces itself: a stream that trickles event by event costs the
/// database far more than one that is read in batches.
const BUSY_CHANGES_PER_SECOND: f64 = 300.0;
/// How often the resume point is saved.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// How far reading has come.
pub(super) struct Progress {
    /// Behind everything that was read: where to open the stream again.
    pub(super) resume: Start,
    /// The token and cluster time of the last change that was read.
    pub(super) last: Option<ResumePoint>,
    /// The last *complete* cluster time: no other change of it can follow.
    pub(super) complete: Option<ResumePoint>,
    saved: u64,
    /// Never, at first: a streamer that dies in its first second shall have left a point behind.
    saved_at: Option<Instant>,
}

/// Whether changes come so fast that reading should be paced.
pub(super) struct Pace {
    since: Instant,
    changes: u32,
    pub(super) busy: bool,
    /// Before this a busy stream is not read. A point in time, since a pause that began anew with every uplink in
    /// between would never end while many users connect.
    pub(super) next_read: Instant,
}

impl Progress {
    pub(super) fn new(start: u64) -> Self {
        Self { resume: Start::At(start), last: None, complete: None, saved: 0, saved_at: None }
    }

    /// Notes a batch whose events were published. Returns the clock up to which nothing more can come, if the
    /// batch was empty: the stream has caught up.
    pub(super) fn note(&mut self, batch: &Batch) -> Result<Option<Clock>, StreamError> {
        let last = self.last.take();
        let mut previous = last.as_ref().map(|last| (last.token.as_ref(), last.time));
        let mut complete = None;
        for item in batch.changes()? {
            let event = item?.as_document().ok_or(StreamError::Malformed)?;
            let time = cluster_time(event.get_timestamp("clusterTime")?);
            // A later cluster time has begun, so the one before it is complete.
            complete = previous.filter(|(_, before)| *before < time).or(complete);
            previous = Some((event.get_document("_id")?, time));
        }
        let point = |(token, time): (&RawDocument, u64)| ResumePoint { token: token.to_owned(), time };
        self.complete = complete.map(point).or(self.complete.take());
        self.last = previous.map(point);
        let Some(token) = batch.token() else { return Ok(None) };
        self.resume = Start::After(token.to_owned());
        if !batch.changes()?.is_empty() {
            return Ok(None);
        }
        // Changes at the token's own time may still come, earlier ones cannot. Saving this keeps a quiet
        // stream's resume point from ageing out of the oplog.
        let Some(time) = token_time(token).map(|time| time.saturating_sub(1)) else { return Ok(None) };
        if self.complete.as_ref().is_none_or(|complete| complete.time < time) {
            self.complete = Some(point((token, time)));
        }
        Ok(Some(Clock::end_of(time)))
    }

    pub(super) fn unsaved(&self, now: Instant) -> Option<ResumePoint> {
        let due = self.saved_at.is_none_or(|at| now.saturating_duration_since(at) >= SAVE_INTERVAL);
        self.complete.clone().filter(|point| due && point.time != self.saved)
    }

    pub(super) fn note_saved(&mut self, time: u64, now: Instant) {
        (self.saved, self.saved_at) = (time, Some(now));
    }
}

impl Pace {
    /// Nothing has come yet.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), changes: 0, busy: false, next_read: Instant::now() }
    }

    /// Counts changes over stretches of a quarter of a second.
    pub(super) fn note(&mut self, changes: usize) {
        self.changes += changes as u32;
        let elapsed = self.since.elapsed();
        if elapsed >= Duration::from_millis(250) {
            self.busy = f64::from(self.changes) > BUSY_CHANGES_PER_SECOND * elapsed.as_secs_f64();
            (self.since, self.changes) = (Instant::now(), 0);
        }
    }
}
