//! What one process of a run sent and saw: the bookkeeping behind the verdict.
//!
//! A delivery costs a look at one [`Tracker`], however many there are; everything that takes a search happens once per
//! message, or at the end ([`crate::judge`]).

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::marker::Origin;
use crate::tracker::{Arrival, Tracker};

/// How many examples of a fault are kept.
pub const EXAMPLES: usize = 20;

/// What must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// An acknowledged message did not arrive at a socket that was entitled to it.
    Lost,
    /// A message arrived at a socket again, or was stored twice.
    Duplicated,
    /// A message arrived after one with a higher `seq`, or got a lower `seq` than an earlier one of its sender.
    Reordered,
    /// A message arrived at somebody whom it was not for, or under another's name.
    Misdelivered,
    /// A message has another `seq` than it was acknowledged with, or two have the same.
    Contradicted,
    /// An acknowledged message is not there over REST.
    Absent,
    /// A number was given to no message.
    SkippedSeq,
    /// A send was answered with an error.
    Failed,
    /// A send was never answered.
    Unanswered,
    /// The server closed a connection.
    Disconnected,
    /// The server sent what it should not have: something unreadable, an answer to nothing.
    ProtocolError,
}

impl Fault {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 11] = [
        Self::Lost,
        Self::Duplicated,
        Self::Reordered,
        Self::Misdelivered,
        Self::Contradicted,
        Self::Absent,
        Self::SkippedSeq,
        Self::Failed,
        Self::Unanswered,
        Self::Disconnected,
        Self::ProtocolError,
    ];

    /// In the words of a verdict, behind a number.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::Reordered => "reordered",
            Self::Misdelivered => "misdelivered",
            Self::Contradicted => "with another seq than acknowledged",
            Self::Absent => "acknowledged but absent from REST",
            Self::SkippedSeq => "missing in seq",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
            Self::Disconnected => "disconnects",
            Self::ProtocolError => "protocol errors",
        }
    }
}

/// How often each fault was seen, with examples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults(BTreeMap<Fault, (u64, Vec<String>)>);

impl Faults {
    /// One more; the example is made only as long as there are few.
    pub fn add(&mut self, fault: Fault, example: impl FnOnce() -> String) {
        let (count, examples) = self.0.entry(fault).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example());
        }
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self, fault: Fault) -> u64 {
        self.0.get(&fault).map_or(0, |(count, _)| *count)
    }

    /// How many of each that there was.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        self.0.iter().map(|(fault, (count, _))| (*fault, *count)).collect()
    }

    /// How many of all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().map(|(count, _)| count).sum()
    }

    /// Some of them.
    #[must_use]
    pub fn examples(&self, fault: Fault) -> &[String] {
        self.0.get(&fault).map_or(&[], |(_, examples)| examples)
    }

    /// Adds what another process saw.
    pub fn merge(&mut self, other: Self) {
        for (fault, (count, examples)) in other.0 {
            let (total, kept) = self.0.entry(fault).or_default();
            *total += count;
            kept.extend(examples);
            kept.truncate(EXAMPLES);
        }
    }
}

/// What came of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// No answer yet.
    Unanswered,
    /// The server said no, or the connection ended on purpose before it could say anything.
    Failed,
    /// Its connection was cut by this harness before there was an answer: nobody knows.
    Unknown,
    /// Committed under this number.
    Committed(i64),
}

/// A message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The conversation's place in the world.
    pub conversation: u32,
    /// The sender's place in the world.
    pub user: u32,
    /// The how-manieth of the sender in the conversation, from 1.
    pub number: u32,
    /// When it was due, in microseconds of the run's clock.
    pub due_us: u64,
    /// When it left.
    pub sent_us: u64,
    /// What came of it.
    pub fate: Fate,
}

/// Numbers that belong together: those of a conversation, or of one sender in it where there is no `seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sequence {
    /// The conversation's place in the world.
    pub conversation: u32,
    /// The sender's place in the world, where each has numbers of their own.
    pub sender: Option<u32>,
}

/// One connection, over all its cuts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The user's place in the world.
    pub user: u32,
    /// What arrived.
    pub trackers: Vec<(Sequence, Tracker)>,
    /// When it was away without getting afterwards what it missed, in microseconds of the run's clock.
    pub away: Vec<(u64, u64)>,
}

impl Sequence {
    /// The numbers of a conversation, or of a sender in it.
    #[must_use]
    pub const fn new(conversation: u32, sender: Option<u32>) -> Self {
        Self { conversation, sender }
    }
}

