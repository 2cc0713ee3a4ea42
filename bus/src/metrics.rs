//! Counters of the bus.

use std::sync::LazyLock;

use prometheus::{IntCounter, IntCounterVec, Opts};

/// The counters of this process.
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

/// See the help texts below.
pub(crate) struct Metrics {
    pub(crate) published: Direction,
    pub(crate) received: Direction,
    pub(crate) decode_errors: IntCounter,
    pub(crate) reconnects: IntCounter,
    pub(crate) slow_consumer_drops: IntCounter,
}

/// Deliveries in one direction, seen from this process.
pub(crate) struct Direction {
    deliveries: IntCounter,
    bytes: IntCounter,
}

impl Direction {
    /// Counts one delivery of this many encoded bytes (0 where nothing is encoded).
    pub(crate) fn count(&self, bytes: usize) {
        self.deliveries.inc();
        self.bytes.inc_by(bytes as u64);
    }
}

impl Metrics {
    fn register() -> Self {
        let deliveries = vector("linkup_bus_deliveries_total", "Deliveries from streamer to gateways");
        let bytes = vector("linkup_bus_delivery_bytes_total", "Encoded bytes of deliveries (0 in process)");
        let direction = |name: &str| Direction {
            deliveries: deliveries.with_label_values(&[name]),
            bytes: bytes.with_label_values(&[name]),
        };
        Self {
            published: direction("published"),
            received: direction("received"),
            decode_errors: counter("linkup_bus_decode_errors_total", "Messages skipped as malformed"),
            reconnects: counter("linkup_bus_reconnects_total", "Connections made anew after a loss"),
            slow_consumer_drops: counter(
                "linkup_bus_slow_consumer_drops_total",
                "Messages dropped because this process did not keep up",
            ),
        }
    }
}

fn counter(name: &str, help: &str) -> IntCounter {
    // Invariant: the names above are constants that prometheus accepts.
    let counter = IntCounter::new(name, help).unwrap_or_else(|error| panic!("{name}: {error}"));
    register(name, Box::new(counter.clone()));
    counter
}

fn vector(name: &str, help: &str) -> IntCounterVec {
    // Invariant: as above.
    let vector = IntCounterVec::new(Opts::new(name, help), &["direction"])
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    register(name, Box::new(vector.clone()));
    vector
}

/// A counter that cannot be registered still counts; it is only not to be seen, which is no reason to stop.
fn register(name: &str, collector: Box<dyn prometheus::core::Collector>) {
    if let Err(error) = prometheus::register(collector) {
        tracing::warn!(name, %error, "a metric could not be registered");
    }
}
