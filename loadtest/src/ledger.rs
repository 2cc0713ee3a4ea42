//! What one person sent and got, and the verdict over all of them.
//!
//! Each socket has a ledger. It is filled in while the run goes on; afterwards the ledgers of the two
//! people of a conversation are held against each other. Nothing is judged by rates or samples: every
//! single message is accounted for, those of the warm-up too.

use serde::Serialize;

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unanswered,
    Committed(i64),
    Failed,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    due_us: u64,
    fate: Fate,
}

/// Which messages of one sender arrived, and under which `seq`.
#[derive(Debug, Default)]
struct Arrivals {
    /// By the sender's numbering. No message has a `seq` of `i64::MIN`.
    seqs: Vec<Option<i64>>,
    newest: Option<usize>,
    count: u64,
}

impl Arrivals {
    fn seq(&self, number: usize) -> Option<i64> {
        self.seqs.get(number).copied().flatten()
    }

    /// Notes the first arrival of a message. True if a later message of the same sender came before it.
    fn note(&mut self, number: usize, seq: i64) -> bool {
        if self.seqs.len() <= number {
            self.seqs.resize(number + 1, None);
        }
        self.seqs[number] = Some(seq);
        self.count += 1;
        let overtaken = self.newest.is_some_and(|newest| newest > number);
        self.newest = self.newest.max(Some(number));
        overtaken
    }
}

/// The author of a message, seen from the socket at which it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// This socket's own user: senders get their messages too.
    Me,
    /// The other person.
    Peer,
}

/// Everything that happened on one person's socket.
#[derive(Debug, Default)]
pub struct Ledger {
    sent: Vec<Sent>,
    mine: Arrivals,
    peers: Arrivals,
    last_seq: Option<i64>,
    missing_seqs: u64,
    duplicated: u64,
    reordered: u64,
    foreign: u64,
    misdelivered: u64,
    protocol_errors: u64,
    closed: bool,
}

impl Ledger {
    /// A message is about to be sent; it was due at `due_us`. Returns its number, from 0.
    pub fn send(&mut self, due_us: u64) -> usize {
        self.sent.push(Sent { due_us, fate: Fate::Unanswered });
        self.sent.len() - 1
    }

    /// The server acknowledged message `number` as committed under `seq`, or (`None`) as failed. Returns
    /// when the message was due; `None` if there is no such message or it was answered before.
    pub fn answer(&mut self, number: u64, seq: Option<i64>) -> Option<u64> {
        let sent = usize::try_from(number).ok().and_then(|number| self.sent.get_mut(number));
        match sent {
            Some(sent) if sent.fate == Fate::Unanswered => {
                sent.fate = seq.map_or(Fate::Failed, Fate::Committed);
                Some(sent.due_us)
            }
            _ => {
                self.protocol_errors += 1;
                None
            }
        }
    }

    /// Message `number` of `author` arrived under `seq`. True if it had not arrived before.
    pub fn arrive(&mut self, author: Author, number: usize, seq: i64) -> bool {
        let arrivals = match author {
            Author::Me => &mut self.mine,
            Author::Peer => &mut self.peers,
        };
        if arrivals.seq(number).is_some() {
            self.duplicated += 1;
            // Stored twice, it has taken a place in the order of its own.
            if self.last_seq < Some(seq) {
                self.follow(seq);
            }
            return false;
        }
        let overtaken = arrivals.note(number, seq);
        let late = !self.follow(seq);
        if overtaken || late {
            self.reordered += 1;
        }
        true
    }

    /// A message of the conversation that is none of this run's. It has a place in the order all the same.
    pub fn arrive_foreign(&mut self, seq: i64) {
        self.foreign += 1;
        if !self.follow(seq) {
            self.reordered += 1;
        }
    }

    /// A message of this run arrived at somebody whom it was not for, or under another's name.
    pub fn misdeliver(&mut self) {
        self.misdelivered += 1;
    }

    /// The server sent what it should not have.
    pub fn protocol_error(&mut self) {
        self.protocol_errors += 1;
    }

