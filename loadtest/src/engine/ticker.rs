//! A timer finer than a millisecond, which is all that waiting for readiness can do by itself.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

/// Ends a wait after some time.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(super) struct Ticker(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Ticker {
    /// A timer whose end is told under `token`.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use std::os::fd::AsRawFd as _;

        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut mio::unix::SourceFd(&timer.as_raw_fd()), token, mio::Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Ends the next wait after `delay`. Returns how long that may be at most.
    pub(super) fn set(&mut self, delay: Option<Duration>) -> io::Result<Duration> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        let Some(delay) = delay else { return Ok(Duration::MAX) };
        if delay.is_zero() {
            return Ok(Duration::ZERO);
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let delay = Timespec { tv_sec: delay.as_secs() as i64, tv_nsec: delay.subsec_nanos().into() };
        timerfd_settime(
            &self.0,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: zero, it_value: delay },
        )?;
        Ok(Duration::MAX)
    }
}

/// Elsewhere a wait ends on time by itself.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(super) struct Ticker;

#[cfg(not(target_os = "linux"))]
impl Ticker {
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn set(&mut self, delay: Option<Duration>) -> io::Result<Duration> {
        Ok(delay.unwrap_or(Duration::MAX))
    }
}
