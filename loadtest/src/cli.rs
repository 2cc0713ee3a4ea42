//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use humantime::parse_duration;

use crate::error::Error;
use crate::find_max::{self, Parameter};
use crate::plan::{Plan, Scenario, Settings};
use crate::profile::Profile;

/// Puts a chat server under load that does not wait for it, and judges what came back: how fast, and whether every
/// acknowledged message reached everybody whom it was for, once and in order. Leaves a folder with a report for people
/// (report.html) and for programs. Ends with 0 on a good verdict, 1 on a failed one, 2 if the run could not take place
#[derive(Clone, Debug, Parser)]
#[command(name = "loadtest", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Everybody connects at once, or at a rate, and leaves
    Connect(RunOptions),
    /// Connections that do nothing but give signs of life; with --pid, what each costs that process
    Idle(RunOptions),
    /// People in pairs who write to each other
    Chat(RunOptions),
    /// One big conversation
    Room(RunOptions),
    /// People who type
    Typing(RunOptions),
    /// Conversations are opened and marked as read
    Read(RunOptions),
    /// API traffic
    Rest(RunOptions),
    /// Connections are cut while messages are sent, and come back
    Reconnect(RunOptions),
    /// Files are uploaded
    Upload(RunOptions),
    /// A bit of everything, as people do it
    Day(RunOptions),
    /// What a profile says
    Run(ProfileOptions),
    /// Compare two sets of runs; ends with 1 if the second is worse
    Compare(CompareOptions),
    /// Drive connections for another loadtest
    #[command(hide = true)]
    Worker,
}

/// Options of a run.
#[derive(Clone, Debug, Default, Args)]
pub struct RunOptions {
    /// What is done.
    #[command(flatten)]
    pub settings: Settings,
    /// How it is looked for, and where it goes.
    #[command(flatten)]
    pub output: Output,
}

/// How the most is looked for, and where results go.
#[derive(Clone, Debug, Default, Args)]
pub struct Output {
    /// Look for the most that holds --slo: double it until one does not hold, halve the distance, confirm three times.
    /// Every run takes --warmup and --duration. [without --slo: p99=250ms,errors=0.1%,lost=0]
    #[arg(long)]
    pub find_max: bool,
    /// With --find-max: what is raised, the rate or the number of users [default: rate]
    #[arg(long, value_enum, requires = "find_max")]
    pub raise: Option<Parameter>,
    /// With --find-max: the most that is tried [default: 100000]
    #[arg(long, requires = "find_max")]
    pub max_rate: Option<f64>,
    /// With --find-max: how close to the limit to end, as a share [default: 0.05]
    #[arg(long, requires = "find_max")]
    pub precision: Option<f64>,
    /// With --find-max: how long the server rests between two runs [default: 2s]
    #[arg(long, value_parser = parse_duration, requires = "find_max")]
    pub rest: Option<Duration>,
    /// Where the run's folder is made [default: loadtest-runs]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Leave no folder behind
    #[arg(long, conflicts_with = "out")]
    pub no_files: bool,
    /// One line of JSON with the results on standard output, and no progress
    #[arg(long)]
    pub json: bool,
}

/// Options of a run by a profile.
#[derive(Clone, Debug, Args)]
pub struct ProfileOptions {
    /// The profile: TOML, with the scenario's name and any of the settings below
    #[arg(long, value_name = "FILE")]
    pub profile: PathBuf,
    /// What goes over it.
    #[command(flatten)]
    pub run: RunOptions,
}

