//! The hub's own metrics.

use std::sync::LazyLock;

use prometheus::{IntCounter, IntGauge, register_int_counter, register_int_counter_vec, register_int_gauge};

pub(crate) struct Metrics {
    pub(crate) dismissed_ended: IntCounter,
    pub(crate) dismissed_gone: IntCounter,
    pub(crate) replaced: IntCounter,
    pub(crate) recoveries: IntCounter,
    pub(crate) recoveries_failed: IntCounter,
    pub(crate) recovered_events: IntCounter,
    pub(crate) presence_users: IntGauge,
    pub(crate) presence_changes: IntCounter,
    pub(crate) presence_batches: IntCounter,
    pub(crate) presence_failures: IntCounter,
    pub(crate) typing: IntGauge,
}

/// Registration fails only if a name is used twice or not well-formed, which the first start would show.
const NAMES: &str = "the metrics' names are unique and well-formed";

#[expect(clippy::expect_used, reason = "see NAMES")]
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let counter = |name: &str, help: &str| register_int_counter!(name, help).expect(NAMES);
    let labelled =
        |name: &str, help: &str, label: &str| register_int_counter_vec!(name, help, &[label]).expect(NAMES);
    let gauge = |name: &str, help: &str| register_int_gauge!(name, help).expect(NAMES);
    let dismissed = labelled(
        "linkup_gateway_dismissed_total",
        "Sockets turned away because of a change to their user",
        "reason",
    );
    let recoveries =
        labelled("linkup_gateway_recoveries_total", "Sockets that came back for what they missed", "result");
    Metrics {
        dismissed_ended: dismissed.with_label_values(&["sessions_ended"]),
        dismissed_gone: dismissed.with_label_values(&["user_gone"]),
        replaced: counter("linkup_gateway_replaced_total", "Sockets closed because their client came back"),
        recoveries: recoveries.with_label_values(&["recovered"]),
        recoveries_failed: recoveries.with_label_values(&["missed"]),
        recovered_events: counter(
            "linkup_gateway_recovered_events_total",
            "Events given to sockets that came back",
        ),
        presence_users: gauge(
            "linkup_gateway_presence_users",
            "Users who are here, or were a moment ago, as far as presence goes",
        ),
        presence_changes: counter(
            "linkup_gateway_presence_changes_total",
            "Changes of presence that the api was told",
        ),
        presence_batches: counter(
            "linkup_gateway_presence_batches_total",
            "Batches of presence and heartbeats that were answered",
        ),
        presence_failures: counter(
            "linkup_gateway_presence_failures_total",
            "Batches of presence and heartbeats that were not",
        ),
        typing: gauge("linkup_gateway_typing", "People shown as typing to users of this gateway"),
    }
});
