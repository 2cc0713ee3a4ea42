//! The clients: one thread that drives all connections of a process.
//!
//! One thread and not a task for each connection: a task costs a wake-up, a lock and memory for each connection, and
//! the harness shares the machine with the server that it measures. What is read goes through one buffer that all
//! connections share, so an idle connection holds nothing but its place in a table.
//!
//! | module | holds |
//! |---|---|
//! | [`target`] | the server under test |
//! | [`packet`] | the packets of both protocols |
//! | [`sockets`] | all connections, and how each gets from TCP to an authenticated session |
//! | `leg` | one TCP connection |
//! | [`frame`] | WebSocket frames |
//! | `http` | the answers of an HTTP server |
//! | `ticker` | a timer finer than a millisecond |

pub mod frame;
mod http;
mod leg;
pub mod packet;
pub mod sockets;
pub mod target;
mod ticker;

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};

use packet::{Admission, Packet, Protocol};
use sockets::{OPEN_TIMEOUT, Parcel, SocketId, Sockets};
use target::Target;
use ticker::Ticker;

/// What is read at once, over whichever connection.
const BUFFER: usize = 128 << 10;
/// How many connections are told of at once.
const EVENTS: usize = 1_024;
const WAKER: Token = Token(usize::MAX - 1);
const TICKER: Token = Token(usize::MAX - 2);
/// While there is something to do, what comes and what is due is gathered for so long: waking up for each packet costs
/// more than the packet (at 5,000 messages a second 56 µs of CPU for each, and 30 with this). It makes a latency longer
/// by as much at most, twice: in what leaves and in what arrives.
const GATHER: Duration = Duration::from_micros(500);
/// How often connections that do not open are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// How a connection ended that was not ended from this side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// In words.
    pub how: String,
    /// Whether it had been authenticated before.
    pub opened: bool,
    /// Whether it is the end of a connection that was left.
    pub left: bool,
}

/// What is done over the connections. All calls come from the engine's thread.
pub trait Application {
    /// What other threads ask for.
    type Command: Send;

    /// A connection is authenticated.
    fn opened(&mut self, sockets: &mut Sockets, id: SocketId, admission: Admission, now: Instant);
    /// A packet as it came, before it is told apart. True if nothing else is to be done about it.
    fn recognises(&mut self, sockets: &Sockets, id: SocketId, packet: &[u8], now: Instant) -> bool;
    /// An event or an acknowledgement, or something malformed, arrived on an authenticated connection.
    fn received(&mut self, sockets: &mut Sockets, id: SocketId, packet: Packet<'_>, now: Instant);
    /// A connection is gone.
    fn closed(&mut self, sockets: &mut Sockets, tag: usize, closed: Closed, now: Instant);
    /// Another thread asks for something.
    fn command(&mut self, sockets: &mut Sockets, command: Self::Command, now: Instant);
    /// Does what is due, and says when there is more to do.
    fn due(&mut self, sockets: &mut Sockets, now: Instant) -> Option<Instant>;
}

/// Drives the connections.
#[derive(Debug)]
pub struct Engine<C> {
    poll: Poll,
    ticker: Ticker,
    sockets: Sockets,
    commands: Receiver<C>,
}

/// How other threads speak to an engine.
#[derive(Debug)]
pub struct Handle<C> {
    commands: Sender<C>,
    waker: Arc<Waker>,
}

impl<C> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self { commands: self.commands.clone(), waker: Arc::clone(&self.waker) }
    }
}

impl<C> Handle<C> {
    /// Asks for something. An engine that has ended swallows it.
    pub fn send(&self, command: C) {
        if self.commands.send(command).is_ok() {
            // It can only fail for an engine that is gone.
            let _ = self.waker.wake();
        }
    }
}

impl<C: Send> Engine<C> {
    /// An engine without connections.
    ///
    /// # Errors
    ///
    /// When the process may not open another file.
    pub fn new(target: Target, protocol: Protocol) -> io::Result<(Self, Handle<C>)> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let ticker = Ticker::new(poll.registry(), TICKER)?;
        let (sender, commands) = channel();
        let sockets = Sockets::new(target, protocol, registry);
        Ok((Self { poll, ticker, sockets, commands }, Handle { commands: sender, waker }))
    }

    /// Runs until the application stops it. Gives the application back.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to tell of connections.
    pub fn run<A: Application<Command = C>>(mut self, mut application: A) -> io::Result<A> {
        let mut events = Events::with_capacity(EVENTS);
        let mut buffer = vec![0; BUFFER];
        let mut swept = Instant::now();
        let mut busy = false;
        loop {
            let mut now = Instant::now();
            while let Ok(command) = self.commands.try_recv() {
                application.command(&mut self.sockets, command, now);
            }
            let due = application.due(&mut self.sockets, now);
            if self.sockets.stopped {
                return Ok(application);
            }
            let until = due.map(|due| due.saturating_duration_since(now));
            let timeout = if busy {
                thread::sleep(GATHER);
                Duration::ZERO
            } else {
                self.ticker.set(until)?.min(SWEEP)
            };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            busy = !events.is_empty();
            for event in &events {
                if matches!(event.token(), WAKER | TICKER) {
                    continue;
                }
                let (index, leg) = sockets::address(event.token());
                let Some(id) = self.sockets.id(index) else { continue };
                if event.is_writable()
                    && let Err(error) = self.sockets.writable(id, leg)
                {
                    close(&mut self.sockets, &mut application, id, error.to_string(), Instant::now());
                    continue;
                }
                if event.is_readable() || event.is_read_closed() {
                    read(&mut self.sockets, &mut application, (id, leg), &mut buffer);
                }
            }
            now = Instant::now();
            if now >= swept + SWEEP {
                swept = now;
                while let Some(id) = self.sockets.expired(now) {
                    let how = format!("not open and authenticated within {} s", OPEN_TIMEOUT.as_secs());
                    close(&mut self.sockets, &mut application, id, how, now);
                }
            }
        }
    }
}

