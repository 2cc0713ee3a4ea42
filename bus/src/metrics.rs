//! `linkup_bus_*`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use service::metrics::{AtomicCounter, Counter, Histogram, Registry};

use crate::BusError;

/// The handles of one bus. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) published: Direction,
    pub(crate) received: Direction,
    pub(crate) confirm: Histogram,
    pub(crate) reconnects: Counter,
    pub(crate) slow_consumer_drops: Counter,
    decode_errors: Counter,
    /// How many messages were malformed, for the log.
    malformed: Arc<AtomicU64>,
    timeouts: Counter,
    too_large: Counter,
}

/// What went in one direction, seen from this process.
#[derive(Clone, Debug)]
pub(crate) struct Direction {
    deliveries: AtomicCounter,
    bytes: AtomicCounter,
    pub(crate) uplinks: AtomicCounter,
}

impl Direction {
    fn new(registry: &Registry, direction: &'static str) -> Self {
        let labels = [("direction", direction)];
        Self {
            deliveries: registry.atomic_counter(
                "linkup_bus_deliveries_total",
                "Deliveries from streamer to gateways",
                &labels,
            ),
            bytes: registry.atomic_counter(
                "linkup_bus_delivery_bytes_total",
                "Encoded bytes of deliveries (0 in one process)",
                &labels,
            ),
            uplinks: registry.atomic_counter(
                "linkup_bus_uplinks_total",
                "Messages from gateways to streamers",
                &labels,
            ),
        }
    }

    /// Counts one delivery of this many encoded bytes (0 where nothing is encoded).
    pub(crate) fn delivery(&self, bytes: usize) {
        self.deliveries.increment(1);
        self.bytes.increment(bytes as u64);
    }
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let [timeouts, too_large] = registry.counters(
            "linkup_bus_failures_total",
            "What could not be handed over",
            "reason",
            ["timeout", "too_large"],
        );
        let confirm = "A round trip through the bus that confirms what was published";
        Self {
            published: Direction::new(registry, "published"),
            received: Direction::new(registry, "received"),
            confirm: registry.histogram("linkup_bus_confirm_seconds", confirm, &[]),
            reconnects: registry.counter(
                "linkup_bus_reconnects_total",
                "Connections made anew after a loss",
                &[],
            ),
            slow_consumer_drops: registry.counter(
                "linkup_bus_slow_consumer_drops_total",
                "Messages dropped because this process did not keep up",
                &[],
            ),
            decode_errors: registry.counter(
                "linkup_bus_decode_errors_total",
                "Messages skipped as malformed",
                &[],
            ),
            malformed: Arc::default(),
            timeouts,
            too_large,
        }
    }

    /// Counts a malformed message; how many there were with this one.
    pub(crate) fn malformed(&self) -> u64 {
        self.decode_errors.increment(1);
        self.malformed.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts what could not be handed over.
    pub(crate) fn failed(&self, error: &BusError) {
        match error {
            BusError::Timeout(_) => self.timeouts.increment(1),
            BusError::TooLarge { .. } => self.too_large.increment(1),
            _ => {}
        }
    }
}
