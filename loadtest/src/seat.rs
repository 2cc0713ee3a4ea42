//! One person's place in a run: what arrives on the connection is counted, timed and written into the ledger.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::Id;

use crate::connection::Connection;
use crate::dialect::{Answer, Incoming, NewMessage};
use crate::ledger::{Author, Ledger, Tally};
use crate::marker::Marker;
use crate::people::Pair;
use crate::report::{Counters, FirstText, Latencies};
use crate::schedule::Schedule;

/// What all connections of a run share.
#[derive(Debug)]
pub struct Shared {
    /// The zero of the run's own clock.
    pub epoch: Instant,
    /// The run's mark in every text.
    pub run: u32,
    /// When what is due.
    pub schedule: Schedule,
    /// For the progress lines.
    pub counters: Counters,
    /// From due to arrived at the other person.
    pub latency: Latencies,
    /// From due to acknowledged.
    pub ack: Latencies,
    /// The first reason that was given for a failed send.
    pub first_failure: FirstText,
    /// How the first connection ended that the server closed.
    pub first_disconnect: FirstText,
    last_ack_us: AtomicU64,
}

impl Shared {
    /// A run by this schedule.
    #[must_use]
    pub fn new(schedule: Schedule) -> Arc<Self> {
        // The last bytes of an identifier are the ones that differ from process to process and call to call.
        let [.., a, b, c, d] = Id::mint().bytes();
        Arc::new(Self {
            epoch: Instant::now(),
            run: u32::from_be_bytes([a, b, c, d]),
            schedule,
            counters: Counters::default(),
            latency: Latencies::default(),
            ack: Latencies::default(),
            first_failure: FirstText::default(),
            first_disconnect: FirstText::default(),
            last_ack_us: AtomicU64::new(0),
        })
    }

    /// When the last measured message was acknowledged, by the run's clock.
    #[must_use]
    pub fn last_ack(&self) -> Duration {
        Duration::from_micros(self.last_ack_us.load(Ordering::Relaxed))
    }

    fn micros(&self, at: Instant) -> u64 {
        at.duration_since(self.epoch).as_micros() as u64
    }
}

/// One person's place in the run.
#[derive(Debug)]
pub struct Seat {
    /// The place, from 0. Its peer has the place with the lowest bit flipped.
    user: usize,
    id: Id,
    peer: Id,
    /// The conversation with the peer.
    pub conversation: Id,
    /// Authenticates the person.
    pub token: Arc<str>,
    ledger: Mutex<Ledger>,
    shared: Arc<Shared>,
}

impl Seat {
    /// A seat for each person, the two of a pair beside each other.
    #[must_use]
    pub fn all(pairs: &[Pair], shared: &Arc<Shared>) -> Vec<Arc<Self>> {
        let seat = |user: usize| {
            let pair = &pairs[user / 2];
            let (me, peer) = (&pair.people[user % 2], &pair.people[(user + 1) % 2]);
            Arc::new(Self {
                user,
                id: me.id,
                peer: peer.id,
                conversation: pair.conversation,
                token: Arc::clone(&me.token),
                ledger: Mutex::default(),
                shared: Arc::clone(shared),
            })
        };
        (0..pairs.len() * 2).map(seat).collect()
    }

    /// What this person sent and got.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A ledger is usable whatever the holder of the lock was doing when it panicked.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, incoming: Incoming<'_>, at: Instant) {
        let now_us = self.shared.micros(at);
        match incoming {
            Incoming::New(message) => self.arrived(&message, now_us),
            Incoming::Answer { id, answer } => self.answered(id, answer, now_us),
            Incoming::Ping => Counters::add(&self.shared.counters.pings),
            Incoming::Other => {}
            _ => self.ledger().protocol_error(),
        }
    }

    fn arrived(&self, message: &NewMessage<'_>, now_us: u64) {
        let mine = message.conversation_id == self.conversation;
        let Some(marker) = Marker::read(&message.content).filter(|marker| marker.run == self.shared.run)
        else {
            if mine {
                self.ledger().arrive_foreign(message.seq);
            }
            return;
        };
        let author = match marker.user {
            user if mine && user == self.user && message.sender.id == self.id => Author::Me,
            user if mine && user == self.user ^ 1 && message.sender.id == self.peer => Author::Peer,
            _ => return self.ledger().misdeliver(),
        };
        if marker.number >= self.shared.schedule.total() {
            return self.ledger().protocol_error();
        }
        let first = self.ledger().arrive(author, marker.number, message.seq);
        if first && author == Author::Peer {
            Counters::add(&self.shared.counters.delivered);
            if self.shared.schedule.measured(marker.user, marker.number) {
                self.shared.latency.record(now_us.saturating_sub(marker.due_us));
            }
        }
    }

    fn answered(&self, id: u64, answer: Answer<'_>, now_us: u64) {
        let shared = &self.shared;
        let seq = match answer {
            Answer::Ok(seq) => Some(seq),
            Answer::Failed(why) => {
                shared.first_failure.give(|| why.into_owned());
                None
            }
        };
        let Some(due_us) = self.ledger().answer(id, seq) else { return };
        Counters::add(&shared.counters.answered);
        if seq.is_some() && shared.schedule.measured(self.user, id as usize) {
            shared.ack.record(now_us.saturating_sub(due_us));
            shared.last_ack_us.fetch_max(now_us, Ordering::Relaxed);
        }
    }

    /// Reads the connection until the server closes it.
    pub async fn attend(self: Arc<Self>, connection: Connection) {
        let how = connection.run(|incoming, at| self.receive(incoming, at)).await;
        self.shared.first_disconnect.give(|| format!("user {}: {how}", self.user));
        Counters::add(&self.shared.counters.disconnects);
        self.ledger().close();
    }
}

