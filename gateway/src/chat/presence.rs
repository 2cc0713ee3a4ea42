//! Who is there: what the api is told of this gateway's users.
//!
//! The hub says what each user is on this gateway. Of that only changes are told, coalesced by user: while one batch is
//! under way, only the latest state counts for the next. Whoever is gone is kept for a grace period before that is
//! told, so that a client that comes back in time was never away. Whoever was told of is not told of again for a while:
//! what they are by then counts. Heartbeats go in the same batches.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::code::ApiError;
use protocol::command::{Answer, Command, HEARTBEAT_INTERVAL_SECS, Heartbeat, MAX_BATCH, Presence};
use protocol::{ErrorCode, Id, Timestamp};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::metrics::Metrics;

/// How many changes are taken at once.
const CHANGES_AT_ONCE: usize = 1_024;
/// The pause after a batch that nobody answered, or that was answered with trouble.
const PAUSE: Duration = Duration::from_millis(500);
/// For how long a user is not told of again. Each change costs the database and the streamer something, and a client
/// may say many in a second.
const QUIET: Duration = Duration::from_secs(5);

/// What a user is on this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) user: Id,
    /// `None`: without a socket.
    pub(crate) presence: Option<Presence>,
}

/// How many batches may be under way at a time, each with users of its own: while one is in the database, the next is
/// on its way.
const LANES: usize = 2;

/// Tells the api of changes until there can be no more of them, or this is dropped. `call` makes one attempt at a batch
/// of commands, however long that takes. Each lane sends heartbeats of its own, and learns from them whether the
/// gateway was taken for dead.
pub(crate) async fn run<F, Fut>(
    gateway: Id,
    grace: Duration,
    metrics: Arc<Metrics>,
    mut changes: mpsc::UnboundedReceiver<Change>,
    call: F,
) where
    F: Fn(Vec<Command>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<Answer>, ApiError>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let lanes = [(); LANES].map(|()| {
        let (lane, queue) = mpsc::unbounded_channel();
        let board = Board::new(gateway, grace, Instant::now(), Arc::clone(&metrics));
        tasks.spawn(run_lane(board, queue, call.clone()));
        lane
    });
    while let Some(change) = changes.recv().await {
        let [.., last] = change.user.bytes();
        // A lane ends only with this.
        let _ = lanes[usize::from(last) % LANES].send(change);
    }
    drop(lanes);
    tasks.join_all().await;
}

