//! A hub without a network: clients whose frames are read off their queues, and a streamer that can be lossy, slow and
//! replaced.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::bus::{Content, Delivery, Downlink, Envelope, Registrant, Uplink};
use protocol::recovery::Recovery;
use protocol::token::Tokens;
use protocol::{Clock, Id, UnixMicros, event};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;
use service::metrics::Registry;
use tokio::sync::mpsc;

use super::super::{Command, Hub, Resume, Settings};
use crate::chat::Arrival;
use crate::chat::presence::Change;
use crate::health::Heard;
use crate::metrics::Metrics;
use crate::transport::{Config, Socket, Wire};

pub(super) fn at(time: u64) -> Clock {
    Clock { time, change: 0, event: 0 }
}

/// A hub and the streamer that it speaks to.
pub(super) struct World {
    pub(super) hub: Hub,
    pub(super) streamer: Streamer,
    pub(super) changes: mpsc::UnboundedReceiver<Change>,
    /// What the hub said and the streamer has not heard.
    pub(super) uplinks: mpsc::Receiver<Uplink>,
    pub(super) tokens: Tokens,
    pub(super) registry: Registry,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(64 << 10, 100)
    }

    pub(super) fn with(outbound_limit: usize, connections_per_user: usize) -> Self {
        let (sender, uplinks) = mpsc::channel(10_000);
        let (presence, changes) = mpsc::unbounded_channel();
        let tokens = Tokens::new(&[7; 32]);
        let settings = Settings {
            tokens: tokens.clone(),
            presence_grace: Duration::ZERO,
            connections_per_user,
            outbound_limit,
        };
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::new(&registry));
        let hub = Hub::new(Id::mint(), settings, sender, presence, metrics, Heard::new());
        let mut world = Self { hub, streamer: Streamer::new(), changes, uplinks, tokens, registry };
        world.streamer.beat();
        world.settle();
        world
    }

    /// A user asks to be connected.
    pub(super) fn open(&mut self, user: Id, generation: i64, came_from: Option<&Client>) -> Client {
        let socket = Socket::detached(Wire::Plain, Config::default()).unwrap();
        let resume = came_from.and_then(|client| {
            let recovery = Recovery::of(&self.tokens, user, client.pid.as_ref()?)?;
            Some(Resume { recovery, from: recovery.replay_from(client.offset) })
        });
        let arrival = Arrival::new(&self.hub.metrics.connects);
        self.hub.command(Command::Open {
            socket: socket.clone(),
            user,
            generation,
            resume,
            arrival: Arc::clone(&arrival),
        });
        let (pid, offset) = came_from.map_or((None, None), |client| (client.pid.clone(), client.offset));
        Client::new(socket, user, generation, arrival, pid, offset)
    }

    pub(super) fn vouch(&mut self, client: &Client) {
        self.hub.command(Command::Vouched { socket: client.socket.id(), user: client.user });
    }

    pub(super) fn close(&mut self, client: &Client) {
        self.hub.command(Command::Close { socket: client.socket.id(), user: client.user });
    }

    /// A user connects, and all is done that it takes.
    pub(super) fn connect(&mut self, user: Id, came_from: Option<&Client>) -> Client {
        let mut client = self.open(user, 0, came_from);
        self.vouch(&client);
        self.settle();
        client.read();
        client
    }

    /// Something happens, and comes to whom it is for.
    pub(super) fn publish(&mut self, recipients: &[Id]) -> Clock {
        let clock = self.streamer.commit(recipients, None);
        self.settle();
        clock
    }

    /// The streamer hears what the hub said.
    pub(super) fn hear(&mut self) {
        while let Ok(uplink) = self.uplinks.try_recv() {
            self.streamer.hear(uplink);
        }
    }

    /// The hub gets the next delivery, if there is one.
    pub(super) fn deliver(&mut self) {
        if let Some(delivery) = self.streamer.line.pop_front() {
            self.hub.delivery(delivery);
            self.hub.flush();
        }
    }

    /// Everything happens that can, without any loss, and whatever was lost is noticed.
    pub(super) fn settle(&mut self) {
        for last in [false, true] {
            self.hub.flush();
            self.streamer.read(usize::MAX);
            loop {
                self.hear();
                if self.hub.link.due().is_some() {
                    self.hub.resync();
                } else if self.streamer.line.is_empty() {
                    break;
                }
                self.deliver();
            }
            if !last {
                self.hub.tick(Instant::now() + Duration::from_secs(100));
            }
        }
    }

    /// The presence that was told last, of whom something was told.
    pub(super) fn told(&mut self) -> Vec<Change> {
        std::iter::from_fn(|| self.changes.try_recv().ok()).collect()
    }
}

