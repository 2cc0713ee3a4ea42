//! The seconds of all processes, put together as they come.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::console::Console;
use crate::error::Error;
use crate::exposition::Exposition;
use crate::plan::Plan;
use crate::recorder::{Count, Latency, Phase, Second, add, histogram};
use crate::report::{Cell, Resource, Row, millis, rounded};
use crate::resources::Watch;

/// The series of a run.
#[derive(Debug)]
pub(super) struct Series {
    workers: usize,
    /// Seconds that not every process has told of.
    open: BTreeMap<u64, (usize, Second)>,
    rows: Vec<Row>,
    /// CPU of driving connections and arrivals of messages, in the measured seconds.
    cost: (u64, u64),
    watch: Watch,
    end: Duration,
    exposition: Exposition,
}

impl Series {
    pub(super) fn new(plan: &Plan, workers: usize, exposition: Exposition) -> Result<Self, Error> {
        let end = plan.warmup + plan.duration;
        let watch = Watch::new(&plan.pids)?;
        Ok(Self { workers, open: BTreeMap::new(), rows: Vec::new(), cost: (0, 0), watch, end, exposition })
    }

    /// A process has ended a second.
    pub(super) fn add(&mut self, second: Second, console: &mut Console) {
        let number = second.second;
        let (told, sum) = self.open.entry(number).or_default();
        *told += 1;
        merge(sum, second);
        if *told == self.workers
            && let Some((_, second)) = self.open.remove(&number)
        {
            self.close(&second, console);
        }
    }

    fn close(&mut self, second: &Second, console: &mut Console) {
        let count = |count| second.counts.get(&count).copied().unwrap_or_default();
        let (mut delivery, mut late) = (histogram(), histogram());
        if let Some(took) = second.latencies.get(&Latency::Delivery) {
            add(&mut delivery, took);
        }
        add(&mut late, &second.late);
        self.watch.skip(self.rows.len());
        self.watch.look();
        self.exposition.add(second);
        if second.phase == Phase::Measure
            && let Some(cpu) = second.cpu_us
        {
            self.cost.0 += cpu;
            self.cost.1 += count(Count::Delivered);
        }
        self.rows.push([
            Cell::Count(second.second),
            Cell::Name(second.phase.as_str()),
            Cell::Count(second.connections),
            Cell::Number(rounded(second.offered, 1)),
            Cell::Count(count(Count::Sent)),
            Cell::Count(count(Count::Acknowledged)),
            Cell::Count(count(Count::Delivered)),
            Cell::Count(second.errors + count(Count::RequestsFailed)),
            Cell::Count(count(Count::Skipped)),
            Cell::latency(&delivery, 0.5),
            Cell::latency(&delivery, 0.9),
            Cell::latency(&delivery, 0.99),
            if delivery.is_empty() { Cell::Nothing } else { Cell::Number(millis(delivery.max())) },
            Cell::latency(&late, 0.99),
        ]);
        let at = |quantile| millis(delivery.value_at_quantile(quantile));
        let left = match second.phase {
            Phase::Warmup | Phase::Measure => {
                let left = self.end.as_secs().saturating_sub(second.running_s);
                format!(", {left} s left")
            }
            _ => String::new(),
        };
        console.progress(format_args!(
            "{:>7}: {} connections, {} sent, {} arrived, p50 {:.1} p99 {:.1} ms, {} errors; {}{left}",
            second.phase.as_str(),
            second.connections,
            count(Count::Sent),
            count(Count::Delivered),
            at(0.5),
            at(0.99),
            second.errors,
            self.watch.words(),
        ));
    }

    /// CPU of driving the connections for each arrival, in the measured seconds, in microseconds.
    pub(super) fn cpu_per_event(&self) -> Option<f64> {
        (self.cost.0 > 0 && self.cost.1 > 0).then(|| self.cost.0 as f64 / self.cost.1 as f64)
    }

    /// The rows, and what processes used in each.
    pub(super) fn finish(self) -> (Vec<Row>, Vec<Resource>) {
        (self.rows, self.watch.finish())
    }
}

/// Adds one process's second to the others'.
fn merge(sum: &mut Second, second: Second) {
    sum.second = second.second;
    sum.phase = sum.phase.max(second.phase);
    sum.connections += second.connections;
    sum.offered += second.offered;
    sum.running_s = sum.running_s.max(second.running_s);
    sum.errors += second.errors;
    for (count, value) in second.counts {
        *sum.counts.entry(count).or_default() += value;
    }
    for (latency, took) in second.latencies {
        sum.latencies.entry(latency).or_default().extend(took);
    }
    for (action, steps) in second.actions {
        let all = sum.actions.entry(action).or_default();
        all.iter_mut().zip(steps).for_each(|(all, more)| *all += more);
    }
    for (fault, count) in second.faults {
        *sum.faults.entry(fault).or_default() += count;
    }
    sum.late.extend(second.late);
    if let Some(cpu) = second.cpu_us {
        *sum.cpu_us.get_or_insert(0) += cpu;
    }
}
