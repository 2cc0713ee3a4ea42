//! The active streamer: reads changes, publishes events, answers gateways.
//!
//! | module | holds |
//! |---|---|
//! | [`progress`] | how far reading has come, and how fast it goes |

mod progress;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{BusError, Publisher};
use protocol::bus::{BEAT_INTERVAL_MILLIS, Uplink};
use protocol::{Clock, UnixMicros};
use service::shutdown::Shutdown;
use store::Store;
use store::lease::ResumePoint;
use store::stream::{Batch, Changes, Start, StreamError};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::addresser::{Addresser, Fresh};
use crate::change;
use crate::config::Config;
use crate::health::Vitals;
use crate::keeper::Keeper;
use crate::log::ReplayLog;
use crate::metrics::Metrics;
use crate::outbox::{Outbox, Registration};
use crate::typing::Desk;

use progress::{Pace, Progress};

/// How long a paced reader waits before it asks again.
const PACE: Duration = Duration::from_millis(2);
/// How long to wait before a failed change stream is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(250);
/// How long an active streamer tries to open its stream before another one gets its turn.
const REOPEN_PATIENCE: Duration = Duration::from_secs(10);
/// The server answers every `getMore` within half a second, with nothing if need be; one that is silent for this
/// long is gone.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// A bus that confirms nothing for this long may be away from this process only: another streamer gets its turn.
const BUS_PATIENCE: Duration = Duration::from_secs(10);
/// A message that is older than this when it is read is read again, by a streamer that has just begun.
const REPLAYED: Duration = Duration::from_secs(60);
/// How many uplinks are taken at once.
const UPLINKS: usize = 64;

/// Why the active streamer stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    #[error("the process is stopping")]
    Shutdown,
    #[error("the lease was lost")]
    LeaseLost,
    /// Reading must start afresh at the present; gateways make their clients catch up.
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("the bus was attached to by another streamer")]
    Detached,
    #[error("the change stream could not be opened for {REOPEN_PATIENCE:?}")]
    Unreadable,
}

/// Everything the active streamer holds.
pub(crate) struct Engine<P> {
    store: Store,
    keeper: Keeper,
    uplinks: mpsc::Receiver<Uplink>,
    outbox: Outbox<P>,
    addresser: Addresser,
    log: ReplayLog,
    desk: Desk,
    changes: Changes,
    progress: Progress,
    pace: Pace,
    /// The last change that was published.
    position: Clock,
    /// When the server last answered.
    read_at: Instant,
    /// Since when the bus has confirmed nothing.
    unconfirmed_since: Option<Instant>,
    metrics: Arc<Metrics>,
    vitals: Vitals,
}

impl<P: Publisher> Engine<P> {
    /// Opens the stream, far enough back to rebuild the replay log, and reads up to the present.
    pub(crate) async fn start(
        store: Store,
        keeper: Keeper,
        saved: Option<ResumePoint>,
        (publisher, uplinks): (P, mpsc::Receiver<Uplink>),
        config: &Config,
        (metrics, vitals): (&Arc<Metrics>, &Vitals),
    ) -> Result<Self, (Keeper, Stopped)> {
        let (changes, start, now) = match open(&store, saved.as_ref(), config.replay_window, metrics).await {
            Ok(opened) => opened,
            Err(error) => return Err((keeper, error.into())),
        };
        metrics.term.set(keeper.term() as f64);
        let before = start.saturating_sub(1);
        let mut engine = Self {
            outbox: Outbox::new(publisher, keeper.term(), Arc::clone(metrics), vitals.clone()),
            addresser: Addresser::new(store.clone(), config.links.clone(), before, Arc::clone(metrics)),
            log: ReplayLog::new(Clock::end_of(before), config.replay_window, config.replay_bytes),
            desk: Desk::new(Arc::clone(metrics)),
            progress: Progress::new(start),
            pace: Pace::new(),
            unconfirmed_since: None,
            position: Clock::end_of(before),
            read_at: Instant::now(),
            store,
            keeper,
            uplinks,
            changes,
            metrics: Arc::clone(metrics),
            vitals: vitals.clone(),
        };
        match engine.rebuild(now).await {
            Ok(()) => Ok(engine),
            Err(stopped) => Err((engine.keeper, stopped)),
        }
    }