    /// The server closed the connection while the run went on.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Moves on to `seq`. False if that is not forward.
    fn follow(&mut self, seq: i64) -> bool {
        match self.last_seq {
            Some(last) if seq <= last => {
                // It fills a gap that was counted when its successor arrived.
                self.missing_seqs = self.missing_seqs.saturating_sub(1);
                return false;
            }
            Some(last) => self.missing_seqs += seq.abs_diff(last) - 1,
            // The conversation may be older than the run.
            None => {}
        }
        self.last_seq = Some(seq);
        true
    }

    /// Whether something that this person sent is still on its way: an answer, or the arrival of an
    /// acknowledged message at either side. Nothing more is expected from a closed socket.
    #[must_use]
    pub fn awaits(&self, peer: &Self) -> bool {
        self.sent.iter().enumerate().any(|(number, sent)| match sent.fate {
            Fate::Unanswered => !self.closed,
            Fate::Failed => false,
            Fate::Committed(_) => {
                (!peer.closed && peer.peers.seq(number).is_none())
                    || (!self.closed && self.mine.seq(number).is_none())
            }
        })
    }
}

/// What came of a run, counted over all people, warm-up included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Messages sent.
    pub sent: u64,
    /// Messages acknowledged as committed.
    pub acked: u64,
    /// Messages that arrived at the other person, each counted once.
    pub delivered: u64,
    /// Acknowledged messages that did not arrive at the other person.
    pub lost: u64,
    /// Acknowledged messages that did not arrive at their sender's own socket.
    pub lost_echoes: u64,
    /// Arrivals of a message that had already arrived at that socket.
    pub duplicated: u64,
    /// Arrivals after a message with a higher `seq`, or after a later one of the same sender.
    pub reordered: u64,
    /// Numbers that were skipped in a conversation's `seq`, counted at each receiver.
    pub missing_seqs: u64,
    /// Messages that arrived under another `seq` than they were acknowledged with.
    pub contradicted: u64,
    /// Messages that arrived at somebody whom they were not for, or under another's name.
    pub misdelivered: u64,
    /// Sends that were answered with an error.
    pub failed: u64,
    /// Sends that were never answered.
    pub unanswered: u64,
    /// Connections that the server closed.
    pub disconnects: u64,
    /// Frames that the server should not have sent: unreadable ones, answers to nothing.
    pub protocol_errors: u64,
    /// Messages of these conversations that this run did not send. Not a fault.
    pub foreign: u64,
}

impl Tally {
    /// Adds what `sender` sent to `receiver`, and what was seen at the socket of `sender`. To be called for
    /// both people of a conversation.
    pub fn add(&mut self, sender: &Ledger, receiver: &Ledger) {
        for (number, sent) in sender.sent.iter().enumerate() {
            let arrived = receiver.peers.seq(number);
            let echoed = sender.mine.seq(number);
            self.sent += 1;
            match sent.fate {
                Fate::Unanswered => self.unanswered += 1,
                Fate::Failed => self.failed += 1,
                Fate::Committed(seq) => {
                    self.acked += 1;
                    self.lost += u64::from(arrived.is_none());
                    self.lost_echoes += u64::from(echoed.is_none());
                    let other = |arrived: Option<i64>| arrived.is_some_and(|arrived| arrived != seq);
                    self.contradicted += u64::from(other(arrived) || other(echoed));
                }
            }
        }
        self.delivered += receiver.peers.count;
        self.duplicated += sender.duplicated;
        self.reordered += sender.reordered;
        self.missing_seqs += sender.missing_seqs;
        self.disconnects += u64::from(sender.closed);
        self.protocol_errors += sender.protocol_errors;
        self.foreign += sender.foreign;
        self.misdelivered += sender.misdelivered;
    }

    /// `ok`, or `failed: ` and everything that was wrong. `planned` is how many messages were to be sent.
    #[must_use]
    pub fn verdict(&self, planned: usize) -> String {
        verdict(&self.faults(planned, (false, false)))
    }

