//! What a run has to keep to, as `--slo` says it: `p99=250ms,errors=0.1%,lost=0`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a run came to, as far as a service level speaks of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reached {
    /// The median latency of messages, from the scheduled time to the arrival, in milliseconds.
    pub p50: f64,
    /// 90 % are at most this.
    pub p90: f64,
    /// 99 % are at most this.
    pub p99: f64,
    /// 99.9 % are at most this.
    pub p999: f64,
    /// Everything that was started, and what of it failed or was never answered.
    pub started: u64,
    /// What of it failed or was never answered.
    pub errors: u64,
    /// Acknowledged messages that are missing somewhere.
    pub lost: u64,
}

/// Whether a limit holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The limit's name.
    pub name: &'static str,
    /// The limit, in words.
    pub limit: String,
    /// What was reached, in words.
    pub reached: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Every limit that is named has to hold.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceLevel {
    limits: Vec<Limit>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// A percentile of the latency from the scheduled time to the arrival.
    Latency(Percentile, Duration),
    /// The share of messages that failed or were never answered, from 0 to 1.
    Errors(f64),
    /// How many acknowledged messages may be missing.
    Lost(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Percentile {
    P50,
    P90,
    P99,
    P999,
}

impl Percentile {
    const ALL: [(&'static str, Self); 4] =
        [("p50", Self::P50), ("p90", Self::P90), ("p99", Self::P99), ("p99.9", Self::P999)];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, percentile)| *percentile == self).map_or("", |(name, _)| name)
    }

    fn of(self, reached: &Reached) -> f64 {
        match self {
            Self::P50 => reached.p50,
            Self::P90 => reached.p90,
            Self::P99 => reached.p99,
            Self::P999 => reached.p999,
        }
    }
}

impl Default for ServiceLevel {
    /// `p99=250ms,errors=0.1%,lost=0`.
    fn default() -> Self {
        let latency = Limit::Latency(Percentile::P99, Duration::from_millis(250));
        Self { limits: vec![latency, Limit::Errors(0.001), Limit::Lost(0)] }
    }
}

impl ServiceLevel {
    /// Holds what was reached against each limit.
    #[must_use]
    pub fn check(&self, reached: &Reached) -> Vec<Held> {
        let held = self.limits.iter().map(|limit| {
            let (limit_in_words, in_words, holds) = match *limit {
                Limit::Latency(percentile, limit) => {
                    let (found, limit) = (percentile.of(reached), limit.as_secs_f64() * 1_000.0);
                    (format!("{limit} ms"), format!("{found:.1} ms"), found <= limit)
                }
                Limit::Errors(limit) => {
                    let found = if reached.started == 0 {
                        0.0
                    } else {
                        reached.errors as f64 / reached.started as f64
                    };
                    (format!("{} %", limit * 100.0), format!("{:.3} %", found * 100.0), found <= limit)
                }
                Limit::Lost(limit) => (limit.to_string(), reached.lost.to_string(), reached.lost <= limit),
            };
            Held { name: name(limit), limit: limit_in_words, reached: in_words, holds }
        });
        held.collect()
    }

    /// Whether it says how many errors there may be, and how many losses. What it does not say must not be at all.
    #[must_use]
    pub fn allows(&self) -> (bool, bool) {
        let named = |is: fn(&Limit) -> bool| self.limits.iter().any(is);
        (named(|limit| matches!(limit, Limit::Errors(_))), named(|limit| matches!(limit, Limit::Lost(_))))
    }
}

impl Serialize for ServiceLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ServiceLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl FromStr for ServiceLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let limits: Vec<Limit> = text.split(',').map(limit).collect::<Result<_, _>>()?;
        for (at, one) in limits.iter().enumerate() {
            if limits[..at].iter().any(|other| name(other) == name(one)) {
                return Err(format!("{} is given twice", name(one)));
            }
        }
        Ok(Self { limits })
    }
}

fn name(limit: &Limit) -> &'static str {
    match limit {
        Limit::Latency(percentile, _) => percentile.name(),
        Limit::Errors(_) => "errors",
        Limit::Lost(_) => "lost",
    }
}

