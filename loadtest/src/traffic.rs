//! What a process does over its connections: opens them, starts what is due, and books what comes back.
//!
//! | module | holds |
//! |---|---|
//! | [`control`] | what it is asked for, and what it tells |
//! | `live` | the connections |
//! | `actions` | starting what is due |
//! | `arriving` | booking what comes back |
//! | `message` | reading messages |

mod actions;
mod arriving;
pub mod control;
mod live;
mod message;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc::UnboundedSender;

use crate::arrivals::{Arrivals, Spacing};
use crate::clock::Clock;
use crate::engine::packet::{Admission, Packet, Protocol};
use crate::engine::sockets::{SocketId, Sockets};
use crate::engine::{Application, Closed};
use crate::ledger::Ledger;
use crate::plan::{Action, Plan};
use crate::recorder::{Count, Phase, Recorder};
use crate::requests::Job;
use crate::world::World;
use control::{Command, Outcome, Update};
use live::Live;
use message::Memory;

/// How often there is an update while a run settles.
const STATUS: Duration = Duration::from_millis(100);
/// How long the server may take to answer those who leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Which part of a run's connections this process has.
#[derive(Clone, Debug)]
pub struct Part {
    /// The process, from 0, and how many there are.
    pub worker: (u16, u16),
    /// Its first connection, and how many it has.
    pub seats: (usize, usize),
    /// The run's mark in every text.
    pub run: u32,
    /// The run's clock.
    pub clock: Clock,
}

/// One kind of what is done.
#[derive(Debug)]
struct Source {
    action: Action,
    arrivals: Arrivals,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Connecting,
    Connected,
    /// Since when.
    Running(Instant),
    Settling,
    /// Until when at most.
    Leaving(Instant),
}

/// What a process does over its connections.
#[derive(Debug)]
pub struct Traffic {
    plan: Arc<Plan>,
    world: Arc<World>,
    part: Part,
    stage: Stage,
    /// The connections, in the order of the seats.
    live: Vec<Live>,
    /// How many arrivals a message in each conversation makes.
    audience: Vec<u64>,
    sources: Vec<Source>,
    connects: Option<Arrivals>,
    connects_since: Instant,
    next_seat: usize,
    opening: usize,
    open: u64,
    /// When those come back who were cut, in that order.
    returns: VecDeque<(Instant, usize)>,
    ledger: Ledger,
    recorder: Recorder,
    memory: Memory,
    numbers: FxHashMap<(u32, u32), u32>,
    marks: FxHashMap<u64, (u64, u64, bool)>,
    marked: u64,
    /// Who types where: when that was due, when it left, and how many it has still to arrive at.
    typing: FxHashMap<(u32, u32), (u64, u64, u64)>,
    turn: usize,
    random: Rng,
    measured_from: u64,
    second: u64,
    faults_told: u64,
    cpu_told: Option<u64>,
    next_status: Instant,
    updates: UnboundedSender<Update>,
    requests: UnboundedSender<Job>,
    first_failure: Option<String>,
    first_disconnect: Option<String>,
    scratch: (String, String),
}

