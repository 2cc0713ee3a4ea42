//! Health: what a process needs to do its job, and whether a restart would help.
//!
//! [`Health`] holds *checks*, one for each thing that the process cannot do its job without (`mongodb`, `bus`, …).
//! While one fails, the process is not ready, whatever the cause. It also holds *heartbeats*, one for each loop that
//! must never stand still: only a loop that does makes the process not alive, because only that is cured by a restart.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::metrics::Registry;

/// The health of one instance. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    checks: Mutex<Vec<Arc<Mutex<State>>>>,
    heartbeats: Mutex<Vec<(&'static str, Duration, Arc<AtomicU64>)>>,
    started: Instant,
}

impl Default for Inner {
    fn default() -> Self {
        Self { checks: Mutex::default(), heartbeats: Mutex::default(), started: Instant::now() }
    }
}

#[derive(Debug)]
struct State {
    name: &'static str,
    /// Why it fails; `None` while it holds.
    reason: Option<Cow<'static, str>>,
    since: SystemTime,
}

/// One thing that the process cannot do its job without. Clones are the same check.
#[derive(Clone)]
pub struct Check {
    state: Arc<Mutex<State>>,
}

/// A loop that must never stand still.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    started: Instant,
    last_millis: Arc<AtomicU64>,
}

impl Health {
    /// Adds a check. It fails until it [passes](Check::pass). Several of one name count as one, which holds while all
    /// do: in one process with several parts, each has its own view of the database.
    #[must_use]
    pub fn check(&self, name: &'static str) -> Check {
        let reason = Some(Cow::Borrowed("starting"));
        let state = Arc::new(Mutex::new(State { name, reason, since: SystemTime::now() }));
        lock(&self.inner.checks).push(Arc::clone(&state));
        Check { state }
    }

    /// Adds a loop that shows a sign of life at least every `limit`, or the process is not alive.
    #[must_use]
    pub fn heartbeat(&self, name: &'static str, limit: Duration) -> Heartbeat {
        let heartbeat = Heartbeat { started: self.inner.started, last_millis: Arc::default() };
        heartbeat.beat();
        lock(&self.inner.heartbeats).push((name, limit, Arc::clone(&heartbeat.last_millis)));
        heartbeat
    }

    /// The checks that fail, with the reason of each.
    #[must_use]
    pub fn failing(&self) -> Vec<(&'static str, String)> {
        let checks = lock(&self.inner.checks);
        let failing = checks.iter().filter_map(|check| {
            let state = lock(check);
            state.reason.as_ref().map(|reason| (state.name, reason.to_string()))
        });
        failing.collect()
    }

    /// How many checks of this name there are.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        lock(&self.inner.checks).iter().filter(|check| lock(check).name == name).count()
    }

    /// Whether every check of this name holds.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        let checks = lock(&self.inner.checks);
        checks.iter().map(|check| lock(check)).filter(|check| check.name == name).all(|c| c.reason.is_none())
    }

    /// Whether every check holds.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        lock(&self.inner.checks).iter().all(|check| lock(check).reason.is_none())
    }

    /// The loops that stand still.
    #[must_use]
    pub fn stuck(&self) -> Vec<&'static str> {
        let now = self.inner.started.elapsed();
        let heartbeats = lock(&self.inner.heartbeats);
        let is_stuck = |(_, limit, last): &&(&'static str, Duration, Arc<AtomicU64>)| {
            now.saturating_sub(Duration::from_millis(last.load(Ordering::Relaxed))) > *limit
        };
        heartbeats.iter().filter(is_stuck).map(|(name, ..)| *name).collect()
    }

    /// What `/readyz` answers: `{"ready":…,"checks":{"<name>":{"ok":…,"since":<seconds since 1970>,"reason":"…"}}}`.
    #[must_use]
    pub fn readiness(&self) -> Value {
        let mut checks = Map::new();
        for check in lock(&self.inner.checks).iter() {
            let state = lock(check);
            let since = state.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let mut shown = json!({ "ok": state.reason.is_none(), "since": since });
            if let Some(reason) = &state.reason {
                shown["reason"] = reason.as_ref().into();
            }
            // Of several with one name the first that fails is shown.
            let is_failure_shown = checks.get(state.name).is_some_and(|earlier| earlier["ok"] == false);
            if !is_failure_shown {
                checks.insert(state.name.to_owned(), shown);
            }
        }
        json!({ "ready": self.is_ready(), "checks": checks })
    }

    /// What `/livez` answers: `{"alive":…,"stuck":[…]}`.
    #[must_use]
    pub fn liveness(&self) -> Value {
        let stuck = self.stuck();
        json!({ "alive": stuck.is_empty(), "stuck": stuck })
    }

    /// Exports `linkup_health{check}`, `linkup_ready` and `linkup_alive`.
    pub fn register(&self, registry: &Registry) {
        let health = self.clone();
        registry.collect(move |text| {
            let mut shown: Vec<(&'static str, bool)> = Vec::new();
            for check in lock(&health.inner.checks).iter() {
                let state = lock(check);
                match shown.iter_mut().find(|(name, _)| *name == state.name) {
                    Some((_, holds)) => *holds &= state.reason.is_none(),
                    None => shown.push((state.name, state.reason.is_none())),
                }
            }
            for (name, holds) in shown {
                let help = "1 while the check holds";
                text.gauge("linkup_health", help, &[("check", name)], f64::from(u8::from(holds)));
            }
            let ready = f64::from(u8::from(health.is_ready()));
            text.gauge("linkup_ready", "1 while /readyz answers 200", &[], ready);
            let alive = f64::from(u8::from(health.stuck().is_empty()));
            text.gauge("linkup_alive", "1 while /livez answers 200", &[], alive);
        });
    }
}

