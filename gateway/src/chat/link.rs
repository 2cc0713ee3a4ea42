//! What a gateway knows of the streamer: the term, the numbering, and which registrations are under way.
//!
//! Pure state, no I/O: the hub feeds it and does what it says.

use std::time::{Duration, Instant};

use protocol::{Clock, Id};
use rustc_hash::FxHashMap;

/// A registration about which nothing is heard in this time is made again: the streamer has gone, or is behind.
/// (What the bus loses is noticed sooner, by the numbers on both sides.) Every further attempt into silence waits
/// twice as long, up to [`MAX_TIMEOUT`], so that a streamer that is behind is not asked for more and more replays.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// See [`ANSWER_TIMEOUT`].
const MAX_TIMEOUT: Duration = Duration::from_secs(48);

/// How long to wait after a gap before registering again. Gaps come in swarms: a connection that drops for a slow
/// consumer lets every so-many-th delivery through, and an answer to each would make the next swarm. Every resync
/// that is cut short doubles the pause, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// See [`FIRST_PAUSE`].
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// What to make of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one: use it.
    InOrder,
    /// From a deposed streamer: ignore it.
    Stale,
    /// Something before it is missing: register everybody again.
    Gap,
    /// The streamer is new: likewise.
    NewStreamer,
}

/// A registration under way.
#[derive(Debug)]
pub(crate) struct Request {
    users: Vec<Id>,
    sent: Instant,
    resync: bool,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Link {
    term: u64,
    counter: u64,
    next_request: u64,
    requests: FxHashMap<u64, Request>,
    /// How many answers a resync still waits for; everything is in order while it is zero.
    resyncing: usize,
    /// How many requests in a row became overdue.
    silences: u32,
    /// When the last delivery came in order.
    heard: Option<Instant>,
    /// When to register everybody again. Until then nothing is certain, and no request is under way.
    due: Option<Instant>,
    /// How many resyncs in a row were cut short.
    cut_short: u32,
    /// The lowest of the clocks that the answers to a resync have given so far.
    resynced_from: Option<Clock>,
    /// Every event up to here has been delivered to whom it was for.
    last: Clock,
}

impl Link {
    /// Judges a delivery by its numbers, and remembers them.
    pub(crate) fn judge(&mut self, term: u64, counter: u64, now: Instant) -> Verdict {
        if term < self.term {
            return Verdict::Stale;
        }
        let (is_new, is_next) = (term > self.term, counter == self.counter + 1);
        (self.term, self.counter) = (term, counter);
        if is_new {
            return Verdict::NewStreamer;
        }
        if !is_next {
            return Verdict::Gap;
        }
        self.heard = Some(now);
        Verdict::InOrder
    }

    /// Whether a streamer has ever spoken. Before that there is nobody to register with.
    pub(crate) fn is_known(&self) -> bool {
        self.term > 0
    }

    /// Notes that something was missed: registrations under way are void, and a resync is due. False if one was
    /// due already.
    ///
    /// What a resync that is cut short has replayed is not asked for again all the same: each socket has its own
    /// position.
    pub(crate) fn interrupt(&mut self, now: Instant) -> bool {
        if self.due.is_some() {
            return false;
        }
        self.due = Some(now + (FIRST_PAUSE * 2_u32.pow(self.cut_short.min(8))).min(MAX_PAUSE));
        self.requests.clear();
        self.resyncing = 0;
        self.resynced_from = None;
        true
    }

    /// When to begin a resync, if something was missed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Begins the resync that is due. Returns the clock to replay from, if there was any event yet.
    pub(crate) fn begin_resync(&mut self) -> Option<Clock> {
        self.due = None;
        self.cut_short = self.cut_short.saturating_add(1);
        (self.last != Clock::ZERO).then_some(self.last)
    }

    /// Where the stream has come to: every event up to here has come, and none will come again. `None` while that is
    /// not certain.
    pub(crate) fn position(&self) -> Option<Clock> {
        let is_certain = self.resyncing == 0 && self.due.is_none() && self.last != Clock::ZERO;
        is_certain.then_some(self.last)
    }