impl Traffic {
    /// Nobody is connected yet. Updates go to `updates`, what is to be done over REST to `requests`.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        world: Arc<World>,
        part: Part,
        updates: UnboundedSender<Update>,
        requests: UnboundedSender<Job>,
    ) -> Self {
        let (first, count) = part.seats;
        let users = world.users.len();
        let mut random = Rng::with_seed(plan.random ^ (u64::from(part.worker.0) << 32));
        let copies = |user: usize| ((plan.users + users - 1 - user % users) / users) as u64;
        let audience = world.conversations.iter();
        let audience = audience
            .map(|conversation| conversation.members.iter().map(|user| copies(*user as usize)).sum())
            .collect();
        let share = f64::from(part.worker.0) / f64::from(part.worker.1);
        let arrivals = |rate: f64, spacing: Spacing, ramp: Duration, random: &mut Rng| {
            Arrivals::new(rate / f64::from(part.worker.1), ramp, spacing, share, random.fork())
        };
        let sources = plan.rates.0.iter().filter(|(_, rate)| **rate > 0.0);
        let sources = sources
            .map(|(&action, &rate)| Source {
                action,
                arrivals: arrivals(rate, plan.arrivals, plan.ramp, &mut random),
            })
            .collect();
        let connects =
            plan.connect_rate.map(|rate| arrivals(rate, plan.arrivals, Duration::ZERO, &mut random));
        let live: Vec<Live> = (first..first + count).map(|seat| Live::new((seat % users) as u32)).collect();
        let seats = live.iter().map(Live::seat).collect();
        let mut ledger = Ledger::default();
        (ledger.seats, ledger.first_seat) = (seats, first as u32);
        let now = Instant::now();
        Self {
            stage: Stage::Waiting,
            live,
            audience,
            sources,
            connects,
            connects_since: now,
            next_seat: 0,
            opening: 0,
            open: 0,
            returns: VecDeque::new(),
            ledger,
            recorder: Recorder::default(),
            memory: Memory::default(),
            numbers: FxHashMap::default(),
            marks: FxHashMap::default(),
            marked: 0,
            typing: FxHashMap::default(),
            turn: 0,
            random,
            measured_from: u64::MAX,
            second: 0,
            faults_told: 0,
            cpu_told: None,
            next_status: now,
            updates,
            requests,
            first_failure: None,
            first_disconnect: None,
            scratch: (String::new(), String::new()),
            plan,
            world,
            part,
        }
    }

    /// What came of it.
    #[must_use]
    pub fn finish(mut self) -> Outcome {
        live::finish(&self.live, &mut self.ledger);
        Outcome {
            ledger: self.ledger,
            recorded: self.recorder.finish(),
            first_failure: self.first_failure,
            first_disconnect: self.first_disconnect,
        }
    }

    /// The run's clock, in microseconds.
    fn micros(&self, at: Instant) -> u64 {
        self.part.clock.micros(at)
    }

    fn measured(&self, due_us: u64) -> bool {
        due_us >= self.measured_from
    }

    /// Nobody listens any more only when the run is given up.
    fn tell(&self, update: Update) {
        let _ = self.updates.send(update);
    }

    fn phase(&self, now: Instant) -> Phase {
        match self.stage {
            Stage::Running(_) if self.measured(self.micros(now)) => Phase::Measure,
            Stage::Running(_) => Phase::Warmup,
            Stage::Settling | Stage::Leaving(_) => Phase::Settle,
            _ => Phase::Connect,
        }
    }

    /// Ends the seconds that are over. Returns when the next one is.
    fn seconds(&mut self, now: Instant) -> Instant {
        let end = |second: u64| Duration::from_secs(second + 1);
        let epoch = self.part.clock.epoch();
        while now >= epoch + end(self.second) {
            let mut second = self.recorder.second();
            second.second = self.second;
            second.phase = self.phase(now);
            second.connections = self.open;
            if let Stage::Running(since) = self.stage {
                let running = now.saturating_duration_since(since);
                second.running_s = running.as_secs();
                second.offered = self.sources.iter().map(|source| source.arrivals.offered(running)).sum();
            }
            let cpu = crate::process::thread_cpu_us();
            second.cpu_us = cpu.zip(self.cpu_told).map(|(now, before)| now - before);
            self.cpu_told = cpu;
            second.faults = self.ledger.faults.counts();
            let faults = self.ledger.faults.total();
            second.errors = faults - self.faults_told;
            self.faults_told = faults;
            self.second += 1;
            // Nobody asks for the seconds before a process that was started late.
            self.tell(Update::Second(second));
        }
        epoch + end(self.second)
    }

    fn status(&mut self, now: Instant) -> Instant {
        if now >= self.next_status {
            self.next_status = now + STATUS;
            let unanswered = self.recorder.total(Count::Sent).saturating_sub(
                self.recorder.total(Count::Acknowledged)
                    + self.ledger.faults.count(crate::ledger::Fault::Failed),
            );
            self.tell(Update::Status {
                unanswered,
                expected: self.recorder.total(Count::Expected),
                delivered: self.recorder.total(Count::Delivered),
            });
        }
        self.next_status
    }
}

