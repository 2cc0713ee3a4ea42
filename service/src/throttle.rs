//! How often each of many may do something.

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// The longest [`Rate::per`] that is read.
pub const MAX_PER: Duration = Duration::from_secs(24 * 60 * 60);

/// Keys that are full again are looked for at most once in this time.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// So many times in such a time. As text `60/1m`: a count, a slash, a duration with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many times, and how many at once. Zero counts as one.
    pub count: u32,
    /// In which time so many become possible again, evenly spread over it.
    pub per: Duration,
}

/// Text that is not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRate {
    /// No count, slash or duration where one is expected.
    #[error("write how many times in which time, such as 60/1m or 10/30s")]
    Form,
    /// Nothing would be possible at all.
    #[error("the count must be at least 1 (for as good as no limit choose a large one)")]
    Never,
    /// The time is zero, or longer than [`MAX_PER`].
    #[error("the time must be more than 0s and at most 1d")]
    Time,
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (count, per) = text.split_once('/').ok_or(InvalidRate::Form)?;
        let count = count.trim();
        if !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidRate::Form);
        }
        let count = count.parse().map_err(|_| InvalidRate::Form)?;
        let per = humantime::parse_duration(per.trim()).map_err(|_| InvalidRate::Form)?;
        if count == 0 {
            return Err(InvalidRate::Never);
        }
        if per.is_zero() || per > MAX_PER {
            return Err(InvalidRate::Time);
        }
        Ok(Self { count, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, humantime::format_duration(self.per))
    }
}

impl Rate {
    fn quota(self) -> Quota {
        let count = NonZeroU32::new(self.count).unwrap_or(NonZeroU32::MIN);
        let each = (self.per.min(MAX_PER) / count.get()).max(Duration::from_nanos(1));
        // It refuses only an interval of zero, which this is not.
        Quota::with_period(each).unwrap_or(Quota::per_second(count)).allow_burst(count)
    }
}

/// Holds each key to one [`Rate`]. Every key starts with its whole count, and gets one back in every
/// `count`-th part of the time.
///
/// It remembers only keys that have used something up: those that are full again are forgotten, by the way, during
/// [`Throttle::check`].
pub struct Throttle<K: Hash + Eq + Clone, C: Clock = MonotonicClock> {
    limiter: RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>,
    clock: C,
    /// In which time all come back.
    all: Duration,
    /// When keys were last forgotten.
    swept: Mutex<C::Instant>,
}

