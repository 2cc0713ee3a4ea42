//! What fell out of the replay log, as far as it matters: of each user, when the last event was that did.
//!
//! So a user for whom nothing happened can be away for an hour and still be told truly that nothing is missing.

use std::sync::Arc;

use protocol::{Clock, Id};
use rustc_hash::FxHashMap;

/// Of how many users it is remembered: some 60 MB.
const CAPACITY: usize = 1_000_000;
/// Lists up to this length are noted user by user at once.
const SHORT: usize = 8;
/// How many users of longer lists may wait to be noted.
const WAITING: usize = 100_000;

/// The last event of each user that fell out of the log.
#[derive(Debug)]
pub(super) struct Forgotten {
    /// Of what was forgotten up to here nothing is known any more.
    floor: Clock,
    last: FxHashMap<Id, Clock>,
    /// Events of whole rooms, noted once for the room and for each of its users only when somebody asks. By the address
    /// of the list, which is held here.
    rooms: FxHashMap<usize, (Arc<[Id]>, Clock)>,
    waiting: usize,
    capacity: usize,
}

impl Forgotten {
    /// Nothing was forgotten after `floor`, and all before it was.
    pub(super) fn after(floor: Clock) -> Self {
        let (last, rooms) = (FxHashMap::default(), FxHashMap::default());
        Self { floor, last, rooms, waiting: 0, capacity: CAPACITY }
    }

    /// Notes that an event fell out of the log. Later events come later.
    pub(super) fn note(&mut self, recipients: Arc<[Id]>, clock: Clock) {
        if recipients.len() <= SHORT {
            self.note_each(&recipients, clock);
            return;
        }
        let length = recipients.len();
        let room = self.rooms.entry(recipients.as_ptr() as usize);
        room.and_modify(|(_, last)| *last = clock).or_insert_with(|| {
            self.waiting += length;
            (recipients, clock)
        });
        if self.waiting > WAITING {
            self.settle();
        }
    }

    /// Whether nothing for `user` after `from` fell out of the log.
    pub(super) fn nothing_since(&mut self, user: Id, from: Clock) -> bool {
        self.settle();
        from >= self.floor && self.last.get(&user).is_none_or(|last| *last <= from)
    }

    /// Of how many users something is remembered.
    pub(super) fn users(&self) -> usize {
        self.last.len()
    }

    fn settle(&mut self) {
        self.waiting = 0;
        for (_, (recipients, clock)) in std::mem::take(&mut self.rooms) {
            self.note_each(&recipients, clock);
        }
    }

    fn note_each(&mut self, recipients: &[Id], clock: Clock) {
        for user in recipients {
            let last = self.last.entry(*user).or_insert(clock);
            *last = clock.max(*last);
        }
        if self.last.len() > self.capacity {
            self.raise_floor();
        }
    }

    /// Gives up the older half: whoever was away since before then is told that something may be missing.
    fn raise_floor(&mut self) {
        let mut clocks: Vec<Clock> = self.last.values().copied().collect();
        let middle = clocks.len() / 2;
        let (_, median, _) = clocks.select_nth_unstable(middle);
        self.floor = self.floor.max(*median);
        let floor = self.floor;
        self.last.retain(|_, clock| *clock > floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u64) -> Clock {
        Clock { time, change: 0, event: 0 }
    }

    #[test]
    fn whoever_nothing_was_for_has_missed_nothing() {
        let [one, other] = [1, 2].map(|n| Id::from_bytes([n; 12]));
        let mut forgotten = Forgotten::after(at(10));
        forgotten.note([one].into(), at(20));
        assert!(forgotten.nothing_since(other, at(10)) && !forgotten.nothing_since(other, at(9)));
        assert!(!forgotten.nothing_since(one, at(19)) && forgotten.nothing_since(one, at(20)));
    }

    #[test]
    fn rooms_are_remembered_as_their_members_are() {
        let room: Arc<[Id]> = (0..100).map(|_| Id::mint()).collect();
        let mut forgotten = Forgotten::after(at(10));
        for time in 11..20 {
            forgotten.note(Arc::clone(&room), at(time));
        }
        assert_eq!((forgotten.rooms.len(), forgotten.waiting, forgotten.users()), (1, 100, 0));
        assert!(!forgotten.nothing_since(room[7], at(18)) && forgotten.nothing_since(room[7], at(19)));
        assert!(forgotten.nothing_since(Id::mint(), at(10)));
    }

    #[test]
    fn of_too_many_users_the_older_half_is_given_up_and_nobody_is_told_wrongly() {
        let users: Vec<Id> = (0..9).map(|_| Id::mint()).collect();
        let mut forgotten = Forgotten { capacity: 8, ..Forgotten::after(at(10)) };
        for (n, user) in users.iter().enumerate() {
            forgotten.note([*user].into(), at(20 + n as u64));
        }
        assert_eq!((forgotten.users(), forgotten.floor), (4, at(24)));
        // The last event of the first user was at 20; it is no longer known that there was none up to 24.
        assert!(!forgotten.nothing_since(users[0], at(23)) && forgotten.nothing_since(users[0], at(24)));
        assert!(!forgotten.nothing_since(users[8], at(27)) && forgotten.nothing_since(users[8], at(28)));
    }
}