/// All that happened, and the streamer that tells of it.
pub(super) struct Streamer {
    pub(super) history: Vec<Envelope>,
    /// How much of it the streamer has read.
    pub(super) read: usize,
    /// How much of it the streamer has forgotten.
    pub(super) forgotten: usize,
    pub(super) line: VecDeque<Delivery>,
    pub(super) registered: FxHashSet<Id>,
    /// What was asked for last.
    pub(super) asked: Vec<Registrant>,
    pub(super) typing: Vec<protocol::bus::Typing>,
    /// The last change of each user that is for gateways.
    kicks: FxHashMap<Id, Envelope>,
    term: u64,
    counter: u64,
    request: u64,
    knows: bool,
}

impl Streamer {
    fn new() -> Self {
        Self {
            history: Vec::new(),
            read: 0,
            forgotten: 0,
            line: VecDeque::new(),
            registered: FxHashSet::default(),
            asked: Vec::new(),
            typing: Vec::new(),
            kicks: FxHashMap::default(),
            term: 1,
            counter: 0,
            request: 0,
            knows: true,
        }
    }

    /// Something happens. The streamer has not read it yet.
    pub(super) fn commit(&mut self, recipients: &[Id], content: Option<Content>) -> Clock {
        let clock = at(100 + self.history.len() as u64);
        let content = content.unwrap_or_else(|| {
            Content::Event(event::encode("something", &recipients.len(), Some(clock)).unwrap())
        });
        let received = Some(UnixMicros::now());
        self.history.push(Envelope { clock, recipients: recipients.to_vec(), content, received });
        clock
    }

    /// Reads a few changes, and tells the gateway.
    pub(super) fn read(&mut self, count: usize) {
        let new = self.read..self.read.saturating_add(count).min(self.history.len());
        self.read = new.end;
        let mut events = Vec::new();
        for mut envelope in self.history[new].iter().cloned() {
            if !matches!(envelope.content, Content::Event(_)) {
                self.kicks.extend(envelope.recipients.iter().map(|user| (*user, envelope.clone())));
            }
            envelope.recipients.retain(|user| self.registered.contains(user));
            if !envelope.recipients.is_empty() {
                events.push(envelope);
            }
        }
        if events.is_empty() {
            self.beat();
        } else {
            self.send(Downlink::Events(events));
        }
    }

    pub(super) fn position(&self) -> Clock {
        at(99 + self.read as u64)
    }

    pub(super) fn beat(&mut self) {
        self.send(Downlink::Beat { position: self.position() });
    }

    pub(super) fn send(&mut self, body: Downlink) {
        if self.knows {
            self.counter += 1;
            self.line.push_back(Delivery {
                term: self.term,
                counter: self.counter,
                sent: UnixMicros::now(),
                body,
            });
        }
    }

    /// Another streamer takes over, which begins a little before where this one was.
    pub(super) fn replace(&mut self, back: usize) {
        (self.term, self.counter, self.request) = (self.term + 1, 0, 0);
        self.knows = false;
        self.registered.clear();
        self.read = self.read.saturating_sub(back).max(self.forgotten);
    }

    fn hear(&mut self, uplink: Uplink) {
        let is_new = !std::mem::replace(&mut self.knows, true);
        match uplink {
            Uplink::Alive { request, .. } => {
                let is_lost = std::mem::replace(&mut self.request, request) != request;
                if is_new || is_lost {
                    self.counter += u64::from(is_lost && !is_new);
                    self.beat();
                }
            }
            Uplink::Register { request, reset, users, .. } => {
                let in_order = std::mem::replace(&mut self.request, request) + 1 == request;
                if !reset && (is_new || !in_order) {
                    self.counter += u64::from(!is_new);
                    return self.beat();
                }
                if reset {
                    self.registered.clear();
                }
                self.register(request, users);
            }
            Uplink::Unregister { users, .. } => users.iter().for_each(|user| {
                self.registered.remove(user);
            }),
            Uplink::Typing { typing, .. } => self.typing.push(typing),
            Uplink::Leave { .. } => self.knows = false,
        }
    }