    /// Fills the replay log up to cluster time `now`. No gateway is known yet, so nothing is published.
    async fn rebuild(&mut self, now: u64) -> Result<(), Stopped> {
        let began = Instant::now();
        loop {
            let batch = tokio::time::timeout(READ_TIMEOUT, self.changes.next());
            let batch = batch.await.unwrap_or(Err(StreamError::TimedOut))?;
            let caught_up =
                batch.changes()?.is_empty() || self.progress.last.as_ref().is_some_and(|l| l.time > now);
            self.apply(&batch).await?;
            self.vitals.beat();
            if caught_up {
                break;
            }
        }
        let (events, bytes) = self.log.size();
        info!(events, bytes, took = ?began.elapsed(), term = self.keeper.term(), "reading changes");
        Ok(())
    }

    /// Runs until something ends it; the lease comes back with the reason.
    pub(crate) async fn run(mut self, shutdown: &Shutdown) -> (Keeper, Option<ResumePoint>, Stopped) {
        self.metrics.active.set(1.0);
        let stopped = match self.serve(shutdown).await {
            Ok(never) => match never {},
            Err(stopped) => stopped,
        };
        self.metrics.active.set(0.0);
        let confirmed = self.outbox.confirm().await.is_ok();
        let point = self.progress.complete.take().filter(|_| confirmed);
        (self.keeper, point, stopped)
    }

    async fn serve(&mut self, shutdown: &Shutdown) -> Result<std::convert::Infallible, Stopped> {
        let mut beat = tokio::time::interval(Duration::from_millis(BEAT_INTERVAL_MILLIS));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut uplinks = Vec::with_capacity(UPLINKS);
        loop {
            self.vitals.beat();
            tokio::select! {
                () = shutdown.cancelled() => return Err(Stopped::Shutdown),
                () = self.keeper.lost() => return Err(Stopped::LeaseLost),
                count = self.uplinks.recv_many(&mut uplinks, UPLINKS), if uplinks.is_empty() => {
                    if count == 0 {
                        return Err(Stopped::Detached);
                    }
                    self.turn(&mut uplinks).await?;
                },
                // Ready once everything else had its turn: changes that are there are read first.
                () = tokio::task::yield_now(), if !uplinks.is_empty() => self.turn(&mut uplinks).await?,
                found = self.desk.found() => {
                    for (typing, others) in self.desk.settle(found.as_deref(), &mut self.addresser.cache) {
                        self.outbox.tell_typing(typing, &others).await?;
                    }
                    self.look_up();
                },
                batch = read(&mut self.changes, &self.pace) => match batch {
                    Ok(batch) => self.apply(&batch).await?,
                    Err(error) => tokio::select! {
                        () = shutdown.cancelled() => return Err(Stopped::Shutdown),
                        reopened = self.reopen(error) => reopened?,
                    },
                },
                _ = beat.tick() => self.beat(uplinks.is_empty()).await?,
            }
        }
    }

    /// Takes in as many of these uplinks as is good for one turn.
    async fn turn(&mut self, uplinks: &mut Vec<Uplink>) -> Result<(), Stopped> {
        let now = uplinks.drain(..for_one_turn(uplinks));
        for uplink in now {
            self.uplink(uplink).await?;
        }
        self.look_up();
        Ok(())
    }

