//! The clients: many authenticated Socket.IO connections that read and give signs of life, and count what comes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use loadtest::engine::packet::{Admission, Credentials, Packet, Protocol};
use loadtest::engine::sockets::{SocketId, Sockets};
use loadtest::engine::target::Target;
use loadtest::engine::{Application, Closed, Engine, Handle};
use loadtest::process::check_open_files;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::{Failure, feed};

/// How many connections are being opened at any time.
pub(crate) const AT_ONCE: usize = 100;

/// In place of a time.
const LOST: u32 = u32::MAX;

/// Open connections. They are closed when this is dropped.
pub(crate) struct Crowd {
    engine: Handle<Command>,
    thread: Option<JoinHandle<()>>,
    listeners: Arc<Mutex<Vec<Heard>>>,
    len: usize,
    shared: Arc<Shared>,
}

struct Shared {
    epoch: Instant,
    received: AtomicU64,
    disconnects: AtomicU64,
    first_disconnect: OnceLock<String>,
}

/// What the thread that drives the connections is asked for.
enum Command {
    /// Open one with each token; how long that took, or why one could not be opened.
    Join(Vec<Arc<str>>, oneshot::Sender<Result<Duration, String>>),
    /// Close them all, and end.
    Leave,
}

/// The connections, on their thread.
struct Listening {
    shared: Arc<Shared>,
    listeners: Arc<Mutex<Vec<Heard>>>,
    waiting: VecDeque<Arc<str>>,
    next: usize,
    opening: usize,
    joining: Option<(Instant, oneshot::Sender<Result<Duration, String>>)>,
}

/// What one connection got.
#[derive(Default)]
struct Heard {
    /// How long each event took, in microseconds, by number; [`LOST`] where it did not come.
    took: Vec<u32>,
    /// Events that came twice, or after later ones.
    wrong: u64,
}

