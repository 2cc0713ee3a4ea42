//! The state of one connection that several tasks touch: its outbound queue, where it stands in its life, and
//! its heartbeat.
//!
//! The connection's own task ([`super::drive`]) sleeps until bytes arrive, bytes can be written, or this state
//! wakes it. Whoever queues a frame only takes a short lock; nobody ever waits for a slow peer.
//!
//! | module | holds |
//! |---|---|
//! | `backlog` | what clients that come back are given at once |
//! | `clients` | who is connected, in which namespace |
//! | `verdict` | who is let in, and who is turned away |
//! | `visits` | what is done when its time comes |

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use super::fault::Fault;
use super::frame::{Item, To, Wire};
use super::metrics::Why;
use super::pulse::Pulse;
use super::wheel::{Millis, NEVER, Shared};
use super::{Config, Socket};

mod backlog;
mod clients;
mod verdict;
mod visits;

use clients::{Clients, Standing};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// A close frame is in the queue, or written; what the peer still says is thrown away.
    Closing,
    /// The task must end now.
    Dead,
}

/// What the writer finds when it asks for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supply {
    /// There is something to write.
    Work,
    /// Nothing; the task will be woken for more.
    Idle,
    /// Nothing, and the task must look at the phase and the client again.
    Attention,
}

/// What a write brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// The peer took something.
    pub(super) any: bool,
    /// The cost ([`Item::cost`]) of the frames that were finished.
    pub(super) cost: usize,
}

pub(super) struct Conn {
    pub(super) wire: Wire,
    pub(super) shared: Arc<Shared>,
    /// When the last whole frame came in.
    seen: AtomicU64,
    state: Mutex<State>,
}

struct State {
    queue: VecDeque<Item>,
    /// What all unwritten frames cost, those that the writer took included.
    charged: usize,
    /// What may wait beyond the limit, because a client that comes back is given all that it missed at once: the part
    /// of `charged` that was there then. It shrinks as that is written.
    backlog: usize,
    /// How to wake the task. `None` while it is already woken, or has not slept yet.
    waker: Option<Waker>,
    /// Handles of clients that are not among them do nothing.
    clients: Clients,
    pulse: Pulse,
    /// When the wheel comes by next. What it does earlier is left over from an older plan.
    planned: Millis,
    /// While closing: when to stop being patient.
    close_by: Millis,
    phase: Phase,
    /// The task sleeps and has nothing to write, so a new frame must wake it. While it waits for the
    /// peer to read, frames only queue up.
    parked: bool,
    /// Something other than a new frame happened.
    attention: bool,
    /// The writer must drop what it took.
    discard: bool,
}

impl Conn {
    /// A connection as it is right after its handshake.
    pub(super) fn new(wire: Wire, shared: Arc<Shared>) -> Arc<Self> {
        let now = shared.now();
        let state = State {
            queue: VecDeque::new(),
            charged: 0,
            backlog: 0,
            waker: None,
            clients: Clients::new(),
            pulse: Pulse::new(now),
            planned: NEVER,
            close_by: 0,
            phase: Phase::Open,
            parked: false,
            attention: false,
            discard: false,
        };
        Arc::new(Self { wire, shared, seen: AtomicU64::new(now), state: Mutex::new(state) })
    }

