//! Comparing two sets of runs: did B get worse than A?
//!
//! # How to read it
//!
//! Each run counts once, by its own percentiles: the thousands of messages of one run share its luck, so they are no
//! thousands of measurements. For each figure there are the medians over the runs of A and of B, the difference (B less
//! A), and
//!
//! - `p`, how often two sets of the same program would differ as clearly (two-sided Mann–Whitney U test, which looks
//!   at nothing but the order of the runs; [`crate::statistics::mann_whitney`]);
//! - the interval in which the difference of the medians lies with 95 % (bootstrap). Of five runs it is rather too
//!   narrow. Where it reaches far to both sides of zero, the runs differ among themselves more than the sets do: take
//!   more or longer runs.
//!
//! A figure is a `regression` or an `improvement` if `p` is below 0.05 *and* the medians differ by more than the
//! minimum effect, 1 % and for latencies 2 ms besides. Otherwise it is the `same`, which means that no difference was
//! shown, not that there is none: the interval tells how large a one may have been missed. It is `undecided` with too
//! few runs to tell. Three against three can have no `p` below 0.1, so take four a side at least; five are better.
//!
//! Four figures decide, and with them the exit code: p50, p90 and p99 of each latency, and the achieved rate. p99.9,
//! the maximum, the rate of deliveries, processor time and memory are shown and do not decide: the first two hang on a
//! handful of events, and the others are means to an end. Besides them, a run that failed its verdict decides: failed
//! runs in B and none in A are a regression whatever the figures say. If both have some, their shares are compared like
//! any figure.
//!
//! Many figures are looked at, and 0.05 holds for each alone: among twenty, one is below it by chance. The minimum
//! effect catches most of these. Repeat a comparison that surprises.
//!
//! Runs of A and B should alternate, so that whatever else happens on the machine meets both. A note says so where they
//! did not, where they ran on different machines, and where a figure is missing.

mod format;
mod html;
mod metrics;
mod notes;
mod runs;
#[cfg(test)]
mod samples;
mod text;

use serde::Serialize;

pub use self::metrics::{Better, Unit};
pub use self::runs::{Error, Run, RunSet};

use self::metrics::Measured;
use crate::statistics::{Summary, bootstrap_interval, least_p, mann_whitney};

/// Below this a difference counts as more than chance.
const SIGNIFICANT: f64 = 0.05;

/// The same runs give the same intervals.
const BOOTSTRAP_SEED: u64 = 0x5eed;

/// From when on a difference matters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// Latencies have to differ by more than this.
    pub min_effect_ms: f64,
    /// And all figures by more than this share of A's median.
    pub min_effect_percent: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { min_effect_ms: 2.0, min_effect_percent: 1.0 }
    }
}

/// What became of a figure, or of all of them, from A to B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It got worse.
    Regression,
    /// It got better.
    Improvement,
    /// No difference that matters was shown.
    Same,
    /// There are too few runs to tell.
    Undecided,
}

/// Two sets of runs, compared.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Of all that decides: a regression if anything is one, or else undecided if anything is.
    pub verdict: Verdict,
    /// What all runs did.
    pub scenario: String,
    /// From when on a difference matters.
    pub options: Options,
    /// The set that is compared with.
    pub a: Side,
    /// The set that may be better or worse.
    pub b: Side,
    /// Of the runs that failed their verdict.
    pub failed_runs: Verdict,
    /// Each figure that both sets have.
    pub metrics: Vec<Metric>,
    /// What the reader should know about the sets.
    pub notes: Vec<String>,
}

/// One of the sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// What the set is called.
    pub label: String,
    /// How many it has.
    pub runs: usize,
    /// Those of them that failed their verdict.
    pub failed: Vec<FailedRun>,
}

/// A run that failed its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedRun {
    /// Its folder, below that of the set.
    pub run: String,
    /// What its report says.
    pub verdict: String,
}

/// One figure, compared.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Such as `delivery p99`.
    pub name: String,
    /// What its numbers are in.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// Whether it decides.
    pub judged: bool,
    /// Of A.
    pub a: Values,
    /// Of B.
    pub b: Values,
    /// B's median less A's.
    pub difference: f64,
    /// The difference as a share of A's median; null if that is zero.
    pub relative: Option<f64>,
    /// How often two sets of the same program would differ as clearly.
    pub p: f64,
    /// In which the difference lies with 95 %; null with less than two runs on a side.
    pub interval: Option<[f64; 2]>,
    /// What became of it.
    pub verdict: Verdict,
}

/// One figure of one set.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Values {
    /// One of each run that has it.
    pub values: Vec<f64>,
    /// Of these.
    #[serde(flatten)]
    pub summary: Summary,
}

