//! What a run does: the scenario's defaults, under a profile's settings, under the command line's.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use humantime::parse_duration;
use serde::{Deserialize, Deserializer, Serialize};

use crate::arrivals::Spacing;
use crate::engine::packet::Protocol;
use crate::error::Error;
use crate::service_level::ServiceLevel;

/// No run is longer: one that was forgotten ends by itself.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// No run has more people or connections.
const MOST: usize = 10_000_000;

/// What is done to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A message is sent over a socket.
    Send,
    /// A message is sent over REST.
    Post,
    /// Somebody begins to type.
    Typing,
    /// A conversation is opened: its last messages are fetched, and marked as read over the socket.
    Open,
    /// A conversation is marked as read. It follows from opening one.
    Mark,
    /// The list of conversations is fetched.
    List,
    /// A file is uploaded.
    Upload,
    /// A connection is cut, and comes back.
    Reconnect,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Send,
        Self::Typing,
        Self::Open,
        Self::Mark,
        Self::List,
        Self::Upload,
        Self::Reconnect,
        Self::Post,
    ];

    /// The name on the command line, in profiles and in results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Post => "post",
            Self::Typing => "typing",
            Self::Open => "open",
            Self::Mark => "mark",
            Self::List => "list",
            Self::Upload => "upload",
            Self::Reconnect => "reconnect",
        }
    }
}

/// How many of each action a second, over all people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates(pub BTreeMap<Action, f64>);

impl FromStr for Rates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rates = BTreeMap::new();
        for part in text.split(',') {
            let (name, rate) = part.split_once('=').ok_or(format!("expected ACTION=RATE, not \"{part}\""))?;
            let action =
                Action::ALL.into_iter().find(|action| action.as_str() == name && *action != Action::Mark);
            let action = action.ok_or_else(|| {
                format!(
                    "unknown action \"{name}\": use {}",
                    "send, post, typing, open, list, upload, reconnect"
                )
            })?;
            rates.insert(action, rate.parse().map_err(|_| format!("\"{rate}\" is no rate"))?);
        }
        Ok(Self(rates))
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rates: Vec<_> =
            self.0.iter().map(|(action, rate)| format!("{} {rate}/s", action.as_str())).collect();
        f.write_str(&rates.join(", "))
    }
}

/// Who writes to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// People in pairs, each with a conversation of their own.
    Pairs,
    /// Everybody in the biggest conversation.
    Room,
    /// Whoever shares a conversation, most of all in those that somebody has first in their list.
    World,
}

/// Which contract the server keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Flavor {
    /// LinkUp's: sends are acknowledged, and messages carry a `seq`.
    #[default]
    Linkup,
    /// The frontend specification's: neither. A message counts as accepted once it has arrived anywhere.
    Spec,
}

