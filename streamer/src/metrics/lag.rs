//! How far the active streamer is behind, as it is at the moment of a scrape.
//!
//! A gauge that the loop itself sets would stand still with the loop, just when it matters. So the loop only notes when
//! the database last answered and how old that was, and the rest is arithmetic at the scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use protocol::UnixMicros;
use service::metrics::Registry;

/// The server answers every `getMore` within half a second, with nothing if need be: a silence up to this is none.
const USUAL_SILENCE: Duration = Duration::from_millis(750);

/// See [`Noted::answered_at`].
const NEVER: i64 = -1;

/// What the loop notes. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lag(Arc<Noted>);

#[derive(Debug)]
struct Noted {
    started: Instant,
    /// When the database last answered, in microseconds since then; [`NEVER`] while nothing is read. By a clock that
    /// nobody sets: when the system's clock is set back, a stream that is silent must not look fresh.
    answered_at: AtomicI64,
    /// How old the oldest change of that answer was, in microseconds.
    behind: AtomicI64,
    /// The cluster time of the saved resume point, in seconds since 1970; 0 for none.
    saved: AtomicI64,
}

impl Default for Noted {
    fn default() -> Self {
        let answered_at = AtomicI64::new(NEVER);
        Self {
            started: Instant::now(),
            answered_at,
            behind: AtomicI64::default(),
            saved: AtomicI64::default(),
        }
    }
}

impl Lag {
    pub(super) fn new(
        registry: &Registry,
        oplog_window: impl Fn() -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        let lag = Self::default();
        let shown = lag.clone();
        registry.collect(move |text| {
            let behind = shown.at(Instant::now()).as_secs_f64();
            let help = "How far the active streamer is behind, in seconds; 0 while it stands by";
            text.gauge("linkup_streamer_lag_seconds", help, &[], behind);
            // Nothing rather than a number while it is unknown: it would look like an oplog that has run out.
            if let Some(window) = oplog_window() {
                let help = "Oplog window minus lag, in seconds: at 0 history is lost; absent while the window is unknown";
                let headroom = window.as_secs_f64() - behind;
                text.gauge("linkup_streamer_oplog_headroom_seconds", help, &[], headroom);
            }
            let help = "Age of the saved resume point, in seconds; 0 while the streamer stands by";
            text.gauge(
                "linkup_streamer_resume_age_seconds",
                help,
                &[],
                shown.resume_age(UnixMicros::now()).as_secs_f64(),
            );
        });
        lag
    }

    /// The database answered; the oldest change in it was committed then. Nothing in it means that there is no more.
    pub(crate) fn answered(&self, oldest: Option<UnixMicros>) {
        let behind = oldest.map_or(Duration::ZERO, |oldest| oldest.until(UnixMicros::now()));
        let micros = i64::try_from(behind.as_micros()).unwrap_or(i64::MAX);
        self.0.behind.store(micros, Ordering::Relaxed);
        let now = i64::try_from(self.0.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.0.answered_at.store(now, Ordering::Relaxed);
    }

    /// Nothing is read any more: this streamer stands by.
    pub(crate) fn stopped(&self) {
        self.0.answered_at.store(NEVER, Ordering::Relaxed);
        self.0.saved.store(0, Ordering::Relaxed);
    }

    /// The point at this cluster time was saved.
    pub(crate) fn saved(&self, cluster_time: u64) {
        self.0.saved.store((cluster_time >> 32) as i64, Ordering::Relaxed);
    }

    /// For how long the database has not answered; `None` while nothing is read.
    pub(crate) fn silence(&self) -> Option<Duration> {
        self.silence_at(Instant::now())
    }

    fn silence_at(&self, now: Instant) -> Option<Duration> {
        let answered = u64::try_from(self.0.answered_at.load(Ordering::Relaxed)).ok()?;
        let answered = self.0.started + Duration::from_micros(answered);
        Some(now.saturating_duration_since(answered))
    }

    fn at(&self, now: Instant) -> Duration {
        let Some(silence) = self.silence_at(now) else { return Duration::ZERO };
        let silence = silence.saturating_sub(USUAL_SILENCE);
        let behind = u64::try_from(self.0.behind.load(Ordering::Relaxed)).unwrap_or(0);
        // What was behind when the silence began is so much older now.
        Duration::from_micros(behind) + silence
    }

    fn resume_age(&self, now: UnixMicros) -> Duration {
        match self.0.saved.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            seconds => UnixMicros::from_micros(seconds.saturating_mul(1_000_000)).until(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(micros: i64) -> UnixMicros {
        UnixMicros::from_micros(UnixMicros::now().micros() + micros)
    }

    #[test]
    fn it_grows_while_the_database_is_silent_and_is_nothing_while_standing_by() {
        let (lag, at) = (Lag::default(), |millis| Instant::now() + Duration::from_millis(millis));
        assert_eq!((lag.at(at(60_000)), lag.silence()), (Duration::ZERO, None));
        lag.answered(None);
        assert_eq!(lag.at(at(0)), Duration::ZERO);
        assert_eq!(lag.at(at(10_750)).as_secs(), 10);
        lag.answered(Some(later(-5_000_000)));
        assert_eq!(lag.at(at(0)).as_secs(), 5);
        assert_eq!(lag.at(at(2_750)).as_secs(), 7);
        assert!(lag.silence().is_some_and(|silence| silence < Duration::from_secs(5)));
        lag.saved((later(-3_000_000).micros() as u64 / 1_000_000) << 32);
        assert!((2..=4).contains(&lag.resume_age(later(0)).as_secs()));
        lag.stopped();
        assert_eq!((lag.at(at(60_000)), lag.resume_age(later(0))), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn headroom_is_the_window_less_the_lag_and_unknown_without_a_window() {
        let (known, unknown) = (Registry::new(), Registry::new());
        let (lag, other) = (Lag::new(&known, || Some(Duration::from_secs(100))), Lag::new(&unknown, || None));
        for lag in [lag, other] {
            lag.answered(Some(later(-40_000_000)));
        }
        let headroom = |registry: &Registry| registry.value("linkup_streamer_oplog_headroom_seconds", &[]);
        assert!(headroom(&known).is_some_and(|left| (58.0..=60.0).contains(&left)));
        assert_eq!(headroom(&unknown), None);
    }
}
