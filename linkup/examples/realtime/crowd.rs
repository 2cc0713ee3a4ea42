//! The clients: many authenticated Socket.IO connections that read and give signs of life, and count what comes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use loadtest::connect::connect_all;
use loadtest::connection::{Connection, Target};
use loadtest::dialect::Protocol;
use loadtest::process::check_open_files;
use loadtest::report::FirstText;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Failure, feed};

/// How many connections are being opened at any time.
pub(crate) const AT_ONCE: usize = 100;

/// In place of a time.
const LOST: u32 = u32::MAX;

/// Open connections. They are closed when this is dropped.
pub(crate) struct Crowd {
    target: Target,
    readers: JoinSet<()>,
    listeners: Vec<Arc<Mutex<Heard>>>,
    shared: Arc<Shared>,
}

struct Shared {
    epoch: Instant,
    received: AtomicU64,
    disconnects: AtomicU64,
    first_disconnect: FirstText,
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
    pub(crate) fn of(target: Target, epoch: Instant) -> Self {
        let shared = Shared {
            epoch,
            received: AtomicU64::new(0),
            disconnects: AtomicU64::new(0),
            first_disconnect: FirstText::default(),
        };
        Self { target, readers: JoinSet::new(), listeners: Vec::new(), shared: Arc::new(shared) }
    }

    /// Opens a connection with each token; returns how many were open and admitted each second.
    pub(crate) async fn join(&mut self, tokens: &[Arc<str>]) -> Result<f64, Failure> {
        check_open_files(self.listeners.len() + tokens.len())?;
        let Self { readers, listeners, shared, target } = self;
        Ok(connect_all(target, Protocol::SocketIo, tokens.to_vec(), AT_ONCE, |_, connection| {
            let heard = Arc::<Mutex<Heard>>::default();
            listeners.push(Arc::clone(&heard));
            readers.spawn(attend(connection, heard, Arc::clone(shared)));
        })
        .await?)
    }

    pub(crate) fn len(&self) -> usize {
        self.listeners.len()
    }

    /// How many connections the server closed, and how the first of them; `None` if all are open.
    pub(crate) fn lost(&self) -> Option<String> {
        let how = self.shared.first_disconnect.get()?;
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
        for heard in &self.listeners {
            let heard = lock(heard);
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

async fn attend(connection: Connection, heard: Arc<Mutex<Heard>>, shared: Arc<Shared>) {
    let how = connection.run_raw(|frame, now| {
        let Some((number, due)) = feed::read(frame) else { return };
        let took = (now - shared.epoch).saturating_sub(due).as_micros();
        lock(&heard).add(number, u32::try_from(took).unwrap_or(LOST - 1));
        shared.received.fetch_add(1, Ordering::Relaxed);
    });
    let how = how.await;
    shared.first_disconnect.give(|| how);
    shared.disconnects.fetch_add(1, Ordering::Relaxed);
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

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
