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
    refused: [IntCounter; Policy::LABELS.len()],
    commands: [[IntCounter; Outcome::LABELS.len()]; Kind::LABELS.len()],
    pub(crate) retries: IntCounter,
    pub(crate) command_seconds: Histogram,
    pub(crate) proxied: IntCounter,
    pub(crate) proxy_failures: IntCounter,
}

/// What something was refused by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// A page of another origin.
    Origin,
    /// Too many handshakes from one address in too short a time.
    HandshakeRate,
    /// Too many connections of one address at once.
    AddressConnections,
    /// Too many connections of one user at once.
    UserConnections,
    /// Too many connects of one user in too short a time. The connection is closed.
    Connects,
    /// Too many comebacks of one user in too short a time. They begin anew.
    Resumes,
    /// Too many commands on one connection in too short a time.
    ConnectionCommands,
    /// Too many commands of one user in too short a time.
    UserCommands,
    /// Too many kilobytes of messages of one user in too short a time.
    UserBytes,
    /// Somebody who was refused too many commands, and did not stop. The connection is closed.
    Flood,
    /// Somebody who wanted to connect while the api or the database was away.
    Away,
}

impl Policy {
    const LABELS: [&'static str; 11] = [
        "origin",
        "handshake_rate",
        "address_connections",
        "user_connections",
        "connects",
        "resumes",
        "connection_commands",
        "user_commands",
        "user_bytes",
        "flood",
        "away",
    ];
}

/// What a client asks for by an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `message:send`
    Send,
    /// `message:read`
    Read,
    /// `conversation:typing`
    Typing,
    /// `user:status`
    Status,
    /// `user:connect`, on a socket that is connected.
    Refresh,
    /// Anything else.
    Unknown,
}

impl Kind {
    const LABELS: [&'static str; 6] = ["send", "read", "typing", "status", "refresh", "unknown"];
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Failed,
    /// It was one too many.
    Refused,
}

impl Outcome {
    const LABELS: [&'static str; 3] = ["ok", "failed", "refused"];
}

impl Metrics {
    /// Counts something that was refused.
    pub(crate) fn refused(&self, policy: Policy) {
        self.refused[policy as usize].inc();
    }

    /// Counts a client's command.
    pub(crate) fn command(&self, kind: Kind, outcome: Outcome) {
        self.commands[kind as usize][outcome as usize].inc();
    }

    /// How often something was refused by a policy.
    #[cfg(test)]
    pub(crate) fn refusals(&self, policy: Policy) -> u64 {
        self.refused[policy as usize].get()
    }
}

/// Registration fails only if a name is used twice or not well-formed, which the first start would show.
const NAMES: &str = "the metrics' names are unique and well-formed";

#[expect(clippy::expect_used, reason = "see NAMES")]
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let counter = |name: &str, help: &str| register_int_counter!(name, help).expect(NAMES);
    let labelled = |name: &str, help: &str, labels: &[&str]| -> IntCounterVec {
        register_int_counter_vec!(name, help, labels).expect(NAMES)
    };
    let connects = labelled("linkup_gateway_connects_refused_total", "Sockets refused for good", &["reason"]);
    let refused = labelled("linkup_gateway_refused_total", "What a policy refused", &["policy"]);
    let commands =
        labelled("linkup_gateway_commands_total", "What clients asked for", &["command", "result"]);
    let seconds =
        vec![0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
    Metrics {
        users: register_int_gauge!("linkup_gateway_users", "Users with a socket here").expect(NAMES),
        deliveries: counter("linkup_gateway_deliveries_total", "Events queued for sockets"),
        resyncs: counter("linkup_gateway_resyncs_total", "Times all users were registered again"),
        refused_tokens: connects.with_label_values(&["token"]),
        refused_users: connects.with_label_values(&["user"]),
        refused: Policy::LABELS.map(|policy| refused.with_label_values(&[policy])),
        commands: Kind::LABELS
            .map(|kind| Outcome::LABELS.map(|outcome| commands.with_label_values(&[kind, outcome]))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_belongs_to_what_it_says() {
        assert_eq!(Policy::LABELS[Policy::Away as usize], "away");
        assert_eq!(Kind::LABELS[Kind::Unknown as usize], "unknown");
        assert_eq!(Outcome::LABELS[Outcome::Refused as usize], "refused");
    }
}
