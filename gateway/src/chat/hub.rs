//! Users and their sockets on this gateway, and what the streamer sends for them.
//!
//! One task owns it all, so that admission, events and departures have one order: a socket is admitted only
//! when the streamer has registered its user, and from that moment on it gets every event. Each user carries
//! the clock of the last event it was given, so an event that comes twice (after a gap, or from a new
//! streamer) is delivered once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bus::{BusError, Incoming, UplinkSender};
use protocol::bus::{ALIVE_INTERVAL_SECS, Content, Delivery, Downlink, Envelope, Registrant, Uplink};
use protocol::code::close;
use protocol::{Clock, Id};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use super::link::{Link, Verdict};
use crate::metrics::METRICS;
use crate::transport::{Event, Socket};

/// The most users in one request: each takes 12 bytes, and a bus takes a megabyte.
const USERS_PER_REQUEST: usize = 20_000;
/// How many commands are taken at once, so that their registrations go together.
const COMMANDS_AT_ONCE: usize = 1_024;
/// How many uplinks may wait while the bus is away; what is more is dropped, as the bus itself may do.
const UPLINKS_WAITING: usize = 16_384;

/// What the application tells the hub.
#[derive(Debug)]
pub(crate) enum Command {
    /// A socket with a good token wants to connect. Its user is being looked up.
    Open {
        /// The socket.
        socket: Socket,
        /// Its user.
        user: Id,
        /// Set when the socket is admitted: from then on it may send.
        admitted: Arc<AtomicBool>,
    },
    /// The api vouches for the socket's user.
    Vouched {
        /// [`Socket::id`].
        socket: u64,
        /// Its user.
        user: Id,
    },
    /// The socket is gone, or was refused.
    Close {
        /// [`Socket::id`].
        socket: u64,
        /// Its user.
        user: Id,
    },
}

#[derive(Debug)]
struct Member {
    socket: Socket,
    vouched: bool,
    admitted: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct User {
    /// Whether the streamer sends this user's events, as of the last resync.
    live: bool,
    /// The request that is to make it live.
    request: u64,
    /// The last event that was delivered.
    seen: Clock,
    sockets: Vec<Member>,
}

/// The hub's state; [`run`] drives it.
struct Hub {
    gateway: Id,
    link: Link,
    users: FxHashMap<Id, User>,
    joining: Vec<Id>,
    leaving: Vec<Id>,
    uplinks: mpsc::Sender<Uplink>,
}

/// Runs the hub until nobody can send commands any more, or the bus ends.
pub(crate) async fn run<U: UplinkSender>(
    gateway: Id,
    mut commands: mpsc::UnboundedReceiver<Command>,
    uplinks: U,
    mut incoming: mpsc::Receiver<Incoming>,
) {
    let (sender, pump) = pump(uplinks);
    let mut hub = Hub {
        gateway,
        link: Link::default(),
        users: FxHashMap::default(),
        joining: Vec::new(),
        leaving: Vec::new(),
        uplinks: sender,
    };
    let mut alive = tokio::time::interval(Duration::from_secs(ALIVE_INTERVAL_SECS));
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut taken = Vec::new();
    loop {
        tokio::select! {
            count = commands.recv_many(&mut taken, COMMANDS_AT_ONCE) => {
                if count == 0 {
                    break;
                }
                taken.drain(..).for_each(|command| hub.command(command));
                hub.flush();
            }
            message = incoming.recv() => match message {
                Some(Incoming::Delivery(delivery)) => hub.delivery(delivery),
                Some(Incoming::Reconnected) => hub.interrupt("the bus was interrupted"),
                None => break,
            },
            () = until(hub.link.due()) => hub.resync(),
            _ = alive.tick() => hub.tick(),
        }
    }
    hub.send(Uplink::Leave { gateway });
    drop(hub);
    drop(pump.await);
}

/// Waits for a point in time, or for ever.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Sends in a task of its own: the hub must never wait for the bus while the streamer waits for the hub.
fn pump<U: UplinkSender>(uplinks: U) -> (mpsc::Sender<Uplink>, tokio::task::JoinHandle<()>) {
    let (sender, mut queue) = mpsc::channel(UPLINKS_WAITING);
    let task = tokio::spawn(async move {
        while let Some(uplink) = queue.recv().await {
            match uplinks.send(uplink).await {
                Ok(()) => {}
                // No later attempt will do better: until that is changed these users get nothing.
                Err(error @ BusError::TooLarge { .. }) => warn!(%error, "users could not be registered"),
                // Whatever it was comes again, when the streamer notices by the numbers that it is missing.
                Err(error) => debug!(%error, "the streamer could not be spoken to"),
            }
        }
    });
    (sender, task)
}

impl Hub {
    fn command(&mut self, command: Command) {
        match command {
            Command::Open { socket, user, admitted } => {
                let entry = self.users.entry(user).or_default();
                if entry.sockets.is_empty() {
                    self.joining.push(user);
                }
                entry.sockets.push(Member { socket, vouched: false, admitted });
            }
            Command::Vouched { socket, user } => {
                let Some(entry) = self.users.get_mut(&user) else { return };
                if let Some(member) = entry.sockets.iter_mut().find(|member| member.socket.id() == socket) {
                    member.vouched = true;
                    if entry.live {
                        member.admit();
                    }
                }
            }
            Command::Close { socket, user } => {
                let Some(entry) = self.users.get_mut(&user) else { return };
                entry.sockets.retain(|member| member.socket.id() != socket);
                if entry.sockets.is_empty() {
                    self.users.remove(&user);
                    self.leaving.push(user);
                }
            }
        }
    }

