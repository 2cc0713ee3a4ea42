//! What registering users missed, found in one pass over the log for all of them.

use std::sync::Arc;

use protocol::bus::{Envelope, Registrant};
use protocol::{Clock, Id};
use rustc_hash::FxHashMap;

use crate::log::{Addressed, ReplayLog};

/// Users who register together, and what each of them asks for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// From where each is to be replayed to; `None` for nothing but the endings.
    users: FxHashMap<Id, Option<Clock>>,
    /// From where the log is read; `None` where nobody is to be replayed to.
    from: Option<Clock>,
    /// Which of them are in a list of recipients that several events share, by its address. The log holds the lists,
    /// and does not change during the pass.
    lists: FxHashMap<usize, Vec<(Id, Option<Clock>)>>,
}

impl Asked {
    /// What is asked for, and those for whom the log does not hold all of it. They are replayed nothing: they have to
    /// catch up otherwise.
    pub(crate) fn new(registrants: &[Registrant], log: &mut ReplayLog) -> (Self, Vec<Id>) {
        let mut users: FxHashMap<Id, Option<Clock>> = FxHashMap::default();
        for Registrant { user, from } in registrants {
            let earliest = users.entry(*user).or_insert(*from);
            *earliest = earliest.iter().chain(from).min().copied();
        }
        let mut incomplete = Vec::new();
        for (user, from) in &mut users {
            if from.is_some_and(|from| !log.is_complete(*user, from)) {
                *from = None;
                incomplete.push(*user);
            }
        }
        let from = users.values().flatten().min().copied();
        (Self { users, from, lists: FxHashMap::default() }, incomplete)
    }

    /// What is to be told before the log is read: the endings, whatever was asked for, that reading the log does not
    /// bring.
    pub(crate) fn endings(&self, log: &ReplayLog) -> Vec<Envelope> {
        let held =
            |event: &Addressed| log.holds(event.clock) && self.from.is_some_and(|from| from < event.clock);
        let endings = self.users.keys().filter_map(|user| Some((*user, log.ending(*user)?)));
        let mut endings: Vec<Envelope> = endings
            .filter(|(_, event)| !held(event))
            .map(|(user, event)| event.envelope(vec![user]))
            .collect();
        endings.sort_unstable_by_key(|envelope| envelope.clock);
        endings
    }

    /// Where in the log to begin; `None` where there is nothing to read.
    pub(crate) fn from(&self) -> Option<Clock> {
        self.from
    }

