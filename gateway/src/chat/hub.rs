//! Users and their sockets on this gateway, and what the streamer sends for them.
//!
//! One task owns it all, so that admission, events and departures have one order: a socket is admitted only
//! when the streamer has registered its user, and from that moment on it gets every event. Each socket carries
//! the clock of the last event it was given, so an event that comes twice (after a gap, from a new streamer, or
//! in the replay for another socket of the same user) is delivered once.
//!
//! | module | holds |
//! |---|---|
//! | `members` | a socket's place in the stream, and what is kept for one that comes back |
//! | `commands` | what the application says |
//! | `registration` | what the streamer is asked for, and what comes of it |
//! | `copies` | an event, timed or not |
//! | `delivery` | what the streamer sends, and to whom it goes |

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bus::{BusError, Incoming, UplinkSender};
use protocol::bus::{ALIVE_INTERVAL_SECS, Uplink};
use protocol::command::Presence;
use protocol::recovery::Recovery;
use protocol::token::Tokens;
use protocol::{Clock, Id};
use rustc_hash::FxHashMap;
use service::health::Heartbeat;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::{debug, warn};

use super::Arrival;
use super::link::Link;
use super::presence::{self, Change};
use super::typing::{Shown, Typists};
use crate::api_client::ApiClient;
use crate::health::Heard;
use crate::metrics::{Gap, Metrics};
use crate::transport::Socket;

mod commands;
mod copies;
mod delivery;
mod members;
mod registration;
#[cfg(test)]
mod tests;

use members::User;

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
        /// [`protocol::token::Claims::generation`] of its token.
        generation: i64,
        /// Where it was, if it comes back.
        resume: Option<Resume>,
        /// To be told when the socket is admitted: from then on it may send.
        arrival: Arc<Arrival>,
    },
    /// The api vouches for the socket's user.
    Vouched {
        /// [`Socket::id`].
        socket: u64,
        /// Its user.
        user: Id,
    },
    /// The socket has shown a newer token, and the api vouches for it.
    Refreshed {
        /// [`Socket::id`].
        socket: u64,
        /// Its user.
        user: Id,
        /// [`protocol::token::Claims::generation`] of the newer token.
        generation: i64,
    },
    /// A client says what it is. A new socket is online; the most present socket of a user counts.
    Status {
        /// [`Socket::id`].
        socket: u64,
        /// Its user.
        user: Id,
        /// What it is now.
        presence: Presence,
    },
    /// A client says that its user is typing, or has stopped.
    Typing {
        /// [`Socket::id`].
        socket: u64,
        /// Its user.
        user: Id,
        /// Where.
        conversation: Id,
        /// Whether they are typing now.
        is_typing: bool,
    },
    /// The socket is gone, or was refused.
    Close {
        /// [`Socket::id`].
        socket: u64,
        /// Its user.
        user: Id,
    },
}

/// Where a socket that comes back was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resume {
    /// Its session, from a `pid` that was made for its user.
    pub(crate) recovery: Recovery,
    /// What it missed came after this: [`Recovery::replay_from`].
    pub(crate) from: Clock,
}

/// What the hub has to know.
#[derive(Debug)]
pub(crate) struct Settings {
    /// To seal each session's `pid` with.
    pub(crate) tokens: Tokens,
    /// How long somebody whose last socket is gone is not offline yet.
    pub(crate) presence_grace: Duration,
    /// How many sockets a user may have here; another one is closed with
    /// [`TOO_MANY`](protocol::code::close::TOO_MANY).
    pub(crate) connections_per_user: usize,
    /// How many bytes may wait for one socket ([`crate::transport::Config::outbound_limit`]). What a socket missed is
    /// kept until it is admitted only if it is not more than [`COMEBACK_LIMITS`] times that.
    pub(crate) outbound_limit: usize,
}

/// What the hub is watched by.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) metrics: Arc<Metrics>,
    /// To be told when a streamer speaks.
    pub(crate) heard: Arc<Heard>,
    /// To be told that the hub runs.
    pub(crate) heartbeat: Heartbeat,
}

