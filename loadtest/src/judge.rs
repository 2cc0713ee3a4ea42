//! What was lost, from the ledgers of all processes of a run.

use rustc_hash::FxHashMap;

use crate::ledger::{Fate, Fault, Faults, Ledger, Seat, Sent, Sequence};
use crate::marker::Origin;
use crate::plan::Flavor;
use crate::world::World;

/// An acknowledged message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Which send it was.
    pub origin: Origin,
    /// Its number.
    pub number: i64,
    /// The send.
    pub sent: Sent,
}

/// What came of all messages.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// What must not happen and did.
    pub faults: Faults,
    /// The acknowledged messages, by their numbers, in order.
    pub committed: FxHashMap<Sequence, Vec<Committed>>,
}

/// Holds what was acknowledged against what arrived where it should have.
#[must_use]
pub fn judge(ledgers: &mut [Ledger], world: &World, flavor: Flavor) -> Judged {
    let mut judged = Judged::default();
    for ledger in &mut *ledgers {
        judged.faults.merge(std::mem::take(&mut ledger.faults));
    }
    let numbers = numbers(ledgers, &mut judged.faults);
    for (worker, ledger) in ledgers.iter().enumerate() {
        for (index, sent) in ledger.sent.iter().enumerate() {
            let origin = Origin { worker: worker as u16, index: index as u32 };
            let sequence = Sequence::new(sent.conversation, (flavor == Flavor::Spec).then_some(sent.user));
            match sent.fate {
                Fate::Committed(number) => {
                    judged.committed.entry(sequence).or_default().push(Committed {
                        origin,
                        number,
                        sent: *sent,
                    });
                    let seen = numbers.get(&(sequence, number));
                    if seen.is_some_and(|seen| *seen != Some(origin)) {
                        judged.faults.add(Fault::Contradicted, || {
                            format!("send {index} was acknowledged as message {number}, and another arrived as that")
                        });
                    }
                }
                Fate::Unanswered => judged.faults.add(Fault::Unanswered, || {
                    let user = world.users[sent.user as usize].id;
                    format!("send {index} of user {user}")
                }),
                Fate::Failed | Fate::Unknown => {}
            }
        }
    }
    for committed in judged.committed.values_mut() {
        committed.sort_unstable_by_key(|committed| committed.number);
    }
    lost(ledgers, world, &mut judged);
    order(&mut judged, world);
    if flavor == Flavor::Linkup {
        skipped(&numbers, &judged.committed, world, &mut judged.faults);
    }
    judged
}

/// Which message has which number, as all processes have seen it.
fn numbers(ledgers: &[Ledger], faults: &mut Faults) -> FxHashMap<(Sequence, i64), Option<Origin>> {
    let mut numbers = FxHashMap::default();
    for ledger in ledgers {
        for (&(sequence, number), origin) in &ledger.numbers {
            if *numbers.entry((sequence, number)).or_insert(*origin) != *origin {
                faults.add(Fault::Contradicted, || {
                    format!(
                        "two messages arrived as number {number} of conversation {}",
                        sequence.conversation
                    )
                });
            }
        }
    }
    numbers
}

/// Every acknowledged message must have arrived at every connection of every member, but those that were away.
fn lost(ledgers: &[Ledger], world: &World, judged: &mut Judged) {
    let mut seats: FxHashMap<u32, Vec<(u32, &Seat)>> = FxHashMap::default();
    for ledger in ledgers {
        for (place, seat) in ledger.seats.iter().enumerate() {
            seats.entry(seat.user).or_default().push((ledger.first_seat + place as u32, seat));
        }
    }
    for (sequence, committed) in &judged.committed {
        let (Some(first), Some(last)) = (committed.first(), committed.last()) else { continue };
        let conversation = &world.conversations[sequence.conversation as usize];
        for user in &conversation.members {
            for (place, seat) in seats.get(user).into_iter().flatten() {
                let tracker = seat.tracker(*sequence);
                if tracker.is_some_and(|tracker| tracker.contains_all(first.number, last.number)) {
                    continue;
                }
                let missing = committed.iter().filter(|committed| {
                    let at = committed.sent.sent_us;
                    let away = seat.away.iter().any(|&(from, to)| (from..=to).contains(&at));
                    !away && !tracker.is_some_and(|tracker| tracker.contains(committed.number))
                });
                for Committed { number, .. } in missing {
                    judged.faults.add(Fault::Lost, || {
                        let (id, user) = (conversation.id, world.users[*user as usize].id);
                        format!("conversation {id}, message {number}, did not reach connection {place} of user {user}")
                    });
                }
            }
        }
    }
}

/// The messages of a sender have to keep the order in which they left.
fn order(judged: &mut Judged, world: &World) {
    for (sequence, committed) in &judged.committed {
        let mut newest: FxHashMap<u32, Origin> = FxHashMap::default();
        for Committed { origin, number, sent } in committed {
            let last = newest.entry(sent.user).or_insert(*origin);
            if *last > *origin && last.worker == origin.worker {
                judged.faults.add(Fault::Reordered, || {
                    let id = world.conversations[sequence.conversation as usize].id;
                    format!(
                        "conversation {id}, message {number}, left before the one with the number before it"
                    )
                });
            } else {
                *last = *origin;
            }
        }
    }
}

