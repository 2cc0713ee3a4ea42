//! The streamer's metrics.

use std::sync::LazyLock;

use prometheus::{
    Histogram, IntCounter, IntGauge, register_histogram, register_int_counter, register_int_gauge,
};

pub(crate) struct Metrics {
    pub(crate) events: IntCounter,
    pub(crate) deliveries: IntCounter,
    pub(crate) replayed: IntCounter,
    pub(crate) malformed: IntCounter,
    pub(crate) failures: IntCounter,
    pub(crate) batch: Histogram,
    pub(crate) active: IntGauge,
    pub(crate) term: IntGauge,
    pub(crate) gateways: IntGauge,
    pub(crate) users: IntGauge,
    pub(crate) lag: IntGauge,
    pub(crate) log_events: IntGauge,
    pub(crate) log_bytes: IntGauge,
}

/// Registration fails only if a name is used twice or not well-formed, which the first start would show.
const NAMES: &str = "the metrics' names are unique and well-formed";

#[expect(clippy::expect_used, reason = "see NAMES")]
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let counter = |name: &str, help: &str| register_int_counter!(name, help).expect(NAMES);
    let gauge = |name: &str, help: &str| register_int_gauge!(name, help).expect(NAMES);
    let sizes = vec![1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0];
    Metrics {
        events: counter("linkup_streamer_events_total", "Events made from committed changes"),
        deliveries: counter("linkup_streamer_deliveries_total", "Deliveries published to gateways"),
        replayed: counter("linkup_streamer_replayed_total", "Events replayed to gateways"),
        malformed: counter("linkup_streamer_skipped_total", "Changes that could not be made into events"),
        failures: counter("linkup_streamer_failures_total", "Times the change stream had to be opened again"),
        batch: register_histogram!("linkup_streamer_batch_changes", "Changes per batch read", sizes)
            .expect(NAMES),
        active: gauge("linkup_streamer_active", "1 while this process holds the lease"),
        term: gauge("linkup_streamer_term", "The term of the lease that is or was held"),
        gateways: gauge("linkup_streamer_gateways", "Gateways that are known"),
        users: gauge("linkup_streamer_users", "Users registered by gateways"),
        lag: gauge("linkup_streamer_lag_seconds", "Age of the last change when it was published"),
        log_events: gauge("linkup_streamer_log_events", "Events held for replay"),
        log_bytes: gauge("linkup_streamer_log_bytes", "Bytes of events held for replay"),
    }
});
