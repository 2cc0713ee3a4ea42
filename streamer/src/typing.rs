//! Typing: passed on to those who may know, neither stored nor repeated.
//!
//! A conversation that is not cached is looked up beside the stream, one lookup at a time for all that wait, so
//! that nobody's messages wait for it. What cannot be checked in time is dropped: the gateway says it again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, RawDocumentBuf, doc};
use protocol::Id;
use protocol::bus::Typing;
use rustc_hash::{FxHashMap, FxHashSet};
use store::stream::{StreamError, snapshot};
use store::{Store, name};
use tokio::task::JoinHandle;
use tracing::debug;

use crate::cache::{CONVERSATION_FIELDS, Cache, Conversation};
use crate::metrics::Metrics;

/// How many may wait for a lookup.
const WAITING: usize = 4_096;
/// How many conversations are looked up at once.
const LOOKUP: usize = 512;
/// How many conversations that do not exist are remembered, of all users and of each, and for how long.
const MISSES: usize = 10_000;
const MISSES_OF_ONE: usize = 50;
const MISS: Duration = Duration::from_secs(10);
/// Misses that are out of date are thrown away this often at most.
const SWEEP: Duration = Duration::from_secs(1);

/// What is to become of somebody's typing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Tell these.
    Tell(Vec<Id>),
    /// Tell nobody.
    Refuse,
    /// It is not known who takes part, or who blocks.
    Unknown,
}

/// Those who type, and wait.
#[derive(Debug)]
pub(crate) struct Desk {
    waiting: Vec<Typing>,
    lookup: Option<Lookup>,
    misses: Misses,
    metrics: Arc<Metrics>,
}

/// Conversations that do not exist, or cannot be read, and until when that is believed; by the user who typed there.
/// What one makes up does not count against others.
#[derive(Debug, Default)]
struct Misses {
    by_user: FxHashMap<Id, Vec<(Id, Instant)>>,
    count: usize,
    swept: Option<Instant>,
}

impl Misses {
    /// Remembers a miss while there is room. Without, it is looked up again: that costs a lookup, and refuses nobody.
    fn note(&mut self, user: Id, conversation: Id, until: Instant) {
        if self.count < MISSES {
            self.by_user.entry(user).or_default().push((conversation, until));
            self.count += 1;
        }
    }

    /// Whether nothing is to be looked up for this user: it was in vain just now, or was too often with what else
    /// waits.
    fn refuses(&mut self, typing: &Typing, waiting: usize, now: Instant) -> bool {
        if self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP) {
            self.sweep(now);
        }
        let own = self.by_user.get(&typing.user).map_or(&[][..], Vec::as_slice);
        own.len() + waiting >= MISSES_OF_ONE
            || own.iter().any(|(conversation, until)| *conversation == typing.conversation && *until > now)
    }

    fn sweep(&mut self, now: Instant) {
        self.swept = Some(now);
        self.by_user.retain(|_, misses| {
            misses.retain(|(_, until)| *until > now);
            !misses.is_empty()
        });
        self.count = self.by_user.values().map(Vec::len).sum();
    }
}

#[derive(Debug)]
struct Lookup {
    task: JoinHandle<Result<Vec<RawDocumentBuf>, StreamError>>,
    conversations: FxHashSet<Id>,
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whom to tell, as far as the cache knows.
fn judge(typing: &Typing, conversation: Option<&Conversation>) -> Verdict {
    let Some(conversation) = conversation else { return Verdict::Unknown };
    if !conversation.has(typing.user) {
        return Verdict::Refuse;
    }
    match conversation.is_open() {
        None => Verdict::Unknown,
        Some(false) => Verdict::Refuse,
        Some(true) => {
            let others = conversation.participants.iter().copied();
            Verdict::Tell(others.filter(|user| *user != typing.user).collect())
        }
    }
}

impl Desk {
    /// Nobody types yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { waiting: Vec::new(), lookup: None, misses: Misses::default(), metrics }
    }

    /// Whom to tell that somebody types; nobody now if it has to be looked up first.
    pub(crate) fn hear(&mut self, typing: Typing, cache: &Cache) -> Option<(Typing, Vec<Id>)> {
        // What the same user said before and still waits is out of date, and must not come after this.
        let is_older =
            |waiting: &Typing| waiting.user == typing.user && waiting.conversation == typing.conversation;
        self.waiting.retain(|waiting| !is_older(waiting));
        match judge(&typing, cache.conversations.get(&typing.conversation)) {
            Verdict::Tell(others) => return Some((typing, others)),
            Verdict::Refuse => self.metrics.typing_refused.increment(1),
            Verdict::Unknown if self.is_refused(&typing) => self.metrics.typing_refused.increment(1),
            Verdict::Unknown if self.waiting.len() < WAITING => self.waiting.push(typing),
            Verdict::Unknown => self.metrics.typing_dropped.increment(1),
        }
        None
    }

