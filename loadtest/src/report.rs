//! What a run comes to, and what it leaves behind.
//!
//! | module | holds |
//! |---|---|
//! | [`files`] | the folder of a run: JSON, CSV, JUnit, histograms, HTML |
//! | [`host`] | the machine and the program |

pub mod files;
pub mod host;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};

use crate::plan::{Flavor, Plan};
use crate::recorder::{Latency, Values, add, histogram};

/// The version of `report.json`.
const FORMAT: u32 = 1;
/// How fine the curve by percentile is drawn: points for each halving of the distance to the end.
const TICKS_PER_HALF: u32 = 5;

/// Everything about a run, as `report.json` has it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this format.
    pub format: u32,
    /// The harness.
    pub program: host::Program,
    /// The machine on which it ran.
    pub host: host::Host,
    /// When it began, as RFC 3339 has it.
    pub started_at: String,
    /// The scenario's name, or the profile's.
    pub scenario: String,
    /// The server and how it was spoken to.
    pub target: Target,
    /// What was asked for.
    pub parameters: Value,
    /// How long each phase took, in seconds.
    pub phases: BTreeMap<&'static str, f64>,
    /// Whether it was ended early. Then all this is of what was until then.
    pub interrupted: bool,
    /// Whether everything held.
    pub passed: bool,
    /// `ok`, or `failed: ` and why.
    pub verdict: String,
    /// What was held against what.
    pub checks: Vec<Check>,
    /// Everything that was counted.
    pub counts: BTreeMap<&'static str, u64>,
    /// Per second: offered, achieved, deliveries, connects.
    pub rates: BTreeMap<&'static str, f64>,
    /// Latencies of the measured time.
    pub latencies: Vec<Measured>,
    /// What happened in each second.
    pub series: Series,
    /// What processes used in each second, the harness first.
    pub resources: Vec<Resource>,
    /// Where messages waited in a LinkUp.
    pub stages: Vec<Stage>,
    /// What each connection costs the first of the watched processes, of a run of connections that do nothing.
    pub memory_per_connection_bytes: Option<f64>,
    /// The harness itself.
    pub harness: Harness,
    /// The search that this run ended, if it did.
    pub search: Option<Value>,
    /// The first reason that was given for something that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    /// How the first connection ended that the server closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_disconnect: Option<String>,
    /// The histograms behind the latencies, as `latency.hlog` has them.
    pub histograms: BTreeMap<&'static str, String>,
}

/// The server and how it was spoken to.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// The public address.
    pub url: String,
    /// The protocol.
    pub protocol: &'static str,
    /// `linkup` or `spec`.
    pub flavor: Flavor,
}

/// Something that has to hold.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// `slo`, `correctness` or `harness`.
    pub kind: &'static str,
    /// What.
    pub name: String,
    /// How much there may be.
    pub limit: String,
    /// How much there was.
    pub measured: String,
    /// Whether it holds.
    pub passed: bool,
    /// Some cases in which it did not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
}

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many there were.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 90 % are at most this.
    pub p90: f64,
    /// 99 % are at most this.
    pub p99: f64,
    /// 99.9 % are at most this.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// A latency.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Its name.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// From the scheduled time.
    #[serde(flatten)]
    pub corrected: Percentiles,
    /// From the actual start.
    pub uncorrected: Option<Percentiles>,
    /// Percentiles and their latencies, in milliseconds.
    pub by_percentile: Vec<(f64, f64)>,
}

/// What happened in each second.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// How long each row is, in seconds.
    pub interval_s: f64,
    /// The names of the columns.
    pub columns: [&'static str; COLUMNS.len()],
    /// The rows.
    pub rows: Vec<Row>,
}

/// A cell of the series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// A count.
    Count(u64),
    /// A rate or a latency in milliseconds.
    Number(f64),
    /// A phase.
    Name(&'static str),
    /// Nothing was measured.
    Nothing,
}

/// A second, in the order of [`COLUMNS`].
pub type Row = [Cell; COLUMNS.len()];

/// The columns of the series.
pub const COLUMNS: [&str; 14] = [
    "second",
    "phase",
    "connections",
    "offered",
    "sent",
    "acknowledged",
    "delivered",
    "errors",
    "skipped",
    "p50",
    "p90",
    "p99",
    "max",
    "lateP99",
];

/// What a process used.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// Processor cores in each row of the series.
    pub cores: Vec<Option<f64>>,
    /// Resident memory at the end of each row.
    pub resident_bytes: Vec<Option<u64>>,
}

/// Where messages waited.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// The stage's name.
    pub name: String,
    /// How many messages.
    pub count: u64,
    /// Their mean time there, in milliseconds.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 99 % are at most this.
    pub p99: f64,
}