impl Seat {
    /// A message arrives.
    pub fn arrive(&mut self, sequence: Sequence, number: i64) -> Arrival {
        let found = self.trackers.iter_mut().find(|(known, _)| *known == sequence);
        if let Some((_, tracker)) = found {
            return tracker.arrive(number);
        }
        let mut tracker = Tracker::default();
        let arrival = tracker.arrive(number);
        self.trackers.push((sequence, tracker));
        arrival
    }

    /// What arrived of these numbers.
    #[must_use]
    pub fn tracker(&self, sequence: Sequence) -> Option<&Tracker> {
        self.trackers.iter().find(|(known, _)| *known == sequence).map(|(_, tracker)| tracker)
    }
}

/// What a process sent and saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Everything that was sent, by [`Origin::index`].
    pub sent: Vec<Sent>,
    /// Everybody's connection, by the seat's number less that of the process's first.
    pub seats: Vec<Seat>,
    /// The first seat's number.
    pub first_seat: u32,
    /// Which message has which number; `None` for those of others.
    pub numbers: FxHashMap<(Sequence, i64), Option<Origin>>,
    /// The number under which each message was seen first.
    pub origins: FxHashMap<Origin, i64>,
    /// Which further messages have a number that is taken.
    contradictions: FxHashSet<(Sequence, i64, Option<Origin>)>,
    /// What must not happen and did.
    pub faults: Faults,
}

impl Ledger {
    /// Notes which message has a number. False if it has been seen under another number as well: stored twice.
    pub fn note(&mut self, sequence: Sequence, number: i64, origin: Option<Origin>) -> bool {
        let known = *self.numbers.entry((sequence, number)).or_insert(origin);
        if known != origin && self.contradictions.insert((sequence, number, origin)) {
            self.faults.add(Fault::Contradicted, || {
                format!("conversation {} has two messages with seq {number}", sequence.conversation)
            });
        }
        origin.is_none_or(|origin| *self.origins.entry(origin).or_insert(number) == number)
    }

    /// A send is answered: committed under a number, or failed. When it was due and left; `None` if there is no such
    /// send, or it was answered before.
    pub fn answer(&mut self, index: u64, number: Option<i64>) -> Option<Sent> {
        let sent = usize::try_from(index).ok().and_then(|index| self.sent.get_mut(index));
        match sent {
            Some(sent) if sent.fate == Fate::Unanswered => {
                sent.fate = number.map_or(Fate::Failed, Fate::Committed);
                Some(*sent)
            }
            _ => {
                self.faults
                    .add(Fault::ProtocolError, || format!("an answer to send {index}, which expects none"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_two_numbers_and_a_number_with_two_messages_are_seen() {
        let mut ledger = Ledger::default();
        let sequence = Sequence::new(0, None);
        let origin = |index| Some(Origin { worker: 0, index });
        assert!(ledger.note(sequence, 5, origin(0)) && ledger.note(sequence, 5, origin(0)));
        assert!(ledger.note(sequence, 6, None) && ledger.note(sequence, 7, None));
        assert!(!ledger.note(sequence, 8, origin(0)), "stored twice");
        assert_eq!(ledger.faults.count(Fault::Contradicted), 0);
        ledger.note(sequence, 5, origin(1));
        ledger.note(sequence, 5, origin(1));
        assert_eq!(ledger.faults.count(Fault::Contradicted), 1, "however often it is read");
    }

    #[test]
    fn answers_to_nothing_and_second_answers_are_faults() {
        let mut ledger = Ledger::default();
        let (fate, sent_us) = (Fate::Unanswered, 2);
        ledger.sent.push(Sent { conversation: 0, user: 0, number: 1, due_us: 1, sent_us, fate });
        assert_eq!(ledger.answer(0, Some(9)).unwrap().fate, Fate::Committed(9));
        assert_eq!(ledger.answer(0, Some(9)), None);
        assert_eq!(ledger.answer(1, None), None);
        assert_eq!(ledger.faults.count(Fault::ProtocolError), 2);
    }

    #[test]
    fn faults_are_all_counted_and_some_are_named() {
        let (mut one, mut other) = (Faults::default(), Faults::default());
        for n in 0..30 {
            one.add(Fault::Lost, || n.to_string());
        }
        other.add(Fault::Lost, || "x".to_owned());
        other.add(Fault::Failed, || "y".to_owned());
        one.merge(other);
        assert_eq!((one.count(Fault::Lost), one.examples(Fault::Lost).len()), (31, EXAMPLES));
        assert_eq!(one.examples(Fault::Failed), ["y"]);
        assert_eq!((one.count(Fault::Absent), one.examples(Fault::Absent).len()), (0, 0));
    }
}