    /// Tells the streamer who came and who left. Leaving goes first: a user who left and came back within one
    /// flush must end up registered.
    fn flush(&mut self) {
        METRICS.users.set(self.users.len() as i64);
        if !self.link.is_known() || self.link.due().is_some() {
            // Everybody is registered with the first word from a streamer, or with the resync that is due.
            self.joining.clear();
            self.leaving.clear();
            return;
        }
        let leaving = std::mem::take(&mut self.leaving);
        for users in leaving.chunks(USERS_PER_REQUEST) {
            self.send(Uplink::Unregister { gateway: self.gateway, users: users.to_vec() });
        }
        let joining = std::mem::take(&mut self.joining);
        let joining: Vec<Id> = joining.into_iter().filter(|user| self.users.contains_key(user)).collect();
        self.register(joining, None, false);
    }

    /// Asks for the events of `users`. With `resync`, they replace whatever was registered.
    fn register(&mut self, users: Vec<Id>, from: Option<Clock>, resync: bool) {
        let now = Instant::now();
        let mut reset = resync;
        let mut parts = users.chunks(USERS_PER_REQUEST).collect::<Vec<_>>();
        if resync && parts.is_empty() {
            // A gateway without users still has to make itself known.
            parts.push(&[]);
        }
        for part in parts {
            let request = self.link.request(part.to_vec(), resync, now);
            for user in part {
                if let Some(entry) = self.users.get_mut(user) {
                    entry.request = request;
                }
            }
            let users = part.iter().map(|&user| Registrant { user, from }).collect();
            self.send(Uplink::Register { gateway: self.gateway, request, reset, users });
            reset = false;
        }
    }

    /// Notes that something was missed: until everybody is registered again, events reach nobody.
    fn interrupt(&mut self, reason: &str) {
        if !self.link.is_known() || !self.link.interrupt(Instant::now()) {
            return;
        }
        info!(reason, users = self.users.len(), "all users have to be registered again");
        for entry in self.users.values_mut() {
            entry.live = false;
        }
    }

    /// Registers everybody again, replaying from the last clock that is certain.
    fn resync(&mut self) {
        let from = self.link.begin_resync();
        METRICS.resyncs.inc();
        self.joining.clear();
        self.leaving.clear();
        let users = self.users.keys().copied().collect();
        self.register(users, from, true);
    }

    fn tick(&mut self) {
        self.send(Uplink::Alive { gateway: self.gateway, request: self.link.last_request() });
        if self.link.is_overdue(Instant::now()) {
            self.interrupt("the streamer did not answer in time");
        }
    }

    fn delivery(&mut self, delivery: Delivery) {
        match self.link.judge(delivery.term, delivery.counter, Instant::now()) {
            Verdict::Stale => return,
            Verdict::Resync => {
                self.interrupt("a new streamer, or deliveries were lost");
                return;
            }
            Verdict::InOrder => {}
        }
        match delivery.body {
            Downlink::Events(events) => {
                for envelope in events {
                    let clock = envelope.clock;
                    self.deliver(envelope, false);
                    self.link.delivered(clock);
                }
            }
            Downlink::Replay { request, events } => {
                let to = events.last().map(|envelope| envelope.clock);
                if self.link.replayed(request, to) {
                    events.into_iter().for_each(|envelope| self.deliver(envelope, true));
                }
            }
            Downlink::Registered { request, live_from, incomplete } => {
                self.registered(request, live_from, incomplete.is_empty());
            }
            Downlink::Typing { .. } => {}
            Downlink::Beat { position } => self.link.delivered(position),
        }
    }

    /// Gives an event to its recipients' sockets. Outside a replay only to users who are live: for the others
    /// a replay is under way that contains it.
    fn deliver(&mut self, envelope: Envelope, replay: bool) {
        let Content::Event(event) = envelope.content else { return };
        let event = Event::new(event);
        for recipient in &envelope.recipients {
            let Some(user) = self.users.get_mut(recipient) else { continue };
            if envelope.clock <= user.seen || !(user.live || replay) {
                continue;
            }
            user.seen = envelope.clock;
            for member in user.sockets.iter().filter(|member| member.is_admitted()) {
                METRICS.deliveries.inc();
                member.socket.emit(&event);
            }
        }
    }

    fn registered(&mut self, request: u64, live_from: Clock, complete: bool) {
        let Some(users) = self.link.answered(request, live_from) else { return };
        if !complete {
            warn!(users = users.len(), "events may be missing; closing sockets so that clients catch up");
        }
        for user in users {
            let Some(entry) = self.users.get_mut(&user) else { continue };
            // The user may have left and come back: then a later request is to make it live.
            if entry.request != request {
                continue;
            }
            entry.live = true;
            entry.seen = entry.seen.max(live_from);
            for member in &entry.sockets {
                if member.is_admitted() && !complete {
                    member.socket.close(close::TRY_AGAIN, "events may be missing");
                } else if member.vouched {
                    member.admit();
                }
            }
        }
    }

    fn send(&self, uplink: Uplink) {
        // The pump ends only after the hub. What does not fit any more counts as lost on the way.
        drop(self.uplinks.try_send(uplink));
    }
}

impl Member {
    fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Relaxed)
    }

    fn admit(&self) {
        if !self.is_admitted() {
            // First the flag: the client may send as soon as it reads that it is connected.
            self.admitted.store(true, Ordering::Relaxed);
            self.socket.accept();
        }
    }
}