/// Every number between two of a conversation has to belong to a message.
fn skipped(
    numbers: &FxHashMap<(Sequence, i64), Option<Origin>>,
    committed: &FxHashMap<Sequence, Vec<Committed>>,
    world: &World,
    faults: &mut Faults,
) {
    let mut known: FxHashMap<Sequence, Vec<i64>> = FxHashMap::default();
    for (sequence, number) in numbers.keys() {
        known.entry(*sequence).or_default().push(*number);
    }
    for (sequence, committed) in committed {
        known.entry(*sequence).or_default().extend(committed.iter().map(|committed| committed.number));
    }
    for (sequence, mut known) in known {
        known.sort_unstable();
        known.dedup();
        for two in known.windows(2) {
            for number in two[0] + 1..two[1] {
                faults.add(Fault::SkippedSeq, || {
                    let id = world.conversations[sequence.conversation as usize].id;
                    format!("conversation {id} has no message {number}")
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Seat;
    use crate::world::Line;
    use protocol::Id;

    /// Three users of one conversation, each with a connection; the first sends messages that are acknowledged as these
    /// numbers, and what arrives at each connection is up to the test.
    fn judged(numbers: &[i64], arrivals: [&[(usize, i64)]; 3], away: &[(u64, u64)]) -> Judged {
        let room = Id::mint();
        let line = || Line { user_id: Id::mint(), token: String::new(), conversations: vec![room] };
        let world = World::new([line(), line(), line()]);
        let sequence = Sequence::new(0, None);
        // The first two connections are of one process, the third of another.
        let mut ledgers = [Ledger::default(), Ledger::default()];
        ledgers[1].first_seat = 2;
        for (index, number) in numbers.iter().enumerate() {
            let at = 1_000 * index as u64;
            let fate = Fate::Committed(*number);
            ledgers[0].sent.push(Sent { conversation: 0, user: 0, number: 0, due_us: at, sent_us: at, fate });
        }
        for (user, arrivals) in arrivals.into_iter().enumerate() {
            let mut seat = Seat { user: user as u32, ..Seat::default() };
            let ledger = &mut ledgers[user / 2];
            for &(index, number) in arrivals {
                seat.arrive(sequence, number);
                ledger.note(sequence, number, Some(Origin { worker: 0, index: index as u32 }));
            }
            if user == 2 {
                seat.away = away.to_vec();
            }
            ledger.seats.push(seat);
        }
        judge(&mut ledgers, &world, Flavor::Linkup)
    }

    const ALL: &[(usize, i64)] = &[(0, 5), (1, 6), (2, 7)];

    fn faults(judged: &Judged) -> Vec<(Fault, u64)> {
        let counts = Fault::ALL.map(|fault| (fault, judged.faults.count(fault)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn everything_everywhere_is_no_fault() {
        let judged = judged(&[5, 6, 7], [ALL; 3], &[]);
        assert_eq!(faults(&judged), []);
        assert_eq!(judged.committed[&Sequence::new(0, None)].len(), 3);
    }

    #[test]
    fn whoever_did_not_get_a_message_is_named() {
        let cut = &ALL[..2];
        let judged = judged(&[5, 6, 7], [ALL, &[(0, 5), (2, 7)], cut], &[]);
        assert_eq!(faults(&judged), [(Fault::Lost, 2)]);
        assert!(judged.faults.examples(Fault::Lost)[0].contains("message 6, did not reach connection 1"));
    }

    #[test]
    fn a_connection_that_got_nothing_at_all_has_lost_everything() {
        assert_eq!(faults(&judged(&[5, 6, 7], [ALL, ALL, &[]], &[])), [(Fault::Lost, 3)]);
    }

    #[test]
    fn whoever_was_away_misses_what_was_sent_then_and_nothing_else() {
        let first = &ALL[..1];
        assert_eq!(faults(&judged(&[5, 6, 7], [ALL, ALL, first], &[(1_000, 2_000)])), []);
        assert_eq!(faults(&judged(&[5, 6, 7], [ALL, ALL, first], &[(1_000, 1_999)])), [(Fault::Lost, 1)]);
    }

    #[test]
    fn another_number_than_acknowledged_is_a_contradiction() {
        let other: &[(usize, i64)] = &[(0, 5), (2, 6), (1, 7)];
        let judged = judged(&[5, 6, 7], [other; 3], &[]);
        assert_eq!(faults(&judged), [(Fault::Contradicted, 2)]);
    }

    #[test]
    fn two_processes_that_saw_different_messages_under_a_number_contradict_each_other() {
        let other: &[(usize, i64)] = &[(0, 5), (2, 6), (1, 7)];
        assert_eq!(judged(&[5, 6, 7], [ALL, ALL, other], &[]).faults.count(Fault::Contradicted), 2);
    }

    #[test]
    fn a_number_without_a_message_and_a_sender_overtaken_are_seen() {
        let gap: &[(usize, i64)] = &[(0, 5), (1, 6), (2, 8)];
        assert_eq!(faults(&judged(&[5, 6, 8], [gap; 3], &[])), [(Fault::SkippedSeq, 1)]);
        let overtaken: &[(usize, i64)] = &[(1, 5), (0, 6), (2, 7)];
        assert_eq!(faults(&judged(&[6, 5, 7], [overtaken; 3], &[])), [(Fault::Reordered, 1)]);
    }
}
