//! What this gateway cannot do its job without. Whether any api node can commit is for [`crate::api_client`] to find
//! out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use service::health::Check;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// After how long a streamer that says nothing counts as gone. It speaks every half a second at the least:
/// [`BEAT_INTERVAL_MILLIS`](protocol::bus::BEAT_INTERVAL_MILLIS).
const MAX_SILENCE: Duration = Duration::from_millis(1_750);
/// How often that is looked at. Together they are less than two seconds.
const LOOK: Duration = Duration::from_millis(100);

/// When a streamer spoke last.
#[derive(Debug)]
pub(crate) struct Heard {
    started: Instant,
    /// Milliseconds since then, and one more; 0 for never.
    at: AtomicU64,
}

impl Heard {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), at: AtomicU64::new(0) })
    }

    /// A streamer speaks.
    pub(crate) fn note(&self, now: Instant) {
        self.at.store(self.millis(now) + 1, Ordering::Relaxed);
    }

    /// How long it has been silent; `None` if none ever spoke.
    pub(crate) fn silence(&self, now: Instant) -> Option<Duration> {
        let at = self.at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_millis(self.millis(now).saturating_sub(at)))
    }

    fn millis(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.started).as_millis() as u64
    }
}

/// Says whether a streamer speaks, for ever.
pub(crate) async fn watch_streamer(check: Check, heard: Arc<Heard>) {
    let mut turns = tokio::time::interval(LOOK);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        turns.tick().await;
        let now = appraise(heard.silence(Instant::now()));
        if last.replace(now) != Some(now) {
            match now {
                Ok(()) => check.pass(),
                Err(reason) => check.fail(reason),
            }
        }
    }
}

/// What a silence means.
fn appraise(silence: Option<Duration>) -> Result<(), &'static str> {
    match silence {
        None => Err("no streamer has spoken yet"),
        Some(silence) if silence > MAX_SILENCE => Err("the streamer is silent"),
        Some(_) => Ok(()),
    }
}

/// Says whether the bus is connected, as long as it tells.
pub(crate) async fn watch_bus(check: Check, mut connected: watch::Receiver<bool>) {
    loop {
        if *connected.borrow_and_update() {
            check.pass();
        } else {
            check.fail("the connection to the bus is down");
        }
        if connected.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use service::health::Health;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Waits until the check says this, with this reason if it fails.
    async fn until(health: &Health, reason: Option<&str>) {
        let told = async {
            while health.failing().first().map(|(_, reason)| reason.as_str()) != reason {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("{:?}", health.failing()));
    }

    #[test]
    fn a_streamer_is_there_while_it_speaks_in_time() {
        let (heard, start) = (Heard::new(), Instant::now());
        assert_eq!(appraise(heard.silence(start)), Err("no streamer has spoken yet"));
        heard.note(start);
        assert_eq!(appraise(heard.silence(start)), Ok(()));
        assert_eq!(appraise(heard.silence(start + MAX_SILENCE)), Ok(()));
        let late = start + MAX_SILENCE + LOOK;
        assert!(late - start < Duration::from_secs(2));
        assert_eq!(appraise(heard.silence(late)), Err("the streamer is silent"));
        heard.note(late);
        assert_eq!(appraise(heard.silence(late + LOOK)), Ok(()));
    }

    #[tokio::test]
    async fn the_check_follows_the_streamer() {
        let (health, heard) = (Health::default(), Heard::new());
        let watching = tokio::spawn(watch_streamer(health.check("streamer"), Arc::clone(&heard)));
        until(&health, Some("no streamer has spoken yet")).await;
        heard.note(Instant::now());
        until(&health, None).await;
        let silent = Instant::now();
        until(&health, Some("the streamer is silent")).await;
        assert!(silent.elapsed() >= MAX_SILENCE - LOOK, "{:?}", silent.elapsed());
        heard.note(Instant::now());
        until(&health, None).await;
        watching.abort();
    }

    #[tokio::test]
    async fn the_check_follows_the_bus() {
        let (health, connected) = (Health::default(), watch::Sender::new(false));
        let watching = tokio::spawn(watch_bus(health.check("bus"), connected.subscribe()));
        until(&health, Some("the connection to the bus is down")).await;
        connected.send_replace(true);
        until(&health, None).await;
        connected.send_replace(false);
        until(&health, Some("the connection to the bus is down")).await;
        drop(connected);
        watching.await.unwrap();
    }
}