fn limit(text: &str) -> Result<Limit, String> {
    let (name, value) =
        text.trim().split_once('=').ok_or_else(|| format!("{text:?}: expected NAME=LIMIT"))?;
    if let Some((_, percentile)) = Percentile::ALL.iter().find(|(known, _)| *known == name) {
        let limit = humantime::parse_duration(value).map_err(|error| format!("{name}: {error}"))?;
        return Ok(Limit::Latency(*percentile, limit));
    }
    match name {
        "errors" => {
            let share = value.strip_suffix('%').and_then(|percent| percent.trim().parse::<f64>().ok());
            let share = share.filter(|percent| (0.0..=100.0).contains(percent));
            share
                .map(|percent| Limit::Errors(percent / 100.0))
                .ok_or_else(|| format!("errors: {value:?} is not a share between 0% and 100%, such as 0.1%"))
        }
        "lost" => {
            let count = value.parse().map_err(|_| format!("lost: {value:?} is not a number of messages"))?;
            Ok(Limit::Lost(count))
        }
        _ => Err(format!("{name:?} is none of p50, p90, p99, p99.9, errors, lost")),
    }
}

impl fmt::Display for ServiceLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, limit) in self.limits.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let name = name(limit);
            match limit {
                Limit::Latency(_, limit) => {
                    write!(f, "{comma}{name}={}", humantime::format_duration(*limit))?;
                }
                Limit::Errors(share) => write!(f, "{comma}{name}={}%", share * 100.0)?,
                Limit::Lost(count) => write!(f, "{comma}{name}={count}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        for text in ["p99=250ms,errors=0.1%,lost=0", "p50=5ms", "p99.9=1s", "errors=0%", "lost=3,p90=1ms"] {
            assert_eq!(text.parse::<ServiceLevel>().unwrap().to_string(), text);
        }
        assert_eq!("p99=250ms,errors=0.1%,lost=0".parse(), Ok(ServiceLevel::default()));
        assert_eq!("lost=0".parse::<ServiceLevel>().unwrap().allows(), (false, true));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_name() {
        for (text, problem) in [
            ("", "expected NAME=LIMIT"),
            ("p99", "expected NAME=LIMIT"),
            ("p98=1ms", "\"p98\" is none of"),
            ("p99=fast", "p99: "),
            ("errors=0.1", "such as 0.1%"),
            ("errors=101%", "such as 0.1%"),
            ("errors=NaN%", "such as 0.1%"),
            ("lost=-1", "is not a number"),
            ("p99=1ms,p99=2ms", "p99 is given twice"),
        ] {
            let refused = text.parse::<ServiceLevel>().unwrap_err();
            assert!(refused.contains(problem), "{text}: {refused}");
        }
    }

    #[test]
    fn what_was_reached_is_held_against_each_limit() {
        let good =
            Reached { p50: 10.0, p90: 20.0, p99: 100.0, started: 1_000, errors: 10, lost: 1, p999: 500.0 };
        let broken = |level: &str, reached: Reached| {
            let held = level.parse::<ServiceLevel>().unwrap().check(&reached);
            let broken = held.into_iter().filter(|held| !held.holds);
            broken
                .map(|held| format!("{} {} over {}", held.name, held.reached, held.limit))
                .collect::<Vec<_>>()
        };
        let all = "p50=10ms,p99=100ms,errors=1%,lost=1";
        assert_eq!(broken(all, good), Vec::<String>::new());
        assert_eq!(broken(all, Reached { p99: 100.5, ..good }), ["p99 100.5 ms over 100 ms"]);
        assert_eq!(broken(all, Reached { errors: 21, ..good }), ["errors 2.100 % over 1 %"]);
        assert_eq!(broken(all, Reached { lost: 2, ..good }), ["lost 2 over 1"]);
        assert_eq!(broken("p90=1ms,p99.9=1s", good), ["p90 20.0 ms over 1 ms"]);
    }
}
