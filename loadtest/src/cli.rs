//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use humantime::parse_duration;

use crate::Error;
use crate::dialect::Protocol;
use crate::service_level::ServiceLevel;

/// No run is longer: one that was forgotten ends by itself.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// No run has more people or connections.
const MOST: usize = 10_000_000;

/// Puts LinkUp under a fixed load and judges what came back. One line of JSON with the results goes to
/// standard output, progress to standard error. Ends with 0 on a good verdict, 1 on a failed one, 2 if the
/// run could not take place.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadtest")]
pub struct Cli {
    /// Which scenario.
    #[command(subcommand)]
    pub scenario: Scenario,
}

/// The scenarios.
#[derive(Clone, Debug, Subcommand)]
pub enum Scenario {
    /// People in pairs who write to each other at a fixed total rate.
    Chat(ChatOptions),
    /// Connections that do nothing but give signs of life.
    Idle(IdleOptions),
}

/// Options of the scenario `chat`.
#[derive(Clone, Debug, Args)]
pub struct ChatOptions {
    /// The server's public address.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    pub url: String,
    /// The server may be another machine: it is yours to put under load.
    #[arg(long)]
    pub i_own_this_target: bool,
    /// How many people, an even number.
    #[arg(long, default_value_t = 1_000)]
    pub users: usize,
    /// Messages per second, over all people; with --find-max the first that is tried.
    #[arg(long, default_value_t = 2_500.0)]
    pub rate: f64,
    /// What has to hold beside that every message arrives once and in order: any of p50, p90, p99, p99.9 (from the
    /// scheduled time to the arrival), errors and lost. [with --find-max: p99=250ms,errors=0.1%,lost=0]
    #[arg(long, value_name = "NAME=LIMIT,…")]
    pub slo: Option<ServiceLevel>,
    /// Look for the highest rate that holds --slo: double it until one does not hold, halve the distance, confirm three
    /// times. Every run takes --warmup and --duration.
    #[arg(long)]
    pub find_max: bool,
    /// With --find-max: the highest rate that is tried.
    #[arg(long, default_value_t = 100_000.0, requires = "find_max")]
    pub max_rate: f64,
    /// With --find-max: how close to the limit to end, as a share of the rate.
    #[arg(long, default_value_t = 0.05, requires = "find_max")]
    pub precision: f64,
    /// With --find-max: how long the server rests between two runs.
    #[arg(long, default_value = "2s", value_parser = parse_duration, requires = "find_max")]
    pub rest: Duration,
    /// How long to measure.
    #[arg(long, default_value = "20s", value_parser = parse_duration)]
    pub duration: Duration,
    /// How long to send before that.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub warmup: Duration,
    /// How long to wait at the end for what is still on its way.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub settle: Duration,
    /// Users and conversations, as `linkup seed --users N --conversations N/2 --out FILE` writes them.
    /// Without it they are registered over REST, which is slow.
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// Which protocol to speak.
    #[arg(long, value_enum, default_value_t = Protocol::SocketIo)]
    pub protocol: Protocol,
    /// Length of a message's text; at least as long as its marker (up to 50).
    #[arg(long, default_value_t = 80)]
    pub content_bytes: usize,
    /// How many connections are opened at once.
    #[arg(long, default_value_t = 64)]
    pub connects: usize,
    /// Only the line of results, no progress.
    #[arg(long)]
    pub json: bool,
}

/// Options of the scenario `idle`.
#[derive(Clone, Debug, Args)]
pub struct IdleOptions {
    /// The server's public address.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    pub url: String,
    /// The server may be another machine: it is yours to put under load.
    #[arg(long)]
    pub i_own_this_target: bool,
    /// How many connections.
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// Users, as `linkup seed` writes them. They are used in turn, as often as it takes.
    #[arg(long, value_name = "FILE")]
    pub seed: PathBuf,
    /// How long to hold the connections.
    #[arg(long, default_value = "20s", value_parser = parse_duration)]
    pub hold: Duration,
    /// The process whose memory and CPU are to be watched.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Which protocol to speak.
    #[arg(long, value_enum, default_value_t = Protocol::SocketIo)]
    pub protocol: Protocol,
    /// How many connections are opened at once.
    #[arg(long, default_value_t = 64)]
    pub connects: usize,
    /// Only the line of results, no progress.
    #[arg(long)]
    pub json: bool,
}