/// The scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Everybody connects at once, or at a rate, and leaves.
    Connect,
    /// Connections that do nothing but give signs of life.
    Idle,
    /// People in pairs who write to each other.
    Chat,
    /// One big conversation.
    Room,
    /// People who type.
    Typing,
    /// Conversations are opened and marked as read.
    Read,
    /// API traffic alone.
    Rest,
    /// Connections are cut while messages are sent, and come back.
    Reconnect,
    /// Files are uploaded.
    Upload,
    /// A bit of everything, as people do it.
    Day,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Idle,
        Self::Chat,
        Self::Room,
        Self::Typing,
        Self::Read,
        Self::Rest,
        Self::Reconnect,
        Self::Upload,
        Self::Day,
    ];

    /// The name on the command line, in profiles and in results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Idle => "idle",
            Self::Chat => "chat",
            Self::Room => "room",
            Self::Typing => "typing",
            Self::Read => "read",
            Self::Rest => "rest",
            Self::Reconnect => "reconnect",
            Self::Upload => "upload",
            Self::Day => "day",
        }
    }

    /// What the scenario is mostly made of, and how many of each a second where nothing else is asked for.
    fn rates(self) -> &'static [(Action, f64)] {
        match self {
            Self::Connect | Self::Idle => &[],
            Self::Chat => &[(Action::Send, 2_500.0)],
            Self::Room => &[(Action::Send, 100.0)],
            Self::Typing => &[(Action::Typing, 200.0)],
            Self::Read => &[(Action::Open, 200.0), (Action::Send, 100.0)],
            Self::Rest => &[(Action::List, 100.0), (Action::Open, 100.0), (Action::Post, 50.0)],
            Self::Reconnect => &[(Action::Reconnect, 20.0), (Action::Send, 200.0)],
            Self::Upload => &[(Action::Upload, 20.0)],
            Self::Day => &[
                (Action::Send, 100.0),
                (Action::Typing, 50.0),
                (Action::Open, 40.0),
                (Action::List, 10.0),
                (Action::Reconnect, 2.0),
                (Action::Post, 2.0),
                (Action::Upload, 0.5),
            ],
        }
    }

    const fn topology(self) -> Topology {
        match self {
            Self::Room => Topology::Room,
            Self::Chat => Topology::Pairs,
            _ => Topology::World,
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// What can be set about a run, on the command line and in a profile by the same names.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// The server's public address [default: http://127.0.0.1:5000]
    #[arg(long)]
    pub url: Option<String>,
    /// The server may be another machine: it is yours to put under load
    #[arg(long)]
    #[serde(skip)]
    pub i_own_this_target: bool,
    /// Users and conversations, as `linkup seed … --out FILE` writes them. Without it they are registered over REST,
    /// which is slow
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// Which protocol to speak [default: socketio]
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
    /// Which contract the server keeps [default: linkup]
    #[arg(long, value_enum)]
    pub flavor: Option<Flavor>,
    /// How many people, each with one connection; where the seed has fewer they have several [default: 1000]
    #[arg(long)]
    pub users: Option<usize>,
    /// How many a second of what the scenario is made of; other rates of the scenario change with it
    #[arg(long)]
    pub rate: Option<f64>,
    /// How many a second of each action: send, post, typing, open, list, upload, reconnect. Replaces the scenario's
    #[arg(long, value_name = "ACTION=RATE,…")]
    pub rates: Option<Rates>,
    /// Connections a second; without it as many as go, --connects at once
    #[arg(long)]
    pub connect_rate: Option<f64>,
    /// How many connections are opened at once [default: 64]
    #[arg(long)]
    pub connects: Option<usize>,
    /// How arrivals are spaced [default: constant; day: poisson]
    #[arg(long, value_enum)]
    pub arrivals: Option<Spacing>,
    /// How long to measure [default: 20s]
    #[arg(long, value_parser = parse_duration)]
    #[serde(deserialize_with = "duration")]
    pub duration: Option<Duration>,
    /// How long the same is done before that [default: 5s]
    #[arg(long, value_parser = parse_duration)]
    #[serde(deserialize_with = "duration")]
    pub warmup: Option<Duration>,
    /// In how long the rates rise from nothing, within the warm-up [default: 0s]
    #[arg(long, value_parser = parse_duration)]
    #[serde(deserialize_with = "duration")]
    pub ramp: Option<Duration>,
    /// How long to wait at the end for what is still on its way [default: 10s]
    #[arg(long, value_parser = parse_duration)]
    #[serde(deserialize_with = "duration")]
    pub settle: Option<Duration>,
    /// How long a connection that was cut stays away [default: 1s]
    #[arg(long, value_parser = parse_duration)]
    #[serde(deserialize_with = "duration")]
    pub away: Option<Duration>,
    /// What has to hold beside that nothing is lost, doubled or out of order: any of p50, p90, p99, p99.9 (of messages,
    /// from the scheduled time to the arrival), errors and lost
    #[arg(long, value_name = "NAME=LIMIT,…")]
    #[serde(deserialize_with = "parsed")]
    pub slo: Option<ServiceLevel>,
    /// Length of a message's text; at least as long as its marker (up to 60) [default: 80]
    #[arg(long)]
    pub content_bytes: Option<usize>,
    /// Length of an uploaded file [default: 20000]
    #[arg(long)]
    pub upload_bytes: Option<usize>,
    /// The seed of everything that is drawn at random [default: 1]
    #[arg(long)]
    pub random: Option<u64>,
    /// Processes whose memory and CPU are to be watched
    #[arg(long, value_name = "[NAME=]PID,…", value_delimiter = ',')]
    pub pid: Option<Vec<String>>,
    /// Serve the harness's own metrics at this address, for Prometheus
    #[arg(long, value_name = "ADDR:PORT")]
    pub prometheus: Option<std::net::SocketAddr>,
    /// The admin addresses of a LinkUp, to show where messages wait
    #[arg(long, value_name = "URL,…", value_delimiter = ',')]
    pub metrics: Option<Vec<String>>,
    /// How many processes the connections are spread over [default: as many as the limit on open files asks for]
    #[arg(long)]
    pub workers: Option<usize>,
    /// Leave out looking for every message over REST in the end
    #[arg(long)]
    #[serde(default)]
    pub no_verify: bool,
}

/// A run, with everything decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name, or the profile's.
    pub scenario: String,
    /// The server's public address.
    pub url: String,
    /// Whether it may be another machine.
    pub i_own_this_target: bool,
    /// Users and conversations; without it they are registered.
    pub seed: Option<PathBuf>,
    /// The protocol to speak.
    pub protocol: Protocol,
    /// The contract that the server keeps.
    pub flavor: Flavor,
    /// How many connections.
    pub users: usize,
    /// Who writes to whom.
    pub topology: Topology,
    /// How many of each action a second.
    pub rates: Rates,
    /// Connections a second, if that is bounded.
    pub connect_rate: Option<f64>,
    /// How many connections are opened at once.
    pub connects: usize,
    /// How arrivals are spaced.
    pub arrivals: Spacing,
    /// How long to measure.
    pub duration: Duration,
    /// How long the same is done before that.
    pub warmup: Duration,
    /// In how long the rates rise from nothing.
    pub ramp: Duration,
    /// How long to wait for what is still on its way.
    pub settle: Duration,
    /// How long a connection that was cut stays away.
    pub away: Duration,
    /// What has to hold.
    pub slo: Option<ServiceLevel>,
    /// Length of a text, in bytes.
    pub content_bytes: usize,
    /// Length of a file, in bytes.
    pub upload_bytes: usize,
    /// The seed of what is drawn at random.
    pub random: u64,
    /// The processes to watch, each with a name.
    pub pids: Vec<(String, u32)>,
    /// Where the harness's own metrics are served.
    pub prometheus: Option<std::net::SocketAddr>,
    /// The admin addresses of a LinkUp.
    pub metrics: Vec<String>,
    /// How many processes, if that is decided.
    pub workers: Option<usize>,
    /// Whether every message is looked for over REST in the end.
    pub verify: bool,
    /// Whether connections are what is measured: they are opened, and that is all.
    pub connects_only: bool,
}

