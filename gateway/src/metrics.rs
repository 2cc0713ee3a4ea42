//! The chat application's metrics: handles that are made once for each gateway, and passed down. The transport has
//! its own.
//!
//! | module | holds |
//! |---|---|
//! | `api` | what goes to the api and comes back |
//! | `connects` | clients that ask to be connected |
//! | `events` | what is sent to clients |
//! | `hub` | users, the streamer, presence, typing |

use protocol::ErrorCode;
use service::metrics::{Counter, Registry};

mod api;
mod connects;
mod events;
mod hub;

pub(crate) use api::{Api, Called, Proxied};
pub(crate) use connects::{Connected, Connects};
pub(crate) use events::Events;
pub(crate) use hub::{Gap, Hub};

/// The handles.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) api: Api,
    pub(crate) connects: Connects,
    pub(crate) events: Events,
    pub(crate) hub: Hub,
    refused: [Counter; Policy::LABELS.len()],
    commands: [[Counter; Outcome::LABELS.len()]; Kind::LABELS.len()],
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
    /// The client's fault.
    Rejected,
    /// The server's.
    Failed,
    /// It was one too many.
    Refused,
}

impl Outcome {
    const LABELS: [&'static str; 4] = ["ok", "rejected", "failed", "refused"];

    /// Whose fault an error is.
    pub(crate) fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::BadRequest
            | ErrorCode::Unauthorized
            | ErrorCode::Forbidden
            | ErrorCode::NotFound
            | ErrorCode::MethodNotAllowed
            | ErrorCode::RequestTimeout
            | ErrorCode::Conflict
            | ErrorCode::TooLarge
            | ErrorCode::UnsupportedMediaType => Self::Rejected,
            ErrorCode::Internal | ErrorCode::Unavailable => Self::Failed,
            ErrorCode::TooManyRequests => Self::Refused,
        }
    }
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let commands = |kind| {
            Outcome::LABELS.map(|result| {
                let labels = [("command", kind), ("result", result)];
                registry.counter("linkup_gateway_commands_total", "What clients asked for", &labels)
            })
        };
        Self {
            api: Api::new(registry),
            connects: Connects::new(registry),
            events: Events::new(registry),
            hub: Hub::new(registry),
            refused: registry.counters(
                "linkup_gateway_refused_total",
                "What a policy refused",
                "policy",
                Policy::LABELS,
            ),
            commands: Kind::LABELS.map(commands),
        }
    }

    /// Counts something that was refused.
    pub(crate) fn refused(&self, policy: Policy) {
        self.refused[policy as usize].increment(1);
    }

    /// Counts a client's command.
    pub(crate) fn command(&self, kind: Kind, outcome: Outcome) {
        self.commands[kind as usize][outcome as usize].increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_belongs_to_what_it_says() {
        assert_eq!(Policy::LABELS[Policy::Away as usize], "away");
        assert_eq!(Kind::LABELS[Kind::Unknown as usize], "unknown");
        assert_eq!(Outcome::LABELS[Outcome::Refused as usize], "refused");
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        metrics.refused(Policy::Flood);
        metrics.command(Kind::Read, Outcome::of(ErrorCode::Unavailable));
        metrics.command(Kind::Read, Outcome::of(ErrorCode::Forbidden));
        assert_eq!(registry.value("linkup_gateway_refused_total", &[("policy", "flood")]), Some(1.0));
        for (result, count) in [("ok", 0.0), ("rejected", 1.0), ("failed", 1.0), ("refused", 0.0)] {
            let labels = [("command", "read"), ("result", result)];
            assert_eq!(registry.value("linkup_gateway_commands_total", &labels), Some(count), "{result}");
        }
    }
}
