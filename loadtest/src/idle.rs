//! The scenario `idle`: many connections that do nothing but give signs of life, and what they cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Error;
use crate::cli::IdleOptions;
use crate::connect::{connect_all, leave};
use crate::connection::{Connection, Target};
use crate::dialect::Incoming;
use crate::interrupt::Interrupt;
use crate::ledger::verdict;
use crate::people;
use crate::process::{Observed, check_open_files};
use crate::report::{Counters, FirstText, Progress, rounded};

/// How long to wait for a process's memory to come to rest.
const PATIENCE: Duration = Duration::from_secs(15);

/// The results of a run, in the order in which they are printed.
#[derive(Clone, Debug, Serialize)]
pub struct IdleReport {
    /// `idle`.
    pub scenario: &'static str,
    /// `socketio` or `ws`.
    pub protocol: &'static str,
    /// How many connections were opened.
    pub connections: usize,
    /// How many of them the server closed.
    pub disconnects: u64,
    /// Connections opened and authenticated per second.
    pub connects_per_second: f64,
    /// How long they were held, in seconds.
    pub hold_s: f64,
    /// Signs of life that were asked for, and given.
    pub pings_answered: u64,
    /// How the first connection ended that the server closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_disconnect: Option<String>,
    /// What the observed process was seen to use.
    #[serde(flatten)]
    pub cost: Option<Cost>,
    /// `ok`, or `failed: ` and why.
    pub verdict: String,
}

/// What the connections cost the observed process.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Resident memory before the first connection, in bytes.
    pub rss_before_bytes: u64,
    /// Resident memory with all connections open, once at rest.
    pub rss_after_bytes: u64,
    /// Resident memory at the end of the hold.
    pub rss_held_bytes: u64,
    /// (after − before) / connections.
    pub bytes_per_connection: f64,
    /// CPU used while the connections were held, in percent of one core.
    pub idle_cpu_percent: f64,
}

impl IdleReport {
    /// Whether the verdict is good.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == "ok"
    }
}

/// Runs the scenario.
///
/// # Errors
///
/// When it cannot be run: options, seed file, limits, or a connection that cannot be opened.
pub async fn run(
    options: &IdleOptions,
    progress: Progress,
    interrupt: &Interrupt,
) -> Result<IdleReport, Error> {
    options.check()?;
    check_open_files(options.connections)?;
    let target = Target::permitted(&options.url, options.i_own_this_target).await?;
    let tokens = people::tokens(&options.seed)?;
    let tokens = tokens.iter().cycle().take(options.connections).cloned().collect();
    let observed = options.pid.map(Observed::new);
    let before = match &observed {
        Some(process) => Some(process.settled_bytes(PATIENCE).await?),
        None => None,
    };

    let watched = Arc::new(Watched::default());
    let mut readers = JoinSet::new();
    let mut links = Vec::with_capacity(options.connections);
    let opening = connect_all(&target, options.protocol, tokens, options.connects, |_, connection| {
        links.push(connection.link());
        readers.spawn(attend(connection, Arc::clone(&watched)));
        if readers.len().is_multiple_of(1_000) {
            progress.say(format_args!("{} connections open", readers.len()));
        }
    });
    let connects_per_second = tokio::select! {
        opened = opening => opened?,
        // Those that are open are closed by being dropped.
        () = interrupt.raised() => return Err(Error::Interrupted),
    };
    progress.say(format_args!(
        "{} connections open, {connects_per_second:.0} per second; holding them for {} s",
        options.connections,
        options.hold.as_secs_f64()
    ));

    let (cost, held) = match observed.zip(before) {
        Some((process, before)) => {
            let (cost, held) = hold_and_watch(process, before, options, interrupt).await?;
            (Some(cost), held)
        }
        None => (None, hold(options.hold, interrupt).await),
    };
    // Before anybody leaves: those are no disconnects.
    let disconnects = Counters::get(&watched.counters.disconnects);
    let first_disconnect = watched.first_disconnect.get();
    leave(&links, options.protocol, &mut readers).await;
    let mut faults = Vec::new();
    if interrupt.is_raised() {
        faults.push("interrupted".to_owned());
    }
    if disconnects > 0 {
        faults.push(format!("{disconnects} disconnects"));
    }
    let report = IdleReport {
        scenario: "idle",
        protocol: options.protocol.as_str(),
        connections: options.connections,
        disconnects,
        connects_per_second: rounded(connects_per_second, 1),
        hold_s: rounded(held.as_secs_f64(), 1),
        pings_answered: Counters::get(&watched.counters.pings),
        first_disconnect,
        cost,
        verdict: verdict(&faults),
    };
    summarise(&report, progress);
    Ok(report)
}

/// What all connections share.
#[derive(Debug, Default)]
struct Watched {
    counters: Counters,
    first_disconnect: FirstText,
}

async fn attend(connection: Connection, watched: Arc<Watched>) {
    let pings = |incoming: Incoming<'_>, _| {
        if incoming == Incoming::Ping {
            Counters::add(&watched.counters.pings);
        }
    };
    let how = connection.run(pings).await;
    watched.first_disconnect.give(|| how);
    Counters::add(&watched.counters.disconnects);
}

/// Holds the connections, until it is interrupted if it is. Returns how long that was.
async fn hold(duration: Duration, interrupt: &Interrupt) -> Duration {
    let start = Instant::now();
    tokio::select! {
        () = sleep(duration) => {}
        () = interrupt.raised() => {}
    }
    start.elapsed()
}

async fn hold_and_watch(
    process: Observed,
    before: u64,
    options: &IdleOptions,
    interrupt: &Interrupt,
) -> Result<(Cost, Duration), Error> {
    let after = process.settled_bytes(PATIENCE).await?;
    let cpu = process.cpu_seconds()?;
    let held = hold(options.hold, interrupt).await;
    let used = (process.cpu_seconds()? - cpu) / held.as_secs_f64().max(1e-6);
    let cost = Cost {
        rss_before_bytes: before,
        rss_after_bytes: after,
        rss_held_bytes: process.resident_bytes()?,
        bytes_per_connection: rounded((after as f64 - before as f64) / options.connections as f64, 0),
        idle_cpu_percent: rounded(used * 100.0, 2),
    };
    Ok((cost, held))
}

fn summarise(report: &IdleReport, progress: Progress) {
    if let Some(cost) = report.cost {
        progress.say(format_args!(
            "resident {:.1} MB before, {:.1} MB after, {:.1} MB held: \
             {:.0} bytes per connection; {:.2} % CPU idle",
            cost.rss_before_bytes as f64 / 1e6,
            cost.rss_after_bytes as f64 / 1e6,
            cost.rss_held_bytes as f64 / 1e6,
            cost.bytes_per_connection,
            cost.idle_cpu_percent,
        ));
    }
    progress.say(format_args!("{} pings answered; {}", report.pings_answered, report.verdict));
}
