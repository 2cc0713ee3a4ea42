//! What operators see.

use std::time::{Duration, SystemTime};

use service::metrics::{Counter, Gauge, Histogram, Registry};

use super::Outcome;

/// The parts of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// From the beginning of a connection to being let in.
    Connect,
    /// From the beginning of a send to its acknowledgement.
    Acknowledge,
    /// From the acknowledgement to the arrival, nothing if it arrived before.
    Deliver,
}

const STAGES: [&str; 3] = ["connect", "acknowledge", "deliver"];

/// Handles of the probe's metrics. Clones are the same.
#[derive(Clone)]
pub struct ProbeMetrics {
    exchanges: [Counter; 5],
    seconds: Histogram,
    stages: [Histogram; 3],
    up: Gauge,
    last_success: Gauge,
}

impl std::fmt::Debug for ProbeMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProbeMetrics")
    }
}

impl ProbeMetrics {
    /// Makes the handles.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let stage = |stage| {
            registry.histogram("linkup_probe_stage_seconds", "Parts of an exchange", &[("stage", stage)])
        };
        Self {
            exchanges: registry.counters(
                "linkup_probe_exchanges_total",
                "Attempts to have a message delivered",
                "result",
                Outcome::ALL.map(Outcome::as_str),
            ),
            seconds: registry.histogram(
                "linkup_probe_seconds",
                "From the beginning of a send to its arrival at the other user",
                &[],
            ),
            stages: STAGES.map(stage),
            up: registry.gauge("linkup_probe_up", "1 if the last exchange was delivered", &[]),
            last_success: registry.gauge(
                "linkup_probe_last_success_timestamp_seconds",
                "When an exchange was last delivered, in seconds since 1970; 0 for never",
                &[],
            ),
        }
    }

    /// Counts an exchange whose message arrived, after so long.
    pub(super) fn delivered(&self, taken: Duration) {
        self.count(Outcome::Delivered);
        self.seconds.record(taken);
        self.up.set(1.0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.last_success.set(now.as_secs_f64());
    }

    /// Counts an exchange that failed.
    pub(super) fn failed(&self, outcome: Outcome) {
        self.count(outcome);
        self.up.set(0.0);
    }

    /// Tells how long a part took.
    pub(super) fn stage(&self, stage: Stage, taken: Duration) {
        self.stages[stage as usize].record(taken);
    }

    fn count(&self, outcome: Outcome) {
        self.exchanges[outcome as usize].increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_and_every_stage_is_counted_under_its_own_name() {
        let registry = Registry::new();
        let metrics = ProbeMetrics::new(&registry);
        let exchanges = |result| registry.value("linkup_probe_exchanges_total", &[("result", result)]);
        for outcome in Outcome::ALL {
            assert_eq!(exchanges(outcome.as_str()), Some(0.0));
            match outcome {
                Outcome::Delivered => metrics.delivered(Duration::from_millis(3)),
                _ => metrics.failed(outcome),
            }
            assert_eq!(exchanges(outcome.as_str()), Some(1.0), "{outcome:?}");
            let up = f64::from(u8::from(outcome == Outcome::Delivered));
            assert_eq!(registry.value("linkup_probe_up", &[]), Some(up));
        }
        assert_eq!(registry.value("linkup_probe_seconds_count", &[]), Some(1.0));
        let last = registry.value("linkup_probe_last_success_timestamp_seconds", &[]);
        assert!(last.is_some_and(|last| last > 1.7e9), "{last:?}");
        for (stage, name) in
            [(Stage::Connect, "connect"), (Stage::Acknowledge, "acknowledge"), (Stage::Deliver, "deliver")]
        {
            metrics.stage(stage, Duration::from_millis(1));
            let count = registry.value("linkup_probe_stage_seconds_count", &[("stage", name)]);
            assert_eq!(count, Some(1.0), "{name}");
        }
    }
}
