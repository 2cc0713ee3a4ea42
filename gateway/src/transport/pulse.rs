//! The clocks of an open connection: heartbeat, connect timeout, write stall, backlog. Only arithmetic; the wheel
//! calls.

use std::num::NonZeroU32;

use protocol::code::close;

use super::Config;
use super::fault::Fault;
use super::metrics::Why;
use super::wheel::{Millis, NEVER};

const HEARTBEAT: Fault<'static> = Fault::new(close::TIMEOUT, "no sign of life", Why::Heartbeat);
const CONNECT: Fault<'static> = Fault::new(close::TIMEOUT, "not connected in time", Why::ConnectTimeout);
const EXPIRED: Fault<'static> = Fault::new(close::UNAUTHORIZED, "token expired", Why::Expired);

/// Which part of its time to answer a client may lose to a ping that was sent late.
const LATENESS: Millis = 2;

/// How long a client that comes back may take to read what it missed. One that takes a little now and then would keep
/// it for ever.
pub(super) const BACKLOG_TIMEOUT: Millis = 60_000;

/// Since when what has been waited for; [`NEVER`] where it is not.
pub(super) struct Pulse {
    pinged_at: Millis,
    awaiting_pong: bool,
    /// When the last ping was really sent, by [`Shared::micros`](super::wheel::Shared::micros), until its pong comes.
    unanswered: Option<NonZeroU32>,
    /// The transport has no admitted client.
    unconnected_since: Millis,
    /// The peer has taken nothing of what waits to be written.
    stalled_since: Millis,
    /// A part of what the client missed waits to be written.
    behind_since: Millis,
    /// When the client's time is up.
    expires: Millis,
}

/// What is due, and when to look again.
#[derive(Debug)]
pub(super) enum Plan {
    Wait(Millis),
    Ping(Millis),
    Close(Fault<'static>),
}

impl Pulse {
    /// A transport that was opened now.
    pub(super) fn new(now: Millis) -> Self {
        Self {
            pinged_at: now,
            awaiting_pong: false,
            unanswered: None,
            unconnected_since: now,
            stalled_since: NEVER,
            behind_since: NEVER,
            expires: NEVER,
        }
    }

    /// A client was admitted.
    pub(super) fn connected(&mut self) {
        self.unconnected_since = NEVER;
    }

    /// No client is admitted any more.
    pub(super) fn disconnected(&mut self, now: Millis) {
        self.unconnected_since = self.unconnected_since.min(now);
    }

    /// A ping is sent now.
    pub(super) fn pinged(&mut self, now: NonZeroU32) {
        self.unanswered = Some(now);
    }

    /// A pong came. Tells when its ping was sent, if it is the first since.
    pub(super) fn ponged(&mut self) -> Option<NonZeroU32> {
        self.unanswered.take()
    }

    /// The client's time is up then.
    pub(super) fn expires(&mut self, at: Millis) {
        self.expires = at;
    }

    /// The peer takes no more of what waits. True if it did until now.
    pub(super) fn stalled(&mut self, now: Millis) -> bool {
        let is_news = self.stalled_since == NEVER;
        self.stalled_since = self.stalled_since.min(now);
        is_news
    }

    /// The peer took something, or nothing waits.
    pub(super) fn flowing(&mut self) {
        self.stalled_since = NEVER;
    }

    /// The client is given what it missed.
    pub(super) fn behind(&mut self, now: Millis) {
        self.behind_since = self.behind_since.min(now);
    }

    /// All of that is written.
    pub(super) fn caught_up(&mut self) {
        self.behind_since = NEVER;
    }

