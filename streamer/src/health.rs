//! Whether the streamer can do its job: the checks `mongodb`, `stream` and `bus`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use service::health::{Check, Health, Heartbeat};
use service::shutdown::Shutdown;
use store::Store;
use tokio::sync::watch;

use crate::metrics::Lag;

/// How often the checks are looked at.
const INTERVAL: Duration = Duration::from_millis(250);
/// The server answers every `getMore` within half a second, with nothing if need be: a stream that is silent for longer
/// than this is not fresh.
const STALE: Duration = Duration::from_millis(1_500);
/// How long the streamer may show no sign of life. It shows one at every turn and with every delivery, and every wait
/// has a shorter bound.
const STUCK: Duration = Duration::from_secs(120);

/// What the streamer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// It has not heard yet who holds the lease, or could not.
    Unknown,
    /// Another one streams.
    StandingBy,
    /// It holds the lease and reads up to the present.
    CatchingUp,
    /// It streams.
    Streaming,
}

/// What the loop tells of itself. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Vitals {
    phase: Arc<AtomicU8>,
    heartbeat: Heartbeat,
}

impl Vitals {
    pub(crate) fn new(health: &Health) -> Self {
        let phase = Arc::new(AtomicU8::new(Phase::Unknown as u8));
        Self { phase, heartbeat: health.heartbeat("streamer", STUCK) }
    }

    /// It is doing this from now on.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.beat();
    }

    /// It has not stood still.
    pub(crate) fn beat(&self) {
        self.heartbeat.beat();
    }

    fn phase(&self) -> Phase {
        let phases = [Phase::Unknown, Phase::StandingBy, Phase::CatchingUp, Phase::Streaming];
        let now = self.phase.load(Ordering::Relaxed);
        phases.into_iter().find(|phase| *phase as u8 == now).unwrap_or(Phase::Unknown)
    }

    /// Why the stream is not as it should be, if it is not.
    fn trouble(&self, lag: &Lag) -> Option<&'static str> {
        match self.phase() {
            Phase::Unknown => Some("who holds the lease is not known"),
            Phase::StandingBy => None,
            Phase::CatchingUp => Some("reading up to the present"),
            Phase::Streaming => match lag.silence() {
                Some(silence) if silence <= STALE => None,
                _ => Some("the change stream is silent"),
            },
        }
    }
}

/// The checks of a streamer, beside `serving`.
pub(crate) struct Checks {
    mongodb: Check,
    stream: Check,
    bus: Check,
}

impl Checks {
    pub(crate) fn new(health: &Health) -> Self {
        Self { mongodb: health.check("mongodb"), stream: health.check("stream"), bus: health.check("bus") }
    }

    /// Keeps the checks up to date until `shutdown`.
    pub(crate) async fn watch(
        self,
        store: &Store,
        connected: watch::Receiver<bool>,
        vitals: &Vitals,
        lag: &Lag,
        shutdown: &Shutdown,
    ) {
        let looking = async {
            loop {
                set(&self.stream, vitals.trouble(lag));
                set(&self.bus, (!*connected.borrow()).then_some("the bus does not answer"));
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            () = store::health::watch(store, &self.mongodb, shutdown) => {}
            () = looking => {}
        }
    }
}

fn set(check: &Check, trouble: Option<&'static str>) {
    match trouble {
        None => check.pass(),
        Some(reason) => check.fail(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_healthy_while_it_is_fresh_or_somebody_elses() {
        let (vitals, lag) = (Vitals::new(&Health::default()), Lag::default());
        assert!(vitals.trouble(&lag).is_some(), "nothing is known yet");
        vitals.enter(Phase::StandingBy);
        assert_eq!(vitals.trouble(&lag), None);
        vitals.enter(Phase::CatchingUp);
        assert_eq!(vitals.trouble(&lag), Some("reading up to the present"));
        vitals.enter(Phase::Streaming);
        assert_eq!(vitals.trouble(&lag), Some("the change stream is silent"));
        lag.answered(None);
        assert_eq!(vitals.trouble(&lag), None);
    }
}
