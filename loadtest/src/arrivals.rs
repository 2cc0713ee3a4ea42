//! When what is due: drawn up beforehand and independent of the server.
//!
//! Arrivals are those of an inhomogeneous process: the rate rises in a line from nothing during the ramp, and stays.
//! Arrival `k` is due when the rate, summed up over time, reaches `k` (evenly spaced), or the `k`-th point of a Poisson
//! process of rate one (as people arrive who know nothing of each other).

use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// How arrivals are spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Spacing {
    /// Evenly.
    #[default]
    Constant,
    /// At random, independent of each other: bursts and pauses as in real traffic.
    Poisson,
}

/// The arrivals of one kind.
#[derive(Clone, Debug)]
pub struct Arrivals {
    rate: f64,
    ramp: f64,
    spacing: Spacing,
    random: Rng,
    sum: f64,
}

impl Arrivals {
    /// `rate` a second, after `ramp`. `share` of 1 is where the first one lies between two: several processes that
    /// share a rate do not all begin at once.
    #[must_use]
    pub fn new(rate: f64, ramp: Duration, spacing: Spacing, share: f64, random: Rng) -> Self {
        let mut arrivals = Self { rate, ramp: ramp.as_secs_f64(), spacing, random, sum: share };
        if spacing == Spacing::Poisson {
            arrivals.sum = 0.0;
            arrivals.advance();
        }
        arrivals
    }

    /// When the next one is due, from the start. `None` where there are none.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let ramped = self.rate * self.ramp / 2.0;
        let seconds = if self.sum < ramped {
            (2.0 * self.ramp * self.sum / self.rate).sqrt()
        } else {
            self.ramp / 2.0 + self.sum / self.rate
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Goes on to the one after it.
    pub fn advance(&mut self) {
        self.sum += match self.spacing {
            Spacing::Constant => 1.0,
            // The generator may give 0 but never 1.
            Spacing::Poisson => -(1.0 - self.random.f64()).ln(),
        };
    }

    /// How many a second are asked for at a time after the start.
    #[must_use]
    pub fn offered(&self, at: Duration) -> f64 {
        if self.ramp > 0.0 { self.rate * (at.as_secs_f64() / self.ramp).min(1.0) } else { self.rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(mut arrivals: Arrivals, count: usize) -> Vec<f64> {
        let mut dues = Vec::new();
        for _ in 0..count {
            dues.push(arrivals.due().unwrap().as_secs_f64());
            arrivals.advance();
        }
        dues
    }

    fn arrivals(spacing: Spacing, ramp: u64, share: f64) -> Arrivals {
        Arrivals::new(100.0, Duration::from_secs(ramp), spacing, share, Rng::with_seed(7))
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_and_shared_without_a_clash() {
        let near =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
        let (one, other) =
            (take(arrivals(Spacing::Constant, 0, 0.0), 50), take(arrivals(Spacing::Constant, 0, 0.5), 50));
        for k in 0..50 {
            near(one[k], k as f64 / 100.0);
            near(other[k], k as f64 / 100.0 + 0.005);
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_an_exponential_spread() {
        let dues = take(arrivals(Spacing::Poisson, 0, 0.0), 20_000);
        let gaps: Vec<f64> = dues.windows(2).map(|two| two[1] - two[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 100.0 - 1.0).abs() < 0.03, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{variance}");
        assert!(gaps.iter().all(|gap| *gap >= 0.0));
        assert_eq!(
            dues[..9],
            take(arrivals(Spacing::Poisson, 0, 0.0), 9),
            "the same seed, the same arrivals"
        );
    }

    #[test]
    fn a_ramp_rises_in_a_line_and_goes_over_into_the_rate() {
        // In a ramp of four seconds to 100 a second there are 200: 12.5 in the first second, 87.5 in the last.
        let dues = take(arrivals(Spacing::Constant, 4, 0.0), 400);
        let within = |from: f64, to: f64| dues.iter().filter(|due| (from..to).contains(*due)).count();
        assert_eq!((within(0.0, 1.0), within(3.0, 4.0), within(4.0, 5.0)), (13, 87, 100));
        assert!((dues[200] - 4.0).abs() < 1e-9 && (dues[300] - 5.0).abs() < 1e-9);
        let ramp = arrivals(Spacing::Constant, 4, 0.0);
        assert_eq!([0, 1, 4, 9].map(|at| ramp.offered(Duration::from_secs(at))), [0.0, 25.0, 100.0, 100.0]);
    }
}
