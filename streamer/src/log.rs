//! The replay log: the last minutes of events, shared by all users, bounded in age and bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::{Clock, Id};

/// An event with everyone it is for. The recipients are shared with the cache, the bytes with the bus.
#[derive(Debug, Clone)]
pub(crate) struct Addressed {
    pub(crate) clock: Clock,
    pub(crate) recipients: Arc<[Id]>,
    pub(crate) event: Bytes,
}

/// What an entry costs beside the event's own bytes.
const ENTRY_BYTES: usize = size_of::<Addressed>();

/// The last events, in clock order.
#[derive(Debug)]
pub(crate) struct ReplayLog {
    entries: VecDeque<Addressed>,
    /// Every event after this clock is here.
    start: Clock,
    bytes: usize,
    max_bytes: usize,
    window_seconds: u64,
}

impl ReplayLog {
    /// An empty log that holds every event after `start` from now on.
    pub(crate) fn new(start: Clock, window: Duration, max_bytes: usize) -> Self {
        Self { entries: VecDeque::new(), start, bytes: 0, max_bytes, window_seconds: window.as_secs().max(1) }
    }

    /// Appends an event, and drops what is too old or too much.
    pub(crate) fn push(&mut self, event: Addressed) {
        let oldest = (event.clock.time >> 32).saturating_sub(self.window_seconds) << 32;
        self.bytes += ENTRY_BYTES + event.event.len();
        self.entries.push_back(event);
        while let Some(first) = self.entries.front()
            && (first.clock.time < oldest || self.bytes > self.max_bytes)
        {
            self.start = first.clock;
            self.bytes -= ENTRY_BYTES + first.event.len();
            self.entries.pop_front();
        }
    }

    /// The events after `from`; `None` if the log does not reach back that far.
    pub(crate) fn after(&self, from: Clock) -> Option<impl Iterator<Item = &Addressed>> {
        if from < self.start {
            return None;
        }
        let first = self.entries.partition_point(|entry| entry.clock <= from);
        Some(self.entries.range(first..))
    }

    /// How many events are held, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seconds: u64, change: u32, len: usize) -> Addressed {
        Addressed {
            clock: Clock { time: seconds << 32, change, event: 0 },
            recipients: Arc::new([]),
            event: vec![b'x'; len].into(),
        }
    }

    fn clocks(log: &ReplayLog, from: Clock) -> Option<Vec<(u64, u32)>> {
        Some(log.after(from)?.map(|e| (e.clock.time >> 32, e.clock.change)).collect())
    }

    #[test]
    fn replays_exactly_what_came_after() {
        let mut log = ReplayLog::new(Clock::end_of(9 << 32), Duration::from_secs(60), 1 << 20);
        for (seconds, change) in [(10, 0), (10, 1), (11, 0)] {
            log.push(event(seconds, change, 1));
        }
        assert_eq!(clocks(&log, Clock::end_of(9 << 32)), Some(vec![(10, 0), (10, 1), (11, 0)]));
        assert_eq!(clocks(&log, event(10, 0, 0).clock), Some(vec![(10, 1), (11, 0)]));
        assert_eq!(clocks(&log, event(11, 0, 0).clock), Some(vec![]));
        assert_eq!(clocks(&log, Clock::end_of(8 << 32)), None);
    }

    #[test]
    fn forgets_by_age_and_says_so() {
        let mut log = ReplayLog::new(Clock::ZERO, Duration::from_secs(5), 1 << 20);
        log.push(event(10, 0, 1));
        log.push(event(20, 0, 1));
        assert_eq!(clocks(&log, Clock::ZERO), None);
        assert_eq!(clocks(&log, event(10, 0, 0).clock), Some(vec![(20, 0)]));
    }

    #[test]
    fn forgets_by_bytes() {
        let mut log = ReplayLog::new(Clock::ZERO, Duration::from_secs(5), 3 * (ENTRY_BYTES + 100));
        (0..10).for_each(|change| log.push(event(10, change, 100)));
        assert_eq!(log.size(), (3, 3 * (ENTRY_BYTES + 100)));
        assert_eq!(clocks(&log, event(10, 5, 0).clock), None);
        assert_eq!(clocks(&log, event(10, 6, 0).clock).unwrap().len(), 3);
    }
}
