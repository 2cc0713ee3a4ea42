//! `--find-max`: the most that holds the service level, in arrivals a second or in people.

use serde::Serialize;
use tokio::time::sleep;

use crate::console::Console;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::plan::{Action, Plan};
use crate::recorder::Latency;
use crate::report::{Report, rounded};
use crate::run::{self, Ran};
use crate::search::{CONFIRMATIONS, MAX_RUNS, Search, Step};

/// The least share of the rate asked for that has to be achieved: a server that falls behind holds nothing.
const ACHIEVED: f64 = 0.95;

/// What is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Parameter {
    /// Arrivals a second, all in proportion.
    Rate,
    /// People, at the same number of arrivals for each.
    Users,
}

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is raised.
    pub parameter: Parameter,
    /// The highest that is tried.
    pub most: f64,
    /// How close to the limit to end, as a share.
    pub precision: f64,
    /// How long the server rests between two runs.
    pub rest: std::time::Duration,
}

/// What a search came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Searched {
    /// What was raised.
    pub parameter: Parameter,
    /// What had to hold.
    pub slo: String,
    /// The highest that held and was confirmed; 0 if nothing did.
    pub found: f64,
    /// The lowest and the highest rate achieved by the runs at it that held.
    pub spread: Option<[f64; 2]>,
    /// The lowest and the highest p99 of them, in milliseconds.
    pub p99_spread: Option<[f64; 2]>,
    /// Every run, in order.
    pub trials: Vec<Trial>,
    /// `ok`, or `failed: ` and why.
    pub verdict: String,
}

/// One run of a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// What was asked for.
    pub value: f64,
    /// Whether everything held.
    pub held: bool,
    /// Messages per second acknowledged.
    pub achieved: f64,
    /// The median latency of messages, in milliseconds.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// CPU that the harness itself used, in cores.
    pub harness_cores: f64,
    /// What did not hold.
    pub broken: Vec<String>,
}

impl Searched {
    /// Whether something was found.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == "ok"
    }
}

/// Runs the plan again and again until the most is found that holds. Returns the last run at it beside the search, or
/// the last of all where nothing was found.
///
/// # Errors
///
/// As [`run::run`]. A search that finds nothing is no error but has a failed verdict.
pub async fn run(
    plan: &Plan,
    options: Options,
    console: &mut Console,
    interrupt: &Interrupt,
) -> Result<(Searched, Option<Ran>), Error> {
    let slo = plan.slo.clone().unwrap_or_default();
    let first = match options.parameter {
        Parameter::Rate => plan.rates.0.values().sum(),
        Parameter::Users => plan.users as f64,
    };
    let mut search = Search::new(first, options.most, options.precision);
    let (mut step, mut trials, mut shown) = (search.begin(), Vec::<Trial>::new(), None::<(f64, Ran)>);
    let ended = loop {
        let value = match step {
            Step::Try(value) => value,
            Step::Found(value) => break Ok(value),
            Step::Unsettled => break Err(format!("nothing held again and again in {MAX_RUNS} runs")),
            Step::Nothing => {
                let least = trials.iter().map(|trial| trial.value).fold(first, f64::min);
                break Err(format!("not even {least:.1} held"));
            }
        };
        let mut plan = at(plan, options.parameter, value, first);
        plan.slo = Some(slo.clone());
        // What a single run may say of its own is said of the whole.
        let ran = match run::run(&plan, &mut Console::quiet(), interrupt).await {
            Ok(ran) if ran.report.interrupted => break Err("interrupted".to_owned()),
            Err(Error::Interrupted) => break Err("interrupted".to_owned()),
            Ok(ran) => ran,
            // A server that is still busy with the run before. What was found until then is not thrown away.
            Err(error @ Error::Connect { .. }) if !trials.is_empty() => break Err(error.to_string()),
            Err(error) => return Err(error),
        };
        let trial = Trial::of(value, &ran.report, &plan);
        let confirming = if search.is_confirming() { " (confirming)" } else { "" };
        let held = if trial.held { "holds".to_owned() } else { trial.broken.join("; ") };
        console.say(format_args!(
            "{value:9.1} {}: p99 {:8.1} ms: {held}{confirming}",
            unit(options.parameter),
            trial.p99
        ));
        let bottleneck = ran.report.harness.bottleneck;
        step = search.note(trial.held);
        if trial.held || shown.as_ref().is_none_or(|(best, _)| value <= *best) {
            shown = Some((value, ran));
        }
        trials.push(trial);
        if bottleneck {
            break Err(format!("the harness was the bottleneck at {value:.0} {}", unit(options.parameter)));
        }
        tokio::select! {
            () = sleep(options.rest) => {}
            () = interrupt.raised() => break Err("interrupted".to_owned()),
        }
    };
    let found = ended.as_ref().copied().unwrap_or_default();
    let searched = Searched {
        parameter: options.parameter,
        slo: slo.to_string(),
        found: rounded(found, 1),
        spread: spread(&trials, found, |trial| trial.achieved),
        p99_spread: spread(&trials, found, |trial| trial.p99),
        trials,
        verdict: ended.map_or_else(|why| format!("failed: {why}"), |_| "ok".to_owned()),
    };
    match searched.p99_spread {
        Some([least, most]) if searched.passed() => console.say(format_args!(
            "{found:.1} {} hold {} ({CONFIRMATIONS} runs confirm; p99 {least:.1} to {most:.1} ms)",
            unit(options.parameter),
            searched.slo
        )),
        _ => console.say(format_args!("{}", searched.verdict)),
    }
    Ok((searched, shown.map(|(_, ran)| ran)))
}

