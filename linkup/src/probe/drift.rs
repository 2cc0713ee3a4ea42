//! How late the timers of this process are. A probe whose own timers are late cannot say that a server was.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const TICK: Duration = Duration::from_millis(50);

/// Watches a timer until it is dropped.
#[derive(Debug)]
pub(super) struct Drift {
    seen: Arc<Mutex<Seen>>,
    watching: JoinHandle<()>,
}

#[derive(Debug)]
struct Seen {
    /// When the timer is due.
    due: Instant,
    worst: Duration,
}

impl Drift {
    /// Begins to watch. Must be called inside a runtime.
    pub(super) fn watch() -> Self {
        let seen = Arc::new(Mutex::new(Seen { due: Instant::now() + TICK, worst: Duration::ZERO }));
        let watched = Arc::clone(&seen);
        let watching = tokio::spawn(async move {
            loop {
                sleep(TICK).await;
                let mut seen = lock(&watched);
                seen.look(Instant::now());
                seen.due = Instant::now() + TICK;
            }
        });
        Self { seen, watching }
    }

    /// Forgets what was.
    pub(super) fn forget(&self) {
        lock(&self.seen).worst = Duration::ZERO;
    }

    /// How late the timer was at worst since then. One that is due and has not fired counts, too.
    pub(super) fn worst(&self) -> Duration {
        let mut seen = lock(&self.seen);
        seen.look(Instant::now());
        seen.worst
    }
}

impl Seen {
    fn look(&mut self, now: Instant) {
        self.worst = self.worst.max(now.saturating_duration_since(self.due));
    }
}

impl Drop for Drift {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD_UP: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_runtime_that_is_held_up_is_noticed_at_once_and_forgotten_when_told() {
        let drift = Drift::watch();
        sleep(2 * TICK).await;
        drift.forget();
        // The only thread of this runtime.
        std::thread::sleep(HELD_UP);
        let worst = drift.worst();
        assert!(worst >= HELD_UP - 2 * TICK, "{worst:?}");
        sleep(2 * TICK).await;
        assert!(drift.worst() >= worst);
        drift.forget();
        assert!(drift.worst() < HELD_UP / 2, "{:?}", drift.worst());
    }
}
