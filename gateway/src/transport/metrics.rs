//! What the transport counts. Handles are made once for each server, and labels come from fixed sets.
//!
//! What happens per frame or per connection's turn is counted with atomics of our own; everything else is rarer.

use protocol::UnixMicros;
use service::labels;
use service::metrics::{AtomicCounter, AtomicHistogram, Counter, Gauge, Registry};

use super::agent::{self, Agent};
use super::frame::{Item, Wire};

/// The handles.
#[derive(Debug)]
pub(super) struct Metrics {
    open: [[Gauge; TRANSPORTS.len()]; PROTOCOLS.len()],
    /// By [`Agent::index`].
    agents: Vec<Gauge>,
    accepted: Counter,
    refused: [Counter; Refusal::LABELS.len()],
    passed: [Counter; Passed::LABELS.len()],
    closes: [Counter; Why::LABELS.len()],
    pub(super) frames_received: AtomicCounter,
    pub(super) frames_sent: AtomicCounter,
    pub(super) bytes_received: AtomicCounter,
    pub(super) bytes_sent: AtomicCounter,
    pub(super) accept_errors: Counter,
    pub(super) polls: Counter,
    pub(super) upgrades: Counter,
    pub(super) heartbeat: AtomicHistogram,
    /// From a message's arrival at this node to the write on a socket.
    socket: AtomicHistogram,
    /// From its receipt by the first server to the same.
    delivery: AtomicHistogram,
}

/// In the order of [`Wire`]'s variants.
const PROTOCOLS: [&str; 4] = ["socketio", "ws", "engine", "raw"];
const TRANSPORTS: [&str; 2] = ["websocket", "polling"];

labels! {
    /// What became of a request for a session of another node.
    pub(super) enum Passed {
        /// The other node answered it.
        Answered = "answered",
        /// It became a WebSocket.
        Upgraded = "upgraded",
        /// There is no such node.
        Unknown = "unknown",
        /// The node could not be reached, or its answer broke off.
        Unreachable = "unreachable",
        /// The node did not answer in time.
        Late = "late",
        /// This node stopped before the other one answered.
        Stopped = "stopped",
    }
}

labels! {
    /// Why a handshake did not become a connection.
    pub(super) enum Refusal {
        /// It names no transport that there is, or one that its session does not use now.
        Transport = "transport",
        /// It names a session that does not exist.
        Session = "session",
        /// It has a method that means nothing there.
        Method = "method",
        /// It is no WebSocket's where only a WebSocket can be.
        NotWebSocket = "not_websocket",
        /// It is of another version of Engine.IO or of WebSocket.
        Version = "version",
        /// The application did not allow it.
        Application = "application",
        /// It is no handshake by RFC 6455: not HTTP/1.1, with a body, without a key.
        Broken = "broken",
    }
}

