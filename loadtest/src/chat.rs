//! The scenario `chat`: people in pairs who write to each other over sockets at a fixed total rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Error;
use crate::cli::ChatOptions;
use crate::connect::{connect_all, leave};
use crate::connection::{Link, Target};
use crate::interrupt::Interrupt;
use crate::ledger::{Tally, verdict};
use crate::pacer::Pacer;
use crate::people;
use crate::process::{Observed, check_open_files};
use crate::report::{Counters, Latencies, Percentiles, Progress, rounded};
use crate::schedule::Schedule;
use crate::seat::{self, Seat, Shared};
use crate::service_level::ServiceLevel;

/// How long to go on listening after everything has arrived, for what should not come any more.
const LISTEN_FOR_DUPLICATES: Duration = Duration::from_millis(500);
/// Between the last connection and the first message.
const HEAD_START: Duration = Duration::from_millis(200);
/// A harness this late (p99, in milliseconds) measures itself as well.
const LATE_MS: f64 = 5.0;

/// The results of a run, in the order in which they are printed.
#[derive(Clone, Debug, Serialize)]
pub struct ChatReport {
    /// `chat`.
    pub scenario: &'static str,
    /// `socketio` or `ws`.
    pub protocol: &'static str,
    /// How many people took part.
    pub users: usize,
    /// Messages per second asked for.
    pub rate: f64,
    /// Messages per second acknowledged: those of the measured time, over the time until the last of them
    /// was acknowledged.
    pub achieved_rate: f64,
    /// The measured time, in seconds.
    pub duration_s: f64,
    /// The time before it, in seconds.
    pub warmup_s: f64,
    /// Length of a message's text, in bytes.
    pub content_bytes: usize,
    /// Everything that was counted, warm-up included.
    #[serde(flatten)]
    pub tally: Tally,
    /// How many messages the latencies are of: arrivals in the measured time.
    pub measured: u64,
    /// From the scheduled time to the arrival at the other person.
    pub latency_ms: Percentiles,
    /// From the scheduled time to the acknowledgement.
    pub ack_ms: Percentiles,
    /// From the scheduled time to the send: how late the harness itself was.
    pub late_schedule_ms: Percentiles,
    /// Connections opened and authenticated per second.
    pub connects_per_second: f64,
    /// CPU that the harness itself used while sending, in cores.
    pub harness_cores: f64,
    /// The first reason that was given for a failed send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    /// How the first connection ended that the server closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_disconnect: Option<String>,
    /// What was wrong, and what of `--slo` did not hold: the verdict's reasons, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
    /// Whether it was ended early. Then all this is of what was sent until then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// `ok`, or `failed: ` and why.
    pub verdict: String,
}

impl ChatReport {
    /// Whether the verdict is good.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == "ok"
    }

    /// Says what was wrong, and what of the service level did not hold. `planned` is how many messages were to be sent.
    fn judge(&mut self, slo: Option<&ServiceLevel>, planned: usize) {
        let allows = slo.map_or((false, false), ServiceLevel::allows);
        let mut faults = self.tally.faults(planned, allows);
        faults.extend(slo.map(|slo| slo.broken_by(self)).unwrap_or_default());
        if self.interrupted {
            faults.insert(0, "interrupted".to_owned());
        }
        self.verdict = verdict(&faults);
        self.broken = faults;
    }
}

/// Runs the scenario.
///
/// # Errors
///
/// When it cannot be run: options, seed file, limits, or a connection that cannot be opened. A run
/// that went badly is no error but has a failed verdict.
pub async fn run(
    options: &ChatOptions,
    progress: Progress,
    interrupt: &Interrupt,
) -> Result<ChatReport, Error> {
    options.check()?;
    check_open_files(options.users)?;
    let target = Target::permitted(&options.url, options.i_own_this_target).await?;
    let shared = Shared::new(Schedule::new(options.rate, options.users, options.warmup, options.duration));
    let pairs = match &options.seed {
        Some(path) => people::load(path, options.users)?,
        None => tokio::select! {
            registered = people::register(target.base(), options.users, shared.run, progress) => registered?,
            () = interrupt.raised() => return Err(Error::Interrupted),
        },
    };
    let seats = Seat::all(&pairs, &shared);
    // Dropped at the end, which ends the readers and closes the connections.
    let mut readers = JoinSet::new();
    let opened = tokio::select! {
        opened = open(options, &target, &seats, &mut readers) => opened,
        // Those that are open are closed by being dropped.
        () = interrupt.raised() => return Err(Error::Interrupted),
    };
    let (links, connects_per_second) = opened?;
    progress.say(format_args!("{} connections open, {connects_per_second:.0} per second", links.len()));

    let late = Arc::new(Latencies::default());
    let cpu = Observed::myself().cpu_seconds().ok();
    let start = Instant::now() + HEAD_START;
    let pacer = Pacer {
        schedule: shared.schedule,
        seats: seats.clone(),
        links: links.clone(),
        protocol: options.protocol,
        run: shared.run,
        content_bytes: options.content_bytes,
        epoch: shared.epoch,
    };
    let is_complete = send(pacer, start, &shared, &late, progress, interrupt).await?;
    let sending = start.elapsed().as_secs_f64().max(1e-3);
    let planned = options.duration;
    let measured_for = Instant::now().saturating_duration_since(start + shared.schedule.measured_from());
    let measured_for = if is_complete { planned } else { measured_for.min(planned) };
    let harness_cores = cpu
        .zip(Observed::myself().cpu_seconds().ok())
        .map_or(0.0, |(before, after)| (after - before) / sending);
    settle(&seats, options.settle, progress).await;

    // Before anybody leaves: those are no disconnects.
    let tally = seat::tally(&seats);
    let (failure, disconnect) = (shared.first_failure.get(), shared.first_disconnect.get());
    leave(&links, options.protocol, &mut readers).await;
    let mut report = ChatReport {
        scenario: "chat",
        protocol: options.protocol.as_str(),
        users: options.users,
        rate: options.rate,
        achieved_rate: rounded(achieved_rate(&shared, start, measured_for), 1),
        duration_s: rounded(measured_for.as_secs_f64(), 3),
        warmup_s: options.warmup.as_secs_f64(),
        content_bytes: options.content_bytes,
        tally,
        measured: shared.latency.count(),
        latency_ms: shared.latency.percentiles(),
        ack_ms: shared.ack.percentiles(),
        late_schedule_ms: late.percentiles(),
        connects_per_second: rounded(connects_per_second, 1),
        harness_cores: rounded(harness_cores, 2),
        first_failure: failure,
        first_disconnect: disconnect,
        broken: Vec::new(),
        interrupted: !is_complete,
        verdict: String::new(),
    };
    report.judge(options.slo.as_ref(), shared.schedule.total());
    summarise(&report, progress);
    Ok(report)
}

