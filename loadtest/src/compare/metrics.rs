//! What is compared: the figures of each run, and of each set.

use std::collections::BTreeMap;

use serde::Serialize;

use super::runs::{Latency, Report, Resource, RunSet};

/// What a figure is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Of time.
    Milliseconds,
    /// How many in each second.
    PerSecond,
    /// Of processor time in each second of time.
    Cores,
    /// Of memory.
    Bytes,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Better {
    /// As of latencies.
    Lower,
    /// As of rates.
    Higher,
}

/// One figure that runs have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    /// What it is a figure of: a latency, a process.
    pub(super) of: String,
    /// Which figure of that.
    pub(super) which: &'static str,
    pub(super) unit: Unit,
    pub(super) better: Better,
    /// Whether it decides if the set got worse.
    pub(super) judged: bool,
}

impl Figure {
    fn new(of: &str, which: &'static str, unit: Unit, better: Better) -> Self {
        Self { of: of.to_owned(), which, unit, better, judged: false }
    }

    fn judged(self) -> Self {
        Self { judged: true, ..self }
    }

    pub(super) fn name(&self) -> String {
        [&self.of, self.which].join(" ").trim_end().to_owned()
    }
}

/// What the runs of both sets have of one figure. A run that lacks it adds none.
pub(super) struct Measured {
    pub(super) figure: Figure,
    pub(super) a: Vec<f64>,
    pub(super) b: Vec<f64>,
}

/// All figures of either set, in the order in which the runs give them. Those that are zero throughout are left out:
/// they belong to what the scenario does not do.
pub(super) fn measured(a: &RunSet, b: &RunSet) -> Vec<Measured> {
    let mut all: Vec<Measured> = Vec::new();
    for (set, of_b) in [(a, false), (b, true)] {
        for (figure, value) in set.runs.iter().flat_map(|run| figures(&run.report)) {
            let index = all.iter().position(|measured| measured.figure == figure).unwrap_or_else(|| {
                all.push(Measured { figure, a: Vec::new(), b: Vec::new() });
                all.len() - 1
            });
            if of_b { &mut all[index].b } else { &mut all[index].a }.push(value);
        }
    }
    all.retain(|measured| measured.a.iter().chain(&measured.b).any(|value| *value != 0.0));
    all
}

fn figures(report: &Report) -> Vec<(Figure, f64)> {
    let mut all = Vec::new();
    for latency in report.latencies.iter().filter(|latency| latency.count > 0) {
        all.extend(figures_of_latency(latency));
    }
    let rate = |of| Figure::new(of, "", Unit::PerSecond, Better::Higher);
    all.push((rate("achieved rate").judged(), report.rates.achieved));
    all.push((rate("delivery rate"), report.rates.deliveries));
    all.extend(figures_of_processes(report));
    if let Some(bytes) = report.memory_per_connection_bytes {
        all.push((Figure::new("memory per connection", "", Unit::Bytes, Better::Lower), bytes));
    }
    all
}

fn figures_of_latency(latency: &Latency) -> [(Figure, f64); 5] {
    let figure = |which| Figure::new(&latency.name, which, Unit::Milliseconds, Better::Lower);
    [
        (figure("p50").judged(), latency.p50),
        (figure("p90").judged(), latency.p90),
        (figure("p99").judged(), latency.p99),
        // A handful of events each: too noisy to decide anything.
        (figure("p99.9"), latency.p999),
        (figure("max"), latency.max),
    ]
}

/// Of all processes of one name together: several gateways are one server.
fn figures_of_processes(report: &Report) -> Vec<(Figure, f64)> {
    let mut by_name: BTreeMap<&str, Vec<&Resource>> = BTreeMap::new();
    // The first is the harness itself.
    for resource in report.resources.iter().skip(1) {
        by_name.entry(&resource.name).or_default().push(resource);
    }
    let phase = report.series.columns.iter().position(|column| column == "phase");
    let is_measured = |row: &usize| {
        phase.and_then(|phase| report.series.rows[*row].get(phase)).is_some_and(|phase| phase == "measure")
    };
    let rows = 0..report.series.rows.len();
    let mut all = Vec::new();
    for (name, processes) in by_name {
        let cores: Vec<f64> = rows
            .clone()
            .filter(is_measured)
            .filter_map(|row| sum(processes.iter().map(|process| process.cores.get(row).copied().flatten())))
            .collect();
        if !cores.is_empty() {
            let mean = cores.iter().sum::<f64>() / cores.len() as f64;
            all.push((Figure::new(name, "mean cores", Unit::Cores, Better::Lower), mean));
        }
        let resident = rows.clone().filter_map(|row| {
            sum(processes.iter().map(|process| process.resident_bytes.get(row).copied().flatten()))
        });
        if let Some(peak) = resident.max_by(f64::total_cmp) {
            all.push((Figure::new(name, "peak memory", Unit::Bytes, Better::Lower), peak));
        }
    }
    all
}

/// `None` where one of them could not be read: the sum of the others would look like less of it.
fn sum(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{report, set};
    use super::*;

    fn of(set: &RunSet, name: &str) -> Option<f64> {
        let figures = figures(&set.runs[0].report);
        figures.into_iter().find(|(figure, _)| figure.name() == name).map(|(_, value)| value)
    }

    #[test]
    fn only_measured_rows_count_and_processes_of_one_name_are_added_up() {
        let mut run = report(&[]);
        run["series"]["rows"] =
            serde_json::json!([[0, "warmup"], [1, "measure"], [2, "measure"], [3, "settle"]]);
        run["resources"] = serde_json::json!([
            { "name": "loadtest", "pid": 1, "cores": [9.0, 9.0, 9.0, 9.0], "residentBytes": [9, 9, 9, 9] },
            { "name": "gateway", "pid": 2, "cores": [5.0, 0.5, 0.25, 5.0], "residentBytes": [100, 200, 300, null] },
            { "name": "gateway", "pid": 3, "cores": [5.0, 0.5, null, 5.0], "residentBytes": [500, 200, 100, 900] },
        ]);
        let set = set(&[run]);
        assert_eq!(of(&set, "gateway mean cores"), Some(1.0));
        assert_eq!(of(&set, "gateway peak memory"), Some(600.0));
        assert_eq!(of(&set, "loadtest mean cores"), None);
    }

    #[test]
    fn what_was_not_measured_is_no_figure() {
        let mut run = report(&[]);
        run["latencies"][0]["count"] = 0.into();
        run["series"]["rows"] = serde_json::json!([]);
        run["rates"]["deliveries"] = 0.into();
        let set = set(&[run]);
        let names: Vec<String> = measured(&set, &set).iter().map(|measured| measured.figure.name()).collect();
        assert_eq!(names, ["achieved rate"]);
    }
}
