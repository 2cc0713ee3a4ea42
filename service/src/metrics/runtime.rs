//! `linkup_runtime_*`: the asynchronous runtime, as it sees itself and as a timer feels it.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::Registry;

/// How long each timer runs whose lateness is measured.
const TIMER: Duration = Duration::from_millis(100);

/// Adds the metrics of the runtime that `handle` belongs to.
pub fn register(registry: &Registry, handle: &Handle) {
    let metrics = handle.metrics();
    registry.collect(move |text| {
        let workers = metrics.num_workers();
        let busy: Duration = (0..workers).map(|worker| metrics.worker_total_busy_duration(worker)).sum();
        text.gauge("linkup_runtime_workers", "Threads of the asynchronous runtime", &[], workers as f64);
        let tasks = metrics.num_alive_tasks() as f64;
        text.gauge("linkup_runtime_tasks", "Tasks that are alive", &[], tasks);
        let queue = metrics.global_queue_depth() as f64;
        text.gauge("linkup_runtime_queue_tasks", "Tasks in the runtime's shared queue", &[], queue);
        let help = "Time that the runtime's threads were busy, all together, in seconds";
        text.counter("linkup_runtime_busy_seconds_total", help, &[], busy.as_secs_f64());
    });
}

/// Measures for ever how late timers fire, and sorts samples into buckets from time to time.
pub async fn watch(registry: Registry) {
    let help = "How late a timer of 100 ms fires: the delay that everything here suffers";
    let drift = registry.histogram("linkup_runtime_timer_drift_seconds", help, &[]);
    let mut last_upkeep = Instant::now();
    loop {
        let due = Instant::now() + TIMER;
        tokio::time::sleep_until(due.into()).await;
        drift.record(due.elapsed().as_secs_f64());
        if last_upkeep.elapsed() >= super::UPKEEP_INTERVAL {
            last_upkeep = Instant::now();
            let upkeep = registry.clone();
            // It may take milliseconds after a busy time.
            drop(tokio::task::spawn_blocking(move || upkeep.run_upkeep()).await);
        }
    }
}
