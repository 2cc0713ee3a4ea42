//! What is sent to clients.

use protocol::event;
use service::metrics::{AtomicCounter, AtomicHistogram, Histogram, Registry};

/// The names of all events that are sent, and at last whatever is none of them.
const NAMES: [&str; 11] = [
    event::MESSAGE_NEW,
    event::MESSAGE_UPDATE,
    event::MESSAGE_DELETE,
    event::MESSAGE_READ,
    event::CONVERSATION_UPDATE,
    event::CONVERSATION_TYPING,
    event::USER_STATUS,
    event::ACTIVITY_JOIN,
    event::ACTIVITY_LEAVE,
    event::ERROR,
    "other",
];

/// The handles.
#[derive(Debug)]
pub(crate) struct Events {
    sent: [AtomicCounter; NAMES.len()],
    /// Sockets that one event of the stream went to.
    pub(crate) fanout: Histogram,
    /// From the streamer's hands to the gateway's.
    pub(crate) bus_stage: AtomicHistogram,
}

impl Events {
    pub(super) fn new(registry: &Registry) -> Self {
        let sent = |name| {
            let help = "Events put into sockets' queues";
            registry.atomic_counter("linkup_gateway_events_total", help, &[("event", name)])
        };
        Self {
            sent: NAMES.map(sent),
            fanout: registry.histogram(
                "linkup_gateway_fanout_sockets",
                "Sockets that one event of the stream went to on this gateway",
                &[],
            ),
            bus_stage: registry.atomic_histogram(
                "linkup_message_stage_seconds",
                "The stages of a message on its way",
                &[("stage", "bus")],
            ),
        }
    }

    /// The counter of an event, which is given as it is encoded.
    pub(crate) fn of(&self, json: &[u8]) -> &AtomicCounter {
        &self.sent[place(json)]
    }
}

/// Where an event's name stands in [`NAMES`].
fn place(json: &[u8]) -> usize {
    let is = |name: &&str| {
        let rest = json.strip_prefix(b"[\"").and_then(|rest| rest.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.starts_with(b"\""))
    };
    NAMES.iter().position(is).unwrap_or(NAMES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_counted_under_its_own_name() {
        for name in NAMES {
            let json = event::encode(name, &serde_json::json!({ "a": "b" }), None).unwrap();
            assert_eq!(NAMES[place(&json)], name);
        }
        for json in [&b"[\"message:newer\",{}]"[..], b"[\"message:new", b"[]", b"", b"[\"something\"]"] {
            assert_eq!(NAMES[place(json)], "other");
        }
        let registry = Registry::new();
        let events = Events::new(&registry);
        events.of(b"[\"message:read\",{}]").increment(3);
        let value = |name| registry.value("linkup_gateway_events_total", &[("event", name)]);
        assert_eq!((value("message:read"), value("other")), (Some(3.0), Some(0.0)));
    }
}
