//! `--find-max`: the highest rate at which the service level holds.

use std::fmt;

use serde::Serialize;
use tokio::time::sleep;

use crate::Error;
use crate::chat::{self, ChatReport};
use crate::cli::ChatOptions;
use crate::interrupt::Interrupt;
use crate::report::{Percentiles, Progress, rounded};
use crate::search::{CONFIRMATIONS, MAX_RUNS, Search, Step};

/// How late the harness itself may send (p99, in milliseconds) for a run to say something of the server.
const LATE_MS: f64 = 50.0;
/// The least share of the rate asked for that has to be achieved: a server that falls behind holds nothing.
const ACHIEVED: f64 = 0.95;

/// The results of a search, in the order in which they are printed.
#[derive(Clone, Debug, Serialize)]
pub struct FindMaxReport {
    /// `chat`.
    pub scenario: &'static str,
    /// `find-max`.
    pub mode: &'static str,
    /// `socketio` or `ws`.
    pub protocol: &'static str,
    /// How many people took part.
    pub users: usize,
    /// What had to hold.
    pub slo: String,
    /// The highest rate that held, and was confirmed, in messages per second; 0 if none did.
    pub max_rate: f64,
    /// The runs at that rate that held.
    pub held: Option<Spread>,
    /// Every run, in order.
    pub trials: Vec<Trial>,
    /// `ok`, or `failed: ` and why.
    pub verdict: String,
}

/// One run of a search.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Messages per second asked for.
    pub rate: f64,
    /// Messages per second acknowledged.
    pub achieved_rate: f64,
    /// From the scheduled time to the arrival.
    pub latency_ms: Percentiles,
    /// CPU that the harness itself used while sending, in cores.
    pub harness_cores: f64,
    /// What did not hold; empty if everything did.
    pub broken: Vec<String>,
}

/// The least and the greatest of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// How many runs.
    pub runs: usize,
    /// Messages per second acknowledged.
    pub achieved_rate: [f64; 2],
    /// The median latency.
    pub p50_ms: [f64; 2],
    /// The 99th percentile.
    pub p99_ms: [f64; 2],
}

impl FindMaxReport {
    /// Whether a rate was found.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == "ok"
    }
}

/// Runs the scenario again and again until the highest rate is found that holds.
///
/// # Errors
///
/// As [`chat::run`]. A search that finds nothing is no error but has a failed verdict.
pub async fn run(
    options: &ChatOptions,
    progress: Progress,
    interrupt: &Interrupt,
) -> Result<FindMaxReport, Error> {
    options.check()?;
    let slo = options.slo.clone().unwrap_or_default();
    // What a single run may say of its own is said of the whole.
    let quiet = Progress::new(true);
    let mut search = Search::new(options.rate, options.max_rate, options.precision);
    let (mut step, mut trials) = (search.begin(), Vec::new());
    let ended = loop {
        let rate = match step {
            Step::Try(rate) => rate,
            Step::Found(rate) => break Ok(rate),
            Step::Unsettled => break Err(format!("no rate held again and again in {MAX_RUNS} runs")),
            Step::Nothing => break Err(format!("not even {} messages/s held", options.least_rate(&trials))),
        };
        let run = ChatOptions { rate, slo: Some(slo.clone()), ..options.clone() };
        let report = match chat::run(&run, quiet, interrupt).await {
            Ok(report) if report.interrupted => break Err("interrupted".to_owned()),
            Err(Error::Interrupted) => break Err("interrupted".to_owned()),
            Ok(report) => report,
            // A server that is still busy with the run before. What was found until then is not thrown away.
            Err(error @ Error::Connect { .. }) if !trials.is_empty() => break Err(error.to_string()),
            Err(error) => return Err(error),
        };
        let trial = Trial::of(&report);
        progress.say(format_args!("{trial}{}", if search.is_confirming() { " (confirming)" } else { "" }));
        let is_own = report.late_schedule_ms.p99 > LATE_MS;
        step = search.note(trial.broken.is_empty());
        trials.push(trial);
        if is_own {
            break Err(format!(
                "the harness was the bottleneck at {rate:.0} messages/s: it sent {:.0} ms late (p99)",
                report.late_schedule_ms.p99
            ));
        }
        tokio::select! {
            () = sleep(options.rest) => {}
            () = interrupt.raised() => break Err("interrupted".to_owned()),
        }
    };
    let max_rate = ended.as_ref().copied().unwrap_or_default();
    let report = FindMaxReport {
        scenario: "chat",
        mode: "find-max",
        protocol: options.protocol.as_str(),
        users: options.users,
        slo: slo.to_string(),
        max_rate: rounded(max_rate, 1),
        held: Spread::of(&trials, max_rate),
        trials,
        verdict: ended.map_or_else(|why| format!("failed: {why}"), |_| "ok".to_owned()),
    };
    summarise(&report, progress);
    Ok(report)
}