    /// Everything that was wrong, in words. Errors and losses are no faults where a service level `allows` some of
    /// them: how many is for it to say.
    #[must_use]
    pub fn faults(&self, planned: usize, allows: (bool, bool)) -> Vec<String> {
        let (errors, losses) = allows;
        let allowed_gaps = if losses { self.lost + self.lost_echoes } else { 0 };
        let unless = |allowed: bool, count: u64| if allowed { 0 } else { count };
        let faults = [
            (unless(losses, self.lost), "lost"),
            (unless(losses, self.lost_echoes), "lost on the way to their sender"),
            (self.duplicated, "duplicated"),
            (self.reordered, "reordered"),
            // Each loss but the last of a conversation leaves a gap behind it.
            (self.missing_seqs.saturating_sub(allowed_gaps), "missing in seq"),
            (self.contradicted, "with another seq than acknowledged"),
            (self.misdelivered, "misdelivered"),
            (unless(errors, self.failed), "failed"),
            (unless(errors, self.unanswered), "unanswered"),
            ((planned as u64).saturating_sub(self.sent), "not sent"),
            (self.disconnects, "disconnects"),
            (self.protocol_errors, "protocol errors"),
            // A run that proves nothing must not pass.
            (u64::from(self.acked == 0 && self.failed + self.unanswered == 0), "empty run"),
        ];
        faults.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect()
    }
}