impl<K: Hash + Eq + Clone, C: Clock> fmt::Debug for Throttle<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("keys", &self.limiter.len()).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> Throttle<K> {
    /// Holds every key to `rate`.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self::with_clock(rate, MonotonicClock)
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Throttle<K, C> {
    fn with_clock(rate: Rate, clock: C) -> Self {
        let limiter = RateLimiter::hashmap_with_clock(rate.quota(), clock.clone());
        let swept = Mutex::new(clock.now());
        Self { limiter, clock, all: rate.per, swept }
    }

    /// Takes one of what `key` has left.
    ///
    /// # Errors
    ///
    /// When nothing is left: how long until there is. Asking in vain does not make it longer.
    pub fn check(&self, key: &K) -> Result<(), Duration> {
        let now = self.clock.now();
        self.sweep(now);
        self.limiter.check_key(key).map_err(|refused| refused.wait_time_from(now))
    }

    /// Takes `count` of what `key` has left, or nothing.
    ///
    /// # Errors
    ///
    /// When not so many are left: how long until there are. Where it is more than there can ever be, the time in which
    /// all come back.
    pub fn check_many(&self, key: &K, count: u32) -> Result<(), Duration> {
        let Some(wanted) = NonZeroU32::new(count) else { return Ok(()) };
        let now = self.clock.now();
        self.sweep(now);
        match self.limiter.check_key_n(key, wanted) {
            Ok(taken) => taken.map_err(|refused| refused.wait_time_from(now)),
            Err(_) => Err(self.all),
        }
    }

    fn sweep(&self, now: C::Instant) {
        {
            let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
            if Duration::from(now.duration_since(*swept)) < SWEEP_INTERVAL {
                return;
            }
            *swept = now;
        }
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn rates_are_read_and_written() {
        for (text, count, seconds) in [("60/1m", 60, 60), ("10/30s", 10, 30), (" 1 / 1h 30m ", 1, 5400)] {
            let rate = rate(text);
            assert_eq!(rate, Rate { count, per: Duration::from_secs(seconds) });
            assert_eq!(rate.to_string().parse(), Ok(rate));
        }
        assert_eq!(rate("60/60s").to_string(), "60/1m");
        for (text, problem) in [
            ("", InvalidRate::Form),
            ("60", InvalidRate::Form),
            ("/1m", InvalidRate::Form),
            ("60/", InvalidRate::Form),
            ("60/1", InvalidRate::Form),
            ("+60/1m", InvalidRate::Form),
            ("-1/1m", InvalidRate::Form),
            ("1.5/1m", InvalidRate::Form),
            ("4294967296/1m", InvalidRate::Form),
            ("60/1m/2", InvalidRate::Form),
            ("0/1m", InvalidRate::Never),
            ("1/0s", InvalidRate::Time),
            ("1/25h", InvalidRate::Time),
        ] {
            assert_eq!(text.parse::<Rate>(), Err(problem), "{text}");
        }
    }

    #[test]
    fn every_key_has_its_count_and_gets_it_back_evenly() {
        let clock = FakeRelativeClock::default();
        let throttle = Throttle::with_clock(rate("3/30s"), clock.clone());
        for _ in 0..3 {
            assert_eq!(throttle.check(&"ada"), Ok(()));
        }
        let wait = Duration::from_secs(10);
        assert_eq!(throttle.check(&"ada"), Err(wait));
        assert_eq!(throttle.check(&"ada"), Err(wait), "asking in vain costs nothing");
        assert_eq!(throttle.check(&"bob"), Ok(()));
        clock.advance(wait - Duration::from_millis(1));
        assert_eq!(throttle.check(&"ada"), Err(Duration::from_millis(1)));
        clock.advance(Duration::from_millis(1));
        assert_eq!(throttle.check(&"ada"), Ok(()));
        assert_eq!(throttle.check(&"ada"), Err(wait));
    }

    #[test]
    fn many_are_taken_at_once_or_not_at_all() {
        let clock = FakeRelativeClock::default();
        let throttle = Throttle::with_clock(rate("10/10s"), clock.clone());
        assert_eq!((throttle.check_many(&1, 8), throttle.check_many(&1, 0)), (Ok(()), Ok(())));
        assert_eq!(throttle.check_many(&1, 4), Err(Duration::from_secs(2)));
        assert_eq!(throttle.check_many(&1, 2), Ok(()), "what was refused took nothing");
        assert_eq!(throttle.check_many(&2, 11), Err(Duration::from_secs(10)), "so many there never are");
        clock.advance(Duration::from_secs(10));
        assert_eq!(throttle.check_many(&1, 10), Ok(()));
    }

    #[test]
    fn keys_that_are_full_again_are_forgotten_and_others_are_not() {
        let clock = FakeRelativeClock::default();
        let throttle = Throttle::with_clock(rate("60/1m"), clock.clone());
        for key in 0..1000 {
            assert_eq!(throttle.check(&key), Ok(()));
        }
        for _ in 0..60 {
            assert_eq!(throttle.check(&1000), Ok(()));
        }
        clock.advance(SWEEP_INTERVAL - Duration::from_millis(1));
        assert_eq!(throttle.check(&1001), Ok(()));
        assert_eq!(throttle.limiter.len(), 1002, "not yet");
        clock.advance(Duration::from_millis(1));
        // Ten seconds have given 1000 ten back of its sixty.
        for _ in 0..10 {
            assert_eq!(throttle.check(&1000), Ok(()));
        }
        assert!(throttle.check(&1000).is_err());
        assert_eq!(throttle.limiter.len(), 2, "{throttle:?}");
    }

    #[test]
    fn rates_that_are_made_up_in_code_do_no_harm() {
        for (count, per) in [(0, Duration::ZERO), (u32::MAX, Duration::from_nanos(1)), (1, Duration::MAX)] {
            let throttle = Throttle::new(Rate { count, per });
            assert_eq!(throttle.check(&()), Ok(()), "{count} {per:?}");
        }
    }
}