/// Opens everyone's connection and starts to read it.
async fn open(
    options: &ChatOptions,
    target: &Target,
    seats: &[Arc<Seat>],
    readers: &mut JoinSet<()>,
) -> Result<(Vec<Arc<Link>>, f64), Error> {
    let tokens = seats.iter().map(|seat| Arc::clone(&seat.token)).collect();
    let mut links = Vec::with_capacity(seats.len());
    let per_second = connect_all(target, options.protocol, tokens, options.connects, |user, connection| {
        links.push((user, connection.link()));
        readers.spawn(Arc::clone(&seats[user]).attend(connection));
    })
    .await?;
    links.sort_by_key(|(user, _)| *user);
    Ok((links.into_iter().map(|(_, link)| link).collect(), per_second))
}

/// Sends everything, with a line of progress now and then. False if it was interrupted.
async fn send(
    pacer: Pacer,
    start: Instant,
    shared: &Arc<Shared>,
    late: &Arc<Latencies>,
    progress: Progress,
    interrupt: &Interrupt,
) -> Result<bool, Error> {
    let mut sending = tokio::task::spawn_blocking({
        let (shared, late, interrupt) = (Arc::clone(shared), Arc::clone(late), interrupt.clone());
        move || pacer.run(start, &shared.counters, &late, &interrupt)
    });
    loop {
        match timeout(Progress::INTERVAL, &mut sending).await {
            Ok(done) => return Ok(done?),
            Err(_) => {
                let Counters { sent, answered, delivered, disconnects, .. } = &shared.counters;
                progress.say(format_args!(
                    "{:5.1} s: sent {}, answered {}, delivered {}, disconnects {}; latency {}",
                    start.elapsed().as_secs_f64(),
                    Counters::get(sent),
                    Counters::get(answered),
                    Counters::get(delivered),
                    Counters::get(disconnects),
                    shared.latency.percentiles(),
                ));
            }
        }
    }
}

/// Waits until nothing is on its way any more, or `patience` has passed.
async fn settle(seats: &[Arc<Seat>], patience: Duration, progress: Progress) {
    let deadline = Instant::now() + patience;
    while seat::pending(seats) {
        if Instant::now() >= deadline {
            progress.say(format_args!("not everything arrived within {} s", patience.as_secs_f64()));
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    sleep(LISTEN_FOR_DUPLICATES).await;
}

/// Acknowledged messages of the measured time per second, until the last of them was acknowledged: a server
/// that falls behind achieves less than was asked for.
fn achieved_rate(shared: &Shared, start: Instant, duration: Duration) -> f64 {
    let from = start.duration_since(shared.epoch) + shared.schedule.measured_from();
    let last = shared.last_ack();
    let time = last.saturating_sub(from).max(duration).max(Duration::from_millis(1));
    shared.ack.count() as f64 / time.as_secs_f64()
}

fn summarise(report: &ChatReport, progress: Progress) {
    progress.say(format_args!("latency  {}", report.latency_ms));
    progress.say(format_args!("ack      {}", report.ack_ms));
    progress.say(format_args!("schedule {}", report.late_schedule_ms));
    if report.late_schedule_ms.p99 > LATE_MS {
        progress.say(format_args!(
            "the harness itself sent late: the latencies hold a share of its own (the cores are saturated)"
        ));
    }
    progress.say(format_args!("{:.1} messages/s; {}", report.achieved_rate, report.verdict));
}

#[cfg(test)]
impl ChatReport {
    /// A run in which nothing was wrong.
    pub(crate) fn example() -> Self {
        let latency = Percentiles { p50: 1.0, p90: 2.0, p99: 3.0, p999: 4.0, max: 5.0 };
        Self {
            scenario: "chat",
            protocol: "ws",
            users: 2,
            rate: 100.0,
            achieved_rate: 100.0,
            duration_s: 10.0,
            warmup_s: 0.0,
            content_bytes: 80,
            tally: Tally { sent: 1_000, acked: 1_000, delivered: 1_000, ..Tally::default() },
            measured: 1_000,
            latency_ms: latency,
            ack_ms: latency,
            late_schedule_ms: latency,
            connects_per_second: 100.0,
            harness_cores: 0.1,
            first_failure: None,
            first_disconnect: None,
            broken: Vec::new(),
            interrupted: false,
            verdict: "ok".to_owned(),
        }
    }
}