    /// Publishes the events of a batch, and only then counts it as read.
    async fn apply(&mut self, batch: &Batch) -> Result<(), Stopped> {
        let read_at = UnixMicros::now();
        let count = batch.changes()?.into_iter().count();
        self.metrics.pending.set(count as f64);
        let addressed = match self.addresser.address(batch).await {
            Ok(addressed) => addressed,
            // The database went away between the batch and the loads: the same batch comes again.
            Err(error @ (StreamError::Database(_) | StreamError::TimedOut)) => {
                return self.reopen(error).await;
            }
            Err(error) => return Err(error.into()),
        };
        if !self.keeper.is_held() {
            return Err(Stopped::LeaseLost);
        }
        self.read_at = Instant::now();
        self.metrics.lag.answered(addressed.oldest);
        self.pace.note(count);
        if count > 0 {
            self.metrics.batch.record(count as f64);
        }
        for Fresh { event, received } in addressed.events {
            self.outbox.queue(&event, received);
            self.log.push(event);
        }
        self.position = self.position.max(self.addresser.position());
        self.outbox.flush().await?;
        self.metrics.pending.set(0.0);
        self.measure(&addressed.committed, read_at);
        if let Some(caught_up) = self.progress.note(batch)? {
            self.position = self.position.max(caught_up);
        }
        self.pace.next_read = Instant::now() + PACE;
        Ok(())
    }

    /// Measures how long messages took from the oplog to the bus, unless they are of before this streamer began: then
    /// it is not the stream that took so long.
    fn measure(&self, committed: &[UnixMicros], read_at: UnixMicros) {
        let now = UnixMicros::now();
        let fresh = committed.iter().filter(|at| at.until(read_at) < REPLAYED);
        fresh.for_each(|at| self.metrics.stream.record(at.until(now)));
    }

    async fn uplink(&mut self, uplink: Uplink) -> Result<(), Stopped> {
        match uplink {
            Uplink::Alive { gateway, request } => self.outbox.alive(gateway, request, self.position).await?,
            Uplink::Register { gateway, request, reset, users } => {
                let registration = Registration { gateway, request, reset, users };
                self.outbox.register(registration, &mut self.log, self.position).await?;
            }
            Uplink::Unregister { gateway, users } => self.outbox.registry.unregister(gateway, &users),
            Uplink::Typing { typing, .. } => {
                if let Some((typing, others)) = self.desk.hear(typing, &self.addresser.cache) {
                    self.outbox.tell_typing(typing, &others).await?;
                }
            }
            Uplink::Leave { gateway } => self.outbox.registry.remove(gateway),
        }
        Ok(())
    }

    /// Everything up to the position was applied to the cache, so that is where to look.
    fn look_up(&mut self) {
        self.desk.look_up(&self.store, &mut self.addresser.cache, self.position.time);
    }