    /// The number of the last request.
    pub(crate) fn last_request(&self) -> u64 {
        self.next_request
    }

    /// Notes a request to register `users` and returns its number.
    pub(crate) fn request(&mut self, users: Vec<Id>, resync: bool, now: Instant) -> u64 {
        self.next_request += 1;
        self.resyncing += usize::from(resync);
        let request = Request { users, sent: now, resync };
        self.requests.insert(self.next_request, request);
        self.next_request
    }

    /// Notes a part of a replay. False if its request is not under way (any more): then it is not to be used.
    pub(crate) fn replayed(&mut self, request: u64) -> bool {
        let is_under_way = self.requests.contains_key(&request);
        if is_under_way {
            self.silences = 0;
        }
        is_under_way
    }

    /// Ends a request; `None` if it is not under way (any more).
    pub(crate) fn answered(&mut self, request: u64, live_from: Clock) -> Option<Vec<Id>> {
        let request = self.requests.remove(&request)?;
        self.silences = 0;
        if self.last == Clock::ZERO {
            // The first registration ever: nothing was due to anybody before it.
            self.last = live_from;
        }
        if request.resync {
            self.resyncing -= 1;
            let from = self.resynced_from.map_or(live_from, |from| from.min(live_from));
            self.resynced_from = Some(from);
            if self.resyncing == 0 {
                self.last = self.last.max(from);
                self.cut_short = 0;
            }
        } else if self.resyncing == 0 {
            // What came before the answer had been sent before it.
            self.last = self.last.max(live_from);
        }
        Some(request.users)
    }

    /// Notes that everything up to `clock` has been delivered. While a resync is under way that is not so.
    pub(crate) fn delivered(&mut self, clock: Clock) {
        if self.resyncing == 0 && self.due.is_none() {
            self.last = self.last.max(clock);
        }
    }

