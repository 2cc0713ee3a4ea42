//! `process_*`: what every Prometheus client exports of its process, read from `/proc` at each scrape.
//!
//! The exporter's counters are whole numbers, and whole seconds of processor time are too coarse for a rate, so these
//! render themselves.

use std::fs;
use std::sync::LazyLock;

use super::Registry;
use super::text::Exposition;

/// `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux that Rust runs on: the kernel's interface to programs fixes it.
const TICKS_PER_SECOND: f64 = 100.0;
/// Size of a page where `/proc` counts in pages; [`resident_bytes`] does not rely on it.
const KIB: f64 = 1024.0;

/// Adds the process's own metrics. Where there is no `/proc` they are left out.
pub fn register(registry: &Registry) {
    registry.collect(|text| {
        if let Some(process) = Process::read() {
            process.render(text);
        }
    });
}

#[derive(Debug, Default)]
struct Process {
    cpu_seconds: f64,
    resident: f64,
    virtual_bytes: f64,
    threads: f64,
    open_fds: f64,
    max_fds: f64,
    start: f64,
}

impl Process {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program stands in parentheses and may hold anything; fields are counted behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field)?.parse::<f64>().ok();
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let open_files = limits.lines().find(|line| line.starts_with("Max open files"))?;
        Some(Self {
            cpu_seconds: (number(11)? + number(12)?) / TICKS_PER_SECOND,
            threads: number(17)?,
            start: boot_time()? + number(19)? / TICKS_PER_SECOND,
            virtual_bytes: number(20)?,
            resident: resident_bytes(&status)?,
            open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as f64,
            // "unlimited" is no number, and no limit.
            max_fds: open_files.split_whitespace().nth(3)?.parse().unwrap_or(f64::INFINITY),
        })
    }

    fn render(&self, text: &mut Exposition) {
        let cpu = "Processor time, user and system, in seconds";
        text.counter("process_cpu_seconds_total", cpu, &[], self.cpu_seconds);
        text.gauge("process_resident_memory_bytes", "Resident memory", &[], self.resident);
        text.gauge("process_virtual_memory_bytes", "Address space", &[], self.virtual_bytes);
        text.gauge("process_threads", "Threads", &[], self.threads);
        text.gauge("process_open_fds", "Open files and sockets", &[], self.open_fds);
        text.gauge("process_max_fds", "How many files and sockets may be open", &[], self.max_fds);
        text.gauge("process_start_time_seconds", "When it started, since 1970", &[], self.start);
    }
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * KIB)
}

/// When the machine started, in seconds since 1970. Read once: the kernel shifts it as the clock is corrected, and a
/// start time that moves looks like a restart.
fn boot_time() -> Option<f64> {
    static BOOT: LazyLock<Option<f64>> = LazyLock::new(|| {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
    });
    *BOOT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let process = Process::read().unwrap();
        assert!(process.resident > 1e6 && process.virtual_bytes >= process.resident, "{process:?}");
        assert!(process.threads >= 1.0 && process.open_fds >= 3.0 && process.max_fds > process.open_fds);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - process.start).abs() < 86_400.0, "{process:?}");
        let began = std::time::Instant::now();
        while began.elapsed().as_millis() < 60 {
            std::hint::black_box(0);
        }
        assert!(Process::read().unwrap().cpu_seconds > process.cpu_seconds, "it counts parts of a second");
    }
}
