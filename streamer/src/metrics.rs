//! The streamer's metrics.

use std::sync::LazyLock;

use prometheus::{
    Histogram, IntCounter, IntCounterVec, IntGauge, register_histogram, register_int_counter,
    register_int_counter_vec, register_int_gauge,
};

pub(crate) struct Metrics {
    /// By the event's name; `sessions_ended` and `user_gone` are for gateways alone.
    pub(crate) events: IntCounterVec,
    pub(crate) deliveries: IntCounter,
    pub(crate) replayed: IntCounter,
    pub(crate) incomplete: IntCounter,
    pub(crate) malformed: IntCounter,
    pub(crate) failures: IntCounter,
    pub(crate) audience_queries: IntCounter,
    pub(crate) audience_failures: IntCounter,
    pub(crate) typing_told: IntCounter,
    pub(crate) typing_refused: IntCounter,
    pub(crate) typing_dropped: IntCounter,
    pub(crate) typing_lookups: IntCounter,
    pub(crate) batch: Histogram,
    pub(crate) active: IntGauge,
    pub(crate) term: IntGauge,
    pub(crate) gateways: IntGauge,
    pub(crate) users: IntGauge,
    pub(crate) lag: IntGauge,
    pub(crate) log_events: IntGauge,
    pub(crate) log_bytes: IntGauge,
    pub(crate) forgotten_users: IntGauge,
}

/// Registration fails only if a name is used twice or not well-formed, which the first start would show.
const NAMES: &str = "the metrics' names are unique and well-formed";

#[expect(clippy::expect_used, reason = "see NAMES")]
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let counter = |name: &str, help: &str| register_int_counter!(name, help).expect(NAMES);
    let gauge = |name: &str, help: &str| register_int_gauge!(name, help).expect(NAMES);
    let sizes = vec![1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0];
    Metrics {
        events: register_int_counter_vec!(
            "linkup_streamer_events_total",
            "Events made from committed changes, by the event's name, and what gateways alone are told",
            &["event"]
        )
        .expect(NAMES),
        deliveries: counter("linkup_streamer_deliveries_total", "Deliveries published to gateways"),
        replayed: counter("linkup_streamer_replayed_total", "Events replayed to gateways"),
        incomplete: counter(
            "linkup_streamer_incomplete_total",
            "Registering users for whom the log no longer held everything that they asked for",
        ),
        malformed: counter("linkup_streamer_skipped_total", "Changes that could not be made into events"),
        failures: counter("linkup_streamer_failures_total", "Times the change stream had to be opened again"),
        audience_queries: counter(
            "linkup_streamer_audience_queries_total",
            "Queries for whom to tell that somebody came or went",
        ),
        audience_failures: counter(
            "linkup_streamer_audience_failures_total",
            "Batches whose statuses were told to the users themselves only, because the queries timed out",
        ),
        typing_told: counter("linkup_streamer_typing_told_total", "Typing passed on"),
        typing_refused: counter(
            "linkup_streamer_typing_refused_total",
            "Typing of somebody who takes no part, where somebody blocks, or nowhere",
        ),
        typing_dropped: counter(
            "linkup_streamer_typing_dropped_total",
            "Typing that could not be checked in time",
        ),
        typing_lookups: counter(
            "linkup_streamer_typing_lookups_total",
            "Queries for who takes part where somebody types",
        ),
        batch: register_histogram!("linkup_streamer_batch_changes", "Changes per batch read", sizes)
            .expect(NAMES),
        active: gauge("linkup_streamer_active", "1 while this process holds the lease"),
        term: gauge("linkup_streamer_term", "The term of the lease that is or was held"),
        gateways: gauge("linkup_streamer_gateways", "Gateways that are known"),
        users: gauge("linkup_streamer_users", "Users registered by gateways"),
        lag: gauge("linkup_streamer_lag_seconds", "Age of the last change when it was published"),
        log_events: gauge("linkup_streamer_log_events", "Events held for replay"),
        log_bytes: gauge("linkup_streamer_log_bytes", "Bytes of events held for replay"),
        forgotten_users: gauge(
            "linkup_streamer_forgotten_users",
            "Users of whom it is known when their last event was that is no longer held",
        ),
    }
});