impl Application for Traffic {
    type Command = Command;

    fn opened(&mut self, sockets: &mut Sockets, id: SocketId, admission: Admission, now: Instant) {
        self.admitted(sockets, id, admission, now);
    }

    fn recognises(&mut self, sockets: &Sockets, id: SocketId, packet: &[u8], now: Instant) -> bool {
        let prefix: &[u8] = match sockets.protocol() {
            Protocol::Ws => b"[\"message:new\",",
            _ => b"42[\"message:new\",",
        };
        if !packet.starts_with(prefix) {
            return false;
        }
        if let Some(seat) = sockets.tag(id) {
            let meaning = match self.memory.find(packet) {
                Ok(meaning) => meaning,
                Err(place) => {
                    let meaning = self.meaning(&packet[prefix.len()..]);
                    self.memory.keep(place, packet, meaning);
                    meaning
                }
            };
            self.arrived(seat, meaning, now);
            self.live[seat].remember_clock(packet);
        }
        true
    }

    fn received(&mut self, sockets: &mut Sockets, id: SocketId, packet: Packet<'_>, now: Instant) {
        let Some(seat) = sockets.tag(id) else { return };
        match packet {
            Packet::Acknowledgement(number, answer) => self.answered(seat, number, answer, now),
            Packet::Event(name, arguments) => {
                self.live[seat].remember_clock(arguments.as_bytes());
                self.event(seat, name, arguments, now);
            }
            _ => self.protocol_error(seat, "something unreadable"),
        }
    }

    fn closed(&mut self, sockets: &mut Sockets, tag: usize, closed: Closed, now: Instant) {
        self.gone(sockets, tag, closed, now);
    }

    fn command(&mut self, sockets: &mut Sockets, command: Command, now: Instant) {
        match command {
            Command::Connect => {
                self.connects_since = now;
                self.stage = Stage::Connecting;
            }
            Command::Start(at_us) => {
                let start = self.part.clock.instant(at_us);
                self.measured_from = at_us + self.plan.warmup.as_micros() as u64;
                self.stage = Stage::Running(start);
            }
            Command::Stop => {
                if !matches!(self.stage, Stage::Leaving(_)) {
                    self.stage = Stage::Settling;
                }
            }
            Command::Requested(answer) => self.requested(sockets, answer, now),
            Command::Leave => {
                self.stage = Stage::Leaving(now + LEAVE_TIMEOUT);
                self.returns.clear();
                for live in &mut self.live {
                    live.leave(sockets);
                }
            }
        }
    }

    fn due(&mut self, sockets: &mut Sockets, now: Instant) -> Option<Instant> {
        let mut next = self.seconds(now);
        match self.stage {
            Stage::Waiting | Stage::Connected => {}
            Stage::Connecting => {
                if let Some(due) = self.connect(sockets, now) {
                    next = next.min(due);
                }
            }
            Stage::Running(since) => {
                next = next.min(self.run(sockets, since, now));
                if let Some(due) = self.come_back(sockets, now) {
                    next = next.min(due);
                }
            }
            Stage::Settling => {
                next = next.min(self.status(now));
                if let Some(due) = self.come_back(sockets, now) {
                    next = next.min(due);
                }
            }
            Stage::Leaving(until) => {
                if self.live.iter().all(|live| live.is_away(sockets)) || now >= until {
                    self.live.iter_mut().for_each(|live| live.cut(sockets));
                    sockets.stop();
                }
                next = next.min(until);
            }
        }
        Some(next)
    }
}
