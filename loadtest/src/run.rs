//! One run, from the first connection to the verdict.
//!
//! | module | holds |
//! |---|---|
//! | `series` | the seconds of all processes, put together |
//! | `assemble` | the report of what came of it |

mod assemble;
mod series;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use protocol::{Id, Timestamp};
use tokio::time::{sleep, timeout_at};

use crate::clock::Clock;
use crate::console::Console;
use crate::crew::Crew;
use crate::engine::target::Target;
use crate::error::Error;
use crate::exposition::Exposition;
use crate::interrupt::Interrupt;
use crate::judge::judge;
use crate::plan::Plan;
use crate::process::Observed;
use crate::recorder::Latency;
use crate::report::Report;
use crate::rest::Rest;
use crate::traffic::control::Update;
use crate::verify::verify;
use crate::{people, scrape};
use series::Series;

/// Between the last connection and the first message.
const HEAD_START: Duration = Duration::from_millis(200);
/// How long to go on listening after everything has arrived, for what should not come any more.
const LISTEN_FOR_DUPLICATES: Duration = Duration::from_millis(500);
/// How long the memory of a watched process may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What it came to.
    pub report: Report,
    /// The histograms behind the latencies.
    pub histograms: Vec<(Latency, Histogram<u64>)>,
}

/// When each phase ended.
#[derive(Clone, Copy, Debug, Default)]
struct Phases {
    connect: Duration,
    warmup: Duration,
    measured: Duration,
    settle: Duration,
    verify: Duration,
}

/// What each connection costs a watched process.
#[derive(Clone, Copy, Debug)]
struct Memory {
    observed: Observed,
    before: u64,
    after: Option<u64>,
}

