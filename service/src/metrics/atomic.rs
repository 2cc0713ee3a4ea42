//! Counters and histograms for what happens hundreds of thousands of times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::buckets::SECONDS;

/// A counter that costs one atomic addition. Clones are the same counter. The default one counts nothing.
#[derive(Clone, Debug, Default)]
pub struct AtomicCounter(Option<Arc<AtomicU64>>);

impl AtomicCounter {
    pub(super) fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// Adds to it.
    pub fn increment(&self, by: u64) {
        if let Some(count) = &self.0 {
            count.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// What it stands at.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.as_ref().map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// How many buckets there are; the last one has no bound.
const BUCKETS: usize = SECONDS.len() + 1;

/// The bounds in microseconds, in which times are compared.
const MICROS: [u64; SECONDS.len()] = {
    let mut micros = [0; SECONDS.len()];
    let mut at = 0;
    while at < SECONDS.len() {
        // Rounded: every bound is a whole number of microseconds.
        micros[at] = (SECONDS[at] * 1_000_000.0 + 0.5) as u64;
        at += 1;
    }
    micros
};

/// A histogram of times that costs a search among its bounds and two atomic additions: no clock, no sample is kept.
/// Clones are the same histogram. The default one holds nothing.
#[derive(Clone, Debug, Default)]
pub struct AtomicHistogram(Option<Arc<Cells>>);

#[derive(Debug, Default)]
struct Cells {
    counts: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

/// What a histogram holds at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// For each bound of [`SECONDS`] how many were at most that, and last how many there were.
    pub cumulative: [u64; BUCKETS],
    /// The sum, in seconds.
    pub sum: f64,
}

impl AtomicHistogram {
    pub(super) fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// Counts one time.
    pub fn record(&self, time: Duration) {
        self.record_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), 1);
    }

    /// Counts one time so often.
    pub fn record_micros(&self, micros: u64, times: u64) {
        let Some(cells) = &self.0 else { return };
        let bucket = MICROS.partition_point(|&bound| bound < micros);
        cells.counts[bucket].fetch_add(times, Ordering::Relaxed);
        cells.sum_micros.fetch_add(micros.saturating_mul(times), Ordering::Relaxed);
    }

    /// What it holds. Recordings of the same moment may be in the buckets and not yet in the sum.
    #[must_use]
    pub fn read(&self) -> Reading {
        let Some(cells) = &self.0 else { return Reading { cumulative: [0; BUCKETS], sum: 0.0 } };
        let mut total = 0;
        let cumulative = std::array::from_fn(|bucket| {
            total += cells.counts[bucket].load(Ordering::Relaxed);
            total
        });
        Reading { cumulative, sum: cells.sum_micros.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_up_to_its_bound_and_beyond_the_last_one() {
        let histogram = AtomicHistogram::new();
        for seconds in SECONDS {
            histogram.record(Duration::from_secs_f64(seconds));
        }
        histogram.record(Duration::from_secs(60));
        histogram.record_micros(251_000, 3);
        let reading = histogram.read();
        assert_eq!(reading.cumulative[..9], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(reading.cumulative[9..], [13, 14, 15, 16, 17, 18]);
        let sum = SECONDS.iter().sum::<f64>() + 60.0 + 0.753;
        assert!((reading.sum - sum).abs() < 1e-6, "{} {sum}", reading.sum);
    }
}