impl ChatOptions {
    /// The lowest rate that was tried.
    fn least_rate(&self, trials: &[Trial]) -> f64 {
        trials.iter().map(|trial| trial.rate).fold(self.rate, f64::min)
    }
}

impl Trial {
    fn of(report: &ChatReport) -> Self {
        let mut broken = report.broken.clone();
        if report.achieved_rate < report.rate * ACHIEVED {
            broken.push(format!("only {:.0} of {:.0} messages/s", report.achieved_rate, report.rate));
        }
        Self {
            rate: rounded(report.rate, 1),
            achieved_rate: report.achieved_rate,
            latency_ms: report.latency_ms,
            harness_cores: report.harness_cores,
            broken,
        }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = if self.broken.is_empty() { "holds".to_owned() } else { self.broken.join("; ") };
        write!(f, "{:9.1} messages/s: p99 {:8.1} ms: {held}", self.rate, self.latency_ms.p99)
    }
}

impl Spread {
    /// Of the runs at this rate that held.
    fn of(trials: &[Trial], rate: f64) -> Option<Self> {
        let rate = rounded(rate, 1);
        let held = || trials.iter().filter(|trial| trial.rate == rate && trial.broken.is_empty());
        let range = |value: fn(&Trial) -> f64| {
            let values = || held().map(value);
            [values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)]
        };
        let runs = held().count();
        (runs > 0).then(|| Self {
            runs,
            achieved_rate: range(|trial| trial.achieved_rate),
            p50_ms: range(|trial| trial.latency_ms.p50),
            p99_ms: range(|trial| trial.latency_ms.p99),
        })
    }
}

fn summarise(report: &FindMaxReport, progress: Progress) {
    match &report.held {
        Some(Spread { runs, p99_ms: [least, most], .. }) if report.passed() => progress.say(format_args!(
            "{:.1} messages/s hold {} ({runs} runs, of which {CONFIRMATIONS} confirm; p99 {least:.1} to {most:.1} ms)",
            report.max_rate, report.slo
        )),
        _ => progress.say(format_args!("{}", report.verdict)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_holds_if_the_service_level_does_and_the_rate_is_kept() {
        let mut report = ChatReport::example();
        assert_eq!(Trial::of(&report).broken, Vec::<String>::new());
        report.achieved_rate = report.rate * 0.9;
        assert_eq!(Trial::of(&report).broken, ["only 90 of 100 messages/s"]);
        report.broken.push("p99 1.0 ms, over 0.5 ms".to_owned());
        assert_eq!(Trial::of(&report).broken.len(), 2);
    }

    #[test]
    fn the_spread_is_of_the_runs_that_held_at_the_rate() {
        let trial = |rate: f64, p99: f64, holds: bool| {
            let mut trial = Trial::of(&ChatReport { rate, achieved_rate: rate, ..ChatReport::example() });
            trial.latency_ms.p99 = p99;
            if !holds {
                trial.broken.push("it".to_owned());
            }
            trial
        };
        let trials = [
            trial(100.0, 5.0, true),
            trial(200.0, 9.0, true),
            trial(200.0, 7.0, true),
            trial(200.0, 90.0, false),
        ];
        let spread = Spread::of(&trials, 200.0).unwrap();
        assert_eq!((spread.runs, spread.p99_ms, spread.achieved_rate), (2, [7.0, 9.0], [200.0, 200.0]));
        assert_eq!(Spread::of(&trials, 300.0), None);
    }
}
