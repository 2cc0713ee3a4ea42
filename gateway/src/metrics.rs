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
use service::labels;
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

labels! {
    /// What something was refused by.
    pub(crate) enum Policy {
        /// A page of another origin.
        Origin = "origin",
        /// Too many handshakes from one address in too short a time.
        HandshakeRate = "handshake_rate",
        /// Too many connections of one address at once.
        AddressConnections = "address_connections",
        /// Too many connections of one user at once.
        UserConnections = "user_connections",
        /// Too many connects of one user in too short a time. The connection is closed.
        Connects = "connects",
        /// Too many comebacks of one user in too short a time. They begin anew.
        Resumes = "resumes",
        /// Too many commands on one connection in too short a time.
        ConnectionCommands = "connection_commands",
        /// Too many commands of one user in too short a time.
        UserCommands = "user_commands",
        /// Too many kilobytes of messages of one user in too short a time.
        UserBytes = "user_bytes",
        /// Somebody who was refused too many commands, and did not stop. The connection is closed.
        Flood = "flood",
        /// Somebody who wanted to connect while the api or the database was away.
        Away = "away",
    }
}

labels! {
    /// What a client asks for by an event.
    pub(crate) enum Kind {
        /// `message:send`
        Send = "send",
        /// `message:read`
        Read = "read",
        /// `conversation:typing`
        Typing = "typing",
        /// `user:status`
        Status = "status",
        /// `user:connect`, on a socket that is connected.
        Refresh = "refresh",
        /// Anything else.
        Unknown = "unknown",
    }
}

labels! {
    /// What came of it.
    pub(crate) enum Outcome {
        Ok = "ok",
        /// The client's fault.
        Rejected = "rejected",
        /// The server's.
        Failed = "failed",
        /// It was one too many.
        Refused = "refused",
    }
}

impl Outcome {
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
    fn a_command_is_counted_by_whose_fault_its_error_is() {
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
