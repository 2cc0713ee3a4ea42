//! How long commands take, and how many fail, as this process sees it.
//!
//! Measured here and not by the driver's own events. For those the driver builds documents of every command and of
//! every answer, which costs several microseconds per message; and about a command that was given up they say nothing.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use service::metrics::{Counter, Histogram, Registry};

use crate::{StoreError, bounded};

/// What is asked of MongoDB, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Find,
    Aggregate,
    Insert,
    Update,
    Delete,
    FindAndModify,
    GetMore,
    Other,
}

impl Command {
    /// All of them, in their order.
    const ALL: [Self; 8] = [
        Self::Find,
        Self::Aggregate,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::FindAndModify,
        Self::GetMore,
        Self::Other,
    ];

    /// Whether it is answered only when a majority has what it wrote.
    const fn writes(self) -> bool {
        matches!(self, Self::Insert | Self::Update | Self::Delete | Self::FindAndModify)
    }

    /// The name in metrics: MongoDB's own.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Find => "find",
            Self::Aggregate => "aggregate",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::FindAndModify => "findAndModify",
            Self::GetMore => "getMore",
            Self::Other => "other",
        }
    }
}

/// `linkup_mongodb_command_*` of one client. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Commands(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    measured: [Measured; Command::ALL.len()],
    /// When a majority last acknowledged something that this process wrote.
    acknowledged: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Measured {
    seconds: Histogram,
    failures: Counter,
}

impl Commands {
    /// `client` names the part of LinkUp that asks.
    pub(crate) fn new(registry: &Registry, client: &'static str) -> Self {
        let measured = Command::ALL.map(|command| {
            let labels = [("client", client), ("command", command.as_str())];
            Measured {
                seconds: registry.histogram(
                    "linkup_mongodb_command_seconds",
                    "Time from asking MongoDB to its whole answer, the wait for a connection included",
                    &labels,
                ),
                failures: registry.counter(
                    "linkup_mongodb_command_failures_total",
                    "Commands to MongoDB that failed",
                    &labels,
                ),
            }
        });
        Self(Arc::new(Inner { measured, acknowledged: Mutex::default() }))
    }

    /// Awaits a driver action as [`bounded`] does, and measures it.
    pub(crate) async fn run<T>(
        &self,
        command: Command,
        action: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T, StoreError> {
        let asked = Instant::now();
        let answer = bounded(action).await;
        self.answered(command, asked.elapsed());
        // That something is there already is an answer like any other.
        match &answer {
            Ok(_) if command.writes() => self.acknowledged(),
            Err(error) if !error.is_duplicate() => self.failed(command),
            _ => {}
        }
        answer
    }

    /// Whether a majority has acknowledged something of this process in that time.
    pub(crate) fn acknowledged_within(&self, time: Duration) -> bool {
        let acknowledged = *self.0.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        acknowledged.is_some_and(|at| at.elapsed() < time)
    }

    fn acknowledged(&self) {
        *self.0.acknowledged.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Notes an answer, or that it was not waited for any longer.
    pub(crate) fn answered(&self, command: Command, took: Duration) {
        self.0.measured[command as usize].seconds.record(took.as_secs_f64());
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, command: Command) {
        self.0.measured[command as usize].failures.increment(1);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[tokio::test]
    async fn every_command_is_measured_under_its_own_name_and_failures_are_counted() {
        let registry = Registry::new();
        let commands = Commands::new(&registry, "api");
        for (place, command) in Command::ALL.into_iter().enumerate() {
            assert_eq!(command as usize, place);
        }
        let value = |name: &str, command| {
            registry.value(name, &[("client", "api"), ("command", command)]).unwrap_or(-1.0)
        };
        commands.run(Command::Find, async { Ok(()) }).await.unwrap();
        let broken = async { Err::<(), _>(Error::from(ErrorKind::BrokenPipe).into()) };
        assert!(commands.run(Command::FindAndModify, broken).await.unwrap_err().is_unavailable());
        let counts = ["find", "findAndModify", "getMore"].map(|command| {
            let count = value("linkup_mongodb_command_seconds_count", command);
            (count, value("linkup_mongodb_command_failures_total", command))
        });
        assert_eq!(counts, [(1.0, 0.0), (1.0, 1.0), (0.0, 0.0)]);
    }
}
