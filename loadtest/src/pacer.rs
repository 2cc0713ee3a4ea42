//! The thread that sends by the schedule.
//!
//! A thread of its own and not a task: a task would stand in line behind the readers whenever the
//! cores are busy, which is just when its punctuality matters, and the runtime's timers are no finer than a
//! millisecond. One thread suffices, since handing a frame to the kernel takes some ten microseconds.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::Link;
use crate::dialect::Protocol;
use crate::interrupt::Interrupt;
use crate::marker::Marker;
use crate::report::{Counters, Latencies};
use crate::schedule::Schedule;
use crate::seat::Seat;

/// The longest sleep: so soon an interruption is noticed.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// Everything that sending takes.
#[derive(Debug)]
pub struct Pacer {
    /// When what is due.
    pub schedule: Schedule,
    /// Everyone, two by two.
    pub seats: Vec<Arc<Seat>>,
    /// Their connections, in the same order.
    pub links: Vec<Arc<Link>>,
    /// The protocol spoken.
    pub protocol: Protocol,
    /// The run's mark in every text.
    pub run: u32,
    /// How long a text is, in bytes.
    pub content_bytes: usize,
    /// The zero of the run's own clock.
    pub epoch: Instant,
}

impl Pacer {
    /// Sends everything, each message when it is due or, if this thread was held up, as soon as it can. Adds to `late`
    /// how late the measured ones were. Returns true after the last one, for which it takes as long as the schedule, or
    /// false once it is interrupted.
    pub fn run(&self, start: Instant, counters: &Counters, late: &Latencies, interrupt: &Interrupt) -> bool {
        let (mut content, mut text) = (String::new(), String::new());
        for k in 0..self.schedule.total() {
            let due = start + self.schedule.due(k);
            let mut now = Instant::now();
            while now < due && !interrupt.is_raised() {
                thread::sleep((due - now).min(LONGEST_SLEEP));
                now = Instant::now();
            }
            if interrupt.is_raised() {
                return false;
            }
            let user = self.schedule.sender(k);
            let seat = &self.seats[user];
            let due_us = due.duration_since(self.epoch).as_micros() as u64;
            // Noted before it leaves: the answer may be back before the call that sends it returns.
            let number = seat.ledger().send(due_us);
            content.clear();
            text.clear();
            Marker { run: self.run, user, number, due_us }.write(&mut content, self.content_bytes);
            self.protocol.send(&mut text, number, seat.conversation, &content);
            self.links[user].send_text(&text);
            Counters::add(&counters.sent);
            if self.schedule.measured(user, number) {
                late.record((now - due).as_micros() as u64);
            }
        }
        true
    }
}
