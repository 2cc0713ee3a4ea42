//! Ended sessions and accounts of the last minutes.

use std::collections::VecDeque;

use protocol::{Clock, Id};
use rustc_hash::FxHashMap;

use super::Addressed;

/// The last that ended of each user. A gateway that registers a user is told of it again: it may have asked the
/// api about a token just before.
#[derive(Debug, Default)]
pub(super) struct Endings {
    last: FxHashMap<Id, Addressed>,
    order: VecDeque<(Clock, Id)>,
}

impl Endings {
    /// Notes an ending, and forgets those from before `oldest`.
    pub(super) fn note(&mut self, ending: &Addressed, oldest: u64) {
        for user in &*ending.recipients {
            self.order.push_back((ending.clock, *user));
            self.last.insert(*user, ending.clone());
        }
        while let Some((clock, user)) = self.order.front().copied()
            && clock.time < oldest
        {
            self.order.pop_front();
            if self.last.get(&user).is_some_and(|last| last.clock == clock) {
                self.last.remove(&user);
            }
        }
    }

    /// The last that ended of this user.
    pub(super) fn of(&self, user: Id) -> Option<&Addressed> {
        self.last.get(&user)
    }
}

#[cfg(test)]
mod tests {
    use protocol::bus::Content;

    use super::*;

    fn ended(user: Id, seconds: u64, generation: i64) -> Addressed {
        Addressed {
            clock: Clock { time: seconds << 32, change: 0, event: 0 },
            recipients: [user].into(),
            content: Content::SessionsEnded { generation },
        }
    }

    #[test]
    fn the_last_ending_counts_and_old_ones_go() {
        let [one, other] = [1, 2].map(|n| Id::from_bytes([n; 12]));
        let mut endings = Endings::default();
        endings.note(&ended(one, 10, 1), 0);
        endings.note(&ended(one, 12, 2), 0);
        assert_eq!(endings.of(one).unwrap().content, Content::SessionsEnded { generation: 2 });
        endings.note(&ended(other, 20, 1), 11 << 32);
        assert!(endings.of(one).is_some());
        endings.note(&ended(other, 30, 2), 13 << 32);
        assert!(endings.of(one).is_none() && endings.of(other).is_some());
        assert_eq!((endings.last.len(), endings.order.len()), (1, 2));
    }
}
