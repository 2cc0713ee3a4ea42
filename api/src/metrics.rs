//! What operators see of the api. Every handle is made at start, and with it its series.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Body as _;
use service::batcher::BatcherMetrics;
use service::metrics::{AtomicHistogram, Counter, Gauge, Histogram, Registry};

use crate::answer::Answer;
use crate::endpoint::ROUTES;

/// The statuses of answers, by what they mean to whoever is on call.
const STATUSES: [&str; 6] = ["2xx", "3xx", "4xx", "429", "500", "503"];

/// The place of a status in [`STATUSES`].
fn status_class(status: StatusCode) -> usize {
    match status.as_u16() {
        429 => 3,
        503 => 5,
        ..300 => 0,
        300..400 => 1,
        400..500 => 2,
        _ => 4,
    }
}

/// What there is too much of, when somebody is told to come back later.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Address,
    Account,
    Invites,
    Changes,
    Uploads,
}

/// The names of [`Limit`], in its order.
const LIMITS: [&str; 5] = ["address", "account", "invites", "changes", "uploads"];

/// The api's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// In the order of [`ROUTES`], and last what belongs to none.
    routes: Vec<Route>,
    in_flight: Gauge,
    response_bytes: Histogram,
    throttled: [Counter; LIMITS.len()],
    pub(crate) committed: Counter,
    pub(crate) repeated: Counter,
    pub(crate) expired: Counter,
    pub(crate) overloads: Counter,
    /// The time of a group commit.
    pub(crate) commit: Histogram,
    pub(crate) conflicts: Counter,
    pub(crate) retries: Counter,
    pub(crate) views: Counter,
    pub(crate) password: Histogram,
    /// Changes of presence in a batch.
    pub(crate) presence: Histogram,
    pub(crate) transitions: Counter,
    pub(crate) swept: Counter,
    /// For each message: from its arrival until its lane begins with it.
    pub(crate) queue_stage: AtomicHistogram,
    /// For each message: from then until a majority has it.
    pub(crate) commit_stage: AtomicHistogram,
    pub(crate) probe_messages_removed: Counter,
    pub(crate) commit_batcher: BatcherMetrics,
    pub(crate) people_batcher: BatcherMetrics,
    pub(crate) marks_batcher: BatcherMetrics,
}

#[derive(Debug)]
struct Route {
    seconds: Histogram,
    statuses: [Counter; STATUSES.len()],
}

/// A request that is being answered, until it is dropped: also where the client has gone away.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Arc<Self> {
        let counter = |name, help| registry.counter(name, help, &[]);
        let histogram = |name, help| registry.histogram(name, help, &[]);
        let stage = |stage| {
            let help = "Time of a message in the stages of its way";
            registry.atomic_histogram("linkup_message_stage_seconds", help, &[("stage", stage)])
        };
        let throttled = "Requests refused by a rate limit";
        let routes = ROUTES.iter().map(String::as_str).chain(["none"]);
        Arc::new(Self {
            routes: routes.map(|route| Route::new(registry, route)).collect(),
            in_flight: registry.gauge(
                "linkup_api_requests_in_flight",
                "Requests that are being answered",
                &[],
            ),
            response_bytes: histogram(
                "linkup_api_response_bytes",
                "Size of a response's body, where it is known beforehand",
            ),
            throttled: registry.counters("linkup_api_throttled_total", throttled, "limit", LIMITS),
            committed: counter("linkup_api_messages_committed_total", "Messages stored"),
            repeated: counter(
                "linkup_api_messages_repeated_total",
                "Messages sent again and answered with the stored one",
            ),
            expired: counter(
                "linkup_api_messages_expired_total",
                "Messages given up because MongoDB was away",
            ),
            overloads: counter(
                "linkup_api_messages_overload_total",
                "Messages refused because a lane was full",
            ),
            commit: histogram("linkup_api_commit_seconds", "Duration of a group commit, retries included"),
            conflicts: counter(
                "linkup_api_commit_conflicts_total",
                "Inserts that a unique index stopped, so that the rest was numbered anew",
            ),
            retries: counter(
                "linkup_api_commit_retries_total",
                "Commits tried again because their outcome was unknown",
            ),
            views: counter("linkup_api_views_written_total", "Views of last messages written"),
            password: histogram(
                "linkup_api_password_seconds",
                "Time to hash or check a password, waiting included",
            ),
            presence: histogram("linkup_api_presence_batch_changes", "Changes of presence per batch"),
            transitions: counter(
                "linkup_api_status_transitions_total",
                "Users who are something else than before, by all gateways together",
            ),
            swept: counter(
                "linkup_api_gateways_swept_total",
                "Gateways that fell silent and whose users were taken for offline",
            ),
            probe_messages_removed: counter(
                "linkup_api_probe_messages_removed_total",
                "Old messages of probes that were removed",
            ),
            queue_stage: stage("api_queue"),
            commit_stage: stage("commit"),
            commit_batcher: BatcherMetrics::new(registry, "api_commit"),
            people_batcher: BatcherMetrics::new(registry, "api_people"),
            marks_batcher: BatcherMetrics::new(registry, "api_marks"),
        })
    }

    /// A request has come.
    pub(crate) fn in_flight(&self) -> InFlight {
        self.in_flight.increment(1.0);
        InFlight(self.in_flight.clone())
    }

    /// A request to the endpoint at this place in the table, or to none, was answered.
    pub(crate) fn answered(&self, endpoint: Option<usize>, response: &Answer, took: Duration) {
        let none = self.routes.len() - 1;
        let route = &self.routes[endpoint.unwrap_or(none).min(none)];
        route.statuses[status_class(response.status())].increment(1);
        route.seconds.record(took.as_secs_f64());
        if let Some(size) = response.body().size_hint().exact() {
            self.response_bytes.record(size as f64);
        }
    }

    /// Somebody was told to come back later.
    pub(crate) fn throttled(&self, limit: Limit) {
        self.throttled[limit as usize].increment(1);
    }
}

