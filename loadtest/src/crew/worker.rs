//! A process that drives connections for another one.
//!
//! It is this program again, as `loadtest worker`. On its standard input it gets one line of JSON that says what to
//! do, and then lines of a word each; on its standard output it gives frames: a length of four bytes, and as many of
//! postcard.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines, Stdin, stdin, stdout};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Program};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::clock::{Began, Clock};
use crate::engine::target::Target;
use crate::error::Error;
use crate::plan::Plan;
use crate::traffic::Part;
use crate::traffic::control::{Command, Outcome, Update};
use crate::world::World;

/// What a worker is to do.
#[derive(Debug, Serialize, Deserialize)]
struct Assignment {
    plan: Plan,
    worker: (u16, u16),
    seats: (usize, usize),
    run: u32,
    began: Began,
}

/// What a worker tells.
#[derive(Debug, Serialize, Deserialize)]
enum Told {
    Update(Update),
    Ended(Box<Outcome>),
    Failed(String),
}

/// A worker, seen from the process that started it.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    input: ChildStdin,
    reader: JoinHandle<Result<Outcome, String>>,
}

impl Worker {
    /// Starts one. Its updates go to `updates`, with its number.
    pub(super) async fn start(
        plan: &Plan,
        part: &Part,
        updates: UnboundedSender<(u16, Update)>,
    ) -> Result<Self, Error> {
        let number = part.worker.0;
        let error = |problem: String| Error::Worker { number: number.into(), problem };
        let program = program().map_err(error)?;
        let mut child = Program::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C on a terminal is for the one who judges; it tells the others.
            .process_group(0)
            .spawn()
            .map_err(|problem| error(problem.to_string()))?;
        // Invariant: both were asked for.
        let (mut input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let (worker, seats, run, began) = (part.worker, part.seats, part.run, part.clock.began());
        let assignment = Assignment { plan: plan.clone(), worker, seats, run, began };
        let mut line = serde_json::to_vec(&assignment).map_err(|problem| error(problem.to_string()))?;
        line.push(b'\n');
        input.write_all(&line).await.map_err(|problem| error(problem.to_string()))?;
        let reader = tokio::spawn(read(output, number, updates));
        Ok(Self { child, input, reader })
    }

    /// Asks it for something. A worker that has ended is told of by its outcome.
    pub(super) async fn tell(&mut self, command: &Command) {
        let line = match command {
            Command::Connect => "connect\n".to_owned(),
            Command::Start(at) => format!("start {at}\n"),
            Command::Stop => "stop\n".to_owned(),
            Command::Leave => "leave\n".to_owned(),
            // Requests are done by the worker itself.
            Command::Requested(_) => return,
        };
        let _ = self.input.write_all(line.as_bytes()).await;
    }

    /// What came of it, once it has ended.
    pub(super) async fn outcome(mut self, number: usize) -> Result<Outcome, Error> {
        let outcome = self.reader.await?.map_err(|problem| Error::Worker { number, problem })?;
        let _ = self.child.wait().await;
        Ok(outcome)
    }
}

/// This program, or for tests, which are another, the one that they name.
fn program() -> Result<PathBuf, String> {
    match std::env::var_os("LOADTEST_PROGRAM") {
        Some(path) => Ok(path.into()),
        None => std::env::current_exe().map_err(|error| error.to_string()),
    }
}

async fn read(
    output: ChildStdout,
    number: u16,
    updates: UnboundedSender<(u16, Update)>,
) -> Result<Outcome, String> {
    let mut output = BufReader::new(output);
    loop {
        let size = output.read_u32().await.map_err(|_| "it ended before its time".to_owned())?;
        let mut frame = vec![0; size as usize];
        output.read_exact(&mut frame).await.map_err(|error| error.to_string())?;
        match postcard::from_bytes(&frame).map_err(|error| error.to_string())? {
            // Nobody listens any more only when the run is given up.
            Told::Update(update) => drop(updates.send((number, update))),
            Told::Ended(outcome) => return Ok(*outcome),
            Told::Failed(why) => return Err(why),
        }
    }
}

/// Does what standard input says, and tells of it on standard output.
///
/// # Errors
///
/// When it cannot even tell.
pub async fn run() -> std::io::Result<()> {
    let mut lines = BufReader::new(stdin()).lines();
    let (tell, mut told) = unbounded_channel();
    let teller = tell.clone();
    let work = tokio::spawn(async move {
        let ended = match work(&mut lines, tell).await {
            Ok(outcome) => Told::Ended(Box::new(outcome)),
            Err(error) => Told::Failed(error.to_string()),
        };
        // The loop below listens until then.
        let _ = teller.send(ended);
    });
    let mut output = stdout();
    while let Some(told) = told.recv().await {
        let last = !matches!(told, Told::Update(_));
        let frame = postcard::to_stdvec(&told).map_err(std::io::Error::other)?;
        output.write_u32(frame.len() as u32).await?;
        output.write_all(&frame).await?;
        output.flush().await?;
        if last {
            break;
        }
    }
    work.abort();
    Ok(())
}

async fn work(lines: &mut Lines<BufReader<Stdin>>, tell: UnboundedSender<Told>) -> Result<Outcome, Error> {
    let gone = || Error::Worker { number: 0, problem: "the process that started it is gone".to_owned() };
    let line = lines.next_line().await.ok().flatten().ok_or_else(gone)?;
    let assignment: Assignment = serde_json::from_str(&line)
        .map_err(|error| Error::Worker { number: 0, problem: format!("not an assignment: {error}") })?;
    let Assignment { plan, worker, seats, run, began } = assignment;
    let number = usize::from(worker.0);
    let (plan, path) = (Arc::new(plan.clone()), plan.seed);
    let path = path.ok_or_else(|| Error::Worker { number, problem: "without a seed file".to_owned() })?;
    let world = Arc::new(World::load(&path, plan.users)?);
    let target = Target::permitted(&plan.url, plan.i_own_this_target).await?;
    let part = Part { worker, seats, run, clock: Clock::of(began) };
    let (updates, mut told) = unbounded_channel();
    let (handle, thread) = super::drive(&plan, &world, &target, part, updates)?;
    tokio::spawn(async move {
        while let Some(update) = told.recv().await {
            if tell.send(Told::Update(update)).is_err() {
                return;
            }
        }
    });
    // An end of the input means the same as leave: nobody stays online behind a run.
    while let Ok(Some(line)) = lines.next_line().await {
        let mut words = line.split(' ');
        match (words.next(), words.next().and_then(|at| at.parse().ok())) {
            (Some("connect"), _) => handle.send(Command::Connect),
            (Some("start"), Some(at)) => handle.send(Command::Start(at)),
            (Some("stop"), _) => handle.send(Command::Stop),
            _ => break,
        }
    }
    handle.send(Command::Leave);
    let ended = tokio::task::spawn_blocking(move || thread.join()).await?;
    let traffic = ended.map_err(|_| Error::Worker { number, problem: "its thread panicked".to_owned() })?;
    Ok(traffic.map_err(Error::Engine)?.finish())
}