/// Options of a comparison.
#[derive(Clone, Debug, Args)]
pub struct CompareOptions {
    /// A folder of runs, or of one
    pub a: PathBuf,
    /// Those to hold against it
    pub b: PathBuf,
    /// A latency counts as changed from this many milliseconds on
    #[arg(long, default_value_t = 2.0)]
    pub min_effect_ms: f64,
    /// Anything counts as changed from this many percent on
    #[arg(long, default_value_t = 1.0)]
    pub min_effect_percent: f64,
    /// Where the same goes as a page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

impl Command {
    /// The plan, and its options, if it is a run.
    ///
    /// # Errors
    ///
    /// When settings or profile make no sense.
    pub fn plan(&self) -> Option<Result<(Plan, Output), Error>> {
        let (scenario, options) = match self {
            Self::Connect(options) => (Scenario::Connect, options),
            Self::Idle(options) => (Scenario::Idle, options),
            Self::Chat(options) => (Scenario::Chat, options),
            Self::Room(options) => (Scenario::Room, options),
            Self::Typing(options) => (Scenario::Typing, options),
            Self::Read(options) => (Scenario::Read, options),
            Self::Rest(options) => (Scenario::Rest, options),
            Self::Reconnect(options) => (Scenario::Reconnect, options),
            Self::Upload(options) => (Scenario::Upload, options),
            Self::Day(options) => (Scenario::Day, options),
            Self::Run(options) => {
                return Some(Profile::read(&options.profile).and_then(|profile| {
                    let settings = options.run.settings.clone().over(profile.settings);
                    let plan = settings.plan(profile.scenario, Some(profile.name))?;
                    options.run.output.checked(plan)
                }));
            }
            Self::Compare(_) | Self::Worker => return None,
        };
        let plan = options.settings.clone().plan(scenario, None);
        Some(plan.and_then(|plan| options.output.checked(plan)))
    }
}

impl Output {
    fn checked(&self, plan: Plan) -> Result<(Plan, Self), Error> {
        let refuse = |problem: &str| Err(Error::Usage(problem.to_owned()));
        if self.find_max && plan.seed.is_none() {
            return refuse("--find-max needs --seed: everybody would be registered anew for each run");
        }
        if self.find_max && plan.rates.0.is_empty() && self.raise != Some(Parameter::Users) {
            return refuse("--find-max: there is no rate to raise in this scenario; use --raise users");
        }
        let options = self.search();
        if !(options.most >= 1.0 && options.most <= 1e7) {
            return refuse("--max-rate must be at least 1 and at most 10000000");
        }
        if !(options.precision >= 0.01 && options.precision <= 1.0) {
            return refuse("--precision must be at least 0.01 and at most 1");
        }
        Ok((plan, self.clone()))
    }

    /// How to search.
    #[must_use]
    pub fn search(&self) -> find_max::Options {
        find_max::Options {
            parameter: self.raise.unwrap_or(Parameter::Rate),
            most: self.max_rate.unwrap_or(100_000.0),
            precision: self.precision.unwrap_or(0.05),
            rest: self.rest.unwrap_or(Duration::from_secs(2)),
        }
    }

    /// Where the folders of runs are made; `None` if there are to be none.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        (!self.no_files).then(|| self.out.clone().unwrap_or_else(|| PathBuf::from("loadtest-runs")))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::engine::packet::Protocol;

    fn plan(line: &str) -> Result<(Plan, Output), String> {
        let arguments = std::iter::once("loadtest").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        cli.command.plan().unwrap().map_err(|error| error.to_string())
    }

    #[test]
    fn the_grammar_is_sound_and_has_defaults() {
        Cli::command().debug_assert();
        let (chat, output) = plan("chat").unwrap();
        assert_eq!((chat.users, chat.rate(crate::plan::Action::Send)), (1_000, 2_500.0));
        assert_eq!(output.folder(), Some(PathBuf::from("loadtest-runs")));
        let (chat, output) =
            plan("chat --protocol ws --duration 1500ms --seed a.jsonl --json --no-files").unwrap();
        assert_eq!((chat.protocol, chat.duration), (Protocol::Ws, Duration::from_millis(1_500)));
        assert!(output.json && output.folder().is_none());
        for scenario in Scenario::ALL {
            assert_eq!(plan(scenario.as_str()).unwrap().0.scenario, scenario.as_str());
        }
    }

    #[test]
    fn options_without_sense_are_refused() {
        for line in [
            "chat --users 3",
            "chat --users 0",
            "chat --rate NaN",
            "chat --duration 0s",
            "chat --content-bytes 5000",
            "chat --protocol x",
            "chat --users 10000002",
            "chat --duration 25h",
            "chat --slo p98=1ms",
            "chat --find-max --seed a --precision 0",
            "chat --find-max --seed a --max-rate 0",
            "chat --max-rate 5",
            "chat --find-max",
            "idle --find-max --seed a",
            "chat --rates sing=5",
            "chat --rate 5 --rates send=5",
            "idle --rate 5",
            "sing",
        ] {
            assert!(plan(line).is_err(), "{line}");
        }
    }
}