/// What all connections got of some events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    pub(crate) received: u64,
    /// Deliveries that did not come, came twice, or after later ones.
    pub(crate) wrong: u64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Crowd {
    /// Nobody yet.
    pub(crate) fn of(target: Target, epoch: Instant) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            epoch,
            received: AtomicU64::new(0),
            disconnects: AtomicU64::new(0),
            first_disconnect: OnceLock::new(),
        });
        let listeners = Arc::<Mutex<Vec<Heard>>>::default();
        let (engine, handle) = Engine::new(target, Protocol::SocketIo)?;
        let listening = Listening {
            shared: Arc::clone(&shared),
            listeners: Arc::clone(&listeners),
            waiting: VecDeque::new(),
            next: 0,
            opening: 0,
            joining: None,
        };
        let thread = thread::spawn(move || {
            if let Err(error) = engine.run(listening) {
                eprintln!("connections cannot be driven: {error}");
            }
        });
        Ok(Self { engine: handle, thread: Some(thread), listeners, len: 0, shared })
    }

    /// Opens a connection with each token; returns how many were open and admitted each second.
    pub(crate) async fn join(&mut self, tokens: &[Arc<str>]) -> Result<f64, Failure> {
        check_open_files(self.len + tokens.len())?;
        let (done, joined) = oneshot::channel();
        self.engine.send(Command::Join(tokens.to_vec(), done));
        let took = joined.await??;
        self.len += tokens.len();
        Ok(tokens.len() as f64 / took.as_secs_f64().max(1e-6))
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// How many connections the server closed, and how the first of them; `None` if all are open.
    pub(crate) fn lost(&self) -> Option<String> {
        let how = self.shared.first_disconnect.get()?.clone();
        Some(format!(
            "{} of {}, the first: {how}",
            self.shared.disconnects.load(Ordering::Relaxed),
            self.len()
        ))
    }

    /// Waits until everybody has got `events` in all; false if that takes longer than `patience`.
    pub(crate) async fn everybody_has(&self, events: u64, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.shared.received.load(Ordering::Relaxed) < events * self.len() as u64 {
            if Instant::now() > deadline {
                return false;
            }
            sleep(Duration::from_millis(2)).await;
        }
        true
    }

    /// What came of the events with numbers from `from` up to `to`.
    pub(crate) fn tally(&self, from: u64, to: u64) -> Tally {
        let (mut took, mut wrong) = (Vec::new(), 0);
        for heard in &*lock(&self.listeners) {
            let got = heard.took.get(from as usize..).unwrap_or_default();
            took.extend(got.iter().take((to - from) as usize).filter(|took| **took != LOST));
            wrong += heard.wrong;
        }
        took.sort_unstable();
        let at = |share: f64| {
            let index = ((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1));
            Duration::from_micros(took.get(index).copied().unwrap_or(0).into())
        };
        let lost = (to - from) * self.len() as u64 - took.len() as u64;
        Tally { received: took.len() as u64, wrong: wrong + lost, p50: at(0.5), p99: at(0.99) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.engine.send(Command::Leave);
        // A thread that panicked has said so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Listening {
    fn open(&mut self, sockets: &mut Sockets, now: Instant) {
        while self.opening < AT_ONCE
            && let Some(token) = self.waiting.pop_front()
        {
            let credentials = Credentials { token, resume: None };
            match sockets.open(credentials, self.next, now) {
                Ok(_) => {
                    (self.next, self.opening) = (self.next + 1, self.opening + 1);
                    lock(&self.listeners).push(Heard::default());
                }
                Err(error) => return self.joined(Err(error.to_string())),
            }
        }
        if self.opening == 0
            && let Some(took) = self.joining.as_ref().map(|(since, _)| since.elapsed())
        {
            self.joined(Ok(took));
        }
    }

    fn joined(&mut self, result: Result<Duration, String>) {
        self.waiting.clear();
        if let Some((_, done)) = self.joining.take() {
            // Nobody waits any more only when the measurement is given up.
            let _ = done.send(result);
        }
    }
}

impl Application for Listening {
    type Command = Command;

    fn opened(&mut self, sockets: &mut Sockets, _: SocketId, _: Admission, now: Instant) {
        self.opening -= 1;
        self.open(sockets, now);
    }

    fn recognises(&mut self, sockets: &Sockets, id: SocketId, packet: &[u8], now: Instant) -> bool {
        let (Some(listener), Some((number, due))) = (sockets.tag(id), feed::read(packet)) else {
            return false;
        };
        let took = (now - self.shared.epoch).saturating_sub(due).as_micros();
        lock(&self.listeners)[listener].add(number, u32::try_from(took).unwrap_or(LOST - 1));
        self.shared.received.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn received(&mut self, _: &mut Sockets, _: SocketId, _: Packet<'_>, _: Instant) {}

    fn closed(&mut self, _: &mut Sockets, number: usize, closed: Closed, _: Instant) {
        if closed.opened {
            self.shared.first_disconnect.get_or_init(|| closed.how);
            self.shared.disconnects.fetch_add(1, Ordering::Relaxed);
        } else {
            self.opening -= 1;
            self.joined(Err(format!("connection {number}: {}", closed.how)));
        }
    }

    fn command(&mut self, sockets: &mut Sockets, command: Command, now: Instant) {
        match command {
            Command::Join(tokens, done) => {
                self.waiting = tokens.into();
                self.joining = Some((now, done));
                self.open(sockets, now);
            }
            Command::Leave => sockets.stop(),
        }
    }

    fn due(&mut self, _: &mut Sockets, _: Instant) -> Option<Instant> {
        None
    }
}

impl Heard {
    fn add(&mut self, number: u64, took: u32) {
        let number = number as usize;
        if number < self.took.len() {
            self.wrong += 1;
            return;
        }
        self.took.resize(number, LOST);
        self.took.push(took);
    }
}

fn lock(listeners: &Mutex<Vec<Heard>>) -> MutexGuard<'_, Vec<Heard>> {
    listeners.lock().unwrap_or_else(PoisonError::into_inner)
}