impl ChatOptions {
    /// Checks what the command line's grammar cannot.
    ///
    /// # Errors
    ///
    /// The first option that makes no sense.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |problem: &str| Err(Error::Usage(problem.to_owned()));
        if self.users < 2 || !self.users.is_multiple_of(2) {
            return refuse("--users must be an even number, at least 2");
        }
        if !(self.rate > 0.0 && self.rate <= 1e6) {
            return refuse("--rate must be more than 0 and at most 1000000");
        }
        if self.users > MOST {
            return refuse("--users must be at most 10000000");
        }
        if self.duration.is_zero() {
            return refuse("--duration must not be 0");
        }
        if [self.duration, self.warmup, self.settle, self.rest].iter().any(|time| *time > LONGEST) {
            return refuse("--duration, --warmup, --settle and --rest must be at most a day");
        }
        if !(self.max_rate >= 1.0 && self.max_rate <= 1e6) {
            return refuse("--max-rate must be at least 1 and at most 1000000");
        }
        if self.find_max && self.seed.is_none() {
            return refuse("--find-max needs --seed: everybody would be registered anew for each run");
        }
        if !(self.precision >= 0.01 && self.precision <= 1.0) {
            return refuse("--precision must be at least 0.01 and at most 1");
        }
        if self.content_bytes > protocol::body::MAX_CONTENT_CHARS {
            return refuse("--content-bytes must not exceed the longest message that the server takes, 4000");
        }
        Ok(())
    }
}

impl IdleOptions {
    /// Checks what the command line's grammar cannot.
    ///
    /// # Errors
    ///
    /// The first option that makes no sense.
    pub fn check(&self) -> Result<(), Error> {
        if self.connections == 0 {
            return Err(Error::Usage("--connections must not be 0".to_owned()));
        }
        if self.connections > MOST {
            return Err(Error::Usage("--connections must be at most 10000000".to_owned()));
        }
        if self.hold > LONGEST {
            return Err(Error::Usage("--hold must be at most a day".to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn chat(arguments: &str) -> Result<ChatOptions, String> {
        let arguments = ["loadtest", "chat"].into_iter().chain(arguments.split_whitespace());
        match Cli::try_parse_from(arguments).map_err(|error| error.to_string())?.scenario {
            Scenario::Chat(options) => options.check().map(|()| options).map_err(|error| error.to_string()),
            Scenario::Idle(_) => panic!("chat was asked for"),
        }
    }

    #[test]
    fn the_grammar_is_sound_and_has_defaults() {
        Cli::command().debug_assert();
        let options = chat("").unwrap();
        assert_eq!((options.users, options.rate), (1_000, 2_500.0));
        assert_eq!(options.settle, Duration::from_secs(10));
        let options = chat("--protocol ws --duration 1500ms --seed a.jsonl --json").unwrap();
        assert_eq!(options.protocol, Protocol::Ws);
        assert_eq!(options.duration, Duration::from_millis(1_500));
        assert!(options.json && options.seed.is_some());
    }

    #[test]
    fn options_without_sense_are_refused() {
        for arguments in [
            "--users 3",
            "--users 0",
            "--rate 0",
            "--rate NaN",
            "--duration 0s",
            "--content-bytes 5000",
            "--protocol x",
            "--users 10000002",
            "--duration 25h",
            "--warmup 2days",
            "--slo p98=1ms",
            "--find-max --precision 0",
            "--find-max --max-rate 0",
            "--max-rate 5",
            "--find-max",
        ] {
            assert!(chat(arguments).is_err(), "{arguments}");
        }
    }
}
