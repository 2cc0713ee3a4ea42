//! What the transport counts. Handles are made once; labels come from fixed sets.

use std::sync::LazyLock;

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec, register_int_counter, register_int_counter_vec,
    register_int_gauge_vec,
};

use super::frame::Wire;

/// The handles, registered on first use.
pub(super) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

pub(super) struct Metrics {
    open: [[IntGauge; TRANSPORTS.len()]; PROTOCOLS.len()],
    passed: [IntCounter; Passed::LABELS.len()],
    refused: [IntCounter; Refusal::LABELS.len()],
    closes: [IntCounter; Why::LABELS.len()],
    pub(super) frames_received: IntCounter,
    pub(super) frames_sent: IntCounter,
    pub(super) bytes_received: IntCounter,
    pub(super) bytes_sent: IntCounter,
    pub(super) slow_consumers: IntCounter,
    pub(super) accept_errors: IntCounter,
    pub(super) polls: IntCounter,
    pub(super) upgrades: IntCounter,
}

/// In the order of [`Wire`]'s variants.
const PROTOCOLS: [&str; 4] = ["socketio", "ws", "engine", "raw"];
const TRANSPORTS: [&str; 2] = ["websocket", "polling"];

/// What became of a request for a session of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// The other node answered it.
    Answered,
    /// It became a WebSocket.
    Upgraded,
    /// There is no such node.
    Unknown,
    /// The node could not be reached, or its answer broke off.
    Unreachable,
    /// The node did not answer in time.
    Late,
    /// This node stopped before the other one answered.
    Stopped,
}

impl Passed {
    const LABELS: [&'static str; 6] = ["answered", "upgraded", "unknown", "unreachable", "late", "stopped"];
}

/// Why a handshake did not become a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It names no transport that there is, or one that its session does not use now.
    Transport,
    /// It names a session that does not exist.
    Session,
    /// It has a method that means nothing there.
    Method,
    /// It is no WebSocket's where only a WebSocket can be.
    NotWebSocket,
    /// It is of another version of Engine.IO or of WebSocket.
    Version,
    /// The application did not allow it.
    Application,
    /// It is no handshake by RFC 6455: not HTTP/1.1, with a body, without a key.
    Broken,
}

impl Refusal {
    const LABELS: [&'static str; 7] =
        ["transport", "session", "method", "not_websocket", "version", "application", "broken"];
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The client closed it in good order.
    Client,
    /// The TCP connection ended or broke.
    Lost,
    /// The client broke the protocol.
    Protocol,
    /// The client sent what is not accepted there, such as bytes.
    Unsupported,
    /// The client sent a text that is not UTF-8.
    InvalidText,
    /// The client sent a message that is too large.
    TooLarge,
    /// No sign of life.
    Heartbeat,
    /// No admitted client in time.
    ConnectTimeout,
    /// Too much waited for a client that does not read, or does not read fast enough.
    SlowConsumer,
    /// The clients of a transport asked too often to be connected.
    TooMany,
    /// This node stops.
    Shutdown,
    /// The application refused the client of a `/ws` connection.
    Refused,
    /// The application turned the client away after it had been let in.
    Dismissed,
    /// The client's time was up.
    Expired,
    /// The application closed it.
    Application,
}

impl Why {
    const LABELS: [&'static str; 15] = [
        "client",
        "lost",
        "protocol",
        "unsupported",
        "invalid_text",
        "too_large",
        "heartbeat",
        "connect_timeout",
        "slow_consumer",
        "too_many",
        "shutdown",
        "refused",
        "dismissed",
        "expired",
        "application",
    ];
}

impl Metrics {
    fn register() -> Self {
        let open = gauges("linkup_gateway_connections", "Open connections", &["protocol", "transport"]);
        let passed = counters(
            "linkup_gateway_passed_requests_total",
            "Requests for sessions of another node",
            "outcome",
        );
        let refused =
            counters("linkup_gateway_handshakes_refused_total", "Handshakes that were refused", "reason");
        let closes = counters("linkup_gateway_closes_total", "Connections that ended", "reason");
        Self {
            open: PROTOCOLS
                .map(|protocol| TRANSPORTS.map(|transport| open.with_label_values(&[protocol, transport]))),
            passed: Passed::LABELS.map(|label| passed.with_label_values(&[label])),
            refused: Refusal::LABELS.map(|label| refused.with_label_values(&[label])),
            closes: Why::LABELS.map(|label| closes.with_label_values(&[label])),
            frames_received: counter(
                "linkup_gateway_frames_received_total",
                "WebSocket frames and polling clients' packets received",
            ),
            frames_sent: counter(
                "linkup_gateway_frames_sent_total",
                "WebSocket frames and polling clients' packets sent",
            ),
            bytes_received: counter(
                "linkup_gateway_received_bytes_total",
                "Bytes received on WebSockets and in posts",
            ),
            bytes_sent: counter(
                "linkup_gateway_sent_bytes_total",
                "Bytes sent on WebSockets and in answers to polls",
            ),
            slow_consumers: counter(
                "linkup_gateway_slow_consumers_total",
                "Connections closed because the client did not read fast enough",
            ),
            accept_errors: counter("linkup_gateway_accept_errors_total", "Failures to accept a connection"),
            polls: counter("linkup_gateway_polls_total", "Polls that were answered"),
            upgrades: counter(
                "linkup_gateway_upgrades_total",
                "Polling sessions that went on over a WebSocket",
            ),
        }
    }

    /// The gauge of open connections of a protocol. What polls is on it too, until [`Metrics::polling`] moves it.
    pub(super) fn open(&self, wire: Wire) -> &IntGauge {
        &self.open[wire as usize][0]
    }

    /// An open connection begins to poll, or ends that.
    pub(super) fn polling(&self, wire: Wire, begins: bool) {
        let [websocket, polling] = &self.open[wire as usize];
        let (from, to) = if begins { (websocket, polling) } else { (polling, websocket) };
        from.dec();
        to.inc();
    }

    pub(super) fn passed(&self, outcome: Passed) {
        self.passed[outcome as usize].inc();
    }

    pub(super) fn refused(&self, reason: Refusal) {
        self.refused[reason as usize].inc();
    }

    pub(super) fn closed(&self, why: Why) {
        self.closes[why as usize].inc();
        if why == Why::SlowConsumer {
            self.slow_consumers.inc();
        }
    }
}

// Registering fails only for a name that is malformed or taken; the names are constants of this module, and
// each is registered once, by the `LazyLock`.
const UNIQUE: &str = "metric names are valid and registered once";

fn counter(name: &str, help: &str) -> IntCounter {
    register_int_counter!(name, help).expect(UNIQUE)
}

fn counters(name: &str, help: &str, label: &str) -> IntCounterVec {
    register_int_counter_vec!(name, help, &[label]).expect(UNIQUE)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register_int_gauge_vec!(name, help, labels).expect(UNIQUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_label() {
        assert_eq!(PROTOCOLS[Wire::SocketIo as usize], "socketio");
        assert_eq!(PROTOCOLS[Wire::Raw as usize], "raw");
        assert_eq!(Passed::LABELS[Passed::Stopped as usize], "stopped");
        assert_eq!(Refusal::LABELS[Refusal::Broken as usize], "broken");
        assert_eq!(Why::LABELS[Why::Application as usize], "application");
        METRICS.closed(Why::SlowConsumer);
        assert!(METRICS.slow_consumers.get() >= 1);
    }
}
