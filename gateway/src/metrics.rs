//! The chat application's metrics. The transport has its own.

use std::sync::LazyLock;

use prometheus::{
    Histogram, IntCounter, IntCounterVec, IntGauge, register_histogram, register_int_counter,
    register_int_counter_vec, register_int_gauge,
};

pub(crate) struct Metrics {
    pub(crate) users: IntGauge,
    pub(crate) deliveries: IntCounter,
    pub(crate) resyncs: IntCounter,
    pub(crate) refused_tokens: IntCounter,
    pub(crate) refused_users: IntCounter,
    pub(crate) commands_ok: IntCounter,
    pub(crate) commands_failed: IntCounter,
    pub(crate) retries: IntCounter,
    pub(crate) command_seconds: Histogram,
    pub(crate) proxied: IntCounter,
    pub(crate) proxy_failures: IntCounter,
}

/// Registration fails only if a name is used twice or not well-formed, which the first start would show.
const NAMES: &str = "the metrics' names are unique and well-formed";

#[expect(clippy::expect_used, reason = "see NAMES")]
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let counter = |name: &str, help: &str| register_int_counter!(name, help).expect(NAMES);
    let labelled = |name: &str, help: &str, label: &str| -> IntCounterVec {
        register_int_counter_vec!(name, help, &[label]).expect(NAMES)
    };
    let refused = labelled("linkup_gateway_connects_refused_total", "Sockets refused for good", "reason");
    let commands = labelled("linkup_gateway_commands_total", "Commands sent to the api", "result");
    let seconds =
        vec![0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
    Metrics {
        users: register_int_gauge!("linkup_gateway_users", "Users with a socket here").expect(NAMES),
        deliveries: counter("linkup_gateway_deliveries_total", "Events queued for sockets"),
        resyncs: counter("linkup_gateway_resyncs_total", "Times all users were registered again"),
        refused_tokens: refused.with_label_values(&["token"]),
        refused_users: refused.with_label_values(&["user"]),
        commands_ok: commands.with_label_values(&["ok"]),
        commands_failed: commands.with_label_values(&["failed"]),
        retries: counter("linkup_gateway_batch_retries_total", "Batches sent to the api again"),
        command_seconds: register_histogram!(
            "linkup_gateway_batch_seconds",
            "From sending a batch to the api to its answer",
            seconds
        )
        .expect(NAMES),
        proxied: counter("linkup_gateway_proxied_total", "Requests passed through to the api"),
        proxy_failures: counter(
            "linkup_gateway_proxy_failures_total",
            "Requests that the api did not answer",
        ),
    }
});
