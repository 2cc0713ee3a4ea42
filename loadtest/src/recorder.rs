//! Latencies and counts of one process of a run, in all and by the second.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::ledger::Fault;
use crate::plan::Action;

/// The longest latency that is told apart, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Latency {
    /// From a message's scheduled time to its arrival at a recipient.
    Delivery,
    /// From a message's scheduled time to its acknowledgement.
    Acknowledgement,
    /// From the begin of a connection to its admission.
    Connect,
    /// From the begin of a connection that comes back to its admission.
    Reconnect,
    /// From the scheduled time of typing to its arrival at another.
    Typing,
    /// A list of conversations.
    List,
    /// A page of messages.
    Open,
    /// Marking as read.
    Mark,
    /// An upload.
    Upload,
    /// A message over REST, to its answer.
    Post,
}

impl Latency {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 10] = [
        Self::Delivery,
        Self::Acknowledgement,
        Self::Connect,
        Self::Reconnect,
        Self::Typing,
        Self::List,
        Self::Open,
        Self::Mark,
        Self::Upload,
        Self::Post,
    ];

    /// The name in results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Acknowledgement => "acknowledgement",
            Self::Connect => "connect",
            Self::Reconnect => "reconnect",
            Self::Typing => "typing",
            Self::List => "list",
            Self::Open => "open",
            Self::Mark => "mark",
            Self::Upload => "upload",
            Self::Post => "post",
        }
    }

    /// What it is, for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Delivery => "Message: scheduled send to arrival at a recipient",
            Self::Acknowledgement => "Message: scheduled send to acknowledgement",
            Self::Connect => "Connection: first packet to admission",
            Self::Reconnect => "Connection that comes back: first packet to admission",
            Self::Typing => "Typing: scheduled to arrival at another",
            Self::List => "REST: list of conversations",
            Self::Open => "REST: page of messages",
            Self::Mark => "Marking as read, to its acknowledgement",
            Self::Upload => "REST: upload",
            Self::Post => "REST: message, to its answer",
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Count {
    /// Messages sent.
    Sent,
    /// Messages acknowledged.
    Acknowledged,
    /// Arrivals that acknowledged messages make, at everybody who is entitled.
    Expected,
    /// Arrivals of messages, each once per socket.
    Delivered,
    /// Arrivals due to the harness's own lateness left out.
    Skipped,
    /// Connections opened.
    Connects,
    /// Connections that could not be opened, where that does not end the run.
    ConnectsFailed,
    /// Connections that came back.
    Reconnects,
    /// Those that got what they missed.
    Recovered,
    /// Arrivals of messages that were sent while the connection was away.
    CaughtUp,
    /// Arrivals of somebody's typing.
    Typing,
    /// Requests over REST and marks that went well.
    Requests,
    /// Those that did not.
    RequestsFailed,
    /// Messages of others in these conversations. Not a fault.
    Foreign,
    /// Events of other kinds.
    OtherEvents,
    /// Messages acknowledged in the measured time.
    MeasuredAcknowledged,
    /// Arrivals in the measured time.
    MeasuredDelivered,
}

/// Counts by what they count.
pub type Counts = BTreeMap<Count, u64>;

const COUNTS: usize = Count::MeasuredDelivered as usize + 1;

/// A histogram of microseconds, to three significant digits.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    // Invariant: the bounds are constants that the library accepts.
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("valid bounds")
}

/// One latency: counted from the scheduled time, and from the time at which it really began.
#[derive(Clone, Debug)]
pub struct Both {
    /// From the scheduled time.
    pub corrected: Histogram<u64>,
    /// From the actual start.
    pub uncorrected: Histogram<u64>,
}

impl Default for Both {
    fn default() -> Self {
        Self { corrected: histogram(), uncorrected: histogram() }
    }
}

/// The values of a histogram and how many there are of each, in microseconds.
pub type Values = Vec<(u64, u64)>;

/// The values of a histogram.
#[must_use]
pub fn values(histogram: &Histogram<u64>) -> Values {
    histogram.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value())).collect()
}

/// Adds values to a histogram.
pub fn add(histogram: &mut Histogram<u64>, values: &[(u64, u64)]) {
    for (value, count) in values {
        // Invariant: they come from a histogram with the same bounds.
        histogram.saturating_record_n(*value, *count);
    }
}

/// How many of an action were started, were left out, went well and failed.
pub type Steps = [u64; 4];

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was started.
    Started,
    /// It was due too long ago to be started.
    Skipped,
    /// It went well.
    Ok,
    /// It did not.
    Failed,
}

/// What one process did in one second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// The how-manieth second of the run, from 0.
    pub second: u64,
    /// The phase that it ended in.
    pub phase: Phase,
    /// Connections that are open.
    pub connections: u64,
    /// Arrivals a second that were asked for.
    pub offered: f64,
    /// For how many seconds the load has been on.
    pub running_s: u64,
    /// CPU that driving the connections took in it, in microseconds, where the system tells.
    pub cpu_us: Option<u64>,
    /// What was counted in it.
    pub counts: Counts,
    /// Faults that were seen in it.
    pub errors: u64,
    /// What ended in it, and how long it took.
    pub latencies: BTreeMap<Latency, Values>,
    /// Of each action: how many were started, left out, went well and failed, in it.
    pub actions: BTreeMap<Action, Steps>,
    /// Faults seen so far.
    pub faults: BTreeMap<Fault, u64>,
    /// How late arrivals were started.
    pub late: Values,
}

/// What a run is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Connections are opened.
    #[default]
    Connect,
    /// The same as in the measured time, but not measured.
    Warmup,
    /// Measured.
    Measure,
    /// Waiting for what is still on its way.
    Settle,
}

