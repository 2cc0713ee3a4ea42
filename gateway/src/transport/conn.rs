//! The state of one connection that several tasks touch: its outbound queue, where it stands in its life, and
//! its heartbeat.
//!
//! The connection's own task ([`super::drive`]) sleeps until bytes arrive, bytes can be written, or this state
//! wakes it. Whoever queues a frame only takes a short lock; nobody ever waits for a slow peer.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use protocol::code::close;

use super::fault::Fault;
use super::frame::{Item, Wire};
use super::metrics::{METRICS, Why};
use super::pulse::{Plan, Pulse};
use super::wheel::{Millis, Shared};
use super::{Admission, Config, Socket};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// A close frame is in the queue, or written; what the peer still says is thrown away.
    Closing,
    /// The task must end now.
    Dead,
}

/// The Socket.IO client on the transport, or its like on `/ws`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Absent,
    /// It asked to be connected, and the application has not answered yet.
    Asked,
    Admitted,
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
    /// How to wake the task. `None` while it is already woken, or has not slept yet.
    waker: Option<Waker>,
    /// The id of the present client's [`Socket`]; 0 for none. Handles of earlier clients do nothing.
    socket: u64,
    pulse: Pulse,
    /// While closing: when to stop being patient.
    close_by: Millis,
    phase: Phase,
    client: Client,
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
            waker: None,
            socket: 0,
            pulse: Pulse::new(now),
            close_by: 0,
            phase: Phase::Open,
            client: Client::Absent,
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
        self.shared.wheel.insert(Arc::downgrade(self), self.shared.now() + first);
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

    // What the connection's own task does on behalf of the client.

    /// The client asks to be connected. `None` if there already is one.
    pub(super) fn ask(self: &Arc<Self>) -> Option<Socket> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut state = self.lock();
        if state.client != Client::Absent || state.phase != Phase::Open {
            return None;
        }
        state.client = Client::Asked;
        state.socket = NEXT.fetch_add(1, Ordering::Relaxed);
        Some(Socket::new(Arc::clone(self), state.socket))
    }

    /// The client left; the transport stays open for another.
    pub(super) fn leave(&self) {
        let now = self.shared.now();
        let mut state = self.lock();
        state.socket = 0;
        state.client = Client::Absent;
        state.pulse.disconnected(now);
    }

    /// The id of the present client's socket; 0 for none.
    pub(super) fn socket_id(&self) -> u64 {
        self.lock().socket
    }

    /// Queues a frame of the layer's own.
    pub(super) fn push(self: &Arc<Self>, item: Item) {
        let state = self.lock();
        if state.phase == Phase::Open {
            self.enqueue(state, item);
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
            METRICS.closed(Why::Lost);
        }
        state.phase = Phase::Dead;
        state.client = Client::Absent;
        state.socket = 0;
        let queue = mem::take(&mut state.queue);
        drop(state);
        drop(queue);
    }

    // What the application does through a `Socket`.

    pub(super) fn admit(self: &Arc<Self>, id: u64, admission: Admission<'_>) -> bool {
        let mut state = self.lock();
        if state.socket != id || state.client != Client::Asked {
            return false;
        }
        state.client = Client::Admitted;
        state.pulse.connected();
        self.enqueue(state, Item::connected(self.wire, admission));
        true
    }

    pub(super) fn refuse(self: &Arc<Self>, id: u64, message: &str) {
        let mut state = self.lock();
        if state.socket != id || state.client != Client::Asked {
            return;
        }
        // Counted like any other frame: a client may ask to be refused for ever.
        if !state.charge(Item::refused(self.wire, message), &self.shared.config) {
            return self.begin_close(state, Fault::SLOW);
        }
        match self.wire {
            Wire::Plain | Wire::Engine | Wire::Raw => {
                self.begin_close(state, Fault::new(close::UNAUTHORIZED, message, Why::Refused));
            }
            Wire::SocketIo => {
                state.socket = 0;
                state.client = Client::Absent;
                wake(state);
            }
        }
    }

    /// Turns the client away for good, whether it was admitted or not.
    pub(super) fn dismiss(self: &Arc<Self>, id: u64, message: &str) {
        self.refuse(id, message);
        let mut state = self.lock();
        if state.socket != id {
            return;
        }
        if self.wire == Wire::SocketIo && !state.charge(Item::dismissed(), &self.shared.config) {
            return self.begin_close(state, Fault::SLOW);
        }
        self.begin_close(state, Fault::new(close::UNAUTHORIZED, message, Why::Dismissed));
    }

    /// Closes the transport at a point in time, unless that is moved.
    pub(super) fn expire_at(self: &Arc<Self>, id: u64, at: Option<Instant>) {
        let mut state = self.lock();
        if state.socket == id {
            state.pulse.expires(at.map(|at| self.shared.millis(at)));
        }
    }

    /// Queues a frame for an admitted client. `make` is only called if it is there.
    pub(super) fn send(self: &Arc<Self>, id: u64, make: impl FnOnce(Wire) -> Item) {
        let state = self.lock();
        if state.socket == id && state.client == Client::Admitted {
            self.enqueue(state, make(self.wire));
        }
    }

    pub(super) fn close_socket(self: &Arc<Self>, id: u64, fault: Fault<'_>) {
        let state = self.lock();
        if state.socket == id {
            self.begin_close(state, fault);
        }
    }

    fn enqueue(self: &Arc<Self>, mut state: MutexGuard<'_, State>, item: Item) {
        if !state.charge(item, &self.shared.config) {
            return self.begin_close(state, Fault::SLOW);
        }
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
        METRICS.closed(fault.why);
        state.phase = Phase::Closing;
        state.client = Client::Absent;
        state.socket = 0;
        if fault.why == Why::SlowConsumer {
            // What the peer did not read is given up: it catches up elsewhere.
            state.queue = VecDeque::new();
            state.discard = true;
        }
        state.queue.push_back(Item::close(fault.code, fault.reason));
        state.close_by = self.shared.now() + self.shared.config.close_timeout().as_millis() as Millis;
        let close_by = state.close_by;
        wake(state);
        // The regular visit may be far away. This one is the last, so none comes twice for long.
        self.shared.wheel.insert(Arc::downgrade(self), close_by);
    }

    // What the connection's own task does for itself.

    /// The task runs: frames need not wake it until it finds nothing more to write.
    pub(super) fn enter(&self) -> (Phase, u64) {
        let mut state = self.lock();
        state.parked = false;
        state.attention = false;
        (state.phase, state.socket)
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
        state.charged = state.charged.saturating_sub(progress.cost);
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
    pub(super) fn block(&self, context: &Context<'_>) -> bool {
        let now = self.shared.now();
        let mut state = self.lock();
        state.pulse.stalled(now);
        state.sleep(context);
        state.attention
    }

    /// Looks after the heartbeat and everything else that takes too long. `None` ends the visits.
    pub(super) fn visit(self: &Arc<Self>, now: Millis) -> Option<Millis> {
        let mut state = self.lock();
        match state.phase {
            Phase::Dead => None,
            Phase::Closing if now < state.close_by => Some(state.close_by),
            Phase::Closing => {
                state.phase = Phase::Dead;
                wake(state);
                None
            }
            Phase::Open => {
                let seen = self.seen.load(Ordering::Relaxed);
                match state.pulse.check(now, seen, &self.shared.config) {
                    Plan::Wait(next) => Some(next),
                    Plan::Ping(next) => {
                        self.enqueue(state, Item::ping(self.wire));
                        Some(next)
                    }
                    Plan::Close(fault) => {
                        self.begin_close(state, fault);
                        None
                    }
                }
            }
        }
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
        let fits = self.charged <= config.outbound_limit;
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
mod tests {
    use super::*;

    #[test]
    fn the_shared_state_of_a_connection_is_small() {
        assert!(size_of::<Conn>() <= 192, "{}", size_of::<Conn>());
    }

    #[test]
    fn handles_of_earlier_clients_do_nothing() {
        let conn = Conn::new(Wire::SocketIo, Arc::new(Shared::new(Config::default())));
        let first = conn.ask().unwrap();
        assert!(conn.ask().is_none(), "one client at a time");
        conn.leave();
        let second = conn.ask().unwrap();
        assert_ne!(first.id(), second.id());
        assert!(!first.accept());
        first.refuse("no");
        first.close(close::TRY_AGAIN, "");
        assert_eq!(conn.socket_id(), second.id());
        assert!(conn.lock().queue.is_empty());
        assert!(second.accept());
        assert!(!second.accept(), "once");
        assert_eq!(conn.lock().queue.len(), 1);
    }

    #[test]
    fn over_the_limit_the_queue_is_freed_and_only_the_close_frame_left() {
        let config = Config { outbound_limit: 4_000, ..Config::default() };
        let conn = Conn::new(Wire::Plain, Arc::new(Shared::new(config)));
        let socket = conn.ask().unwrap();
        socket.accept();
        let event = super::super::Event::new(vec![b' '; 1_000].into());
        for _ in 0..3 {
            socket.emit(&event);
        }
        assert_eq!(conn.enter().0, Phase::Open);
        socket.emit(&event);
        assert_eq!(conn.enter(), (Phase::Closing, 0));
        let state = conn.lock();
        assert_eq!(state.queue.len(), 1);
        assert_eq!(state.queue[0].parts()[0][0], 0x88);
        assert_eq!(state.queue[0].parts()[1][..2], close::SLOW_CONSUMER.to_be_bytes());
    }
    #[test]
    fn refusals_count_against_the_limit_too() {
        let config = Config { outbound_limit: 4_000, ..Config::default() };
        let conn = Conn::new(Wire::SocketIo, Arc::new(Shared::new(config)));
        let refusals = std::iter::from_fn(|| conn.ask()).inspect(|socket| socket.refuse("no")).count();
        assert!((10..100).contains(&refusals), "{refusals}");
        assert_eq!(conn.enter(), (Phase::Closing, 0));
    }
}
