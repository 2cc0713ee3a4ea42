//! One lane of the group commit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use protocol::{Id, Timestamp};
use rustc_hash::FxHashMap;
use store::document::{Message, Profile};
use store::message::{Inserted, Last};
use store::{Store, StoreError};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use super::batch::{self, Batch};
use super::{Outcome, Send};
use crate::answer::Failure;
use crate::metrics::Metrics;
use crate::view::Views;

/// How many conversations' last messages, and how many senders' profiles, a lane remembers.
const MEMORY: usize = 50_000;
/// How long a sender's name and picture may be shown unchanged, and how long somebody whose account has ended may still
/// be taken for there. Whether they take part is never decided by it.
const PROFILE_TTL: Duration = Duration::from_secs(10);
/// The pauses between attempts that led nowhere: none at first, then this long, growing up to that long.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// Commits one batch after the other.
#[derive(Debug)]
pub(super) struct Lane {
    store: Store,
    views: Views,
    patience: Duration,
    metrics: Arc<Metrics>,
    memory: Mutex<Memory>,
}

/// What a lane remembers between batches, to save queries. The last message is a guess that the unique index on
/// `seq` checks, so another node's writes make it cost a conflict and never a wrong number.
#[derive(Debug, Default)]
struct Memory {
    lasts: FxHashMap<Id, Last>,
    profiles: FxHashMap<Id, (Arc<Profile>, Instant)>,
}

/// Who sends, for the time of one batch.
type Profiles = FxHashMap<Id, Arc<Profile>>;

impl Lane {
    pub(super) fn new(store: Store, views: Views, patience: Duration, metrics: Arc<Metrics>) -> Self {
        Self { store, views, patience, metrics, memory: Mutex::default() }
    }

