//! The replay log: the last minutes of events, shared by all users, bounded in age and bytes.
//!
//! | module | holds |
//! |---|---|
//! | [`forgotten`] | what fell out of it, as far as it matters |
//! | [`endings`] | ended sessions and accounts |

mod endings;
mod forgotten;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use protocol::bus::{Content, Envelope};
use protocol::{Clock, Id};

use endings::Endings;
use forgotten::Forgotten;

/// An event with everyone it is for. The recipients are shared with the cache, the bytes with the bus.
#[derive(Debug, Clone)]
pub(crate) struct Addressed {
    pub(crate) clock: Clock,
    pub(crate) recipients: Arc<[Id]>,
    pub(crate) content: Content,
}

/// An event and what it costs.
#[derive(Debug)]
struct Entry {
    event: Addressed,
    bytes: usize,
}

/// What an entry costs beside the event's own bytes.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// The last events, in clock order.
#[derive(Debug)]
pub(crate) struct ReplayLog {
    entries: VecDeque<Entry>,
    /// Every event after this clock is here.
    start: Clock,
    bytes: usize,
    max_bytes: usize,
    window_seconds: u64,
    forgotten: Forgotten,
    endings: Endings,
}

impl Addressed {
    /// Whether it tells gateways that sessions or an account have ended.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.content, Content::SessionsEnded { .. } | Content::UserGone)
    }

    /// The same for some of its recipients, to be sent.
    pub(crate) fn envelope(&self, recipients: Vec<Id>) -> Envelope {
        Envelope { clock: self.clock, recipients, content: self.content.clone(), received: None }
    }
}

impl Entry {
    /// Counts the recipients where nobody else keeps them: those of a status, say.
    fn new(event: Addressed) -> Self {
        let own = if Arc::strong_count(&event.recipients) == 1 { size_of_val(&*event.recipients) } else { 0 };
        let encoded = if let Content::Event(bytes) = &event.content { bytes.len() } else { 0 };
        Self { bytes: ENTRY_BYTES + own + encoded, event }
    }
}

impl ReplayLog {
    /// An empty log that holds every event after `start` from now on.
    pub(crate) fn new(start: Clock, window: Duration, max_bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            start,
            bytes: 0,
            max_bytes,
            window_seconds: window.as_secs().max(1),
            forgotten: Forgotten::after(start),
            endings: Endings::default(),
        }
    }

    /// Appends an event, and drops what is too old or too much.
    pub(crate) fn push(&mut self, event: Addressed) {
        let oldest = (event.clock.time >> 32).saturating_sub(self.window_seconds) << 32;
        if event.is_ending() {
            self.endings.note(&event, oldest);
        }
        let entry = Entry::new(event);
        self.bytes += entry.bytes;
        self.entries.push_back(entry);
        while self.bytes > self.max_bytes
            || self.entries.front().is_some_and(|first| first.event.clock.time < oldest)
        {
            let Some(Entry { event, bytes }) = self.entries.pop_front() else { break };
            self.start = event.clock;
            self.bytes -= bytes;
            self.forgotten.note(event.recipients, event.clock);
        }
    }

    /// The events after `from` that are here.
    pub(crate) fn after(&self, from: Clock) -> impl Iterator<Item = &Addressed> {
        let first = self.entries.partition_point(|entry| entry.event.clock <= from);
        self.entries.range(first..).map(|entry| &entry.event)
    }

    /// Whether the event of this clock, if it was ever here, still is.
    pub(crate) fn holds(&self, clock: Clock) -> bool {
        clock > self.start
    }

    /// Whether every event for `user` after `from` is here.
    pub(crate) fn is_complete(&mut self, user: Id, from: Clock) -> bool {
        from >= self.start || self.forgotten.nothing_since(user, from)
    }

    /// That the user's sessions or account have ended within the last minutes.
    pub(crate) fn ending(&self, user: Id) -> Option<&Addressed> {
        self.endings.of(user)
    }

    /// How many events are held, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// Of how many users it is known when the last event was that is no longer held.
    pub(crate) fn forgotten_users(&self) -> usize {
        self.forgotten.users()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_for(user: Id, seconds: u64, change: u32, len: usize) -> Addressed {
        Addressed {
            clock: Clock { time: seconds << 32, change, event: 0 },
            recipients: [user].into(),
            content: Content::Event(vec![b'x'; len].into()),
        }
    }

    fn event(seconds: u64, change: u32, len: usize) -> Addressed {
        Addressed { recipients: [].into(), ..event_for(Id::from_bytes([1; 12]), seconds, change, len) }
    }

    fn clocks(log: &ReplayLog, from: Clock) -> Vec<(u64, u32)> {
        log.after(from).map(|e| (e.clock.time >> 32, e.clock.change)).collect()
    }

    #[test]
    fn replays_exactly_what_came_after() {
        let mut log = ReplayLog::new(Clock::end_of(9 << 32), Duration::from_secs(60), 1 << 20);
        for (seconds, change) in [(10, 0), (10, 1), (11, 0)] {
            log.push(event(seconds, change, 1));
        }
        assert_eq!(clocks(&log, Clock::end_of(9 << 32)), [(10, 0), (10, 1), (11, 0)]);
        assert_eq!(clocks(&log, event(10, 0, 0).clock), [(10, 1), (11, 0)]);
        assert_eq!(clocks(&log, event(11, 0, 0).clock), []);
        assert!(!log.is_complete(Id::mint(), Clock::end_of(8 << 32)), "from before the log began");
    }

    #[test]
    fn forgets_by_age_and_says_so_to_those_whom_it_concerns() {
        let [one, other] = [1, 2].map(|n| Id::from_bytes([n; 12]));
        let mut log = ReplayLog::new(Clock::ZERO, Duration::from_secs(5), 1 << 20);
        log.push(event_for(one, 10, 0, 1));
        log.push(event_for(other, 20, 0, 1));
        assert!(!log.is_complete(one, Clock::ZERO) && log.is_complete(other, Clock::ZERO));
        assert!(log.is_complete(one, event(10, 0, 0).clock));
        assert_eq!(clocks(&log, event(10, 0, 0).clock), [(20, 0)]);
    }

    #[test]
    fn forgets_by_bytes_and_counts_recipients_whom_nobody_else_keeps() {
        let mut log = ReplayLog::new(Clock::ZERO, Duration::from_secs(5), 3 * (ENTRY_BYTES + 100));
        (0..10).for_each(|change| log.push(event(10, change, 100)));
        assert_eq!(log.size(), (3, 3 * (ENTRY_BYTES + 100)));
        assert_eq!(clocks(&log, event(10, 6, 0).clock).len(), 3);

        let mut log = ReplayLog::new(Clock::ZERO, Duration::from_secs(5), 1 << 20);
        let people: Arc<[Id]> = (0..100).map(|_| Id::mint()).collect();
        log.push(Addressed { recipients: Arc::clone(&people), ..event(10, 0, 50) });
        log.push(Addressed { recipients: people.iter().copied().collect(), ..event(10, 1, 50) });
        assert_eq!(log.size().1, 2 * (ENTRY_BYTES + 50) + 100 * size_of::<Id>());
    }
}