    async fn beat(&mut self, idle: bool) -> Result<(), Stopped> {
        // Also where renewing merely fails to get through: another streamer may hold the lease by now.
        if !self.keeper.is_held() {
            return Err(Stopped::LeaseLost);
        }
        if self.read_at.elapsed() > READ_TIMEOUT {
            self.reopen(StreamError::TimedOut).await?;
        }
        let now = Instant::now();
        // Where uplinks wait, the silence may be this side's: their signs of life lie among them.
        if idle && self.uplinks.is_empty() {
            for gateway in self.outbox.registry.expire(now) {
                info!(%gateway, "a gateway has been silent for too long and is forgotten");
            }
        }
        self.outbox.beat(self.position).await?;
        self.metrics.gateways.set(self.outbox.registry.gateways().len() as f64);
        self.metrics.users.set(self.outbox.registry.users() as f64);
        let (events, bytes) = self.log.size();
        self.metrics.log_events.set(events as f64);
        self.metrics.log_bytes.set(bytes as f64);
        self.metrics.forgotten_users.set(self.log.forgotten_users() as f64);
        if let Some(point) = self.progress.unsaved(now) {
            // The point must not be ahead of what the gateways can have: the bus has to confirm first.
            match self.outbox.confirm().await {
                Ok(()) => {
                    self.unconfirmed_since = None;
                    if self.keeper.save(point.clone()) {
                        self.progress.note_saved(point.time, now);
                    }
                }
                Err(error) => {
                    warn!(%error, "the bus did not confirm; the resume point stays where it is");
                    if self.unconfirmed_since.get_or_insert(now).elapsed() > BUS_PATIENCE {
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens the stream again behind what was read, as long as it takes.
    async fn reopen(&mut self, error: StreamError) -> Result<(), Stopped> {
        self.metrics.failures.increment(1);
        let (mut error, began) = (error, Instant::now());
        loop {
            self.vitals.beat();
            if !matches!(error, StreamError::Database(_) | StreamError::TimedOut) {
                return Err(error.into());
            }
            if began.elapsed() > REOPEN_PATIENCE {
                return Err(Stopped::Unreadable);
            }
            warn!(%error, "the change stream broke; opening it again");
            tokio::time::sleep(REOPEN_PAUSE).await;
            if !self.keeper.is_held() {
                return Err(Stopped::LeaseLost);
            }
            match Changes::open(&self.store, &self.progress.resume, change::filter()).await {
                Ok(changes) => {
                    self.changes = changes;
                    self.read_at = Instant::now();
                    return Ok(());
                }
                Err(again) => error = again,
            }
        }
    }
}

/// How many of these uplinks to take in before changes are read again: up to the first that asks for a replay, which
/// may walk through the whole log. Nothing overtakes anything.
fn for_one_turn(uplinks: &[Uplink]) -> usize {
    let walks = |uplink: &Uplink| match uplink {
        Uplink::Register { users, .. } => users.iter().any(|user| user.from.is_some()),
        _ => false,
    };
    uplinks.iter().position(walks).map_or(uplinks.len(), |place| place + 1)
}

/// The next batch, after a pause if changes come fast. Cancel-safe: a pause or a wait that is cut short costs
/// nothing, for the request stays under way.
async fn read(changes: &mut Changes, pace: &Pace) -> Result<Batch, StreamError> {
    if pace.busy {
        tokio::time::sleep_until(pace.next_read.into()).await;
    }
    changes.next().await
}

/// Opens the stream where the replay log should begin: the window before now, or further back where the last
/// streamer stood, if snapshots reach that far. Returns the first cluster time that is read, and the present.
async fn open(
    store: &Store,
    saved: Option<&ResumePoint>,
    window: Duration,
    metrics: &Metrics,
) -> Result<(Changes, u64, u64), StreamError> {
    let now = store::stream::now(store).await?;
    let back = |duration: Duration| now.saturating_sub(duration.as_secs() << 32);
    let oldest = back(crate::config::MAX_REPLAY_WINDOW);
    let wanted = match saved {
        Some(point) => point.time.clamp(oldest, back(window)),
        // Nothing was ever published, so there is nothing to replay.
        None => now,
    };
    let mut attempts = vec![(Start::At(wanted), wanted)];
    if let Some(point) = saved.filter(|point| point.time >= oldest) {
        // The oplog is shorter than the window: at least begin where the last streamer stood.
        attempts.push((Start::After(point.token.clone()), point.time + 1));
    }
    for (start, first) in attempts {
        match Changes::open(store, &start, change::filter()).await {
            Ok(changes) => return Ok((changes, first, now)),
            Err(StreamError::HistoryLost) => {}
            Err(error) => return Err(error),
        }
    }
    metrics.history_losses.increment(1);
    warn!("the oplog no longer reaches back to where the last streamer stood; clients catch up over REST");
    Ok((Changes::open(store, &Start::At(now), change::filter()).await?, now, now))
}

#[cfg(test)]
mod tests {
    use protocol::Id;
    use protocol::bus::Registrant;

    use super::*;

    #[test]
    fn no_more_than_one_replay_is_sent_before_changes_are_read_again() {
        let (gateway, clock) = (Id::mint(), Clock::end_of(1));
        let registers = |from| {
            let users =
                vec![Registrant { user: Id::mint(), from: None }, Registrant { user: Id::mint(), from }];
            Uplink::Register { gateway, request: 1, reset: false, users }
        };
        let alive = || Uplink::Alive { gateway, request: 1 };
        let mut uplinks =
            vec![alive(), registers(None), registers(Some(clock)), registers(Some(clock)), alive()];
        let mut turns = Vec::new();
        while !uplinks.is_empty() {
            turns.push(uplinks.drain(..for_one_turn(&uplinks)).count());
        }
        assert_eq!(turns, [3, 1, 1]);
    }
}
