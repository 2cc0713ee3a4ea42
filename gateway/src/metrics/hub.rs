//! Users, the streamer, presence, typing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use service::labels;
use service::metrics::{Counter, Gauge, Registry};

/// The handles.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) users: Gauge,
    gaps: [Counter; Gap::LABELS.len()],
    pub(crate) resyncs: Counter,
    pub(crate) dismissed_ended: Counter,
    pub(crate) dismissed_gone: Counter,
    pub(crate) replaced: Counter,
    pub(crate) recoveries: Counter,
    pub(crate) recoveries_missed: Counter,
    pub(crate) recovered_events: Counter,
    pub(crate) presence_users: Gauge,
    pub(crate) presence_changes: Counter,
    pub(crate) presence_answered: Counter,
    pub(crate) presence_failed: Counter,
    pub(crate) typing: Gauge,
    /// How many commands wait for the hub.
    pub(crate) queue: Arc<AtomicUsize>,
}

labels! {
    /// Why users have to be registered again.
    pub(crate) enum Gap {
        /// A delivery was lost.
        Numbers = "numbers",
        NewStreamer = "new_streamer",
        BusReconnected = "bus_reconnected",
        /// A registration was not answered.
        Silence = "silence",
    }
}

impl Gap {
    /// For logs.
    pub(crate) fn label(self) -> &'static str {
        Self::LABELS[self as usize]
    }
}

impl Hub {
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help, &[]);
        let gauge = |name, help| registry.gauge(name, help, &[]);
        let [dismissed_ended, dismissed_gone] = registry.counters(
            "linkup_gateway_dismissed_total",
            "Sockets turned away because of a change to their user",
            "reason",
            ["sessions_ended", "user_gone"],
        );
        let [recoveries, recoveries_missed] = registry.counters(
            "linkup_gateway_recoveries_total",
            "Sockets that came back for what they missed",
            "result",
            ["recovered", "missed"],
        );
        let [presence_answered, presence_failed] = registry.counters(
            "linkup_gateway_presence_batches_total",
            "Batches of presence and heartbeats",
            "result",
            ["answered", "failed"],
        );
        let queue = Arc::<AtomicUsize>::default();
        let shown = Arc::clone(&queue);
        registry.collect(move |text| {
            let help = "What waits for the task that knows all users";
            let count = shown.load(Ordering::Relaxed) as f64;
            text.gauge("linkup_gateway_hub_queue_commands", help, &[], count);
        });
        Self {
            users: gauge("linkup_gateway_users", "Users with a socket here"),
            gaps: registry.counters(
                "linkup_gateway_gaps_total",
                "Why users had to be registered again",
                "reason",
                Gap::LABELS,
            ),
            resyncs: counter("linkup_gateway_resyncs_total", "Times all users were registered again"),
            dismissed_ended,
            dismissed_gone,
            replaced: counter(
                "linkup_gateway_replaced_total",
                "Sockets closed because their client came back",
            ),
            recoveries,
            recoveries_missed,
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
            presence_answered,
            presence_failed,
            typing: gauge("linkup_gateway_typing", "People shown as typing to users of this gateway"),
            queue,
        }
    }

    /// Counts that users have to be registered again.
    pub(crate) fn gap(&self, gap: Gap) {
        self.gaps[gap as usize].increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gap_has_its_own_label() {
        let registry = Registry::new();
        let hub = Hub::new(&registry);
        hub.gap(Gap::Silence);
        hub.queue.fetch_add(7, Ordering::Relaxed);
        let value = |reason| registry.value("linkup_gateway_gaps_total", &[("reason", reason)]);
        assert_eq!((value("numbers"), value("silence")), (Some(0.0), Some(1.0)));
        assert_eq!(registry.value("linkup_gateway_hub_queue_commands", &[]), Some(7.0));
    }
}
