//! The one timer of all connections.
//!
//! A ring of slots, each a list of connections to look at when its time comes. A connection is in one slot, as a weak
//! reference of eight bytes, and knows when that comes up; a visit plans the next one. Where something is due
//! earlier than planned, the connection is put into another slot as well, and the visit that was planned before
//! is dropped when it comes up. So an idle connection is looked at about twice per heartbeat, a dead one once, and
//! nothing else is scanned.

use std::mem;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use service::metrics::Registry;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Config;
use super::conn::Conn;
use super::metrics::Metrics;

/// How many ticks are in the ring.
const SLOTS: u64 = 256;

/// Milliseconds since the server started.
pub(super) type Millis = u64;

/// A time that does not come.
pub(super) const NEVER: Millis = Millis::MAX;

/// What all connections of one server share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) metrics: Metrics,
    pub(super) wheel: Wheel,
    /// Set once the server stops; a connection that comes to be later is closed at once.
    pub(super) stopping: AtomicBool,
    /// What clients that came back have not read yet, of all connections.
    backlog: AtomicUsize,
    started: Instant,
}

impl Shared {
    pub(super) fn new(config: Config, registry: &Registry) -> Self {
        let wheel = Wheel::new(&config);
        Self {
            config,
            metrics: Metrics::new(registry),
            wheel,
            stopping: AtomicBool::new(false),
            backlog: AtomicUsize::new(0),
            started: Instant::now(),
        }
    }

    /// Exports what all backlogs have together, and may have.
    pub(super) fn export_backlog(self: &Arc<Self>, registry: &Registry) {
        let limit = "How much clients that came back may have unread, all together";
        registry
            .gauge("linkup_gateway_backlog_limit_bytes", limit, &[])
            .set(self.config.backlog_total as f64);
        let shared = Arc::downgrade(self);
        registry.collect(move |text| {
            let bytes = shared.upgrade().map_or(0, |shared| shared.backlog.load(Ordering::Relaxed));
            let help = "What clients that came back have not read yet";
            text.gauge("linkup_gateway_backlog_bytes", help, &[], bytes as f64);
        });
    }

