//! What processes use while a run goes on.

use std::time::Instant;

use crate::error::Error;
use crate::process::Observed;
use crate::report::{Resource, rounded};

/// Processes that are looked at once for each row of the series.
#[derive(Debug)]
pub struct Watch {
    processes: Vec<(Observed, Option<f64>, Resource)>,
    looked: Instant,
}

impl Watch {
    /// Watches the harness and these processes.
    ///
    /// # Errors
    ///
    /// When one of them is not there.
    pub fn new(pids: &[(String, u32)]) -> Result<Self, Error> {
        let harness = ("loadtest".to_owned(), std::process::id());
        let mut processes = Vec::new();
        for (name, pid) in std::iter::once(&harness).chain(pids) {
            let observed = Observed::new(*pid);
            let resource =
                Resource { name: name.clone(), pid: *pid, cores: Vec::new(), resident_bytes: Vec::new() };
            processes.push((observed, Some(observed.cpu_seconds()?), resource));
        }
        Ok(Self { processes, looked: Instant::now() })
    }

    /// Ends a row: what each process used since the last one. A process that is gone has used nothing that is known.
    pub fn look(&mut self) {
        let now = Instant::now();
        let seconds = now.duration_since(self.looked).as_secs_f64();
        self.looked = now;
        for (observed, before, resource) in &mut self.processes {
            let cpu = observed.cpu_seconds().ok();
            let used = cpu.zip(*before).map(|(now, before)| rounded((now - before) / seconds.max(1e-3), 3));
            *before = cpu;
            resource.cores.push(used);
            resource.resident_bytes.push(observed.resident_bytes().ok());
        }
    }

    /// Looks at the processes so many times, from the beginning of a series that began before.
    pub fn skip(&mut self, rows: usize) {
        for (_, _, resource) in &mut self.processes {
            resource.cores.resize(rows, None);
            resource.resident_bytes.resize(rows, None);
        }
    }

    /// What was seen last, in words: cores and megabytes of each.
    #[must_use]
    pub fn words(&self) -> String {
        let each = self.processes.iter().filter_map(|(_, _, resource)| {
            let (cores, bytes) =
                (resource.cores.last().copied()??, resource.resident_bytes.last().copied()??);
            Some(format!("{} {cores:.2} cores {:.0} MB", resource.name, bytes as f64 / 1e6))
        });
        each.collect::<Vec<_>>().join(", ")
    }

    /// What was seen.
    #[must_use]
    pub fn finish(self) -> Vec<Resource> {
        self.processes.into_iter().map(|(_, _, resource)| resource).collect()
    }
}