impl Settings {
    /// These, and the other's where nothing is set.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            url: self.url.or(other.url),
            i_own_this_target: self.i_own_this_target || other.i_own_this_target,
            seed: self.seed.or(other.seed),
            protocol: self.protocol.or(other.protocol),
            flavor: self.flavor.or(other.flavor),
            users: self.users.or(other.users),
            rate: self.rate.or(other.rate),
            rates: self.rates.or(other.rates),
            connect_rate: self.connect_rate.or(other.connect_rate),
            connects: self.connects.or(other.connects),
            arrivals: self.arrivals.or(other.arrivals),
            duration: self.duration.or(other.duration),
            warmup: self.warmup.or(other.warmup),
            ramp: self.ramp.or(other.ramp),
            settle: self.settle.or(other.settle),
            away: self.away.or(other.away),
            slo: self.slo.or(other.slo),
            content_bytes: self.content_bytes.or(other.content_bytes),
            upload_bytes: self.upload_bytes.or(other.upload_bytes),
            random: self.random.or(other.random),
            pid: self.pid.or(other.pid),
            prometheus: self.prometheus.or(other.prometheus),
            metrics: self.metrics.or(other.metrics),
            workers: self.workers.or(other.workers),
            no_verify: self.no_verify || other.no_verify,
        }
    }

    /// Decides everything that is not set, and checks what the grammar cannot.
    ///
    /// # Errors
    ///
    /// All settings that make no sense, at once.
    pub fn plan(self, scenario: Scenario, name: Option<String>) -> Result<Plan, Error> {
        let seconds = Duration::from_secs;
        let pids = self.pid.unwrap_or_default().iter().map(|text| pid(text)).collect::<Result<_, _>>()?;
        let (mut rates, given) = match self.rates {
            Some(rates) => (rates, true),
            None => (Rates(scenario.rates().iter().copied().collect()), false),
        };
        if let Some(rate) = self.rate {
            let main = scenario.rates().first().map(|(action, _)| *action);
            let Some(main) = main.filter(|_| !given) else {
                let problem = if given {
                    "--rate and --rates exclude each other"
                } else {
                    "--rate: nothing is sent in this scenario"
                };
                return Err(Error::Usage(problem.to_owned()));
            };
            let factor = rate / rates.0[&main];
            rates.0.values_mut().for_each(|rate| *rate *= factor);
        }
        let day = scenario == Scenario::Day;
        let plan = Plan {
            scenario: name.unwrap_or_else(|| scenario.as_str().to_owned()),
            url: self.url.unwrap_or_else(|| "http://127.0.0.1:5000".to_owned()),
            i_own_this_target: self.i_own_this_target,
            seed: self.seed,
            protocol: self.protocol.unwrap_or(if day { Protocol::Upgrade } else { Protocol::SocketIo }),
            flavor: self.flavor.unwrap_or_default(),
            users: self.users.unwrap_or(1_000),
            topology: scenario.topology(),
            rates,
            connect_rate: self.connect_rate,
            connects: self.connects.unwrap_or(64),
            arrivals: self.arrivals.unwrap_or(if day { Spacing::Poisson } else { Spacing::Constant }),
            duration: self.duration.unwrap_or(seconds(20)),
            warmup: self.warmup.unwrap_or(seconds(5)),
            ramp: self.ramp.unwrap_or_default(),
            settle: self.settle.unwrap_or(seconds(10)),
            away: self.away.unwrap_or(seconds(1)),
            slo: self.slo,
            content_bytes: self.content_bytes.unwrap_or(80),
            upload_bytes: self.upload_bytes.unwrap_or(20_000),
            random: self.random.unwrap_or(1),
            pids,
            prometheus: self.prometheus,
            metrics: self.metrics.unwrap_or_default(),
            workers: self.workers,
            verify: !self.no_verify,
            connects_only: scenario == Scenario::Connect,
        };
        plan.check()?;
        Ok(plan)
    }
}

