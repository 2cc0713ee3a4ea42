//! Histograms, percentiles, the line of results, and progress for the person who watches.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// Latencies in microseconds, to three significant digits. May be written from many tasks.
#[derive(Debug)]
pub struct Latencies(Mutex<Histogram<u64>>);

impl Default for Latencies {
    fn default() -> Self {
        // Invariant: the bounds are constants that the library accepts.
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3).expect("valid bounds");
        Self(Mutex::new(histogram))
    }
}

impl Latencies {
    /// Adds one.
    pub fn record(&self, microseconds: u64) {
        self.lock().saturating_record(microseconds);
    }

    /// The percentiles of all that was added so far.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        let histogram = self.lock();
        let at = |quantile| millis(histogram.value_at_quantile(quantile));
        Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: millis(histogram.max()),
        }
    }

    /// How many were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Histogram<u64>> {
        // A histogram is usable whatever the holder of the lock was doing when it panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(microseconds: u64) -> f64 {
    microseconds as f64 / 1_000.0
}

/// Rounds to `digits` behind the point, for the eye.
#[must_use]
pub fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// Percentiles of a latency, in milliseconds. All zero where nothing was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// 90 % are at most this.
    pub p90: f64,
    /// 99 % are at most this.
    pub p99: f64,
    /// 99.9 % are at most this.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max } = self;
        write!(f, "p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, p99.9 {p999:.1}, max {max:.1} ms")
    }
}

/// What a run counts while it goes on, for the progress lines. The verdict does not rest on these.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages sent.
    pub sent: AtomicU64,
    /// Sends answered.
    pub answered: AtomicU64,
    /// Messages arrived at the other person.
    pub delivered: AtomicU64,
    /// Connections lost.
    pub disconnects: AtomicU64,
    /// Signs of life given.
    pub pings: AtomicU64,
}

impl Counters {
    /// Adds one to a counter.
    pub fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads a counter.
    #[must_use]
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// The first text that was given, of perhaps very many.
#[derive(Debug, Default)]
pub struct FirstText(OnceLock<String>);

impl FirstText {
    /// Gives a text; it is made only if there is none yet.
    pub fn give(&self, text: impl FnOnce() -> String) {
        self.0.get_or_init(text);
    }

    /// The text, if there was one.
    #[must_use]
    pub fn get(&self) -> Option<String> {
        self.0.get().cloned()
    }
}

/// Lines on standard error for whoever watches.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    quiet: bool,
}

impl Progress {
    /// How often there is a line while a run goes on.
    pub const INTERVAL: Duration = Duration::from_secs(3);

    /// Progress that is shown, or (`quiet`) not.
    #[must_use]
    pub const fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Shows a line.
    pub fn say(&self, line: fmt::Arguments<'_>) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_milliseconds() {
        let latencies = Latencies::default();
        assert_eq!(latencies.percentiles().max, 0.0);
        for microseconds in 1..=10_000 {
            latencies.record(microseconds);
        }
        let Percentiles { p50, p90, p99, p999, max } = latencies.percentiles();
        for (found, expected) in [(p50, 5.0), (p90, 9.0), (p99, 9.9), (p999, 9.99), (max, 10.0)] {
            assert!((found - expected).abs() < 0.02, "{found} for {expected}");
        }
        assert_eq!(latencies.count(), 10_000);
    }

    #[test]
    fn the_shape_of_percentiles_in_json() {
        let latencies = Latencies::default();
        latencies.record(1_500);
        let json = serde_json::to_string(&latencies.percentiles()).unwrap();
        assert_eq!(json, r#"{"p50":1.5,"p90":1.5,"p99":1.5,"p999":1.5,"max":1.5}"#);
    }

    #[test]
    fn a_latency_beyond_the_scale_is_kept_at_its_end() {
        let latencies = Latencies::default();
        latencies.record(u64::MAX);
        assert!(latencies.percentiles().max >= 600_000.0);
    }
}