    /// Begins to look up what is waited for, as it was at cluster time `at`, which must be where the cache stands.
    pub(crate) fn look_up(&mut self, store: &Store, cache: &mut Cache, at: u64) {
        if self.lookup.is_some() || self.waiting.is_empty() {
            return;
        }
        let mut conversations = FxHashSet::default();
        for typing in &self.waiting {
            if conversations.len() == LOOKUP {
                break;
            }
            conversations.insert(typing.conversation);
        }
        cache.looking_up(conversations.iter().copied());
        let filter = doc! { "_id": { "$in": store::convert::oids(conversations.iter().copied()) } };
        let fields: Document =
            CONVERSATION_FIELDS.iter().map(|field| ((*field).to_owned(), 1.into())).collect();
        let store = store.clone();
        self.metrics.typing_lookups.increment(1);
        let task =
            tokio::spawn(async move { snapshot(&store, name::CONVERSATIONS, filter, fields, at).await });
        self.lookup = Some(Lookup { task, conversations });
    }

    /// What the lookup that is under way finds, nothing if it fails; never returns while there is none. Cancel-safe.
    pub(crate) async fn found(&mut self) -> Option<Vec<RawDocumentBuf>> {
        let Some(lookup) = &mut self.lookup else { return std::future::pending().await };
        match (&mut lookup.task).await {
            Ok(Ok(found)) => return Some(found),
            Ok(Err(error)) => debug!(%error, "it could not be looked up who is told that somebody types"),
            Err(error) => debug!(%error, "a lookup was cut short"),
        }
        None
    }

    /// Takes in what was found, and returns whom to tell of those who waited for it.
    pub(crate) fn settle(
        &mut self,
        found: Option<&[RawDocumentBuf]>,
        cache: &mut Cache,
    ) -> Vec<(Typing, Vec<Id>)> {
        let Some(lookup) = self.lookup.take() else { return Vec::new() };
        let until = Instant::now() + MISS;
        let missing = cache.learn(found.unwrap_or_default());
        let mut told = Vec::new();
        for typing in std::mem::take(&mut self.waiting) {
            if !lookup.conversations.contains(&typing.conversation) {
                self.waiting.push(typing);
                continue;
            }
            if found.is_some() && missing.contains(&typing.conversation) {
                self.misses.note(typing.user, typing.conversation, until);
            }
            match judge(&typing, cache.conversations.get(&typing.conversation)) {
                Verdict::Tell(others) => told.push((typing, others)),
                Verdict::Refuse => self.metrics.typing_refused.increment(1),
                // It changed meanwhile, or does not exist.
                Verdict::Unknown => self.metrics.typing_dropped.increment(1),
            }
        }
        told
    }

