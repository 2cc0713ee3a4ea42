//! The run's clock: the same in all its processes.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Counts microseconds from the begin of the run. It follows the monotonic clock; the time of day only says, once per
/// process, where zero is.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
    began: Began,
}

/// When a run began, in microseconds of the time of day: what another process makes the same clock from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began(pub u64);

impl Clock {
    /// A run begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { epoch: Instant::now(), began: Began(time_of_day()) }
    }

    /// The clock of a run that began at a time before this.
    #[must_use]
    pub fn of(began: Began) -> Self {
        let since = Duration::from_micros(time_of_day().saturating_sub(began.0));
        let now = Instant::now();
        Self { epoch: now.checked_sub(since).unwrap_or(now), began }
    }

    /// When the run began.
    #[must_use]
    pub const fn began(&self) -> Began {
        self.began
    }

    /// Its zero.
    #[must_use]
    pub const fn epoch(&self) -> Instant {
        self.epoch
    }

    /// A time on it, in microseconds.
    #[must_use]
    pub fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.epoch).as_micros() as u64
    }

    /// The time that is so many microseconds after its zero.
    #[must_use]
    pub fn instant(&self, micros: u64) -> Instant {
        self.epoch + Duration::from_micros(micros)
    }
}

fn time_of_day() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_have_the_same_clock() {
        let one = Clock::start();
        let other = Clock::of(one.began());
        let now = Instant::now();
        assert!(one.micros(now).abs_diff(other.micros(now)) < 100_000);
        assert_eq!(one.micros(one.instant(5)), 5);
        assert_eq!(one.micros(one.epoch() - Duration::from_secs(1)), 0, "before the run it stands");
    }
}
