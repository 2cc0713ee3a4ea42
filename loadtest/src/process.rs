//! What Linux tells about a process: its limits, its memory, its CPU time. Read from `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Error;

/// Linux reports CPU time in hundredths of a second on every architecture it runs on today.
const TICKS_PER_SECOND: f64 = 100.0;
/// What the harness opens beside its connections, generously.
const OTHER_FILES: u64 = 64;

/// Checks that this process may open `connections` connections. Where there is no `/proc` the check is left
/// out.
///
/// # Errors
///
/// When the limit on open files is too low.
pub fn check_open_files(connections: usize) -> Result<(), Error> {
    let Ok(limits) = fs::read_to_string("/proc/self/limits") else { return Ok(()) };
    check_limit(&limits, connections)
}

/// How many files this process may open; `None` where that is unlimited or unknown.
#[must_use]
pub fn open_files_limit() -> Option<u64> {
    open_files(&fs::read_to_string("/proc/self/limits").ok()?)
}

/// CPU time that the calling thread has used so far, in microseconds; `None` where the system does not tell.
#[must_use]
pub fn thread_cpu_us() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse::<u64>().ok().map(|nanoseconds| nanoseconds / 1_000)
}

fn check_limit(limits: &str, connections: usize) -> Result<(), Error> {
    let need = connections as u64 + OTHER_FILES;
    match open_files(limits) {
        Some(limit) if limit < need => Err(Error::FileLimit { connections, need, limit }),
        _ => Ok(()),
    }
}

/// The soft limit on open files in the text of `/proc/PID/limits`; `None` for unlimited or unknown.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A process to observe.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    pid: u32,
}

impl Observed {
    /// Observes the process `pid`.
    #[must_use]
    pub const fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// Observes this process.
    #[must_use]
    pub fn myself() -> Self {
        Self { pid: std::process::id() }
    }

    /// Resident memory, in bytes.
    ///
    /// # Errors
    ///
    /// When there is no such process.
    pub fn resident_bytes(&self) -> Result<u64, Error> {
        let status = self.read("status")?;
        resident(&status).ok_or_else(|| self.error("its status tells no VmRSS"))
    }

    /// CPU time used so far, user and system, in seconds (to a hundredth).
    ///
    /// # Errors
    ///
    /// When there is no such process.
    pub fn cpu_seconds(&self) -> Result<f64, Error> {
        let stat = self.read("stat")?;
        cpu_ticks(&stat)
            .map(|ticks| ticks as f64 / TICKS_PER_SECOND)
            .ok_or_else(|| self.error("its stat tells no CPU time"))
    }

    /// Resident memory once it no longer moves: when it has stayed within 64 KiB for a second. After
    /// `patience` whatever it is by then.
    ///
    /// # Errors
    ///
    /// When there is no such process.
    pub async fn settled_bytes(&self, patience: Duration) -> Result<u64, Error> {
        const STEP: Duration = Duration::from_millis(250);
        const STEADY_STEPS: u32 = 4;
        const TOLERANCE: u64 = 64 << 10;
        let deadline = Instant::now() + patience;
        let mut reference = self.resident_bytes()?;
        let mut steady = 0;
        loop {
            sleep(STEP).await;
            let bytes = self.resident_bytes()?;
            if bytes.abs_diff(reference) <= TOLERANCE {
                steady += 1;
            } else {
                (reference, steady) = (bytes, 0);
            }
            if steady >= STEADY_STEPS || Instant::now() >= deadline {
                return Ok(bytes);
            }
        }
    }

    fn read(&self, file: &str) -> Result<String, Error> {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.error("there is no such process (or no /proc)"),
            _ => self.error(&error.to_string()),
        })
    }

    fn error(&self, problem: &str) -> Error {
        Error::Process { pid: self.pid, problem: problem.to_owned() }
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// User and system time in the text of `/proc/PID/stat`. The second field is the program's name, which may
/// hold anything, so counting starts behind its closing parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_is_told_with_what_is_needed() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 20000                files\n";
        assert!(check_limit(limits, 960).is_ok());
        let error = check_limit(limits, 10_000).unwrap_err().to_string();
        assert!(error.contains("need 10064 open files") && error.contains("only 1024"), "{error}");
        assert!(check_limit(&limits.replace("1024 ", "unlimited"), 10_000).is_ok());
    }

    #[test]
    fn memory_and_cpu_are_read() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   3824 kB\nThreads: 1\n"), Some(3_824 << 10));
        let stat = "12 (a) b) S 1 12 12 0 -1 4194560 90 0 0 0 250 50 0 0 20 0 1 0 100 1 2";
        assert_eq!(cpu_ticks(stat), Some(300));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_can_be_observed_and_a_missing_one_is_told() {
        assert!(Observed::myself().resident_bytes().unwrap() > 100_000);
        assert!(Observed::myself().cpu_seconds().unwrap() >= 0.0);
        let error = Observed::new(u32::MAX).resident_bytes().unwrap_err().to_string();
        assert!(error.contains("no such process"), "{error}");
    }
}