    fn register(&mut self, request: u64, users: Vec<Registrant>) {
        let from: FxHashMap<Id, Option<Clock>> = users.iter().map(|r| (r.user, r.from)).collect();
        self.registered.extend(from.keys());
        let again: Vec<Envelope> = self.kicks.values().cloned().collect();
        for mut kick in again {
            kick.recipients.retain(|user| from.contains_key(user));
            self.send(Downlink::Replay { request, events: vec![kick] });
        }
        let begin = at(99 + self.forgotten as u64);
        let incomplete = users.iter().filter(|r| r.from.is_some_and(|from| from < begin)).map(|r| r.user);
        let incomplete: Vec<Id> = incomplete.collect();
        let known = self.history[self.forgotten..self.read].to_vec();
        for mut envelope in known {
            let is_owed = |user: &Id| {
                from.get(user).copied().flatten().is_some_and(|from| from < envelope.clock)
                    && !incomplete.contains(user)
            };
            envelope.recipients.retain(is_owed);
            if !envelope.recipients.is_empty() {
                self.send(Downlink::Replay { request, events: vec![envelope] });
            }
        }
        self.send(Downlink::Registered { request, live_from: self.position(), incomplete });
        self.asked = users;
    }
}

/// One connection of a client, and what it has been told.
pub(super) struct Client {
    pub(super) socket: Socket,
    pub(super) user: Id,
    pub(super) generation: i64,
    pub(super) arrival: Arc<Arrival>,
    pub(super) pid: Option<String>,
    pub(super) offset: Option<Clock>,
    /// Whether it was told to have been recovered; `None` before it is connected.
    pub(super) recovered: Option<bool>,
    pub(super) got: Vec<Clock>,
    /// Events without a clock.
    pub(super) others: Vec<Value>,
    pub(super) closed: Option<u16>,
}

impl Client {
    fn new(
        socket: Socket,
        user: Id,
        generation: i64,
        arrival: Arc<Arrival>,
        pid: Option<String>,
        offset: Option<Clock>,
    ) -> Self {
        let (got, others) = (Vec::new(), Vec::new());
        Self { socket, user, generation, arrival, pid, offset, recovered: None, got, others, closed: None }
    }

    /// Reads what was sent, and holds that it may be sent.
    pub(super) fn read(&mut self) {
        for frame in self.socket.drain() {
            let header = if frame[1] < 126 { 2 } else { 4 };
            let body = &frame[header..];
            if frame[0] == 0x88 {
                self.closed = Some(u16::from_be_bytes([body[0], body[1]]));
                continue;
            }
            assert_eq!(self.closed, None, "nothing comes behind the close");
            let event: Value = serde_json::from_slice(body).unwrap();
            match event[0].as_str().unwrap() {
                "connect" => {
                    assert_eq!(self.recovered, None, "once");
                    assert!(self.arrival.is_admitted());
                    let pid = event[1]["pid"].as_str().unwrap().to_owned();
                    let recovered = event[1]["recovered"].as_bool().unwrap();
                    assert!(!recovered || self.pid.as_ref() == Some(&pid));
                    if !recovered {
                        self.offset = None;
                    }
                    (self.pid, self.recovered) = (Some(pid), Some(recovered));
                }
                "connect_error" => self.others.push(event),
                _ => {
                    assert!(self.recovered.is_some(), "nothing comes before it is connected");
                    match event.as_array().unwrap().last().unwrap().as_str() {
                        Some(clock) => {
                            self.offset = Some(clock.parse().unwrap());
                            self.got.extend(self.offset);
                        }
                        None => self.others.push(event),
                    }
                }
            }
        }
    }

    /// Where its session began.
    pub(super) fn start(&self, tokens: &Tokens) -> Clock {
        Recovery::of(tokens, self.user, self.pid.as_ref().unwrap()).unwrap().start
    }
}