fn pid(text: &str) -> Result<(String, u32), Error> {
    let (name, number) = text.split_once('=').unwrap_or(("", text));
    let pid = number.parse().map_err(|_| Error::Usage(format!("--pid: \"{text}\" is not [NAME=]PID")))?;
    Ok((if name.is_empty() { format!("pid {pid}") } else { name.to_owned() }, pid))
}

impl Plan {
    /// How many of all actions a second.
    #[must_use]
    pub fn rate(&self, action: Action) -> f64 {
        self.rates.0.get(&action).copied().unwrap_or(0.0)
    }

    /// Whether messages are sent: without any there is nothing to prove.
    #[must_use]
    pub fn has_messages(&self) -> bool {
        self.rate(Action::Send) + self.rate(Action::Post) > 0.0
    }

    fn check(&self) -> Result<(), Error> {
        let mut problems = Vec::new();
        let mut need = |holds: bool, problem: &str| {
            if !holds {
                problems.push(problem.to_owned());
            }
        };
        need(self.users > 0, "--users must not be 0");
        need(self.users <= MOST, "--users must be at most 10000000");
        let pairs = self.topology == Topology::Pairs;
        need(
            !pairs || self.users.is_multiple_of(2),
            "--users must be even: people write to each other in pairs",
        );
        need(self.topology != Topology::Room || self.users >= 2, "--users must be at least 2 in a room");
        for (action, rate) in &self.rates.0 {
            let name = action.as_str();
            need(*rate >= 0.0 && *rate <= 1e6, &format!("the rate of {name} must be from 0 to 1000000"));
        }
        let sends = self.rates.0.values().any(|rate| *rate > 0.0);
        need(self.rates.0.is_empty() || sends, "at least one rate must be more than 0");
        let connect_rate = self.connect_rate.is_none_or(|rate| rate > 0.0 && rate <= 1e6);
        need(connect_rate, "--connect-rate must be more than 0 and at most 1000000");
        need((1..=100_000).contains(&self.connects), "--connects must be from 1 to 100000");
        need(!self.duration.is_zero(), "--duration must not be 0");
        for (name, time) in [
            ("duration", self.duration),
            ("warmup", self.warmup),
            ("settle", self.settle),
            ("away", self.away),
        ] {
            need(time <= LONGEST, &format!("--{name} must be at most a day"));
        }
        need(self.ramp <= self.warmup, "--ramp must not be longer than --warmup");
        let longest = protocol::body::MAX_CONTENT_CHARS;
        need(
            self.content_bytes <= longest,
            &format!("--content-bytes must not exceed the longest message that the server takes, {longest}"),
        );
        need((1..=50 << 20).contains(&self.upload_bytes), "--upload-bytes must be from 1 to 52428800");
        need(self.workers.is_none_or(|n| (1..=256).contains(&n)), "--workers must be from 1 to 256");
        if problems.is_empty() { Ok(()) } else { Err(Error::Usage(problems.join("; "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_goes_over_the_profile_and_both_over_the_scenario() {
        let profile = Settings { users: Some(10), rate: Some(5.0), ..Settings::default() };
        let line = Settings { users: Some(20), ..Settings::default() };
        let plan = line.over(profile).plan(Scenario::Read, None).unwrap();
        assert_eq!((plan.users, plan.rate(Action::Open), plan.rate(Action::Send)), (20, 5.0, 2.5));
        assert_eq!((plan.duration, plan.scenario.as_str()), (Duration::from_secs(20), "read"));
    }

    #[test]
    fn everything_that_makes_no_sense_is_told_at_once() {
        let settings = Settings {
            users: Some(3),
            rate: Some(-1.0),
            duration: Some(Duration::ZERO),
            warmup: Some(Duration::from_secs(90_000)),
            content_bytes: Some(5_000),
            connects: Some(0),
            ..Settings::default()
        };
        let problem = settings.plan(Scenario::Chat, None).unwrap_err().to_string();
        for part in ["even", "rate of send", "--duration must not", "--warmup must be", "4000", "--connects"]
        {
            assert!(problem.contains(part), "{part}: {problem}");
        }
        let idle = Settings { rate: Some(5.0), ..Settings::default() };
        assert!(idle.plan(Scenario::Idle, None).unwrap_err().to_string().contains("nothing is sent"));
        assert!(pid("x=y").is_err());
        assert_eq!(pid("api=12").unwrap(), ("api".to_owned(), 12));
    }

    #[test]
    fn rates_are_read_by_name() {
        let rates: Rates = "send=10,typing=0.5".parse().unwrap();
        assert_eq!((rates.0[&Action::Send], rates.0[&Action::Typing]), (10.0, 0.5));
        for text in ["send", "sing=1", "send=x", ""] {
            assert!(text.parse::<Rates>().is_err(), "{text}");
        }
    }
}