impl Check {
    /// It holds.
    pub fn pass(&self) {
        self.set(None);
    }

    /// It fails, for this reason: a few words for people, without secrets.
    pub fn fail(&self, reason: impl Into<Cow<'static, str>>) {
        self.set(Some(reason.into()));
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        lock(&self.state).reason.is_none()
    }

    fn set(&self, reason: Option<Cow<'static, str>>) {
        let mut state = lock(&self.state);
        let (name, held, holds) = (state.name, state.reason.is_none(), reason.is_none());
        if held != holds {
            state.since = SystemTime::now();
        }
        let began = matches!(state.reason.as_deref(), Some("starting"));
        state.reason = reason;
        match (held, &state.reason) {
            (true, Some(reason)) => tracing::warn!(check = name, %reason, "a health check fails"),
            (false, None) if !began => tracing::info!(check = name, "healthy again"),
            _ => {}
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("Check").field("name", &state.name).field("reason", &state.reason).finish()
    }
}

impl Heartbeat {
    /// A sign of life.
    pub fn beat(&self) {
        let now = self.started.elapsed().as_millis();
        self.last_millis.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_while_every_check_holds() {
        let health = Health::default();
        assert!(health.is_ready());
        let (one, same, bus) = (health.check("mongodb"), health.check("mongodb"), health.check("bus"));
        assert_eq!((health.failing().len(), health.count("mongodb")), (3, 2));
        one.pass();
        bus.pass();
        assert_eq!(health.readiness()["checks"]["mongodb"]["reason"], "starting");
        assert!(!health.holds("mongodb") && health.holds("bus"));
        same.pass();
        assert!(health.is_ready() && one.holds() && health.holds("mongodb"));
        one.fail("no primary");
        assert_eq!(health.failing(), [("mongodb", "no primary".to_owned())]);
        let shown = health.readiness();
        assert_eq!((&shown["ready"], &shown["checks"]["mongodb"]["ok"]), (&json!(false), &json!(false)));
        assert_eq!(shown["checks"]["mongodb"]["reason"], "no primary");
        assert_eq!(shown["checks"]["bus"]["ok"], true);
        let registry = Registry::new();
        health.register(&registry);
        assert_eq!(registry.value("linkup_health", &[("check", "mongodb")]), Some(0.0));
        assert_eq!(registry.value("linkup_health", &[("check", "bus")]), Some(1.0));
        assert_eq!(registry.value("linkup_ready", &[]), Some(0.0));
    }

    #[test]
    fn only_a_loop_that_stands_still_makes_it_not_alive() {
        let health = Health::default();
        health.check("mongodb").fail("away");
        let heartbeat = health.heartbeat("hub", Duration::from_millis(20));
        assert_eq!(health.liveness(), json!({ "alive": true, "stuck": [] }));
        let deadline = Instant::now() + Duration::from_secs(5);
        while health.stuck().is_empty() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(health.liveness(), json!({ "alive": false, "stuck": ["hub"] }));
        let registry = Registry::new();
        health.register(&registry);
        assert_eq!(registry.value("linkup_alive", &[]), Some(0.0));
        heartbeat.beat();
        assert_eq!(registry.value("linkup_alive", &[]), Some(1.0));
        assert!(health.stuck().is_empty());
    }
}