    /// The event for those who are to get it, if there are any.
    pub(crate) fn pick(&mut self, event: &Addressed) -> Option<Envelope> {
        let is_due = |from: Option<Clock>| event.is_ending() || from.is_some_and(|from| from < event.clock);
        let users = &self.users;
        let asked = |recipients: &[Id]| -> Vec<(Id, Option<Clock>)> {
            recipients.iter().filter_map(|user| Some((*user, *users.get(user)?))).collect()
        };
        let due = |asked: &[(Id, Option<Clock>)]| -> Vec<Id> {
            asked.iter().filter(|(_, from)| is_due(*from)).map(|(user, _)| *user).collect()
        };
        let recipients = if Arc::strong_count(&event.recipients) > 1 {
            let list = self.lists.entry(event.recipients.as_ptr() as usize);
            due(list.or_insert_with(|| asked(&event.recipients)))
        } else {
            due(&asked(&event.recipients))
        };
        if recipients.is_empty() { None } else { Some(event.envelope(recipients)) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::bus::Content;

    use super::*;

    fn at(seconds: u64) -> Clock {
        Clock { time: seconds << 32, change: 0, event: 0 }
    }

    fn event(seconds: u64, recipients: &Arc<[Id]>, content: Content) -> Addressed {
        Addressed { clock: at(seconds), recipients: Arc::clone(recipients), content }
    }

    fn said() -> Content {
        Content::Event(bytes::Bytes::from_static(b"[]"))
    }

    fn asks(user: Id, from: Option<u64>) -> Registrant {
        Registrant { user, from: from.map(at) }
    }

    /// What is told, in order: at which second, and to whom.
    fn told(log: &mut ReplayLog, registrants: &[Registrant]) -> (Vec<(u64, Vec<Id>)>, Vec<Id>) {
        let (mut asked, incomplete) = Asked::new(registrants, log);
        let mut told = asked.endings(log);
        if let Some(from) = asked.from() {
            told.extend(log.after(from).filter_map(|event| asked.pick(event)));
        }
        let told = told.into_iter().map(|envelope| (envelope.clock.time >> 32, envelope.recipients));
        (told.collect(), incomplete)
    }

    fn people<const N: usize>() -> [Id; N] {
        std::array::from_fn(|n| Id::from_bytes([n as u8 + 1; 12]))
    }

    #[test]
    fn each_user_gets_what_came_after_their_own_clock() {
        let [ada, bob, carl] = people();
        let mut log = ReplayLog::new(at(9), Duration::from_secs(60), 1 << 20);
        let all: Arc<[Id]> = [ada, bob, carl].into();
        for second in 10..14 {
            log.push(event(second, &all, said()));
        }
        log.push(event(14, &[bob].into(), said()));
        let (told, incomplete) =
            told(&mut log, &[asks(ada, Some(12)), asks(bob, Some(10)), asks(carl, None)]);
        let expected = [(11, vec![bob]), (12, vec![bob]), (13, vec![ada, bob]), (14, vec![bob])];
        assert_eq!((&told[..], &incomplete[..]), (&expected[..], &[][..]));
    }

    #[test]
    fn whose_clock_is_too_old_gets_nothing_and_costs_the_others_nothing() {
        let [ada, bob, idle] = people();
        let mut log = ReplayLog::new(at(9), Duration::from_secs(5), 1 << 20);
        let pair: Arc<[Id]> = [ada, bob].into();
        for second in [10, 20, 21] {
            log.push(event(second, &pair, said()));
        }
        let (told, incomplete) =
            told(&mut log, &[asks(ada, Some(9)), asks(bob, Some(20)), asks(idle, Some(9))]);
        assert_eq!(told, [(21, vec![bob])]);
        assert_eq!(incomplete, [ada], "for the idle one nothing fell out of the log");
    }

    #[test]
    fn endings_are_told_whatever_was_asked_for_and_once() {
        let [ada, bob, carl] = people();
        let mut log = ReplayLog::new(at(9), Duration::from_secs(60), 1 << 20);
        let ended = Content::SessionsEnded { generation: 3 };
        log.push(event(10, &[ada].into(), ended.clone()));
        log.push(event(11, &[bob, carl].into(), said()));
        log.push(event(12, &[bob].into(), Content::UserGone));
        let mut everybody =
            |from| told(&mut log, &[asks(ada, None), asks(bob, Some(12)), asks(carl, from)]).0;
        assert_eq!(everybody(None), [(10, vec![ada]), (12, vec![bob])]);
        assert_eq!(everybody(Some(10)), [(10, vec![ada]), (11, vec![carl]), (12, vec![bob])]);
        assert_eq!(everybody(Some(9)), [(10, vec![ada]), (11, vec![carl]), (12, vec![bob])]);
    }

    #[test]
    fn endings_outlive_a_log_that_is_full() {
        let [ada, bob] = people();
        let mut log = ReplayLog::new(at(9), Duration::from_secs(60), 300);
        log.push(event(10, &[ada].into(), Content::UserGone));
        for second in 11..20 {
            log.push(event(second, &[bob].into(), said()));
        }
        let (told, incomplete) = told(&mut log, &[asks(ada, Some(9)), asks(bob, Some(18))]);
        assert_eq!(told, [(10, vec![ada]), (19, vec![bob])]);
        assert_eq!(incomplete, [ada]);
    }
}