    /// What is due now, where the last frame of the peer came in at `seen`. A ping that is due counts as sent.
    pub(super) fn check(&mut self, now: Millis, seen: Millis, config: &Config) -> Plan {
        let interval = config.ping_interval.as_millis() as Millis;
        let timeout = config.ping_timeout.as_millis() as Millis;
        let stalled = self.stalled_since.saturating_add(config.write_timeout.as_millis() as Millis);
        let unconnected = self.unconnected_since.saturating_add(config.connect_timeout.as_millis() as Millis);
        let slow = stalled.min(self.behind_since.saturating_add(BACKLOG_TIMEOUT));
        for (limit, fault) in [(slow, Fault::SLOW), (self.expires, EXPIRED), (unconnected, CONNECT)] {
            if now >= limit {
                return Plan::Close(fault);
            }
        }
        let next = slow.min(self.expires).min(unconnected);
        if self.awaiting_pong {
            if seen >= self.pinged_at {
                self.awaiting_pong = false;
            } else if now >= self.pinged_at + timeout {
                return Plan::Close(HEARTBEAT);
            } else {
                return Plan::Wait(next.min(self.pinged_at + timeout));
            }
        }
        let due = self.pinged_at + interval;
        if now < due {
            return Plan::Wait(next.min(due));
        }
        self.awaiting_pong = true;
        // The wheel comes a little late, which must not add up. When it comes very late, the client is not to suffer.
        self.pinged_at = due.max(now.saturating_sub(timeout / LATENESS));
        Plan::Ping(next.min(self.pinged_at + timeout.min(interval)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn admitted() -> Pulse {
        let mut pulse = Pulse::new(0);
        pulse.connected();
        pulse
    }

    fn next(plan: &Plan) -> (char, Millis) {
        match plan {
            Plan::Wait(next) => ('w', *next),
            Plan::Ping(next) => ('p', *next),
            Plan::Close(fault) => ('c', Millis::from(fault.code)),
        }
    }

    #[test]
    fn a_silent_client_is_gone_after_interval_and_timeout() {
        let config = Config::default();
        let mut pulse = admitted();
        assert_eq!(next(&pulse.check(10_000, 0, &config)), ('w', 25_000));
        assert_eq!(next(&pulse.check(25_000, 0, &config)), ('p', 45_000));
        assert_eq!(next(&pulse.check(44_999, 0, &config)), ('w', 45_000));
        assert_eq!(next(&pulse.check(45_000, 0, &config)), ('c', 4408));
    }

    #[test]
    fn lateness_of_the_wheel_does_not_add_up() {
        let config = Config::default();
        let mut pulse = admitted();
        assert_eq!(next(&pulse.check(25_250, 0, &config)), ('p', 45_000));
        assert_eq!(next(&pulse.check(45_000, 0, &config)), ('c', 4408));
        let mut pulse = admitted();
        assert_eq!(next(&pulse.check(90_000, 0, &config)), ('p', 100_000), "half of the timeout is left");
    }

    #[test]
    fn a_client_whose_time_is_up_is_closed_then() {
        let config = Config::default();
        let mut pulse = admitted();
        pulse.expires(10_001);
        assert_eq!(next(&pulse.check(10_000, 0, &config)), ('w', 10_001));
        pulse.expires(9_000);
        assert_eq!(next(&pulse.check(10_000, 0, &config)), ('c', 4401));
        pulse.expires(NEVER);
        assert_eq!(next(&pulse.check(10_000, 0, &config)), ('w', 25_000));
    }

    #[test]
    fn a_client_that_answers_is_pinged_every_interval() {
        let config = Config::default();
        let mut pulse = admitted();
        assert_eq!(next(&pulse.check(25_000, 0, &config)), ('p', 45_000));
        assert_eq!(next(&pulse.check(45_000, 25_003, &config)), ('w', 50_000));
        assert_eq!(next(&pulse.check(50_000, 25_003, &config)), ('p', 70_000));
    }

    #[test]
    fn a_timeout_longer_than_the_interval_does_not_delay_pings() {
        let config = Config { ping_timeout: Duration::from_secs(60), ..Config::default() };
        let mut pulse = admitted();
        assert_eq!(next(&pulse.check(25_000, 0, &config)), ('p', 50_000));
        assert_eq!(next(&pulse.check(50_000, 25_001, &config)), ('p', 75_000));
        assert_eq!(next(&pulse.check(75_000, 25_001, &config)), ('w', 110_000));
        assert_eq!(next(&pulse.check(110_000, 25_001, &config)), ('c', 4408));
    }

    #[test]
    fn a_peer_that_takes_nothing_is_a_slow_consumer() {
        let config = Config::default();
        let mut pulse = admitted();
        pulse.stalled(1_000);
        pulse.stalled(5_000);
        assert_eq!(next(&pulse.check(10_000, 9_000, &config)), ('w', 21_000));
        pulse.flowing();
        pulse.stalled(11_000);
        assert_eq!(next(&pulse.check(21_000, 20_000, &config)), ('w', 25_000));
        assert_eq!(next(&pulse.check(31_000, 31_000, &config)), ('c', 4508));
    }

    #[test]
    fn who_takes_too_long_to_catch_up_is_a_slow_consumer_even_if_something_is_taken() {
        let config = Config { ping_interval: Duration::from_secs(3_600), ..Config::default() };
        let mut pulse = admitted();
        pulse.behind(1_000);
        pulse.behind(5_000);
        pulse.stalled(59_000);
        pulse.flowing();
        assert_eq!(next(&pulse.check(60_999, 0, &config)), ('w', 61_000));
        assert_eq!(next(&pulse.check(61_000, 0, &config)), ('c', 4508));
        pulse.caught_up();
        assert_eq!(next(&pulse.check(61_000, 0, &config)), ('w', 3_600_000));
    }

    #[test]
    fn a_transport_needs_a_client() {
        let config = Config { connect_timeout: Duration::from_secs(10), ..Config::default() };
        let mut pulse = Pulse::new(0);
        assert_eq!(next(&pulse.check(9_999, 0, &config)), ('w', 10_000));
        pulse.connected();
        assert_eq!(next(&pulse.check(10_000, 0, &config)), ('w', 25_000));
        pulse.disconnected(12_000);
        pulse.disconnected(13_000);
        assert_eq!(next(&pulse.check(22_000, 0, &config)), ('c', 4408));
    }
}
