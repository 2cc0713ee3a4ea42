//! `linkup_streamer_*`, and the stage of a message that passes here.
//!
//! | module | holds |
//! |---|---|
//! | [`lag`] | how far the active streamer is behind, as it is at the moment of a scrape |

mod lag;

use std::time::Duration;

use protocol::event;
use service::labels;
use service::metrics::{AtomicCounter, AtomicHistogram, Counter, Gauge, Histogram, Registry};
use store::name;

pub(crate) use lag::Lag;

/// The handles. Made once, and shared by everything in this streamer.
#[derive(Debug)]
pub(crate) struct Metrics {
    events: [AtomicCounter; EVENTS.len()],
    changes: [AtomicCounter; COLLECTIONS.len()],
    deliveries: [Counter; DeliveryKind::LABELS.len()],
    lease: [Counter; LeaseOutcome::LABELS.len()],
    pub(crate) joins: Counter,
    pub(crate) resyncs: Counter,
    pub(crate) recalls: Counter,
    pub(crate) replayed: Counter,
    pub(crate) incomplete: Counter,
    pub(crate) skipped: Counter,
    pub(crate) failures: Counter,
    pub(crate) history_losses: Counter,
    pub(crate) saves: Counter,
    pub(crate) failed_saves: Counter,
    pub(crate) audiences: Counter,
    pub(crate) late_audiences: Counter,
    pub(crate) typing_passed: Counter,
    pub(crate) typing_refused: Counter,
    pub(crate) typing_dropped: Counter,
    pub(crate) typing_lookups: Counter,
    pub(crate) conversations: Lookups,
    pub(crate) people: Lookups,
    pub(crate) batch: Histogram,
    pub(crate) recipients: Histogram,
    pub(crate) pending: Gauge,
    pub(crate) active: Gauge,
    pub(crate) term: Gauge,
    pub(crate) gateways: Gauge,
    pub(crate) users: Gauge,
    pub(crate) log_events: Gauge,
    pub(crate) log_bytes: Gauge,
    pub(crate) forgotten_users: Gauge,
    /// From the oplog to the bus.
    pub(crate) stream: AtomicHistogram,
    pub(crate) lag: Lag,
}

/// Whether what a change needs was cached.
#[derive(Debug)]
pub(crate) struct Lookups {
    hits: AtomicCounter,
    misses: AtomicCounter,
}

impl Lookups {
    fn new(registry: &Registry, cache: &'static str) -> Self {
        let counter = |result| {
            let help = "Whether what a change needs was cached";
            let labels = [("cache", cache), ("result", result)];
            registry.atomic_counter("linkup_streamer_cache_lookups_total", help, &labels)
        };
        Self { hits: counter("hit"), misses: counter("miss") }
    }

    /// Counts one.
    pub(crate) fn count(&self, is_hit: bool) {
        if is_hit { self.hits.increment(1) } else { self.misses.increment(1) }
    }
}

/// The events that are made here; the last two are for gateways alone.
const EVENTS: [&str; 10] = [
    event::MESSAGE_NEW,
    event::MESSAGE_UPDATE,
    event::MESSAGE_DELETE,
    event::MESSAGE_READ,
    event::CONVERSATION_UPDATE,
    event::USER_STATUS,
    event::ACTIVITY_JOIN,
    event::ACTIVITY_LEAVE,
    SESSIONS_ENDED,
    USER_GONE,
];

/// Gateways are told that all sessions of somebody were ended.
pub(crate) const SESSIONS_ENDED: &str = "sessions_ended";
/// Gateways are told that somebody's account ended.
pub(crate) const USER_GONE: &str = "user_gone";

const COLLECTIONS: [&str; 5] =
    [name::MESSAGES, name::CONVERSATIONS, name::USERS, name::ACTIVITIES, name::READS];

labels! {
    /// What a delivery is.
    pub(crate) enum DeliveryKind {
        Events = "events",
        Replay = "replay",
        Registered = "registered",
        Typing = "typing",
        Beat = "beat",
    }
}

labels! {
    /// What came of asking for the lease, or for more of it.
    pub(crate) enum LeaseOutcome {
        Acquired = "acquired",
        Renewed = "renewed",
        Lost = "lost",
        /// The database did not answer.
        Failed = "failed",
    }
}