/// `ok`, or `failed: ` and what was wrong.
#[must_use]
pub fn verdict(faults: &[String]) -> String {
    if faults.is_empty() { "ok".to_owned() } else { format!("failed: {}", faults.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Author::{Me, Peer};

    /// Two people; the first sends three messages, all acknowledged and echoed, with `seq` 5, 6 and 7
    /// (the conversation is older than the run). What arrives at the second is up to the test.
    fn three_sent() -> (Ledger, Ledger) {
        let mut ann = Ledger::default();
        for number in 0..3 {
            assert_eq!(ann.send(1_000 * number), number as usize);
            assert_eq!(ann.answer(number, Some(5 + number as i64)), Some(1_000 * number));
            assert!(ann.arrive(Me, number as usize, 5 + number as i64));
        }
        (ann, Ledger::default())
    }

    fn tally(ann: &Ledger, bob: &Ledger) -> Tally {
        let mut tally = Tally::default();
        tally.add(ann, bob);
        tally.add(bob, ann);
        tally
    }

    fn judge(arrivals: &[(usize, i64)]) -> (Tally, String) {
        let (ann, mut bob) = three_sent();
        for &(number, seq) in arrivals {
            bob.arrive(Peer, number, seq);
        }
        let tally = tally(&ann, &bob);
        (tally, tally.verdict(3))
    }

    #[test]
    fn everything_once_and_in_order_is_ok() {
        let (tally, verdict) = judge(&[(0, 5), (1, 6), (2, 7)]);
        assert_eq!(verdict, "ok");
        assert_eq!(tally, Tally { sent: 3, acked: 3, delivered: 3, ..Tally::default() });
    }

    #[test]
    fn a_lost_message_fails() {
        assert_eq!(judge(&[(0, 5), (2, 7)]).1, "failed: 1 lost, 1 missing in seq");
        assert_eq!(judge(&[(0, 5), (1, 6)]).1, "failed: 1 lost", "the last one leaves no gap");
        assert_eq!(judge(&[]).1, "failed: 3 lost");
    }

    #[test]
    fn a_doubled_message_fails() {
        assert_eq!(judge(&[(0, 5), (1, 6), (1, 6), (2, 7)]).1, "failed: 1 duplicated");
        assert_eq!(judge(&[(0, 5), (1, 6), (2, 7), (0, 5)]).1, "failed: 1 duplicated");
        assert_eq!(judge(&[(0, 5), (1, 6), (2, 7), (2, 8)]).1, "failed: 1 duplicated", "stored twice");
    }

    #[test]
    fn a_reordered_message_fails() {
        assert_eq!(judge(&[(0, 5), (2, 7), (1, 6)]).1, "failed: 1 reordered");
        // In order of `seq`, but the sender wrote them the other way round.
        let (_, verdict) = judge(&[(1, 5), (0, 6), (2, 7)]);
        assert_eq!(verdict, "failed: 1 reordered, 2 with another seq than acknowledged");
    }

    #[test]
    fn two_messages_under_one_seq_fail() {
        assert!(judge(&[(0, 5), (1, 5), (2, 7)]).1.starts_with("failed: 1 reordered"));
    }

    #[test]
    fn a_skipped_seq_fails_though_every_message_is_there() {
        let (mut ann, mut bob) = (Ledger::default(), Ledger::default());
        for (number, seq) in [(0, 1), (1, 3)] {
            ann.send(0);
            ann.answer(number, Some(seq));
            ann.arrive(Me, number as usize, seq);
            bob.arrive(Peer, number as usize, seq);
        }
        assert_eq!(tally(&ann, &bob).verdict(2), "failed: 2 missing in seq", "one at each socket");
    }

    #[test]
    fn failed_unanswered_and_unsent_messages_fail() {
        let (mut ann, mut bob) = three_sent();
        for number in 0..3 {
            bob.arrive(Peer, number, 5 + number as i64);
        }
        ann.send(0);
        ann.answer(3, None);
        ann.send(0);
        let tally = tally(&ann, &bob);
        assert_eq!(tally.verdict(7), "failed: 1 failed, 1 unanswered, 2 not sent");
        assert_eq!((tally.sent, tally.acked), (5, 3), "neither counts as acknowledged");
    }

    #[test]
    fn what_a_service_level_speaks_of_is_for_it_to_judge() {
        let (mut ann, bob) = three_sent();
        ann.send(0);
        ann.answer(3, None);
        let tally = tally(&ann, &bob);
        assert_eq!(tally.faults(4, (false, false)), ["3 lost", "1 failed"]);
        assert_eq!(tally.faults(4, (true, false)), ["3 lost"]);
        assert_eq!(tally.faults(5, (true, true)), ["1 not sent"]);
    }

    #[test]
    fn a_message_that_its_sender_never_gets_fails() {
        let (mut ann, mut bob) = (Ledger::default(), Ledger::default());
        ann.send(0);
        ann.answer(0, Some(1));
        bob.arrive(Peer, 0, 1);
        assert!(ann.awaits(&bob));
        assert_eq!(tally(&ann, &bob).verdict(1), "failed: 1 lost on the way to their sender");
    }

    #[test]
    fn answers_to_nothing_and_second_answers_fail() {
        let (mut ann, mut bob) = three_sent();
        for number in 0..3 {
            bob.arrive(Peer, number, 5 + number as i64);
        }
        assert_eq!(ann.answer(0, Some(5)), None);
        assert_eq!(ann.answer(9, Some(5)), None);
        assert_eq!(tally(&ann, &bob).verdict(3), "failed: 2 protocol errors");
    }

    #[test]
    fn a_disconnect_and_an_empty_run_fail() {
        assert_eq!(Tally::default().verdict(0), "failed: 1 empty run");
        let (ann, mut bob) = three_sent();
        assert!(ann.awaits(&bob));
        bob.close();
        assert!(!ann.awaits(&bob), "nothing more is expected from a closed socket");
        assert_eq!(tally(&ann, &bob).verdict(3), "failed: 3 lost, 1 disconnects");
    }

    #[test]
    fn messages_of_others_keep_their_place_in_the_order() {
        let (ann, mut bob) = three_sent();
        bob.arrive_foreign(4);
        for number in 0..3 {
            bob.arrive(Peer, number, 5 + number as i64);
        }
        bob.arrive_foreign(8);
        let tally = tally(&ann, &bob);
        assert_eq!((tally.verdict(3).as_str(), tally.foreign), ("ok", 2));
    }
}