/// Reads what has come on a leg.
fn read<A: Application>(
    sockets: &mut Sockets,
    application: &mut A,
    (id, leg): (SocketId, usize),
    buffer: &mut [u8],
) {
    loop {
        let Some(this) = sockets.leg(id, leg) else { return };
        let read = this.read(buffer);
        let size = match read {
            Ok(Some(0)) if sockets.spare(id, leg) => return,
            Ok(Some(0)) => {
                let how = "closed by the server without a close frame".to_owned();
                return close(sockets, application, id, how, Instant::now());
            }
            Ok(Some(size)) => size,
            Ok(None) => return,
            Err(error) => return close(sockets, application, id, error.to_string(), Instant::now()),
        };
        let now = Instant::now();
        let mut input = sockets.leg(id, leg).map(|this| mem::take(&mut this.input)).unwrap_or_default();
        let bytes = if input.is_empty() {
            &buffer[..size]
        } else {
            input.extend_from_slice(&buffer[..size]);
            &input
        };
        match parcels(sockets, application, (id, leg), bytes, now) {
            Ok(used) => {
                let rest = bytes[used..].to_vec();
                if let Some(this) = sockets.tag(id).and_then(|_| sockets.leg(id, leg)) {
                    this.input = rest;
                } else {
                    return;
                }
            }
            Err(how) => return close(sockets, application, id, how, now),
        }
        // A read that fills less than it could has taken everything; more of it is told anew.
        if size < buffer.len() {
            return;
        }
    }
}

/// Hands on what is whole, and tells how much that was. Fewer bytes than there are, if the connection is gone.
fn parcels<A: Application>(
    sockets: &mut Sockets,
    application: &mut A,
    (id, leg): (SocketId, usize),
    bytes: &[u8],
    now: Instant,
) -> Result<usize, String> {
    let mut used = 0;
    while used < bytes.len() && sockets.tag(id).is_some() {
        let Some((length, parcel)) = sockets.parcel(id, leg, &bytes[used..])? else { break };
        used += length;
        match parcel {
            Parcel::Nothing => {}
            Parcel::Packet(packet) => take(sockets, application, id, packet, now)?,
            Parcel::Packets(body) => {
                for packet in body.split(|byte| *byte == 0x1e).filter(|packet| !packet.is_empty()) {
                    take(sockets, application, id, packet, now)?;
                }
                sockets.polled(id);
            }
        }
    }
    Ok(used)
}

fn take<A: Application>(
    sockets: &mut Sockets,
    application: &mut A,
    id: SocketId,
    packet: &[u8],
    now: Instant,
) -> Result<(), String> {
    if sockets.tag(id).is_none() || application.recognises(sockets, id, packet, now) {
        return Ok(());
    }
    match sockets.protocol().parse(packet) {
        Packet::Ping => sockets.send(id, "3"),
        Packet::Noop => {}
        Packet::Open(greeting) => sockets.greeted(id, greeting)?,
        Packet::Probed => sockets.probed(id),
        Packet::Connected(text) => match sockets.admitted(id, text) {
            Some(admission) => application.opened(sockets, id, admission, now),
            None => application.received(sockets, id, Packet::Malformed, now),
        },
        Packet::Refused(text) => return Err(format!("refused: {}", packet::refusal(text))),
        Packet::Goodbye => return Err("session ended by the server".to_owned()),
        packet => application.received(sockets, id, packet, now),
    }
    Ok(())
}

fn close<A: Application>(
    sockets: &mut Sockets,
    application: &mut A,
    id: SocketId,
    how: String,
    now: Instant,
) {
    let Some(tag) = sockets.tag(id) else { return };
    let left = sockets.is_leaving(id);
    let closed = Closed { how, opened: left || sockets.is_open(id), left };
    sockets.cut(id);
    application.closed(sockets, tag, closed, now);
}
