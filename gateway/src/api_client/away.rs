//! Whether the api, or the database behind it, is away.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Two signs of it. Either is enough.
#[derive(Debug, Default)]
pub(crate) struct Away {
    /// No node said that it can commit when all were last asked.
    unready: AtomicBool,
    /// The last batch that tells found that the service is unavailable. A database that answers and cannot write shows
    /// only here.
    failing: AtomicBool,
    /// How many outages that the nodes saw are over.
    epoch: AtomicU64,
}

impl Away {
    /// What came of asking all nodes. The end of a fault that was seen there ends the other sign too, which would need
    /// a batch for that.
    pub(super) fn asked(&self, is_ready: bool) {
        if self.unready.swap(!is_ready, Ordering::Relaxed) && is_ready {
            self.epoch.fetch_add(1, Ordering::Relaxed);
            self.failing.store(false, Ordering::Relaxed);
        }
    }

    /// To be asked before a batch leaves, for [`Away::answered`].
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// What came of a batch that left in this epoch. One that left during an outage and failed says nothing of what is
    /// now.
    pub(super) fn answered(&self, epoch: u64, is_failing: bool) {
        if !is_failing || epoch == self.epoch() {
            self.failing.store(is_failing, Ordering::Relaxed);
        }
    }

    /// Whether commands fail though nodes may say that they can commit.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Whether nobody should be let in now.
    pub(crate) fn is_away(&self) -> bool {
        self.unready.load(Ordering::Relaxed) || self.is_failing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_sign_is_enough_and_a_batch_that_succeeds_ends_its_own() {
        let away = Away::default();
        away.asked(true);
        assert!(!away.is_away());
        away.answered(away.epoch(), true);
        away.asked(true);
        assert!(away.is_failing() && away.is_away(), "the nodes say that they can commit, and cannot");
        away.answered(away.epoch(), false);
        assert!(!away.is_away());
    }

    #[test]
    fn the_end_of_an_outage_that_the_nodes_saw_needs_no_batch() {
        let away = Away::default();
        away.asked(false);
        let epoch = away.epoch();
        away.answered(epoch, true);
        away.asked(true);
        assert!(!away.is_away());
        away.answered(epoch, true);
        assert!(!away.is_away(), "it left before the outage was over");
    }
}
