//! How far a client that asked to be connected has come: for the application, for the hub, and for what is counted of
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::metrics::{Connected, Connects};

/// Shared by the application and the hub. Every client is counted once, whichever of them has the last word.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// When it asked: [`Connects::micros`].
    asked: u32,
    stage: AtomicU8,
}

const PENDING: u8 = 0;
const ADMITTED: u8 = 1;
const OVER: u8 = 2;

impl Arrival {
    /// A client asks now.
    pub(crate) fn new(connects: &Connects) -> Arc<Self> {
        Arc::new(Self { asked: connects.micros(), stage: AtomicU8::new(PENDING) })
    }

    /// Whether it was let in, and may send.
    pub(crate) fn is_admitted(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == ADMITTED
    }

    /// It may send from now on. True if it is to be counted by [`Arrival::admitted`]: it may have been given up
    /// meanwhile.
    #[must_use]
    pub(crate) fn admit(&self) -> bool {
        self.leave_pending(ADMITTED)
    }

    /// Counts it, after [`Arrival::admit`].
    pub(crate) fn admitted(&self, connects: &Connects, outcome: Connected) {
        connects.admitted(outcome, self.asked);
    }

    /// It is not going to be let in, and is counted as that, unless it was let in or counted before.
    pub(crate) fn end(&self, connects: &Connects, outcome: Connected) {
        if self.leave_pending(OVER) {
            connects.ended(outcome);
        }
    }

    fn leave_pending(&self, stage: u8) -> bool {
        self.stage.compare_exchange(PENDING, stage, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use service::metrics::Registry;

    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn every_client_is_counted_once() {
        let registry = Registry::new();
        let connects = Metrics::new(&registry).connects;
        let arrive = || Arrival::new(&connects);

        let admitted = arrive();
        assert!(!admitted.is_admitted());
        assert!(admitted.admit() && !admitted.admit(), "once");
        admitted.admitted(&connects, Connected::Recovered);
        admitted.end(&connects, Connected::Gone);
        assert!(admitted.is_admitted());

        let refused = arrive();
        refused.end(&connects, Connected::UnknownUser);
        refused.end(&connects, Connected::Gone);
        assert!(!refused.admit() && !refused.is_admitted());

        let count = |outcome| registry.value("linkup_gateway_connects_total", &[("outcome", outcome)]);
        let all = ["admitted", "recovered", "unknown_user", "gone"].map(count);
        assert_eq!(all, [Some(0.0), Some(1.0), Some(1.0), Some(0.0)]);
        assert_eq!(registry.value("linkup_gateway_connect_seconds_count", &[]), Some(1.0));
        assert!(registry.value("linkup_gateway_connect_seconds_sum", &[]).is_some_and(|sum| sum < 60.0));
    }

    #[test]
    fn it_is_as_small_as_a_flag() {
        assert!(size_of::<Arrival>() <= 8);
    }
}