impl Route {
    fn new(registry: &Registry, route: &'static str) -> Self {
        let status = |status| {
            let labels = [("route", route), ("status", status)];
            registry.counter("linkup_api_requests_total", "Answered requests", &labels)
        };
        Self {
            seconds: registry.histogram(
                "linkup_api_request_seconds",
                "Time from a request's head to its response",
                &[("route", route)],
            ),
            statuses: STATUSES.map(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::ErrorCode;

    use super::*;
    use crate::answer::{Failure, done};
    use crate::endpoint::ENDPOINTS;

    #[test]
    fn every_route_is_there_from_the_start_and_counted_by_pattern_and_class() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let count = |route: &str, status: &str| {
            registry.value("linkup_api_requests_total", &[("route", route), ("status", status)])
        };
        for (endpoint, route) in ENDPOINTS.iter().zip(ROUTES.iter()) {
            assert_eq!(*route, format!("{} {}", endpoint.verb.as_str(), endpoint.path));
            assert!(STATUSES.iter().all(|status| count(route, status) == Some(0.0)), "{route}");
        }
        let route = "POST /api/conversations/{id}/messages";
        let place = ROUTES.iter().position(|one| one == route);
        let took = Duration::from_millis(30);
        metrics.answered(place, &done(), took);
        metrics.answered(place, &Failure::throttled(took).response(), took);
        metrics.answered(None, &Failure::not_found("x").response(), took);
        for (code, class) in [(ErrorCode::Unavailable, "503"), (ErrorCode::Internal, "500")] {
            metrics.answered(place, &Failure::new(code, "x").response(), took);
            assert_eq!(count(route, class), Some(1.0));
        }
        assert_eq!(
            ["2xx", "3xx", "4xx", "429"].map(|class| count(route, class)),
            [Some(1.0), Some(0.0), Some(0.0), Some(1.0)]
        );
        assert_eq!(count("none", "4xx"), Some(1.0));
        let within =
            |le| registry.value("linkup_api_request_seconds_bucket", &[("route", route), ("le", le)]);
        assert_eq!((within("0.025"), within("0.1")), (Some(0.0), Some(4.0)));
        assert_eq!(registry.value("linkup_api_response_bytes_count", &[]), Some(5.0));
    }

    #[test]
    fn statuses_have_their_class() {
        let class = |status| STATUSES[status_class(StatusCode::from_u16(status).unwrap())];
        let classes = [200, 206, 304, 404, 416, 429, 500, 501, 503, 504].map(class);
        assert_eq!(classes, ["2xx", "2xx", "3xx", "4xx", "4xx", "429", "500", "500", "503", "500"]);
    }

    #[test]
    fn a_request_is_in_flight_until_nobody_answers_it_any_more() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let in_flight = || registry.value("linkup_api_requests_in_flight", &[]);
        let (one, other) = (metrics.in_flight(), metrics.in_flight());
        assert_eq!(in_flight(), Some(2.0));
        drop(one);
        assert_eq!(in_flight(), Some(1.0));
        drop(other);
        assert_eq!(in_flight(), Some(0.0));
        metrics.throttled(Limit::Uploads);
        assert_eq!(registry.value("linkup_api_throttled_total", &[("limit", "uploads")]), Some(1.0));
    }
}