    /// Whether a request has waited too long: nothing at all came in order since. While something comes, a request
    /// or an answer that the bus lost shows by the numbers, and an answer that is merely late is on its way. True
    /// makes the next wait longer.
    pub(crate) fn is_overdue(&mut self, now: Instant) -> bool {
        let timeout = (ANSWER_TIMEOUT * 2_u32.pow(self.silences.min(8))).min(MAX_TIMEOUT);
        let is_late = |request: &Request| {
            now.saturating_duration_since(self.heard.map_or(request.sent, |heard| heard.max(request.sent)))
                > timeout
        };
        let overdue = self.requests.values().any(is_late);
        self.silences += u32::from(overdue);
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resync(link: &mut Link) -> Option<Clock> {
        link.interrupt(Instant::now());
        link.begin_resync()
    }

    fn at(time: u64) -> Clock {
        Clock { time, change: 0, event: 0 }
    }

    #[test]
    fn gaps_repeats_and_new_terms_call_for_a_resync_and_old_terms_are_ignored() {
        let (mut link, now) = (Link::default(), Instant::now());
        assert!(!link.is_known());
        assert_eq!(link.judge(2, 1, now), Verdict::NewStreamer);
        assert_eq!(link.judge(2, 2, now), Verdict::InOrder);
        assert_eq!(link.judge(2, 4, now), Verdict::Gap);
        assert_eq!(link.judge(2, 5, now), Verdict::InOrder);
        assert_eq!(link.judge(1, 6, now), Verdict::Stale);
        assert_eq!(link.judge(2, 6, now), Verdict::InOrder);
        // The streamer forgot this gateway and counts from one again.
        assert_eq!(link.judge(2, 1, now), Verdict::Gap);
        assert_eq!(link.judge(3, 1, now), Verdict::NewStreamer);
    }

    #[test]
    fn the_last_clock_stands_still_until_every_part_of_a_resync_is_answered() {
        let (mut link, now) = (Link::default(), Instant::now());
        link.delivered(at(5));
        assert_eq!(resync(&mut link), Some(at(5)));
        let (a, b) = (link.request(vec![Id::mint()], true, now), link.request(vec![Id::mint()], true, now));
        assert!(link.answered(b, at(9)).is_some());
        link.delivered(at(10));
        let joining = link.request(vec![Id::mint()], false, now);
        assert!(link.answered(joining, at(11)).is_some());
        assert_eq!(link.position(), None);
        assert_eq!(resync(&mut link), Some(at(5)), "the second part was never answered");
        assert!(link.answered(a, at(9)).is_none(), "void after another resync began");
        let c = link.request(vec![], true, now);
        assert!(link.answered(c, at(8)).is_some());
        assert_eq!(link.position(), Some(at(8)));
        let joining = link.request(vec![Id::mint()], false, now);
        assert!(link.answered(joining, at(12)).is_some());
        assert_eq!(resync(&mut link), Some(at(12)), "whatever came before an answer was sent before it");
    }

    #[test]
    fn users_that_are_registered_while_the_first_resync_is_unanswered_are_replayed_to() {
        let (mut link, now) = (Link::default(), Instant::now());
        assert_eq!(resync(&mut link), None);
        link.request(vec![], true, now);
        let joining = link.request(vec![Id::mint()], false, now);
        assert!(link.answered(joining, at(7)).is_some());
        link.delivered(at(9));
        assert_eq!(resync(&mut link), Some(at(7)));
    }

    #[test]
    fn requests_become_overdue() {
        let (mut link, now) = (Link::default(), Instant::now());
        link.request(vec![], false, now);
        assert!(!link.is_overdue(now));
        assert!(link.is_overdue(now + ANSWER_TIMEOUT * 2));
    }

    #[test]
    fn while_something_comes_an_answer_is_waited_for_and_repeated_silence_makes_patient() {
        let (mut link, now) = (Link::default(), Instant::now());
        link.judge(1, 1, now);
        resync(&mut link);
        let request = link.request(vec![], true, now);
        let later = now + ANSWER_TIMEOUT;
        assert_eq!(link.judge(1, 2, later), Verdict::InOrder);
        assert!(!link.is_overdue(later + ANSWER_TIMEOUT / 2));
        assert!(link.is_overdue(later + ANSWER_TIMEOUT * 3 / 2));
        resync(&mut link);
        assert!(!link.replayed(request), "void");
        link.request(vec![], true, later);
        assert!(!link.is_overdue(later + ANSWER_TIMEOUT * 3 / 2));
        assert!(link.is_overdue(later + ANSWER_TIMEOUT * 5 / 2));
    }

    #[test]
    fn gaps_are_no_silence() {
        let (mut link, now) = (Link::default(), Instant::now());
        for _ in 0..8 {
            resync(&mut link);
        }
        link.request(vec![], true, now);
        assert!(link.is_overdue(now + ANSWER_TIMEOUT * 3 / 2));
    }

    #[test]
    fn a_swarm_of_gaps_makes_one_resync_and_the_next_swarm_is_waited_out() {
        let (mut link, now) = (Link::default(), Instant::now());
        link.delivered(at(5));
        assert!(link.interrupt(now) && link.due() == Some(now + FIRST_PAUSE));
        assert!(!link.interrupt(now + FIRST_PAUSE / 2));
        link.delivered(at(9));
        assert_eq!(link.due(), Some(now + FIRST_PAUSE), "a later gap changes nothing");
        assert_eq!(link.begin_resync(), Some(at(5)), "nothing is certain after a gap");
        assert_eq!(link.due(), None);

        link.request(vec![], true, now);
        assert!(link.interrupt(now) && link.due() == Some(now + FIRST_PAUSE * 2));
        link.begin_resync();
        let request = link.request(vec![], true, now);
        assert!(link.answered(request, at(9)).is_some());
        assert!(link.interrupt(now) && link.due() == Some(now + FIRST_PAUSE), "it was whole");
        for _ in 0..20 {
            resync(&mut link);
        }
        assert!(link.interrupt(now) && link.due() == Some(now + MAX_PAUSE));
    }
}