const fn unit(parameter: Parameter) -> &'static str {
    match parameter {
        Parameter::Rate => "a second",
        Parameter::Users => "users",
    }
}

/// The plan with so much of what is raised.
fn at(plan: &Plan, parameter: Parameter, value: f64, first: f64) -> Plan {
    let mut plan = plan.clone();
    let factor = value / first;
    plan.rates.0.values_mut().for_each(|rate| *rate *= factor);
    if parameter == Parameter::Users {
        // Pairs stay pairs.
        plan.users = ((value / 2.0).round() as usize * 2).max(2);
    }
    plan
}

impl Trial {
    fn of(value: f64, report: &Report, plan: &Plan) -> Self {
        let mut broken = report.broken();
        let (asked, achieved) = (plan.rate(Action::Send) + plan.rate(Action::Post), report.rates["achieved"]);
        if achieved < asked * ACHIEVED {
            broken.push(format!("only {achieved:.0} of {asked:.0} messages/s"));
        }
        let delivery = report.latency(Latency::Delivery);
        Self {
            value: rounded(value, 1),
            held: broken.is_empty(),
            achieved,
            p50: delivery.p50,
            p99: delivery.p99,
            harness_cores: report.harness.cores,
            broken,
        }
    }
}

/// The least and the greatest of the runs at a value that held.
fn spread(trials: &[Trial], value: f64, of: fn(&Trial) -> f64) -> Option<[f64; 2]> {
    let value = rounded(value, 1);
    let held = trials.iter().filter(|trial| trial.value == value && trial.held).map(of);
    held.fold(None, |spread, value| {
        let [least, most] = spread.unwrap_or([value, value]);
        Some([f64::min(least, value), f64::max(most, value)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Scenario, Settings};

    #[test]
    fn the_spread_is_of_the_runs_that_held() {
        let trial = |value: f64, p99: f64, held: bool| Trial {
            value,
            held,
            achieved: value,
            p50: 1.0,
            p99,
            harness_cores: 0.1,
            broken: Vec::new(),
        };
        let trials = [
            trial(100.0, 5.0, true),
            trial(200.0, 9.0, true),
            trial(200.0, 7.0, true),
            trial(200.0, 90.0, false),
        ];
        assert_eq!(spread(&trials, 200.0, |trial| trial.p99), Some([7.0, 9.0]));
        assert_eq!(spread(&trials, 300.0, |trial| trial.p99), None);
    }

    #[test]
    fn all_rates_are_raised_in_proportion_and_people_keep_theirs() {
        let plan = Settings { users: Some(100), ..Settings::default() }.plan(Scenario::Read, None).unwrap();
        let twice = at(&plan, Parameter::Rate, 600.0, 300.0);
        assert_eq!((twice.rate(Action::Open), twice.rate(Action::Send), twice.users), (400.0, 200.0, 100));
        let half = at(&plan, Parameter::Users, 51.0, 100.0);
        assert_eq!((half.users, half.rate(Action::Open)), (52, 102.0));
    }
}
