//! The api's metrics.

use std::sync::LazyLock;

use prometheus::{
    Histogram, HistogramVec, IntCounter, exponential_buckets, register_histogram, register_histogram_vec,
    register_int_counter,
};

pub(crate) struct Metrics {
    /// By route and status; both are bounded sets.
    pub(crate) requests: HistogramVec,
    pub(crate) batch: Histogram,
    pub(crate) lane_wait: Histogram,
    pub(crate) commit: Histogram,
    pub(crate) committed: IntCounter,
    pub(crate) repeated: IntCounter,
    pub(crate) conflicts: IntCounter,
    pub(crate) retries: IntCounter,
    pub(crate) expired: IntCounter,
    pub(crate) overloads: IntCounter,
    pub(crate) views: IntCounter,
    pub(crate) throttled: IntCounter,
    pub(crate) marks: Histogram,
    pub(crate) presence: Histogram,
    pub(crate) transitions: IntCounter,
    pub(crate) swept: IntCounter,
}

/// Registration fails only if a name is used twice or not well-formed, which the first start would show.
const NAMES: &str = "the metrics' names are unique and well-formed";

#[expect(clippy::expect_used, reason = "see NAMES")]
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let counter = |name: &str, help: &str| register_int_counter!(name, help).expect(NAMES);
    // From half a millisecond to sixteen seconds.
    let times = exponential_buckets(0.0005, 2.0, 16).expect("a positive start and a factor above one");
    let time = |name: &str, help: &str| register_histogram!(name, help, times.clone()).expect(NAMES);
    let sizes = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
    let size = |name: &str, help: &str| register_histogram!(name, help, sizes.clone()).expect(NAMES);
    let requests = register_histogram_vec!(
        "linkup_api_request_seconds",
        "Time from a request's head to its response",
        &["route", "status"],
        times.clone()
    );
    Metrics {
        requests: requests.expect(NAMES),
        batch: size("linkup_api_commit_batch_messages", "Messages per group commit"),
        lane_wait: time("linkup_api_lane_wait_seconds", "Time a message waits for its lane"),
        commit: time("linkup_api_commit_seconds", "Duration of a group commit, retries included"),
        committed: counter("linkup_api_messages_committed_total", "Messages stored"),
        repeated: counter(
            "linkup_api_messages_repeated_total",
            "Messages sent again and answered with the stored one",
        ),
        conflicts: counter(
            "linkup_api_commit_conflicts_total",
            "Inserts that a unique index stopped, so that the rest was numbered anew",
        ),
        retries: counter(
            "linkup_api_commit_retries_total",
            "Commits tried again because their outcome was unknown",
        ),
        expired: counter("linkup_api_messages_expired_total", "Messages given up because MongoDB was away"),
        overloads: counter("linkup_api_messages_overload_total", "Messages refused because a lane was full"),
        throttled: counter(
            "linkup_api_throttled_total",
            "Registrations, logins and uploads refused because of too many before",
        ),
        marks: size("linkup_api_marks_batch", "Messages marked as read per batch"),
        presence: size("linkup_api_presence_batch", "Changes of presence on a gateway per batch"),
        transitions: counter(
            "linkup_api_status_transitions_total",
            "Users who are something else than before, by all gateways together",
        ),
        swept: counter(
            "linkup_api_gateways_swept_total",
            "Gateways that fell silent and whose users were taken for offline",
        ),
        views: counter("linkup_api_views_written_total", "Views of last messages written"),
    }
});