async fn run_lane<F, Fut>(mut board: Board, mut changes: mpsc::UnboundedReceiver<Change>, call: F)
where
    F: Fn(Vec<Command>) -> Fut,
    Fut: Future<Output = Result<Vec<Answer>, ApiError>>,
{
    let mut under_way: Option<Pin<Box<Fut>>> = None;
    let (mut taken, mut counted) = (Vec::new(), 0);
    loop {
        let now = Instant::now();
        board.expire(now);
        if under_way.is_none()
            && let Some(batch) = board.batch(now)
        {
            under_way = Some(Box::pin(call(batch)));
        }
        let count = board.users.len();
        if count != counted {
            // Other lanes count their own.
            board.metrics.hub.presence_users.increment(count as f64 - counted as f64);
            counted = count;
        }
        let wake = board.wake(under_way.is_some());
        tokio::select! {
            count = changes.recv_many(&mut taken, CHANGES_AT_ONCE) => {
                if count == 0 {
                    break;
                }
                let now = Instant::now();
                taken.drain(..).for_each(|change| board.note(change, now));
            }
            answers = answer(&mut under_way) => {
                under_way = None;
                let answers = answers.inspect_err(|error| warn!(%error, "presence was not told")).ok();
                board.answered(answers.as_deref(), Instant::now());
            }
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }
}

/// The answer to the batch that is under way; never, if none is. Cancel-safe: the call goes on.
async fn answer<Fut: Future>(under_way: &mut Option<Pin<Box<Fut>>>) -> Fut::Output {
    match under_way {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

/// What was told, and what is to be.
struct Board {
    gateway: Id,
    grace: Duration,
    /// Everybody who is here, was a moment ago, or about whom something is to be told.
    users: FxHashMap<Id, Entry>,
    /// Users without a socket, and when that is to be told, in order. One who has come back meanwhile, or gone again,
    /// has another time in their entry, or none.
    leaving: VecDeque<(Instant, Id)>,
    /// Users who were told of, and when they may be again, in order. The same holds.
    quiet: VecDeque<(Instant, Id)>,
    /// Users of whom there is something to tell.
    pending: VecDeque<Id>,
    /// Whom the batch that is under way tells of, behind its heartbeat if it has one.
    sent: Vec<Id>,
    /// Whether it has one.
    beats: bool,
    version: u64,
    /// Which of its lives the gateway is in, as it was last told; 0 before it was.
    epoch: i64,
    next_beat: Instant,
    /// After trouble: when to try again.
    not_before: Instant,
    metrics: Arc<Metrics>,
}

/// What a user is here.
#[derive(Debug)]
struct Entry {
    presence: Presence,
    /// Since when.
    since: Timestamp,
    /// What the api was told last; `None` if that is not known.
    told: Option<Presence>,
    /// Without a socket: when that is to be told.
    gone_at: Option<Instant>,
    /// Told of a moment ago: when that may be again.
    quiet_until: Option<Instant>,
    is_here: bool,
    is_pending: bool,
    is_sent: bool,
}

impl Board {
    fn new(gateway: Id, grace: Duration, now: Instant, metrics: Arc<Metrics>) -> Self {
        Self {
            gateway,
            grace,
            users: FxHashMap::default(),
            leaving: VecDeque::new(),
            quiet: VecDeque::new(),
            pending: VecDeque::new(),
            sent: Vec::new(),
            beats: false,
            version: 0,
            epoch: 0,
            next_beat: now,
            not_before: now,
            metrics,
        }
    }

    fn note(&mut self, Change { user, presence }: Change, now: Instant) {
        let Some(presence) = presence else { return self.leave(user, now) };
        let entry = self.users.entry(user).or_insert_with(Entry::nowhere);
        (entry.is_here, entry.gone_at) = (true, None);
        entry.turn(presence, Timestamp::now());
        self.touch(user);
    }

    /// The user's last socket is gone.
    fn leave(&mut self, user: Id, now: Instant) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        entry.is_here = false;
        if entry.presence != Presence::Offline {
            let gone_at = now + self.grace;
            entry.gone_at = Some(gone_at);
            self.leaving.push_back((gone_at, user));
        }
        self.touch(user);
    }

    /// Those who have not come back in time are offline, since they left, and those who were told of long enough ago
    /// may be told of again.
    fn expire(&mut self, now: Instant) {
        while let Some(&(gone_at, user)) = self.leaving.front()
            && gone_at <= now
        {
            self.leaving.pop_front();
            let Some(entry) = self.users.get_mut(&user).filter(|entry| entry.gone_at == Some(gone_at)) else {
                continue;
            };
            entry.gone_at = None;
            let ago = (now.saturating_duration_since(gone_at) + self.grace).as_millis();
            let left = Timestamp::now().millis().saturating_sub_unsigned(ago as u64);
            entry.turn(Presence::Offline, Timestamp::from_millis(left));
            self.touch(user);
        }
        while let Some(&(until, user)) = self.quiet.front()
            && until <= now
        {
            self.quiet.pop_front();
            if let Some(entry) = self.users.get_mut(&user).filter(|entry| entry.quiet_until == Some(until)) {
                entry.quiet_until = None;
                self.touch(user);
            }
        }
    }

    /// Sees to it that a user is told of if need be, and forgotten if there is nothing to know.
    fn touch(&mut self, user: Id) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        if entry.quiet_until.is_some() {
            return;
        }
        if entry.is_to_be_told() {
            if !std::mem::replace(&mut entry.is_pending, true) {
                self.pending.push_back(user);
            }
        } else if !entry.is_here && entry.presence == Presence::Offline && !entry.is_pending && !entry.is_sent
        {
            self.users.remove(&user);
        }
    }

    /// The commands of the next batch, if one is due. It counts as under way until [`Board::answered`].
    fn batch(&mut self, now: Instant) -> Option<Vec<Command>> {
        if now < self.not_before {
            return None;
        }
        let mut commands = Vec::new();
        self.beats = self.next_beat <= now;
        if self.beats {
            self.next_beat = now + Duration::from_secs(HEARTBEAT_INTERVAL_SECS);
            commands.push(Command::Alive { gateway: self.gateway });
        }
        while commands.len() < MAX_BATCH
            && let Some(user) = self.pending.pop_front()
        {
            let Some(entry) = self.users.get_mut(&user) else { continue };
            entry.is_pending = false;
            // It may have become again what it was.
            if !entry.is_to_be_told() {
                self.touch(user);
                continue;
            }
            entry.is_sent = true;
            entry.told = Some(entry.presence);
            entry.quiet_until = Some(now + QUIET);
            self.quiet.push_back((now + QUIET, user));
            self.version += 1;
            let (version, presence, at) = (self.version, entry.presence, entry.since);
            commands.push(Command::Presence { gateway: self.gateway, user, version, presence, at });
            self.sent.push(user);
        }
        (!commands.is_empty()).then_some(commands)
    }

    /// The batch under way has these answers, or none: then everything in it is told again, as it is by then.
    fn answered(&mut self, answers: Option<&[Answer]>, now: Instant) {
        let sent = std::mem::take(&mut self.sent);
        let count = sent.len() + usize::from(self.beats);
        let answers = answers.filter(|answers| answers.len() == count);
        match answers {
            Some(_) => self.metrics.hub.presence_answered.increment(1),
            None => self.metrics.hub.presence_failed.increment(1),
        }
        let (beat, answers) = match answers {
            Some([beat, answers @ ..]) if self.beats => (Some(beat), Some(answers)),
            answers => (None, answers),
        };
        if self.beats && !beat.is_some_and(|beat| matches!(beat, Answer::Ok(_))) {
            self.next_beat = now;
            self.not_before = now + PAUSE;
        }
        for (index, user) in sent.into_iter().enumerate() {
            let Some(entry) = self.users.get_mut(&user) else { continue };
            entry.is_sent = false;
            match answers.and_then(|answers| answers.get(index)) {
                Some(Answer::Ok(_)) => self.metrics.hub.presence_changes.increment(1),
                Some(Answer::Err(error)) if !is_trouble(error) => {
                    debug!(%user, %error, "presence is not taken");
                }
                _ => {
                    (entry.told, entry.quiet_until) = (None, None);
                    self.not_before = now + PAUSE;
                }
            }
            self.touch(user);
        }
        if let Some(epoch) = beat.and_then(epoch)
            && std::mem::replace(&mut self.epoch, epoch) != epoch
        {
            self.tell_again();
        }
    }

    /// The api knows nothing of this gateway's users: they are all offline to it.
    fn tell_again(&mut self) {
        let there = self.users.iter().filter(|(_, entry)| entry.presence != Presence::Offline);
        let there: Vec<Id> = there.map(|(user, _)| *user).collect();
        if !there.is_empty() {
            info!(users = there.len(), "everybody's presence is told again");
        }
        for user in there {
            if let Some(entry) = self.users.get_mut(&user) {
                (entry.told, entry.quiet_until) = (None, None);
            }
            self.touch(user);
        }
    }

    /// When there is something to do without anything happening.
    fn wake(&self, is_under_way: bool) -> Instant {
        let batch = if self.pending.is_empty() { self.next_beat } else { self.not_before };
        let batch = (!is_under_way).then(|| batch.max(self.not_before));
        let [expiry, quiet] = [&self.leaving, &self.quiet].map(|queue| queue.front().map(|&(due, _)| due));
        let far = Instant::now() + Duration::from_secs(HEARTBEAT_INTERVAL_SECS);
        [batch, expiry, quiet].into_iter().flatten().min().map_or(far, |due| due.min(far))
    }
}

impl Entry {
    fn nowhere() -> Self {
        Self {
            presence: Presence::Offline,
            since: Timestamp::default(),
            told: Some(Presence::Offline),
            gone_at: None,
            quiet_until: None,
            is_here: false,
            is_pending: false,
            is_sent: false,
        }
    }

    fn turn(&mut self, presence: Presence, since: Timestamp) {
        if presence != self.presence {
            (self.presence, self.since) = (presence, since);
        }
    }

    fn is_to_be_told(&self) -> bool {
        self.told != Some(self.presence)
    }
}

/// Whether something in the way, rather than a refusal, kept a command from taking effect.
fn is_trouble(error: &ApiError) -> bool {
    matches!(error.code, ErrorCode::Unavailable | ErrorCode::Internal | ErrorCode::TooManyRequests)
}

/// Which of the gateway's lives the api takes this for.
fn epoch(beat: &Answer) -> Option<i64> {
    let Answer::Ok(beat) = beat else { return None };
    serde_json::from_str::<Heartbeat>(beat.get()).ok().map(|beat| beat.epoch)
}

#[cfg(test)]
mod tests;