    /// Commits a batch: as many attempts as it takes, until everything is answered or out of patience.
    pub(super) async fn commit(&self, sends: Vec<Send>) -> Vec<Outcome> {
        let mut profiles = self.memory().trim_and_recall(&sends, Instant::now());
        for send in &sends {
            self.metrics.queue_stage.record(send.since.elapsed());
        }
        let mut batch = Batch::new(sends);
        let mut pause = Duration::ZERO;
        // Counts the attempts; after the first, something may be stored of which this lane knows nothing.
        let mut attempts = 0;
        while let Some(deadline) = self.patient(&mut batch) {
            let left = batch.left();
            let attempt = self.attempt(&mut batch, &mut profiles, attempts > 0);
            match timeout_at(deadline, attempt).await.unwrap_or(Err(StoreError::TimedOut)) {
                Ok(()) => {}
                Err(error) if error.is_unavailable() => self.look_again(&batch, &error, attempts),
                // A command that failed as a whole may still have stored a part of the batch.
                Err(error) if attempts == 0 => self.look_again(&batch, &error, attempts),
                Err(error) => self.give_up(&mut batch, error),
            }
            attempts += 1;
            if batch.left() < left {
                pause = Duration::ZERO;
            } else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).clamp(PAUSES.0, PAUSES.1);
            }
        }
        self.metrics.commit.record(batch.began.elapsed().as_secs_f64());
        batch.into_outcomes()
    }

    /// Gives up messages whose patience has ended; until when to go on, if any are left.
    fn patient(&self, batch: &mut Batch) -> Option<Instant> {
        if batch.is_done() {
            return None;
        }
        let expired = batch.expire(Instant::now(), self.patience);
        self.metrics.expired.increment(expired as u64);
        batch.deadline(self.patience)
    }

    /// The outcome of an attempt is unknown: what is remembered may be wrong.
    fn look_again(&self, batch: &Batch, error: &StoreError, attempts: u32) {
        self.metrics.retries.increment(1);
        let messages = batch.left();
        if attempts == 0 {
            warn!(%error, messages, "the outcome of a commit is unknown; looking again");
        } else {
            debug!(%error, messages, attempts, "the outcome of a commit is still unknown");
        }
        self.forget(batch);
    }

    fn give_up(&self, batch: &mut Batch, error: StoreError) {
        self.forget(batch);
        let failure = Failure::from(error);
        batch.settle(|_| Some(Err(failure.clone())));
    }

    fn forget(&self, batch: &Batch) {
        let mut memory = self.memory();
        for send in batch.pending() {
            memory.lasts.remove(&send.conversation);
        }
    }

    /// Authorises, numbers and inserts what is pending. Afterwards something is answered, or an index
    /// has stopped the insert at its first message.
    async fn attempt(
        &self,
        batch: &mut Batch,
        profiles: &mut Profiles,
        doubt: bool,
    ) -> Result<(), StoreError> {
        self.survey(batch, profiles, doubt).await?;
        if batch.is_done() {
            return Ok(());
        }
        let messages = {
            let memory = self.memory();
            let last = |id| memory.lasts.get(&id).copied().unwrap_or(Last::NONE);
            batch::number(batch.pending(), last, Timestamp::now())
        };
        match self.store.insert_in_order(&messages).await? {
            Inserted::All => {
                let count = messages.len();
                self.stored(batch, messages, count, profiles);
            }
            Inserted::Stopped { at, duplicate: true, .. } => {
                self.metrics.conflicts.increment(1);
                self.stored(batch, messages, at, profiles);
                // Either this message is stored already or its number is taken: the next survey tells. Whatever made
                // this one's last number stale may have done so to the others: they are read anew in the same query,
                // instead of one attempt each.
                self.forget(batch);
            }
            Inserted::Stopped { at, code, .. } => {
                self.stored(batch, messages, at, profiles);
                self.forget(batch);
                let what = format!("MongoDB refused a message with code {code}");
                batch.settle_nth(0, Err(Failure::fault(what)));
            }
        }
        Ok(())
    }

    /// Asks MongoDB, all at once, for what is needed and not known: who may send, the last message of each
    /// conversation, who the senders are and, in doubt, what is stored already. Answers what can be answered.
    async fn survey(
        &self,
        batch: &mut Batch,
        profiles: &mut Profiles,
        doubt: bool,
    ) -> Result<(), StoreError> {
        let (conversations, senders) = (batch.conversations(), batch.senders());
        let strangers: Vec<Id> = senders.iter().copied().filter(|id| !profiles.contains_key(id)).collect();
        let mut unknown = self.memory().unknown(&conversations);
        let keys = if doubt { batch.keys() } else { Vec::new() };
        let (accesses, lasts, people, stored) = tokio::try_join!(
            self.store.accesses(&conversations, &senders),
            self.store.last_messages(&unknown),
            self.store.profiles(&strangers),
            self.store.stored_messages(&keys),
        )?;
        // Nobody can fill the memory with identifiers that they made up.
        unknown.retain(|id| accesses.iter().any(|access| access.id == *id));
        self.memory().learn(&unknown, lasts, people, profiles);
        self.recognise(batch, stored, profiles);

        let refusal = batch::refusal(&accesses, profiles);
        let refused: Vec<_> =
            batch.pending().filter(|send| refusal(send).is_some()).map(batch::key).collect();
        if !refused.is_empty() {
            // Somebody who has left since may still ask what became of a message of before.
            let stored = if doubt { Vec::new() } else { self.store.stored_messages(&refused).await? };
            self.recognise(batch, stored, profiles);
            batch.settle(|send| refusal(send).map(Err));
        }
        // Before anything is stored there, so that no message ever lies in a conversation that nobody sees.
        let asleep = batch::asleep(batch, &accesses);
        let woken = asleep.iter().map(|(conversation, by)| self.wake(*conversation, *by));
        for (conversation, failure) in try_join_all(woken).await?.into_iter().flatten() {
            batch.settle(|send| (send.conversation == conversation).then(|| Err(failure.clone())));
        }
        Ok(())
    }

    /// Makes an archived conversation active. Where that fails and would fail again, it is for the messages of this
    /// conversation alone: others of the batch have nothing to do with it.
    async fn wake(&self, conversation: Id, by: Id) -> Result<Option<(Id, Failure)>, StoreError> {
        match self.store.reactivate(conversation, by, Timestamp::now()).await {
            Ok(_) => Ok(None),
            Err(error) if error.is_unavailable() => Err(error),
            Err(error) => Ok(Some((conversation, error.into()))),
        }
    }

    /// Answers what is stored already.
    fn recognise(&self, batch: &mut Batch, stored: Vec<Message>, profiles: &Profiles) {
        let left = batch.left();
        // An attempt whose outcome was unknown has not touched the views.
        self.views.touch(stored.iter());
        batch.settle(batch::stored(stored, profiles));
        self.metrics.repeated.increment((left - batch.left()) as u64);
    }

    /// The first `count` messages were stored just now: remembers them as the last ones and answers them.
    fn stored(&self, batch: &mut Batch, mut messages: Vec<Message>, count: usize, profiles: &Profiles) {
        messages.truncate(count);
        let mut newest: FxHashMap<Id, &Message> = FxHashMap::default();
        newest.extend(messages.iter().map(|message| (message.conversation_id, message)));
        {
            let mut memory = self.memory();
            for message in newest.values() {
                let last = Last { seq: message.seq, at: message.created_at };
                memory.lasts.insert(message.conversation_id, last);
            }
        }
        self.views.touch(newest.into_values());
        self.metrics.committed.increment(count as u64);
        let micros = u64::try_from(batch.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.metrics.commit_stage.record_micros(micros, count as u64);
        batch.acknowledge(messages.into_iter(), profiles);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Keeps within bounds, and looks up the profiles of a new batch. Bounds are kept only here, so that
    /// nothing is forgotten in the middle of a batch.
    fn trim_and_recall(&mut self, sends: &[Send], now: Instant) -> Profiles {
        if self.lasts.len() > MEMORY {
            self.lasts = FxHashMap::default();
        }
        if self.profiles.len() > MEMORY {
            self.profiles = FxHashMap::default();
        }
        let known = sends.iter().filter_map(|send| {
            let remembered = || {
                let (profile, since) = self.profiles.get(&send.sender)?;
                (*since + PROFILE_TTL > now).then(|| profile.clone())
            };
            Some((send.sender, send.profile.clone().or_else(remembered)?))
        });
        known.collect()
    }

    fn unknown(&self, conversations: &[Id]) -> Vec<Id> {
        conversations.iter().copied().filter(|id| !self.lasts.contains_key(id)).collect()
    }

    fn learn(&mut self, asked: &[Id], lasts: Vec<(Id, Last)>, people: Vec<Profile>, profiles: &mut Profiles) {
        // Those without an answer have no message yet.
        self.lasts.extend(asked.iter().map(|id| (*id, Last::NONE)));
        self.lasts.extend(lasts);
        let now = Instant::now();
        for profile in people {
            let (id, profile) = (profile.id, Arc::new(profile));
            self.profiles.insert(id, (profile.clone(), now));
            profiles.insert(id, profile);
        }
    }
}