impl Metrics {
    /// Makes the handles. `oplog_window` tells how far back the oplog reaches, if that is known.
    pub(crate) fn new(
        registry: &Registry,
        oplog_window: impl Fn() -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        let counter = |name, help| registry.counter(name, help, &[]);
        let gauge = |name, help| registry.gauge(name, help, &[]);
        let resume_saves = "Attempts to save the resume point";
        let [saves, failed_saves] = registry.counters(
            "linkup_streamer_resume_saves_total",
            resume_saves,
            "result",
            ["saved", "failed"],
        );
        let [joins, resyncs] = registry.counters(
            "linkup_streamer_registrations_total",
            "Requests of gateways to register users",
            "kind",
            ["join", "resync"],
        );
        let [audiences, late_audiences] = registry.counters(
            "linkup_streamer_audience_queries_total",
            "Batches of queries for whom to tell that somebody came or went",
            "result",
            ["answered", "timed_out"],
        );
        let [typing_passed, typing_refused, typing_dropped] = registry.counters(
            "linkup_streamer_typing_total",
            "What became of somebody's typing",
            "result",
            ["passed", "refused", "dropped"],
        );
        let events = "Events made of changes; the last two are for gateways alone";
        let stage = "The stages of a message on its way";
        Self {
            events: EVENTS.map(|event| {
                registry.atomic_counter("linkup_streamer_events_total", events, &[("event", event)])
            }),
            changes: COLLECTIONS.map(|collection| {
                let labels = [("collection", collection)];
                registry.atomic_counter("linkup_streamer_changes_total", "Changes read", &labels)
            }),
            deliveries: registry.counters(
                "linkup_streamer_deliveries_total",
                "Deliveries to gateways",
                "kind",
                DeliveryKind::LABELS,
            ),
            lease: registry.counters(
                "linkup_streamer_lease_total",
                "What came of asking for the lease",
                "outcome",
                LeaseOutcome::LABELS,
            ),
            recalls: counter(
                "linkup_streamer_recalls_total",
                "Gateways that were made to register again because a request was lost",
            ),
            replayed: counter("linkup_streamer_replayed_events_total", "Events replayed to gateways"),
            incomplete: counter(
                "linkup_streamer_incomplete_users_total",
                "Registering users for whom the log no longer held everything that they asked for",
            ),
            skipped: counter(
                "linkup_streamer_skipped_total",
                "Changes that could not be made into events, and events too large to publish",
            ),
            failures: counter(
                "linkup_streamer_failures_total",
                "Times the change stream had to be opened again",
            ),
            history_losses: counter(
                "linkup_streamer_history_losses_total",
                "Times the change stream could not be resumed, so that all clients had to catch up",
            ),
            typing_lookups: counter(
                "linkup_streamer_typing_lookups_total",
                "Queries for who takes part where somebody types",
            ),
            conversations: Lookups::new(registry, "conversations"),
            people: Lookups::new(registry, "people"),
            batch: registry.histogram("linkup_streamer_batch_changes", "Changes per batch read", &[]),
            recipients: registry.histogram("linkup_streamer_recipients", "Users that one event was for", &[]),
            pending: gauge(
                "linkup_streamer_pending_changes",
                "Changes that were read and are not published yet",
            ),
            active: gauge("linkup_streamer_active", "1 while this process holds the lease and streams"),
            term: gauge("linkup_streamer_term", "The term of the lease that is or was held"),
            gateways: gauge("linkup_streamer_gateways", "Gateways that are known"),
            users: gauge("linkup_streamer_users", "Users registered by gateways"),
            log_events: gauge("linkup_streamer_log_events", "Events held for replay"),
            log_bytes: gauge("linkup_streamer_log_bytes", "Bytes of events held for replay"),
            forgotten_users: gauge(
                "linkup_streamer_forgotten_users",
                "Users of whom it is known when their last event was that is no longer held",
            ),
            stream: registry.atomic_histogram("linkup_message_stage_seconds", stage, &[("stage", "stream")]),
            lag: Lag::new(registry, oplog_window),
            joins,
            resyncs,
            saves,
            failed_saves,
            audiences,
            late_audiences,
            typing_passed,
            typing_refused,
            typing_dropped,
        }
    }

    /// Counts an event by its name.
    pub(crate) fn event(&self, name: &str) {
        if let Some(at) = EVENTS.iter().position(|event| *event == name) {
            self.events[at].increment(1);
        }
    }

    /// Counts a change by its collection.
    pub(crate) fn change(&self, collection: &str) {
        if let Some(at) = COLLECTIONS.iter().position(|known| *known == collection) {
            self.changes[at].increment(1);
        }
    }

    /// Counts a delivery.
    pub(crate) fn delivery(&self, kind: DeliveryKind) {
        self.deliveries[kind as usize].increment(1);
    }

    /// This streamer stands by: what it held as the active one it holds no more.
    pub(crate) fn stopped(&self) {
        self.lag.stopped();
        let held = [
            &self.pending,
            &self.gateways,
            &self.users,
            &self.log_events,
            &self.log_bytes,
            &self.forgotten_users,
        ];
        held.into_iter().for_each(|gauge| gauge.set(0.0));
    }

    /// Counts what came of asking for the lease.
    pub(crate) fn lease(&self, outcome: LeaseOutcome) {
        self.lease[outcome as usize].increment(1);
    }
}

#[cfg(test)]
impl Metrics {
    /// Metrics that nobody looks at.
    pub(crate) fn unseen() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self::new(&Registry::new(), || None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_and_change_is_counted_by_its_name() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, || None);
        metrics.event(event::USER_STATUS);
        metrics.event(USER_GONE);
        metrics.change(name::READS);
        let value = |name: &str, label: (&str, &str)| registry.value(name, &[label]);
        assert_eq!(value("linkup_streamer_events_total", ("event", "user:status")), Some(1.0));
        assert_eq!(value("linkup_streamer_events_total", ("event", "user_gone")), Some(1.0));
        assert_eq!(value("linkup_streamer_events_total", ("event", "message:new")), Some(0.0));
        assert_eq!(value("linkup_streamer_changes_total", ("collection", "reads")), Some(1.0));
    }

    #[test]
    fn a_streamer_that_stands_by_holds_nothing() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, || None);
        metrics.pending.set(7.0);
        metrics.users.set(1_000.0);
        metrics.stopped();
        for name in ["linkup_streamer_pending_changes", "linkup_streamer_users"] {
            assert_eq!(registry.value(name, &[]), Some(0.0), "{name}");
        }
    }
}