labels! {
    /// Why a connection ended.
    pub(super) enum Why {
        /// The client closed it in good order.
        Client = "client",
        /// The TCP connection ended or broke.
        Lost = "lost",
        /// The client broke the protocol.
        Protocol = "protocol",
        /// The client sent what is not accepted there, such as bytes.
        Unsupported = "unsupported",
        /// The client sent a text that is not UTF-8.
        InvalidText = "invalid_text",
        /// The client sent a message that is too large.
        TooLarge = "too_large",
        /// No sign of life.
        Heartbeat = "heartbeat",
        /// No admitted client in time.
        ConnectTimeout = "connect_timeout",
        /// Too much waited for a client that does not read, or does not read fast enough.
        SlowConsumer = "slow_consumer",
        /// The clients of a transport asked too often to be connected.
        TooMany = "too_many",
        /// This node stops.
        Shutdown = "shutdown",
        /// The application refused the client of a `/ws` connection.
        Refused = "refused",
        /// The application turned the client away after it had been let in.
        Dismissed = "dismissed",
        /// The client's time was up.
        Expired = "expired",
        /// The application closed it.
        Application = "application",
    }
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help, &[]);
        let handshakes = |outcome| {
            let help = "Handshakes that were accepted, and why others were not";
            registry.counter("linkup_gateway_handshakes_total", help, &[("outcome", outcome)])
        };
        let frames = |direction| {
            let help = "WebSocket frames and polling clients' packets";
            registry.atomic_counter("linkup_gateway_frames_total", help, &[("direction", direction)])
        };
        let bytes = |direction| {
            let help = "Bytes on WebSockets, in posts and in answers to polls";
            registry.atomic_counter("linkup_gateway_bytes_total", help, &[("direction", direction)])
        };
        Self {
            open: PROTOCOLS.map(|protocol| {
                TRANSPORTS.map(|transport| {
                    let labels = [("protocol", protocol), ("transport", transport)];
                    registry.gauge("linkup_gateway_connections", "Open connections", &labels)
                })
            }),
            agents: agent::all()
                .map(|(library, version)| {
                    let help = "Open connections by what the client's User-Agent says";
                    let labels = [("library", library), ("version", version)];
                    registry.gauge("linkup_gateway_client_connections", help, &labels)
                })
                .collect(),
            accepted: handshakes("accepted"),
            refused: Refusal::LABELS.map(handshakes),
            passed: registry.counters(
                "linkup_gateway_passed_requests_total",
                "Requests for sessions of another node",
                "outcome",
                Passed::LABELS,
            ),
            closes: registry.counters(
                "linkup_gateway_closes_total",
                "Connections that ended",
                "reason",
                Why::LABELS,
            ),
            frames_received: frames("in"),
            frames_sent: frames("out"),
            bytes_received: bytes("in"),
            bytes_sent: bytes("out"),
            accept_errors: counter(
                "linkup_gateway_accept_errors_total",
                "Failures to accept a TCP connection",
            ),
            polls: counter("linkup_gateway_polls_total", "Polls that were answered"),
            upgrades: counter(
                "linkup_gateway_upgrades_total",
                "Polling sessions that went on over a WebSocket",
            ),
            heartbeat: registry.atomic_histogram(
                "linkup_gateway_heartbeat_seconds",
                "From a ping to the client's pong",
                &[],
            ),
            socket: registry.atomic_histogram(
                "linkup_message_stage_seconds",
                "The stages of a message on its way",
                &[("stage", "socket")],
            ),
            delivery: registry.atomic_histogram(
                "linkup_message_delivery_seconds",
                "From the receipt of a message to the write on a recipient's socket",
                &[],
            ),
        }
    }

    /// A connection begins. What polls counts as a WebSocket too, until [`Metrics::polling`] moves it.
    pub(super) fn opened(&self, wire: Wire, agent: Agent) {
        self.open[wire as usize][0].increment(1.0);
        self.agents[agent.index()].increment(1.0);
    }

    /// It is no more.
    pub(super) fn gone(&self, wire: Wire, agent: Agent) {
        self.open[wire as usize][0].decrement(1.0);
        self.agents[agent.index()].decrement(1.0);
    }

    /// An open connection begins to poll, or ends that.
    pub(super) fn polling(&self, wire: Wire, begins: bool) {
        let [websocket, polling] = &self.open[wire as usize];
        let (from, to) = if begins { (websocket, polling) } else { (polling, websocket) };
        from.decrement(1.0);
        to.increment(1.0);
    }

    pub(super) fn accepted(&self) {
        self.accepted.increment(1);
    }

    pub(super) fn refused(&self, reason: Refusal) {
        self.refused[reason as usize].increment(1);
    }

    pub(super) fn passed(&self, outcome: Passed) {
        self.passed[outcome as usize].increment(1);
    }

    pub(super) fn closed(&self, why: Why) {
        self.closes[why as usize].increment(1);
    }

    /// Begins to count what one write finishes.
    pub(super) fn written(&self) -> Written<'_> {
        Written { metrics: self, frames: 0, now: None }
    }
}