    /// Puts the connection under the wheel's care. On a server that stops it is closed at once.
    pub(super) fn register(self: &Arc<Self>) {
        let config = &self.shared.config;
        let first = config.ping_interval.min(config.connect_timeout).as_millis() as Millis;
        self.plan(&mut self.lock(), self.shared.now() + first);
        // After the insertion: the stopping server sets the flag before it closes what the wheel holds.
        if self.shared.stopping.load(Ordering::SeqCst) {
            self.close(Fault::SHUTDOWN);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, so the state is sound even if the flag says otherwise.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sign of life.
    pub(super) fn touch(&self) {
        self.seen.store(self.shared.now(), Ordering::Relaxed);
    }

    /// The answer to a ping.
    pub(super) fn pong(&self) {
        let pinged = self.lock().pulse.ponged();
        if let Some(pinged) = pinged {
            let micros = self.shared.micros().get().wrapping_sub(pinged.get());
            self.shared.metrics.heartbeat.record_micros(u64::from(micros), 1);
        }
    }

    // What the connection's own task does on behalf of the clients.

    /// A client asks to be connected, in the main namespace if none is given. `None` if there already is one. On
    /// protocols where nobody asks, it is admitted by that.
    pub(super) fn ask(self: &Arc<Self>, namespace: Option<&str>) -> Option<Socket> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return None;
        }
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let standing = if self.asks() { Standing::Asked } else { Standing::Admitted };
        if !state.clients.enter(namespace, id, standing) {
            return None;
        }
        if standing == Standing::Admitted {
            state.pulse.connected();
        }
        Some(Socket::new(Arc::clone(self), id))
    }

    /// Whether clients have to ask to be connected.
    fn asks(&self) -> bool {
        matches!(self.wire, Wire::SocketIo | Wire::Plain)
    }

    /// A client left; the transport stays open for another.
    pub(super) fn leave(self: &Arc<Self>, id: u64) {
        self.forget(&mut self.lock(), id);
    }

    fn forget(self: &Arc<Self>, state: &mut State, id: u64) {
        state.clients.leave(id);
        if !state.clients.any_admitted() {
            let now = self.shared.now();
            state.pulse.disconnected(now);
            self.plan(state, now + self.shared.config.connect_timeout.as_millis() as Millis);
        }
        if state.clients.is_empty() {
            state.pulse.expires(NEVER);
        }
    }

    /// The id of the main client's socket; 0 for none.
    pub(super) fn socket_id(&self) -> u64 {
        self.lock().clients.main()
    }

    /// The id of the socket of the client in a namespace other than the main one; 0 for none.
    pub(super) fn named_id(&self, namespace: &str) -> u64 {
        self.lock().clients.named(namespace)
    }

    /// Whether a client is still there.
    pub(super) fn is_present(&self, id: u64) -> bool {
        self.lock().clients.find(id).is_some()
    }

    /// Queues a frame of the layer's own.
    pub(super) fn push(self: &Arc<Self>, item: Item) {
        let state = self.lock();
        if state.phase == Phase::Open {
            self.enqueue(state, item, &[]);
        }
    }

    /// Begins to close, unless that has been done.
    pub(super) fn close(self: &Arc<Self>, fault: Fault<'_>) {
        self.begin_close(self.lock(), fault);
    }