/// Compares `b` with `a`.
///
/// # Errors
/// If their runs did not put the server under the same load.
pub fn compare(a: &RunSet, b: &RunSet, options: Options) -> Result<Comparison, Error> {
    a.refuse_other_load(b)?;
    let measured = metrics::measured(a, b);
    let metrics: Vec<Metric> = measured.iter().filter_map(|measured| Metric::of(measured, options)).collect();
    let failed_runs = compare_failures(a, b);
    Ok(Comparison {
        verdict: overall(failed_runs, &metrics),
        scenario: a.runs.first().map(|run| run.report.scenario.clone()).unwrap_or_default(),
        options,
        a: Side::of(a),
        b: Side::of(b),
        failed_runs,
        metrics,
        notes: notes::notes(a, b, &measured),
    })
}

impl Comparison {
    /// Whether B got worse in anything that decides.
    #[must_use]
    pub fn regressed(&self) -> bool {
        self.verdict == Verdict::Regression
    }

    /// As a table for a terminal, at most 120 columns wide.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::table(self)
    }

    /// As a page that needs nothing besides itself.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::page(self)
    }
}

impl Side {
    fn of(set: &RunSet) -> Self {
        let failed = set.runs.iter().filter(|run| !run.report.passed);
        let failed =
            failed.map(|run| FailedRun { run: run.name.clone(), verdict: run.report.verdict.clone() });
        Self { label: set.label.clone(), runs: set.runs.len(), failed: failed.collect() }
    }
}

impl Metric {
    /// `None` if a set lacks it.
    fn of(measured: &Measured, options: Options) -> Option<Self> {
        let Measured { figure, a, b } = measured;
        let (summary_a, summary_b) = (Summary::of(a)?, Summary::of(b)?);
        let difference = summary_b.median - summary_a.median;
        let relative = (summary_a.median != 0.0).then(|| difference / summary_a.median);
        let p = mann_whitney(a, b).p;
        let matters = difference != 0.0
            && relative.is_none_or(|relative| relative.abs() * 100.0 > options.min_effect_percent)
            && (figure.unit != Unit::Milliseconds || difference.abs() > options.min_effect_ms);
        let verdict = if least_p(a.len(), b.len()) >= SIGNIFICANT {
            Verdict::Undecided
        } else if p >= SIGNIFICANT || !matters {
            Verdict::Same
        } else if (difference < 0.0) == (figure.better == Better::Lower) {
            Verdict::Improvement
        } else {
            Verdict::Regression
        };
        Some(Self {
            name: figure.name(),
            unit: figure.unit,
            better: figure.better,
            judged: figure.judged,
            a: Values { values: a.clone(), summary: summary_a },
            b: Values { values: b.clone(), summary: summary_b },
            difference,
            relative,
            p,
            interval: bootstrap_interval(a, b, &mut fastrand::Rng::with_seed(BOOTSTRAP_SEED)),
            verdict,
        })
    }
}

fn compare_failures(a: &RunSet, b: &RunSet) -> Verdict {
    let failures =
        |set: &RunSet| -> Vec<f64> { set.runs.iter().map(|run| f64::from(!run.report.passed)).collect() };
    let share = |failures: &[f64]| failures.iter().sum::<f64>() / failures.len().max(1) as f64;
    let (a, b) = (failures(a), failures(b));
    let (share_a, share_b) = (share(&a), share(&b));
    if share_a == share_b {
        return Verdict::Same;
    }
    // A server that loses messages now and then is broken, so one failure where there was none needs no statistics.
    let shown = share_a == 0.0 || share_b == 0.0 || mann_whitney(&a, &b).p < SIGNIFICANT;
    match (shown, share_b > share_a) {
        (true, true) => Verdict::Regression,
        (true, false) => Verdict::Improvement,
        (false, _) if least_p(a.len(), b.len()) >= SIGNIFICANT => Verdict::Undecided,
        (false, _) => Verdict::Same,
    }
}

fn overall(failed_runs: Verdict, metrics: &[Metric]) -> Verdict {
    let judged = || metrics.iter().filter(|metric| metric.judged).map(|metric| metric.verdict);
    let any = |verdict| failed_runs == verdict || judged().any(|of_metric| of_metric == verdict);
    if any(Verdict::Regression) {
        Verdict::Regression
    } else if any(Verdict::Undecided) || judged().next().is_none() {
        Verdict::Undecided
    } else if any(Verdict::Improvement) {
        Verdict::Improvement
    } else {
        Verdict::Same
    }
}

#[cfg(test)]
mod tests;
