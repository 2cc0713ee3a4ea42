//! The processes of a run: one drives its connections in a thread of this process, several each in one of their own.
//!
//! | module | holds |
//! |---|---|
//! | [`worker`] | a process that drives connections for another, over its standard input and output |

pub mod worker;

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::clock::Clock;
use crate::engine::target::Target;
use crate::engine::{Engine, Handle};
use crate::error::Error;
use crate::plan::{Plan, Topology};
use crate::process::{check_open_files, open_files_limit};
use crate::requests;
use crate::rest::Rest;
use crate::traffic::control::{Command, Outcome, Update};
use crate::traffic::{Part, Traffic};
use crate::world::World;
use worker::Worker;

/// Files that a process needs besides its connections.
const OTHER_FILES: u64 = 512;
/// How many processes there may be.
const MOST: usize = 256;

/// Everybody who drives connections.
#[derive(Debug)]
pub struct Crew {
    hands: Vec<Hand>,
    updates: UnboundedReceiver<(u16, Update)>,
}

#[derive(Debug)]
enum Hand {
    Thread { handle: Handle<Command>, thread: JoinHandle<std::io::Result<Traffic>> },
    Process(Worker),
}

/// Drives a part of the connections in a thread of this process. Its updates go to `updates`.
///
/// # Errors
///
/// When the kernel refuses what that takes.
pub fn drive(
    plan: &Arc<Plan>,
    world: &Arc<World>,
    target: &Target,
    part: Part,
    updates: UnboundedSender<Update>,
) -> Result<(Handle<Command>, JoinHandle<std::io::Result<Traffic>>), Error> {
    let (engine, handle) = Engine::new(target.clone(), plan.protocol).map_err(Error::Engine)?;
    let (jobs, waiting) = unbounded_channel();
    tokio::spawn(requests::serve(Rest::new(target.base()), part.clock, waiting, handle.clone()));
    let traffic = Traffic::new(Arc::clone(plan), Arc::clone(world), part, updates, jobs);
    let thread = thread::Builder::new().name("engine".to_owned()).spawn(move || engine.run(traffic));
    Ok((handle, thread.map_err(Error::Engine)?))
}

/// How many processes the connections need.
///
/// # Errors
///
/// When so many are asked for that each would have more connections than it may open.
pub fn size(plan: &Plan) -> Result<usize, Error> {
    // A connection that polls takes two.
    let files = if plan.protocol.polls_first() { 2 } else { 1 };
    let limit = open_files_limit().map_or(u64::MAX, |limit| limit.saturating_sub(OTHER_FILES)).max(1) / files;
    let most = if plan.topology == Topology::Pairs { plan.users / 2 } else { plan.users }.clamp(1, MOST);
    let workers = match plan.workers {
        Some(workers) => workers.min(most),
        None => (plan.users as u64).div_ceil(limit.max(1)).try_into().unwrap_or(MOST).clamp(1, most),
    };
    let each = plan.users.div_ceil(workers);
    if each as u64 > limit {
        check_open_files(each * files as usize)?;
    }
    Ok(workers)
}

impl Crew {
    /// Everybody is ready; nobody is connected yet.
    ///
    /// # Errors
    ///
    /// When a thread or a process cannot be started.
    pub async fn start(
        plan: &Arc<Plan>,
        world: &Arc<World>,
        target: &Target,
        run: u32,
        clock: Clock,
    ) -> Result<Self, Error> {
        let workers = size(plan)?;
        let (sender, updates) = unbounded_channel();
        let mut hands = Vec::with_capacity(workers);
        // Pairs stay together.
        let unit = if plan.topology == Topology::Pairs { 2 } else { 1 };
        let (units, mut first) = (plan.users / unit, 0);
        for number in 0..workers {
            let count = unit * (units * (number + 1) / workers - units * number / workers);
            let part = Part { worker: (number as u16, workers as u16), seats: (first, count), run, clock };
            first += count;
            let to = sender.clone();
            if workers == 1 {
                let (updates, mut told) = unbounded_channel();
                let (handle, thread) = drive(plan, world, target, part, updates)?;
                tokio::spawn(async move {
                    while let Some(update) = told.recv().await {
                        if to.send((0, update)).is_err() {
                            return;
                        }
                    }
                });
                hands.push(Hand::Thread { handle, thread });
            } else {
                hands.push(Hand::Process(Worker::start(plan, &part, to).await?));
            }
        }
        Ok(Self { hands, updates })
    }

    /// How many processes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hands.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hands.is_empty()
    }

    /// What the next one tells, and who; `None` once all have ended.
    pub async fn update(&mut self) -> Option<(u16, Update)> {
        self.updates.recv().await
    }

    /// Opens the connections.
    pub async fn connect(&mut self) {
        self.tell(|| Command::Connect).await;
    }

    /// Starts what is due from this time of the run's clock on.
    pub async fn begin(&mut self, at_us: u64) {
        self.tell(|| Command::Start(at_us)).await;
    }

    /// Starts nothing more.
    pub async fn stop(&mut self) {
        self.tell(|| Command::Stop).await;
    }

    /// Closes the connections in good order, and tells what came of it.
    ///
    /// # Errors
    ///
    /// When a process has not come to an end as it should.
    pub async fn leave(mut self) -> Result<Vec<Outcome>, Error> {
        self.tell(|| Command::Leave).await;
        let mut outcomes = Vec::with_capacity(self.hands.len());
        for (number, hand) in self.hands.into_iter().enumerate() {
            outcomes.push(match hand {
                Hand::Thread { thread, .. } => {
                    let ended = tokio::task::spawn_blocking(move || thread.join()).await?;
                    let lost = || Error::Worker { number, problem: "its thread panicked".to_owned() };
                    let traffic = ended.map_err(|_| lost())?.map_err(Error::Engine)?;
                    traffic.finish()
                }
                Hand::Process(worker) => worker.outcome(number).await?,
            });
        }
        Ok(outcomes)
    }

    async fn tell(&mut self, command: impl Fn() -> Command) {
        for hand in &mut self.hands {
            match hand {
                Hand::Thread { handle, .. } => handle.send(command()),
                Hand::Process(worker) => worker.tell(&command()).await,
            }
        }
    }
}