/// The frames that one write finishes: counted together, and timed by one look at the clock, if by any.
pub(super) struct Written<'a> {
    metrics: &'a Metrics,
    frames: u64,
    now: Option<UnixMicros>,
}

impl Written<'_> {
    /// One more.
    pub(super) fn add(&mut self, item: &Item) {
        self.frames += 1;
        let stamp = item.stamp();
        if stamp.is_measured() {
            let taken = stamp.taken(*self.now.get_or_insert_with(UnixMicros::now));
            self.metrics.socket.record_micros(taken.here, taken.frames);
            self.metrics.delivery.record_micros(taken.whole, taken.frames);
        }
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        if self.frames > 0 {
            self.metrics.frames_sent.increment(self.frames);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Event;
    use super::super::frame::To;
    use super::*;

    #[test]
    fn every_reason_has_its_own_label() {
        assert_eq!(PROTOCOLS[Wire::SocketIo as usize], "socketio");
        assert_eq!(PROTOCOLS[Wire::Raw as usize], "raw");
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        metrics.closed(Why::SlowConsumer);
        metrics.refused(Refusal::Version);
        metrics.accepted();
        let value = |name: &str, label: &str, value: &str| registry.value(name, &[(label, value)]);
        assert_eq!(value("linkup_gateway_closes_total", "reason", "slow_consumer"), Some(1.0));
        for (outcome, count) in [("accepted", 1.0), ("version", 1.0), ("broken", 0.0)] {
            assert_eq!(
                value("linkup_gateway_handshakes_total", "outcome", outcome),
                Some(count),
                "{outcome}"
            );
        }
    }

    #[test]
    fn connections_are_counted_by_what_they_are() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let open = |transport: &str| {
            let labels = [("protocol", "engine"), ("transport", transport)];
            registry.value("linkup_gateway_connections", &labels).unwrap()
        };
        let silent = || {
            let labels = [("library", "none"), ("version", "none")];
            registry.value("linkup_gateway_client_connections", &labels).unwrap()
        };
        metrics.opened(Wire::Engine, Agent::NONE);
        metrics.polling(Wire::Engine, true);
        assert_eq!((open("websocket"), open("polling"), silent()), (0.0, 1.0, 1.0));
        metrics.polling(Wire::Engine, false);
        assert_eq!((open("websocket"), open("polling"), silent()), (1.0, 0.0, 1.0));
        metrics.gone(Wire::Engine, Agent::NONE);
        assert_eq!((open("websocket"), open("polling"), silent()), (0.0, 0.0, 0.0));
    }

    #[test]
    fn only_what_carries_a_stamp_is_timed() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let to = To { wire: Wire::Plain, namespace: "" };
        let arrived = UnixMicros::now();
        let received = UnixMicros::from_micros(arrived.micros() - 3_000_000);
        let event = Event::new("[1]".into());
        {
            let mut written = metrics.written();
            written.add(&event.items(to).0);
            written.add(&event.clone().timed(received, arrived).items(to).0);
            written.add(&event.clone().timed(received, arrived).untimed().items(to).0);
            written.add(&event.timed_for_many(received, arrived).items(to).0);
        }
        let value = |name: &str| registry.value(name, &[]).unwrap();
        assert_eq!(metrics.frames_sent.get(), 4);
        let frames = 1.0 + Event::MANY as f64;
        assert_eq!(value("linkup_message_delivery_seconds_count"), frames);
        assert!((frames * 3.0..frames * 4.0).contains(&value("linkup_message_delivery_seconds_sum")));
        let stage = |name: &str| registry.value(name, &[("stage", "socket")]).unwrap();
        assert_eq!(stage("linkup_message_stage_seconds_count"), frames);
        assert!(stage("linkup_message_stage_seconds_sum") < frames);
    }
}
