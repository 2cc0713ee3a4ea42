//! The machine and the program, as far as someone needs them who compares two reports.

use std::fs;

use serde::Serialize;

/// The harness.
#[derive(Clone, Debug, Serialize)]
pub struct Program {
    /// Its version.
    pub version: &'static str,
    /// The commit that it was built from, where that is known.
    pub commit: Option<&'static str>,
}

/// The machine.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// The operating system.
    pub system: String,
    /// The processor.
    pub cpu: String,
    /// How many cores the process may use.
    pub cores: usize,
    /// How much memory there is.
    pub memory_bytes: u64,
}

impl Program {
    /// This program.
    #[must_use]
    pub const fn this() -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), commit: option_env!("LINKUP_COMMIT") }
    }
}

impl Host {
    /// This machine. What the system does not tell is empty.
    #[must_use]
    pub fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kibibytes = memory.and_then(|memory| memory.split(' ').next()?.parse::<u64>().ok());
        Self {
            system: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim())
                .trim()
                .to_owned(),
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kibibytes.unwrap_or_default() << 10,
        }
    }
}
