//! Who sends the how-manieth message when: drawn up before the run and independent of the server.
//!
//! Message `k` is due `k / rate` seconds after the start. The senders take turns, first one of each pair
//! and then the other of each, so that pairs and directions are used evenly and a conversation's messages
//! are as far apart as they can be.

use std::time::Duration;

/// The plan of a run.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    rate: f64,
    users: usize,
    warmup: usize,
    total: usize,
}

impl Schedule {
    /// `rate` messages a second in total, over `users` people in pairs (an even number, at least two),
    /// for `warmup` that is not measured and `duration` that is.
    #[must_use]
    pub fn new(rate: f64, users: usize, warmup: Duration, duration: Duration) -> Self {
        let count = |time: Duration| (rate * time.as_secs_f64()).round() as usize;
        Self { rate, users, warmup: count(warmup), total: count(warmup) + count(duration) }
    }

    /// How many messages there are.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// How many of them are measured.
    #[must_use]
    pub const fn measured_total(&self) -> usize {
        self.total - self.warmup
    }

    /// When message `k` is due, from the start.
    #[must_use]
    pub fn due(&self, k: usize) -> Duration {
        Duration::from_secs_f64(k as f64 / self.rate)
    }

    /// When the first measured message is due, from the start.
    #[must_use]
    pub fn measured_from(&self) -> Duration {
        self.due(self.warmup)
    }

    /// Who sends message `k`. Users 2i and 2i+1 are a pair.
    #[must_use]
    pub const fn sender(&self, k: usize) -> usize {
        let (slot, pairs) = (k % self.users, self.users / 2);
        if slot < pairs { 2 * slot } else { 2 * (slot - pairs) + 1 }
    }

    /// Whether the message `number` (from 0) of `user` is measured, or part of the warm-up.
    #[must_use]
    pub const fn measured(&self, user: usize, number: usize) -> bool {
        let slot = user / 2 + if user.is_multiple_of(2) { 0 } else { self.users / 2 };
        number * self.users + slot >= self.warmup
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_evenly_spaced_and_evenly_spread() {
        let schedule = Schedule::new(250.0, 10, Duration::from_secs(2), Duration::from_secs(8));
        assert_eq!(schedule.total(), 2_500);
        assert_eq!(schedule.measured_total(), 2_000);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1), Duration::from_millis(4));
        assert_eq!(schedule.measured_from(), Duration::from_secs(2));
        let mut sent = [0; 10];
        for k in 0..schedule.total() {
            sent[schedule.sender(k)] += 1;
        }
        assert_eq!(sent, [250; 10]);
        assert_eq!((0..10).map(|k| schedule.sender(k)).collect::<Vec<_>>(), [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]);
    }

    #[test]
    fn each_message_knows_whether_it_is_measured() {
        let schedule = Schedule::new(33.3, 6, Duration::from_secs(1), Duration::from_secs(3));
        let mut numbers = [0; 6];
        for k in 0..schedule.total() {
            let user = schedule.sender(k);
            let measured = schedule.measured(user, numbers[user]);
            assert_eq!(measured, schedule.due(k) >= schedule.measured_from(), "message {k}");
            numbers[user] += 1;
        }
    }
}
