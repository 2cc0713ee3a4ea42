//! The synthetic probe.
//!
//! | module | shows |
//! |---|---|
//! | [`accounts`] | its two users are nobody's business, and can do nothing else |
//! | [`exchanges`] | exchanges through gateways, of several probes, and over TLS |
//! | [`faults`] | whose fault it is when they fail |
//! | [`messages`] | what it wrote is removed after a day, and nothing else is |
//! | [`programs`] | the role, and the launcher that probes itself |
//! | [`relay`] | a balancer that the tests have a say in |

mod accounts;
mod exchanges;
mod faults;
mod messages;
mod programs;
mod relay;

use std::time::Duration;

use linkup::probe::{Config, Outcome, ProbeMetrics};
use service::metrics::Registry;
use service::shutdown::Shutdown;
use tokio::task::JoinHandle;

use crate::support::stack::tokens;
use crate::support::{SOON, eventually};

/// How often messages are exchanged in tests.
const INTERVAL: Duration = Duration::from_millis(100);

/// A probe that runs in this process.
struct Probe {
    registry: Registry,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Probe {
    /// Starts one that is content with whatever time it takes.
    fn start(base: &str, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(base.parse().unwrap(), tokens());
        (config.interval, config.timeout) = (INTERVAL, SOON);
        change(&mut config);
        let (registry, shutdown) = (Registry::new(), Shutdown::new());
        let metrics = ProbeMetrics::new(&registry);
        let task = tokio::spawn(linkup::probe::run(config, metrics, shutdown.clone()));
        Self { registry, shutdown, task }
    }

    /// How many exchanges have ended like this.
    fn count(&self, outcome: Outcome) -> u64 {
        self.value("linkup_probe_exchanges_total", &[("result", outcome.as_str())]) as u64
    }

    /// How many have failed, in whatever way.
    fn failures(&self) -> u64 {
        Outcome::ALL
            .into_iter()
            .filter(|outcome| *outcome != Outcome::Delivered)
            .map(|one| self.count(one))
            .sum()
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.registry.value(name, labels).unwrap_or_else(|| panic!("{name} is not there"))
    }

    /// Waits until so many more have ended like this.
    async fn more(&self, outcome: Outcome, more: u64) {
        let goal = self.count(outcome) + more;
        let what = format!("{more} more exchanges are {}", outcome.as_str());
        eventually(&what, 2 * SOON, async || (self.count(outcome) >= goal).then_some(())).await;
    }

    /// Stops it, and waits until it has stopped.
    async fn stop(self) -> Registry {
        self.shutdown.cancel();
        self.task.await.unwrap();
        self.registry
    }
}