/// The harness itself.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Harness {
    /// Processor cores in the measured time.
    pub cores: f64,
    /// Resident memory at the end of it.
    pub resident_bytes: u64,
    /// CPU of driving the connections, for each arrival of a message, in microseconds.
    pub cpu_per_event_us: Option<f64>,
    /// The same against a server that does nothing, where it was measured.
    pub floor_cpu_per_event_us: Option<f64>,
    /// How late arrivals were started.
    pub late_ms: Percentiles,
    /// Arrivals that were left out since they were too late.
    pub skipped: u64,
    /// How many processes it was.
    pub workers: usize,
    /// Whether it measured itself.
    pub bottleneck: bool,
}

impl Cell {
    /// A latency, if there was any.
    #[must_use]
    pub fn latency(histogram: &Histogram<u64>, quantile: f64) -> Self {
        if histogram.is_empty() {
            Self::Nothing
        } else {
            Self::Number(millis(histogram.value_at_quantile(quantile)))
        }
    }
}

impl Percentiles {
    /// Of these values, in microseconds.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| millis(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            mean: rounded(histogram.mean() / 1_000.0, 3),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: millis(histogram.max()),
        }
    }
}

impl Measured {
    /// A latency, from the scheduled time and from the actual start.
    #[must_use]
    pub fn of(latency: Latency, corrected: &Histogram<u64>, uncorrected: &Histogram<u64>) -> Self {
        let curve = corrected.iter_quantiles(TICKS_PER_HALF);
        Self {
            name: latency.as_str(),
            title: latency.title(),
            corrected: Percentiles::of(corrected),
            uncorrected: Some(Percentiles::of(uncorrected)),
            by_percentile: curve
                .map(|point| {
                    (rounded(point.quantile_iterated_to() * 100.0, 6), millis(point.value_iterated_to()))
                })
                .collect(),
        }
    }
}

impl Report {
    /// The percentiles of a latency; all zero where nothing was measured.
    #[must_use]
    pub fn latency(&self, latency: Latency) -> Percentiles {
        let found = self.latencies.iter().find(|measured| measured.name == latency.as_str());
        found.map(|measured| measured.corrected).unwrap_or_default()
    }

    /// What did not hold, in words.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        self.checks.iter().filter(|check| !check.passed).map(Check::words).collect()
    }
}

impl Check {
    /// What did not hold, in the words of a verdict.
    #[must_use]
    pub fn words(&self) -> String {
        match self.kind {
            "correctness" => format!("{} {}", self.measured, self.name),
            _ => format!("{} {}, over {}", self.name, self.measured, self.limit),
        }
    }
}

/// The version of the format.
#[must_use]
pub const fn format() -> u32 {
    FORMAT
}

/// What was asked for, as the report shows it.
#[must_use]
pub fn parameters(plan: &Plan) -> Value {
    let seconds = |time: std::time::Duration| rounded(time.as_secs_f64(), 3);
    let rate: serde_json::Map<String, Value> =
        plan.rates.0.iter().map(|(action, rate)| (action.as_str().to_owned(), json!(rate))).collect();
    json!({
        "users": plan.users,
        "topology": plan.topology,
        "rate": rate,
        "connectRate": plan.connect_rate,
        "connects": plan.connects,
        "arrivals": plan.arrivals,
        "durationS": seconds(plan.duration),
        "warmupS": seconds(plan.warmup),
        "rampS": seconds(plan.ramp),
        "settleS": seconds(plan.settle),
        "awayS": seconds(plan.away),
        "slo": plan.slo,
        "contentBytes": plan.content_bytes,
        "uploadBytes": plan.upload_bytes,
        "random": plan.random,
        "verify": plan.verify,
    })
}

/// The histogram of these values.
#[must_use]
pub fn filled(values: &Values) -> Histogram<u64> {
    let mut filled = histogram();
    add(&mut filled, values);
    filled
}

/// Microseconds in milliseconds.
#[must_use]
pub fn millis(microseconds: u64) -> f64 {
    microseconds as f64 / 1_000.0
}

/// Rounds to `digits` behind the point, for the eye.
#[must_use]
pub fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_milliseconds() {
        let mut values = histogram();
        assert_eq!(Percentiles::of(&values), Percentiles::default());
        for microseconds in 1..=10_000 {
            values.saturating_record(microseconds);
        }
        let Percentiles { count, mean, p50, p90, p99, p999, max } = Percentiles::of(&values);
        let expected = [5.0, 5.0, 9.0, 9.9, 9.99, 10.0];
        for (found, expected) in [mean, p50, p90, p99, p999, max].into_iter().zip(expected) {
            assert!((found - expected).abs() < 0.02, "{found} for {expected}");
        }
        assert_eq!(count, 10_000);
        let curve = Measured::of(Latency::Delivery, &values, &values).by_percentile;
        assert_eq!(curve.last().map(|(percentile, _)| *percentile), Some(100.0));
        assert!(curve.windows(2).all(|two| two[0] <= two[1]), "{curve:?}");
    }
}