/// Runs a plan.
///
/// # Errors
///
/// When it cannot be run: settings, seed file, limits, or a connection that cannot be opened. A run that went badly is
/// no error but has a failed verdict.
pub async fn run(plan: &Plan, console: &mut Console, interrupt: &Interrupt) -> Result<Ran, Error> {
    let started_at = Timestamp::now().to_string();
    let target = Target::permitted(&plan.url, plan.i_own_this_target).await?;
    let rest = Rest::new(target.base());
    // The last bytes of an identifier are the ones that differ from process to process and call to call.
    let [.., a, b, c, d] = Id::mint().bytes();
    let mark = u32::from_be_bytes([a, b, c, d]);
    let (plan, world, _registered) = people::world(plan, &rest, mark, console).await?;
    let (plan, world) = (Arc::new(plan), Arc::new(world));
    world.check(&plan)?;
    let mut memory = match plan.pids.first().filter(|_| plan.rates.0.is_empty() && !plan.connects_only) {
        Some((_, pid)) => {
            let observed = Observed::new(*pid);
            Some(Memory { observed, before: observed.settled_bytes(PATIENCE).await?, after: None })
        }
        None => None,
    };

    let clock = Clock::start();
    let mut crew = Crew::start(&plan, &world, &target, mark, clock).await?;
    let workers = crew.len();
    let exposition = Exposition::new(&plan);
    let _served = match plan.prometheus {
        Some(address) => Some(exposition.serve(address).await?),
        None => None,
    };
    let mut series = Series::new(&plan, workers, exposition.clone())?;
    let mut phases = Phases::default();
    crew.connect().await;
    let connecting = Instant::now();
    match connect(&mut crew, &mut series, console, interrupt).await {
        Ok(true) => {}
        failed => {
            // Nobody stays online behind a run that does not take place.
            let _ = crew.leave().await;
            return Err(failed.err().unwrap_or(Error::Interrupted));
        }
    }
    phases.connect = connecting.elapsed();
    let rate = plan.users as f64 / phases.connect.as_secs_f64().max(1e-6);
    console.say(format_args!("{} connections open, {rate:.0} per second", plan.users));
    if let Some(memory) = &mut memory {
        memory.after = Some(quiet(&mut crew, &mut series, memory.observed.settled_bytes(PATIENCE)).await?);
    }

    let stages_before = scrape::stages(&plan.metrics).await;
    let mut stages_after = None;
    if !plan.connects_only {
        let start = Instant::now() + HEAD_START;
        crew.begin(clock.micros(start)).await;
        let mut started = 0;
        let ended = loop {
            tokio::select! {
                update = crew.update() => match update {
                    Some((_, Update::Second(second))) => series.add(second, console),
                    Some((_, Update::Started)) => {
                        started += 1;
                        if started == workers {
                            break true;
                        }
                    }
                    Some(_) => {}
                    None => break false,
                },
                () = interrupt.raised() => {
                    crew.stop().await;
                    break false;
                }
            }
        };
        let took = Instant::now().saturating_duration_since(start);
        phases.warmup = took.min(plan.warmup);
        phases.measured = if ended { plan.duration } else { took.saturating_sub(plan.warmup) };
        stages_after = Some(scrape::stages(&plan.metrics).await);
        let settling = Instant::now();
        if plan.has_messages() {
            settle(&mut crew, &mut series, console, settling + plan.settle, workers).await;
        }
        phases.settle = settling.elapsed();
    }
    let harness_bytes = Observed::myself().resident_bytes().unwrap_or_default();
    let outcomes = crew.leave().await?;

    let (mut ledgers, mut recorded, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for outcome in outcomes {
        ledgers.push(outcome.ledger);
        recorded.push(outcome.recorded);
        told.push((outcome.first_failure, outcome.first_disconnect));
    }
    exposition.verifying();
    let mut judged = judge(&mut ledgers, &world, plan.flavor);
    drop(ledgers);
    let mut looked_for = 0;
    if plan.verify && !judged.committed.is_empty() {
        let verifying = Instant::now();
        console.progress(format_args!("looking for every message over REST"));
        let (committed, faults) = (&judged.committed, &mut judged.faults);
        looked_for = verify(&rest, &world, committed, (mark, plan.flavor), faults, interrupt).await?;
        phases.verify = verifying.elapsed();
    }
    exposition.judged(&judged.faults);
    let stages = stages_after.map_or_else(Vec::new, |after| scrape::between(&stages_before, &after));
    let ran = assemble::Ran {
        plan: &plan,
        started_at,
        phases,
        workers,
        interrupted: interrupt.is_raised(),
        judged,
        looked_for,
        recorded,
        told,
        stages,
        memory: memory
            .and_then(|memory| Some(memory.after?.saturating_sub(memory.before) as f64 / plan.users as f64)),
        harness_bytes,
    };
    Ok(ran.report(series))
}

/// Waits until all connections are open. False if it is interrupted.
async fn connect(
    crew: &mut Crew,
    series: &mut Series,
    console: &mut Console,
    interrupt: &Interrupt,
) -> Result<bool, Error> {
    let (mut connected, workers) = (0, crew.len());
    while connected < workers {
        tokio::select! {
            update = crew.update() => match update {
                Some((_, Update::Second(second))) => series.add(second, console),
                Some((_, Update::Connected)) => connected += 1,
                Some((_, Update::NotConnected(number, problem))) => return Err(Error::Connect { number, problem }),
                Some(_) => {}
                None => return Err(Error::Worker { number: 0, problem: "it ended before its time".to_owned() }),
            },
            () = interrupt.raised() => return Ok(false),
        }
    }
    Ok(true)
}

/// Waits until everything has arrived, or until a deadline; and a little longer, for what should not come any more.
async fn settle(
    crew: &mut Crew,
    series: &mut Series,
    console: &mut Console,
    deadline: Instant,
    workers: usize,
) {
    let mut waiting = vec![None; workers];
    let mut listening: Option<Instant> = None;
    loop {
        let until = listening.unwrap_or(deadline).min(deadline.max(Instant::now()));
        match timeout_at(until.into(), crew.update()).await {
            Ok(Some((_, Update::Second(second)))) => series.add(second, console),
            Ok(Some((worker, Update::Status { unanswered, expected, delivered }))) => {
                waiting[usize::from(worker)] = Some((unanswered, expected, delivered));
                let all: Option<Vec<_>> = waiting.iter().copied().collect();
                let arrived = all.is_some_and(|all| {
                    let sum = |value: fn(&(u64, u64, u64)) -> u64| all.iter().map(value).sum::<u64>();
                    sum(|all| all.0) == 0 && sum(|all| all.2) >= sum(|all| all.1)
                });
                if arrived && listening.is_none() {
                    listening = Some(Instant::now() + LISTEN_FOR_DUPLICATES);
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// Does something while the crew is idle, and takes its updates meanwhile.
async fn quiet<T>(
    crew: &mut Crew,
    series: &mut Series,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::pin!(work);
    let mut console = Console::quiet();
    loop {
        tokio::select! {
            done = &mut work => return done,
            update = crew.update() => match update {
                Some((_, Update::Second(second))) => series.add(second, &mut console),
                Some(_) => {}
                None => sleep(Duration::from_millis(100)).await,
            }
        }
    }
}