    /// Takes so much of what all backlogs may have together; false if that is not there.
    pub(super) fn reserve(&self, cost: usize) -> bool {
        let fits = |taken: usize| taken.checked_add(cost).filter(|taken| *taken <= self.config.backlog_total);
        self.backlog.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// Gives back some of it.
    pub(super) fn release(&self, cost: usize) {
        self.backlog.fetch_sub(cost, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Millis {
        self.started.elapsed().as_millis() as Millis
    }

    /// The low bits of the microseconds since the server started, and never 0: for times of less than an hour.
    pub(super) fn micros(&self) -> NonZeroU32 {
        NonZeroU32::new(self.started.elapsed().as_micros() as u32).unwrap_or(NonZeroU32::MIN)
    }

    /// The same of a point in time that may lie ahead.
    pub(super) fn millis(&self, at: Instant) -> Millis {
        at.saturating_duration_since(self.started).as_millis() as Millis
    }
}

pub(super) struct Wheel {
    tick: Millis,
    ring: Mutex<Ring>,
}

struct Ring {
    slots: Vec<Vec<Weak<Conn>>>,
    /// The first tick that has not been visited.
    next: u64,
}

impl Wheel {
    pub(super) fn new(config: &Config) -> Self {
        // Fine enough for the shortest of the times, coarse enough to cost nothing while nobody is there.
        let times = [config.ping_interval, config.ping_timeout, config.connect_timeout, config.write_timeout];
        let shortest = times.into_iter().min().unwrap_or_default();
        let tick = (shortest.as_millis() as Millis / 64).clamp(1, 250);
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Self { tick, ring: Mutex::new(Ring { slots, next: 0 }) }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far ahead a visit can be planned; what is due later has to be planned again.
    pub(super) fn reach(&self, now: Millis) -> Millis {
        now + (SLOTS - 2) * self.tick
    }

    /// Whether one time comes up before another.
    pub(super) fn is_earlier(&self, due: Millis, than: Millis) -> bool {
        due.div_ceil(self.tick) < than.div_ceil(self.tick)
    }

    /// Puts a connection where it comes up at the earliest at `due`, or, if that is out of the wheel's reach, which is
    /// counted from where the wheel stands and not from the clock, as late as can be. Tells when.
    pub(super) fn insert(&self, conn: Weak<Conn>, due: Millis) -> Millis {
        self.ring().insert(conn, due.div_ceil(self.tick)) * self.tick
    }

    /// Takes out what is due by now.
    fn take_due(&self, now: Millis) -> Vec<Weak<Conn>> {
        let current = now / self.tick;
        let mut ring = self.ring();
        let mut due = Vec::new();
        // After a long sleep one round sees everything.
        ring.next = ring.next.max((current + 1).saturating_sub(SLOTS));
        while ring.next <= current {
            let slot = (ring.next % SLOTS) as usize;
            // Most ticks have one slot: take its list as it is.
            let mut list = mem::take(&mut ring.slots[slot]);
            if due.is_empty() {
                due = list;
            } else {
                due.append(&mut list);
            }
            ring.next += 1;
        }
        due
    }

    fn take_all(&self) -> Vec<Weak<Conn>> {
        let mut ring = self.ring();
        ring.slots.iter_mut().flat_map(mem::take).collect()
    }
}

impl Ring {
    fn insert(&mut self, conn: Weak<Conn>, tick: u64) -> u64 {
        let tick = tick.clamp(self.next, self.next + SLOTS - 1);
        self.slots[(tick % SLOTS) as usize].push(conn);
        tick
    }
}

/// Turns the wheel for ever. Once the server stops, closes every connection.
pub(super) async fn turn(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(Duration::from_millis(shared.wheel.tick));
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = interval.tick() => visit_due(&shared),
            () = shutdown.cancelled(), if !shared.stopping.load(Ordering::SeqCst) => {
                // In this task, so that no connection is in `visit_due`'s hands meanwhile; the flag first, so
                // that one which registers later sees it.
                shared.stopping.store(true, Ordering::SeqCst);
                for conn in shared.wheel.take_all().iter().filter_map(Weak::upgrade) {
                    conn.shut_down();
                }
            }
        }
    }
}

fn visit_due(shared: &Shared) {
    let now = shared.now();
    for conn in shared.wheel.take_due(now).iter().filter_map(Weak::upgrade) {
        conn.visit(now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Wire;
    use super::*;

    impl Shared {
        /// What all backlogs have.
        pub(in super::super) fn reserved(&self) -> usize {
            self.backlog.load(Ordering::Relaxed)
        }
    }

    impl Wheel {
        /// How many visits are planned, those included that will be dropped.
        pub(in super::super) fn len(&self) -> usize {
            self.ring().slots.iter().map(Vec::len).sum()
        }
    }

    #[test]
    fn what_is_out_of_the_reach_of_a_wheel_that_is_late_says_when_it_comes_up() {
        // Short times make a fine tick, of which the reach is less than the heartbeat's interval.
        let config = Config { ping_timeout: Duration::from_secs(5), ..Config::default() };
        let shared = Arc::new(Shared::new(config, &Registry::new()));
        let conn = Conn::new(Wire::Plain, Arc::clone(&shared));
        let wheel = &shared.wheel;
        let comes_up = wheel.insert(Arc::downgrade(&conn), 25_000);
        assert!(comes_up < 25_000, "{comes_up}");
        assert_eq!(wheel.take_due(comes_up - 1).len(), 0);
        assert_eq!(wheel.take_due(comes_up).len(), 1);
    }

    #[test]
    fn visits_come_when_due_and_never_early() {
        let shared = Arc::new(Shared::new(Config::default(), &Registry::new()));
        let wheel = &shared.wheel;
        assert_eq!(wheel.tick, 250);
        let conn = Conn::new(Wire::Plain, Arc::clone(&shared));
        for due in [0, 1, 250, 251, 25_000, 10_000_000] {
            wheel.insert(Arc::downgrade(&conn), due);
        }
        assert_eq!(wheel.take_due(0).len(), 1);
        assert_eq!(wheel.take_due(249).len(), 0);
        assert_eq!(wheel.take_due(250).len(), 2);
        assert_eq!(wheel.take_due(500).len(), 1);
        assert_eq!(wheel.take_due(24_999).len(), 0);
        assert_eq!(wheel.take_due(25_000).len(), 1);
        assert_eq!(
            wheel.take_due(70_000).len(),
            1,
            "what is out of reach comes up early, to be planned again"
        );
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let shared = Arc::new(Shared::new(Config::default(), &Registry::new()));
        let conn = Conn::new(Wire::Plain, Arc::clone(&shared));
        for due in (0..60_000).step_by(250) {
            shared.wheel.insert(Arc::downgrade(&conn), due);
        }
        assert_eq!(shared.wheel.take_due(100_000_000).len(), 240);
        shared.wheel.insert(Arc::downgrade(&conn), 0);
        assert_eq!(
            shared.wheel.take_due(100_000_250).len(),
            1,
            "a visit in the past is due at the next tick"
        );
    }
}