    /// The TCP connection is no more.
    pub(super) fn lost(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            self.shared.metrics.closed(Why::Lost);
        }
        state.phase = Phase::Dead;
        state.clients = Clients::new();
        state.keep_backlog(0, &self.shared);
        let queue = mem::take(&mut state.queue);
        drop(state);
        drop(queue);
    }

    // What the application does through a `Socket`.

    fn to<'a>(&self, namespace: &'a str) -> To<'a> {
        To { wire: self.wire, namespace }
    }

    /// Queues a frame for an admitted client, and those that must come right behind it. `make` is only called if the
    /// client is there.
    pub(super) fn send<'a>(self: &Arc<Self>, id: u64, make: impl FnOnce(To<'_>) -> (Item, &'a [Item])) {
        let state = self.lock();
        if let Some(namespace) = state.clients.admitted(id) {
            let (item, rest) = make(self.to(namespace));
            self.enqueue(state, item, rest);
        }
    }

    pub(super) fn close_socket(self: &Arc<Self>, id: u64, fault: Fault<'_>) {
        let state = self.lock();
        if state.clients.find(id).is_some() {
            self.begin_close(state, fault);
        }
    }

    fn enqueue(self: &Arc<Self>, mut state: MutexGuard<'_, State>, item: Item, rest: &[Item]) {
        let config = &self.shared.config;
        if !state.charge(item, config) || !rest.iter().all(|item| state.charge(item.clone(), config)) {
            return self.begin_close(state, Fault::SLOW);
        }
        self.rouse(state);
    }

    /// Wakes the task if it sleeps for want of frames.
    fn rouse(&self, mut state: MutexGuard<'_, State>) {
        if mem::take(&mut state.parked) {
            let waker = state.waker.take();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn begin_close(self: &Arc<Self>, mut state: MutexGuard<'_, State>, fault: Fault<'_>) {
        if state.phase != Phase::Open {
            return;
        }
        self.shared.metrics.closed(fault.why);
        state.phase = Phase::Closing;
        state.clients = Clients::new();
        if fault.why == Why::SlowConsumer {
            // What the peer did not read is given up: it catches up elsewhere.
            state.queue = VecDeque::new();
            state.discard = true;
            state.keep_backlog(0, &self.shared);
        }
        state.queue.push_back(Item::close(fault.code, fault.reason));
        state.close_by = self.shared.now() + self.shared.config.close_timeout().as_millis() as Millis;
        let close_by = state.close_by;
        self.plan(&mut state, close_by);
        wake(state);
    }

    /// Where the connection stands, for whoever is not its task.
    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    // What the connection's own task does for itself.

    /// The task runs: frames need not wake it until it finds nothing more to write. Tells where the connection
    /// stands, and the id of the main client's socket.
    pub(super) fn enter(&self) -> (Phase, u64) {
        let mut state = self.lock();
        state.parked = false;
        state.attention = false;
        (state.phase, state.clients.main())
    }

    /// Accounts for what was written of `batch`, and fills it anew once it is empty. `begun` says that the
    /// first frame that is left is partly written.
    pub(super) fn supply(
        &self,
        batch: &mut VecDeque<Item>,
        begun: bool,
        progress: Progress,
        context: &Context<'_>,
    ) -> Supply {
        let mut state = self.lock();
        state.written(progress.cost, &self.shared);
        if mem::take(&mut state.discard) {
            // A frame that was begun has to be finished, or the close frame could not be read after it.
            batch.truncate(usize::from(begun));
        }
        if batch.is_empty() {
            mem::swap(batch, &mut state.queue);
        }
        if progress.any || batch.is_empty() {
            state.pulse.flowing();
        }
        if !batch.is_empty() {
            return Supply::Work;
        }
        if state.attention {
            return Supply::Attention;
        }
        state.parked = true;
        state.sleep(context);
        let spare = mem::take(&mut state.queue);
        drop(state);
        // An idle connection keeps no queue at all.
        drop((mem::take(batch), spare));
        Supply::Idle
    }

    /// The peer takes no more for now. True if the task must look around again instead of sleeping.
    pub(super) fn block(self: &Arc<Self>, context: &Context<'_>) -> bool {
        let now = self.shared.now();
        let mut state = self.lock();
        if state.pulse.stalled(now) && state.phase == Phase::Open {
            self.plan(&mut state, now + self.shared.config.write_timeout.as_millis() as Millis);
        }
        state.sleep(context);
        state.attention
    }
}

/// Wakes the task whatever it waits for.
fn wake(mut state: MutexGuard<'_, State>) {
    state.attention = true;
    state.parked = false;
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl State {
    /// Queues a frame. False if that is more than may wait.
    fn charge(&mut self, item: Item, config: &Config) -> bool {
        self.charged += item.cost();
        let fits = self.charged <= config.outbound_limit.saturating_add(self.backlog);
        if fits {
            self.queue.push_back(item);
        }
        fits
    }

    fn sleep(&mut self, context: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }
}

#[cfg(test)]
impl Conn {
    /// How many frames of a kind wait.
    pub(super) fn waiting(&self, mut is_meant: impl FnMut(&Item) -> bool) -> usize {
        self.lock().queue.iter().filter(|item| is_meant(item)).count()
    }
}

#[cfg(test)]
mod tests;