impl Phase {
    /// The name in results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Warmup => "warmup",
            Self::Measure => "measure",
            Self::Settle => "settle",
        }
    }
}

/// Records what a process does.
#[derive(Debug)]
pub struct Recorder {
    latencies: BTreeMap<Latency, Both>,
    late: Histogram<u64>,
    second_latencies: BTreeMap<Latency, Histogram<u64>>,
    second_actions: BTreeMap<Action, Steps>,
    second_late: Histogram<u64>,
    total: [u64; COUNTS],
    told: [u64; COUNTS],
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            latencies: BTreeMap::new(),
            late: histogram(),
            second_latencies: BTreeMap::new(),
            second_actions: BTreeMap::new(),
            second_late: histogram(),
            total: [0; COUNTS],
            told: [0; COUNTS],
        }
    }
}

impl Recorder {
    /// Adds to a count.
    pub fn count(&mut self, count: Count, more: u64) {
        self.total[count as usize] += more;
    }

    /// How many there are so far.
    #[must_use]
    pub fn total(&self, count: Count) -> u64 {
        self.total[count as usize]
    }

    /// A latency: it ended `now`, was to begin at `due` and began at `started`.
    pub fn latency(&mut self, latency: Latency, due: u64, started: u64, now: u64, measured: bool) {
        let took = now.saturating_sub(due);
        self.second_latencies.entry(latency).or_insert_with(histogram).saturating_record(took);
        if measured {
            let both = self.latencies.entry(latency).or_default();
            both.corrected.saturating_record(took);
            both.uncorrected.saturating_record(now.saturating_sub(started));
        }
    }

    /// Something became of an action.
    pub fn step(&mut self, action: Action, step: Step) {
        self.second_actions.entry(action).or_default()[step as usize] += 1;
    }

    /// How late something was started.
    pub fn late(&mut self, microseconds: u64, measured: bool) {
        self.second_late.saturating_record(microseconds);
        if measured {
            self.late.saturating_record(microseconds);
        }
    }

    /// Ends a second: what happened since the last one. The rest of it is for the caller to fill in.
    pub fn second(&mut self) -> Second {
        let counts = counts(|index| self.total[index] - self.told[index]);
        self.told = self.total;
        let second = Second {
            counts,
            latencies: self.second_latencies.iter().map(|(latency, took)| (*latency, values(took))).collect(),
            actions: std::mem::take(&mut self.second_actions),
            late: values(&self.second_late),
            ..Second::default()
        };
        self.second_latencies.values_mut().for_each(Histogram::reset);
        self.second_late.reset();
        second
    }

    /// Everything that was recorded.
    #[must_use]
    pub fn finish(self) -> Recorded {
        let latencies = self.latencies.iter();
        Recorded {
            counts: counts(|index| self.total[index]),
            latencies: latencies
                .map(|(latency, both)| (*latency, (values(&both.corrected), values(&both.uncorrected))))
                .collect(),
            late: values(&self.late),
        }
    }
}

/// Everything that a process recorded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recorded {
    /// All counts.
    pub counts: Counts,
    /// All latencies of the measured time: from the scheduled time, and from the actual start.
    pub latencies: BTreeMap<Latency, (Values, Values)>,
    /// How late arrivals of the measured time were started.
    pub late: Values,
}

fn counts(value: impl Fn(usize) -> u64) -> Counts {
    use Count as C;
    const ALL: [Count; COUNTS] = [
        C::Sent,
        C::Acknowledged,
        C::Expected,
        C::Delivered,
        C::Skipped,
        C::Connects,
        C::ConnectsFailed,
        C::Reconnects,
        C::Recovered,
        C::CaughtUp,
        C::Typing,
        C::Requests,
        C::RequestsFailed,
        C::Foreign,
        C::OtherEvents,
        C::MeasuredAcknowledged,
        C::MeasuredDelivered,
    ];
    ALL.into_iter().map(|count| (count, value(count as usize))).filter(|(_, value)| *value > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_counts_from_the_scheduled_time_and_only_after_the_warm_up() {
        let mut recorder = Recorder::default();
        recorder.latency(Latency::Delivery, 1_000, 1_500, 4_000, false);
        recorder.latency(Latency::Delivery, 1_000, 1_500, 3_000, true);
        let second = recorder.second();
        assert_eq!(second.latencies[&Latency::Delivery], [(2_000, 1), (3_001, 1)], "both are in the second");
        assert_eq!(recorder.second().latencies[&Latency::Delivery], []);
        let recorded = recorder.finish();
        assert_eq!(recorded.latencies[&Latency::Delivery], (vec![(2_000, 1)], vec![(1_500, 1)]));
    }

    #[test]
    fn a_second_has_what_came_since_the_last() {
        let mut recorder = Recorder::default();
        recorder.count(Count::Sent, 3);
        assert_eq!(recorder.second().counts, Counts::from([(Count::Sent, 3)]));
        recorder.count(Count::Sent, 2);
        recorder.count(Count::MeasuredDelivered, 1);
        assert_eq!(recorder.second().counts, Counts::from([(Count::Sent, 2), (Count::MeasuredDelivered, 1)]));
        assert_eq!((recorder.total(Count::Sent), recorder.finish().counts[&Count::Sent]), (5, 5));
    }

    #[test]
    fn values_go_from_one_histogram_to_another_unchanged() {
        let mut one = histogram();
        for value in [1, 999, 123_456, u64::MAX] {
            one.saturating_record(value);
        }
        let mut other = histogram();
        add(&mut other, &values(&one));
        assert_eq!(other, one);
    }
}
