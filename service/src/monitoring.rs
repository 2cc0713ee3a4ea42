//! What a started part is given to be watched by: its metrics and its health.

use tokio::runtime::Handle;

use crate::health::Health;
use crate::metrics::{self, Registry};

/// The metrics and the health of one instance, which all its parts share. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Monitoring {
    /// Where handles of metrics are made.
    pub registry: Registry,
    /// What the instance needs to do its job.
    pub health: Health,
}

/// The version of this workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The revision that was built, if the build was told by this variable.
const REVISION: Option<&str> = option_env!("LINKUP_REVISION");

impl Monitoring {
    /// For a process: with what every process exports, or nothing if it is to be `silent`. `role` is what it runs as.
    /// Must be called inside a runtime.
    #[must_use]
    pub fn of_process(role: &'static str, silent: bool) -> Self {
        let registry = if silent { Registry::silent() } else { Registry::new() };
        let monitoring = Self { registry, health: Health::default() };
        let registry = &monitoring.registry;
        let labels = [("version", VERSION), ("revision", REVISION.unwrap_or("unknown")), ("role", role)];
        registry.gauge("linkup_build_info", "What runs here; always 1", &labels).set(1.0);
        metrics::process::register(registry);
        metrics::runtime::register(registry, &Handle::current());
        monitoring.health.register(registry);
        monitoring
    }
}