    fn is_refused(&mut self, typing: &Typing) -> bool {
        let waiting = self.waiting.iter().filter(|waiting| waiting.user == typing.user).count();
        self.misses.refuses(typing, waiting, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;

    use super::*;

    fn conversation(kind: &str, participants: &[Id], blocked: Option<bool>) -> Conversation {
        Conversation {
            participants: participants.into(),
            name: None,
            kind: kind.to_owned(),
            created_by: None,
            activity_id: None,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            is_active: true,
            blocked,
        }
    }

    fn people<const N: usize>() -> [Id; N] {
        std::array::from_fn(|n| Id::from_bytes([n as u8 + 1; 12]))
    }

    #[test]
    fn others_are_told_unless_somebody_blocks_or_a_stranger_types() {
        let [ada, bob, carl, eve] = people();
        let verdict = |user, conversation: &Conversation| {
            judge(&Typing { user, conversation: Id::mint(), is_typing: true }, Some(conversation))
        };
        let group = conversation("group", &[ada, bob, carl], Some(false));
        assert_eq!(verdict(ada, &group), Verdict::Tell(vec![bob, carl]));
        assert_eq!(verdict(eve, &group), Verdict::Refuse);
        let direct = |blocked| conversation("direct", &[ada, bob], blocked);
        assert_eq!(verdict(ada, &direct(Some(false))), Verdict::Tell(vec![bob]));
        assert_eq!(verdict(ada, &direct(Some(true))), Verdict::Refuse);
        assert_eq!(verdict(ada, &direct(None)), Verdict::Unknown);
        assert_eq!(verdict(eve, &direct(None)), Verdict::Refuse);
    }

    fn lookup(desk: &mut Desk, cache: &mut Cache, conversations: &[Id]) {
        cache.looking_up(conversations.iter().copied());
        let task = tokio::spawn(async { Ok(Vec::new()) });
        desk.lookup = Some(Lookup { task, conversations: conversations.iter().copied().collect() });
    }

    #[tokio::test]
    async fn what_does_not_exist_is_not_looked_up_again_and_again() {
        let [user, nowhere, elsewhere] = people();
        let (mut desk, mut cache) = (Desk::new(Metrics::unseen()), Cache::new(Metrics::unseen()));
        let types = |conversation| Typing { user, conversation, is_typing: true };
        for conversation in [nowhere, elsewhere] {
            assert_eq!(desk.hear(types(conversation), &cache), None);
        }
        lookup(&mut desk, &mut cache, &[nowhere]);
        let found = desk.found().await;
        assert_eq!(desk.settle(found.as_deref(), &mut cache), []);
        assert_eq!(desk.waiting, [types(elsewhere)], "it waits for the next lookup");
        desk.hear(types(nowhere), &cache);
        assert_eq!(desk.waiting.len(), 1);
        // It is made meanwhile, and the stream tells.
        cache.conversations.insert(nowhere, conversation("group", &[user, elsewhere], Some(false)));
        assert_eq!(desk.hear(types(nowhere), &cache), Some((types(nowhere), vec![elsewhere])));
        for _ in 0..WAITING + 10 {
            desk.hear(Typing { user: Id::mint(), ..types(Id::mint()) }, &cache);
        }
        assert_eq!(desk.waiting.len(), WAITING);
    }

    #[tokio::test]
    async fn what_one_user_makes_up_is_bounded_and_holds_up_nobody_else() {
        let [eve, ada, group] = people();
        let (mut desk, mut cache) = (Desk::new(Metrics::unseen()), Cache::new(Metrics::unseen()));
        let types = |user, conversation| Typing { user, conversation, is_typing: true };
        for round in 0..3 {
            for _ in 0..MISSES_OF_ONE {
                desk.hear(types(eve, Id::mint()), &cache);
            }
            let made_up: Vec<Id> = desk.waiting.iter().map(|waiting| waiting.conversation).collect();
            assert_eq!(made_up.len(), if round == 0 { MISSES_OF_ONE } else { 0 });
            lookup(&mut desk, &mut cache, &made_up);
            let found = desk.found().await;
            desk.settle(found.as_deref(), &mut cache);
        }
        desk.hear(types(ada, group), &cache);
        assert_eq!(desk.waiting, [types(ada, group)]);
    }

    #[test]
    fn misses_are_forgotten_and_swept_at_most_once_a_second() {
        let [user, one, other] = people();
        let (mut misses, began) = (Misses::default(), Instant::now());
        let types = |conversation| Typing { user, conversation, is_typing: true };
        assert!(!misses.refuses(&types(one), 0, began));
        misses.note(user, one, began + MISS);
        misses.note(user, other, began + SWEEP / 4);
        assert!(misses.refuses(&types(one), 0, began) && !misses.refuses(&types(one), 0, began + MISS));
        let (mut misses, half) = (Misses::default(), began + SWEEP / 2);
        misses.sweep(began);
        misses.note(user, other, began + SWEEP / 4);
        assert!(!misses.refuses(&types(other), 0, half));
        assert_eq!(misses.count, 1, "it is too early to sweep");
        misses.refuses(&types(one), 0, began + SWEEP);
        assert_eq!((misses.count, misses.by_user.len()), (0, 0));
    }

    #[test]
    fn the_last_word_of_a_typist_counts() {
        let [user, other, group] = people();
        let (mut desk, mut cache) = (Desk::new(Metrics::unseen()), Cache::new(Metrics::unseen()));
        let types = |is_typing| Typing { user, conversation: group, is_typing };
        desk.hear(types(true), &cache);
        desk.hear(types(false), &cache);
        assert_eq!(desk.waiting, [types(false)]);
        // The stream brings the conversation before the lookup does.
        cache.conversations.insert(group, conversation("group", &[user, other], Some(false)));
        assert_eq!(desk.hear(types(true), &cache), Some((types(true), vec![other])));
        assert_eq!(desk.waiting, []);
    }
}
