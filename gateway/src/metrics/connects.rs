//! Clients that ask to be connected.

use std::time::{Duration, Instant};

use service::labels;
use service::metrics::{Counter, Histogram, Registry};

/// The handles.
#[derive(Debug)]
pub(crate) struct Connects {
    outcomes: [Counter; Connected::LABELS.len()],
    seconds: Histogram,
    /// What times are told by.
    started: Instant,
}

labels! {
    /// What became of a client that asked to be connected.
    pub(crate) enum Connected {
        Admitted = "admitted",
        /// It was given what it had missed.
        Recovered = "recovered",
        BadToken = "bad_token",
        UnknownUser = "unknown_user",
        /// The api could not be asked.
        Away = "away",
        /// It left before, or was closed for another reason.
        Gone = "gone",
    }
}

impl Connects {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            outcomes: registry.counters(
                "linkup_gateway_connects_total",
                "Sockets that asked to be connected",
                "outcome",
                Connected::LABELS,
            ),
            seconds: registry.histogram(
                "linkup_gateway_connect_seconds",
                "From asking to be connected to being admitted",
                &[],
            ),
            started: Instant::now(),
        }
    }

    /// Now, in microseconds, of which the low bits are enough: nobody waits for an hour.
    pub(crate) fn micros(&self) -> u32 {
        self.started.elapsed().as_micros() as u32
    }

    /// Counts a client.
    pub(crate) fn ended(&self, outcome: Connected) {
        self.outcomes[outcome as usize].increment(1);
    }

    /// Counts a client that was let in, and had asked at `asked`.
    pub(crate) fn admitted(&self, outcome: Connected, asked: u32) {
        self.ended(outcome);
        let waited = Duration::from_micros(self.micros().wrapping_sub(asked).into());
        self.seconds.record(waited.as_secs_f64());
    }
}