/// How many times as much as may wait for a socket it may be given when it comes back. More than once: whoever was cut
/// off for not reading has missed that much already. The bytes are those of the replay, which all sockets share.
const COMEBACK_LIMITS: usize = 8;

/// The hub's state; [`run`] drives it.
struct Hub {
    gateway: Id,
    settings: Settings,
    /// How many bytes a socket that comes back may have missed, in all: [`COMEBACK_LIMITS`] times
    /// [`Settings::outbound_limit`], against which they do not count once the socket is let in.
    room: usize,
    link: Link,
    users: FxHashMap<Id, User>,
    joining: Vec<Id>,
    leaving: Vec<Id>,
    typists: Typists,
    shown: Shown,
    uplinks: mpsc::Sender<Uplink>,
    presence: mpsc::UnboundedSender<Change>,
    metrics: Arc<Metrics>,
    heard: Arc<Heard>,
    /// How many events were timed.
    turn: u64,
}

/// Runs the hub until nobody can send commands any more, or the bus ends.
pub(crate) async fn run<U: UplinkSender>(
    gateway: Id,
    settings: Settings,
    watched: Watched,
    api: Arc<ApiClient>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    uplinks: U,
    mut incoming: mpsc::Receiver<Incoming>,
) {
    let (sender, pump) = pump(uplinks);
    let (presence, changes) = mpsc::unbounded_channel();
    let Watched { metrics, heard, heartbeat } = watched;
    let (grace, counted) = (settings.presence_grace, Arc::clone(&metrics));
    let told = tokio::spawn(presence::run(gateway, grace, counted, changes, move |batch| {
        let api = Arc::clone(&api);
        async move { api.presence(batch).await }
    }));
    let waiting = Arc::clone(&metrics.hub.queue);
    let mut hub = Hub::new(gateway, settings, sender, presence, metrics, heard);
    let mut alive = tokio::time::interval(Duration::from_secs(ALIVE_INTERVAL_SECS));
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut taken = Vec::new();
    loop {
        heartbeat.beat();
        tokio::select! {
            count = commands.recv_many(&mut taken, COMMANDS_AT_ONCE) => {
                if count == 0 {
                    break;
                }
                waiting.fetch_sub(count, Ordering::Relaxed);
                taken.drain(..).for_each(|command| hub.command(command));
                hub.flush();
            }
            message = incoming.recv() => match message {
                Some(Incoming::Delivery(delivery)) => {
                    hub.delivery(delivery);
                    // Sockets may have been turned away.
                    hub.flush();
                }
                Some(Incoming::Reconnected) => hub.interrupt(Gap::BusReconnected),
                None => break,
            },
            () = until(hub.link.due()) => hub.resync(),
            _ = alive.tick() => hub.tick(Instant::now()),
        }
    }
    hub.send(Uplink::Leave { gateway });
    // Nobody is told to be offline: whoever comes back elsewhere was never away.
    told.abort();
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
    fn new(
        gateway: Id,
        settings: Settings,
        uplinks: mpsc::Sender<Uplink>,
        presence: mpsc::UnboundedSender<Change>,
        metrics: Arc<Metrics>,
        heard: Arc<Heard>,
    ) -> Self {
        Self {
            gateway,
            room: settings.outbound_limit.saturating_mul(COMEBACK_LIMITS),
            settings,
            link: Link::default(),
            users: FxHashMap::default(),
            joining: Vec::new(),
            leaving: Vec::new(),
            typists: Typists::default(),
            shown: Shown::default(),
            uplinks,
            presence,
            metrics,
            heard,
            turn: 0,
        }
    }

    fn tick(&mut self, now: Instant) {
        self.send(Uplink::Alive { gateway: self.gateway, request: self.link.last_request() });
        if self.link.is_overdue(now) {
            self.interrupt(Gap::Silence);
        }
        for typing in self.typists.tick(now) {
            self.tell_typing(typing);
        }
        for (typing, recipients) in self.shown.expire(now) {
            self.show(&typing, &recipients);
        }
        self.metrics.hub.typing.set(self.shown.len() as f64);
    }

    fn send(&self, uplink: Uplink) {
        // The pump ends only after the hub. What does not fit any more counts as lost on the way.
        drop(self.uplinks.try_send(uplink));
    }
}