/// What came of the run.
#[must_use]
pub fn tally(seats: &[Arc<Seat>]) -> Tally {
    let mut tally = Tally::default();
    let _: ControlFlow<()> = each_sender(seats, |sender, receiver| {
        tally.add(sender, receiver);
        ControlFlow::Continue(())
    });
    tally
}

/// Whether anything is still on its way.
#[must_use]
pub fn pending(seats: &[Arc<Seat>]) -> bool {
    each_sender(seats, |sender, receiver| {
        if sender.awaits(receiver) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .is_break()
}

/// Shows `look` everyone's ledger beside that of the other person.
fn each_sender(
    seats: &[Arc<Seat>],
    mut look: impl FnMut(&Ledger, &Ledger) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for pair in seats.chunks_exact(2) {
        let (one, other) = (pair[0].ledger(), pair[1].ledger());
        look(&one, &other)?;
        look(&other, &one)?;
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Person;

    fn seats() -> Vec<Arc<Seat>> {
        let person = || Person { id: Id::mint(), token: "t".into() };
        let pairs = [Pair { people: [person(), person()], conversation: Id::mint() }];
        let second = Duration::from_secs(1);
        Seat::all(&pairs, &Shared::new(Schedule::new(10.0, 2, second, second)))
    }

    fn new<'a>(from: &Seat, seq: i64, content: &'a str) -> Incoming<'a> {
        Incoming::New(NewMessage {
            conversation_id: from.conversation,
            seq,
            sender: crate::dialect::Sender { id: from.id },
            content: content.into(),
        })
    }

    fn text(seat: &Seat, number: usize, due_us: u64) -> String {
        let mut text = String::new();
        Marker { run: seat.shared.run, user: seat.user, number, due_us }.write(&mut text, 60);
        text
    }

    #[test]
    fn latency_counts_from_the_scheduled_time_and_only_after_the_warm_up() {
        let seats = seats();
        let (ann, bob) = (&seats[0], &seats[1]);
        let at = ann.shared.epoch + Duration::from_millis(1_500);
        // Of 20 messages of two people, 10 are warm-up: numbers 0 to 4 of each.
        for number in 0..6 {
            assert_eq!(ann.ledger().send(1_000_000), number);
            let content = text(ann, number, 1_000_000);
            bob.receive(new(ann, number as i64 + 1, &content), at);
            ann.receive(new(ann, number as i64 + 1, &content), at);
            ann.receive(Incoming::Answer { id: number as u64, answer: Answer::Ok(number as i64 + 1) }, at);
        }
        assert_eq!(ann.shared.latency.count(), 1);
        assert!((ann.shared.latency.percentiles().max - 500.0).abs() < 1.0);
        assert!((ann.shared.ack.percentiles().max - 500.0).abs() < 1.0);
        assert_eq!(tally(&seats).verdict(6), "ok");
    }

    #[test]
    fn messages_for_others_or_under_a_wrong_name_are_told_from_foreign_ones() {
        let seats = seats();
        let (ann, bob) = (&seats[0], &seats[1]);
        let at = Instant::now();
        let content = text(ann, 0, 0);
        bob.receive(new(bob, 1, &content), at);
        let Incoming::New(elsewhere) = new(ann, 1, &content) else { unreachable!() };
        bob.receive(Incoming::New(NewMessage { conversation_id: Id::mint(), ..elsewhere }), at);
        bob.receive(new(ann, 1, &text(ann, 20, 0)), at);
        bob.receive(Incoming::Malformed, at);
        bob.receive(new(ann, 1, "typed by hand"), at);
        let tally = tally(&seats);
        assert_eq!((tally.misdelivered, tally.protocol_errors), (2, 2));
        assert_eq!((tally.foreign, tally.delivered), (1, 0));
    }
}
