//! How long a message was under way, as a queued frame knows it.

use protocol::UnixMicros;

/// When a message arrived at this node, and how long it had been under way by then. Eight bytes, for there is one in
/// every frame that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Stamp {
    /// The low bits of [`UnixMicros`]: they come round after more than an hour, and no frame waits nearly as long.
    arrived: u32,
    /// In microseconds, with [`MANY`] for what stands for others; and [`UNMEASURED`] for what is not measured.
    upstream: u32,
}

const UNMEASURED: u32 = u32::MAX;
/// A bit that no time reaches.
const MANY: u32 = 1 << 31;
const LONGEST: u32 = MANY - 2;

/// How long a frame that is written now took, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Taken {
    /// On this node.
    pub(in super::super) here: u64,
    /// From the first server's receipt.
    pub(in super::super) whole: u64,
    /// How many frames it stands for, itself included.
    pub(in super::super) frames: u64,
}

impl Stamp {
    /// Of what is not measured.
    pub(in super::super) const NONE: Self = Self { arrived: 0, upstream: UNMEASURED };
    /// How many frames one stands for that stands for others.
    pub(in super::super) const MANY: u64 = 8;

    /// Of what the first server `received` then, and this node when it `arrived`.
    pub(in super::super) fn new(received: UnixMicros, arrived: UnixMicros) -> Self {
        let upstream = u32::try_from(received.until(arrived).as_micros()).unwrap_or(LONGEST).min(LONGEST);
        Self { arrived: arrived.micros() as u32, upstream }
    }

    /// The same, standing for [`Stamp::MANY`] frames.
    pub(in super::super) fn for_many(mut self) -> Self {
        self.upstream |= MANY;
        self
    }

    pub(in super::super) fn is_measured(self) -> bool {
        self.upstream != UNMEASURED
    }

    /// How long it took until `now`. Meaningless for what is not measured.
    pub(in super::super) fn taken(self, now: UnixMicros) -> Taken {
        let here = (now.micros() as u32).wrapping_sub(self.arrived);
        // More than half of the round: the clock was set back.
        let here = u64::from(if here > u32::MAX / 2 { 0 } else { here });
        let frames = if self.upstream & MANY == 0 { 1 } else { Self::MANY };
        Taken { here, whole: here + u64::from(self.upstream & !MANY), frames }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> UnixMicros {
        UnixMicros::from_micros(micros)
    }

    #[test]
    fn what_was_spent_before_is_added_to_what_is_spent_here() {
        for start in [1_796_000_000_000_000, i64::from(u32::MAX) * 7 - 5, 0] {
            let stamp = Stamp::new(at(start), at(start + 1_500));
            assert!(stamp.is_measured());
            assert_eq!(stamp.taken(at(start + 1_500)), Taken { here: 0, whole: 1_500, frames: 1 });
            assert_eq!(stamp.taken(at(start + 4_000)), Taken { here: 2_500, whole: 4_000, frames: 1 });
            let many = stamp.for_many();
            assert!(many.is_measured());
            assert_eq!(many.taken(at(start + 4_000)), Taken { here: 2_500, whole: 4_000, frames: 8 });
            let minute = 60_000_000;
            assert_eq!(stamp.taken(at(start + 1_500 + minute)).here, minute as u64);
        }
    }

    #[test]
    fn clocks_that_disagree_take_no_time_off_and_a_long_way_is_still_measured() {
        let now = 1_796_000_000_000_000;
        let taken = Stamp::new(at(now + 900), at(now)).taken(at(now + 7));
        assert_eq!((taken.here, taken.whole), (7, 7));
        assert_eq!(Stamp::new(at(now), at(now)).taken(at(now - 5_000)).here, 0, "the clock was set back");
        let days = 86_400_000_000 * 3;
        let stamp = Stamp::new(at(now - days), at(now));
        for stamp in [stamp, stamp.for_many()] {
            assert!(stamp.is_measured());
            assert_eq!(stamp.taken(at(now)).whole, u64::from(LONGEST));
        }
        assert!(!Stamp::NONE.is_measured());
    }

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Stamp>(), 8);
    }
}
