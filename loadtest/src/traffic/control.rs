//! What a process of a run is asked for, and what it tells.

use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;
use crate::recorder::{Recorded, Second};
use crate::requests::Answer;

/// What a process is asked for.
#[derive(Debug)]
pub enum Command {
    /// Open the connections.
    Connect,
    /// Start what is due from this time on, in microseconds of the run's clock.
    Start(u64),
    /// Start nothing more.
    Stop,
    /// A request over REST is done.
    Requested(Answer),
    /// Close the connections in good order, and end.
    Leave,
}

/// What a process tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Update {
    /// A second is over.
    Second(Second),
    /// All connections have been opened.
    Connected,
    /// A connection could not be opened: which, from 0, and why.
    NotConnected(usize, String),
    /// Everything that was to be started is.
    Started,
    /// What is still on its way.
    Status {
        /// Sends without an answer.
        unanswered: u64,
        /// Arrivals that acknowledged messages make.
        expected: u64,
        /// Arrivals.
        delivered: u64,
    },
}

/// What came of a process's part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// What was sent and seen.
    pub ledger: Ledger,
    /// Latencies and counts.
    pub recorded: Recorded,
    /// The first reason that was given for something that failed.
    pub first_failure: Option<String>,
    /// How the first connection ended that the server closed.
    pub first_disconnect: Option<String>,
}
