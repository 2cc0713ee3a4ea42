//! Typing: passed on to those who may know, neither stored nor repeated.
//!
//! A conversation that is not cached is looked up beside the stream, one lookup at a time for all that wait, so
//! that nobody's messages wait for it. What cannot be checked in time is dropped: the gateway says it again.

use std::time::{Duration, Instant};

use mongodb::Database;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use protocol::Id;
use protocol::bus::Typing;
use rustc_hash::{FxHashMap, FxHashSet};
use store::name;
use store::stream::{StreamError, snapshot};
use tokio::task::JoinHandle;
use tracing::debug;

use crate::cache::{CONVERSATION_FIELDS, Cache, Conversation};
use crate::metrics::METRICS;

/// How many may wait for a lookup.
const WAITING: usize = 4_096;
/// How many conversations are looked up at once.
const LOOKUP: usize = 512;
/// How many conversations that do not exist are remembered, and for how long.
const MISSES: usize = 10_000;
const MISS: Duration = Duration::from_secs(10);

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
#[derive(Debug, Default)]
pub(crate) struct Desk {
    waiting: Vec<Typing>,
    lookup: Option<Lookup>,
    /// Conversations that do not exist, or cannot be read, and until when that is believed.
    misses: FxHashMap<Id, Instant>,
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
    /// Whom to tell that somebody types; nobody now if it has to be looked up first.
    pub(crate) fn hear(&mut self, typing: Typing, cache: &Cache) -> Option<(Typing, Vec<Id>)> {
        // What the same user said before and still waits is out of date, and must not come after this.
        let is_older =
            |waiting: &Typing| waiting.user == typing.user && waiting.conversation == typing.conversation;
        self.waiting.retain(|waiting| !is_older(waiting));
        match judge(&typing, cache.conversations.get(&typing.conversation)) {
            Verdict::Tell(others) => return Some((typing, others)),
            Verdict::Refuse => METRICS.typing_refused.inc(),
            Verdict::Unknown if self.is_missing(typing.conversation) => METRICS.typing_refused.inc(),
            Verdict::Unknown if self.waiting.len() < WAITING => self.waiting.push(typing),
            Verdict::Unknown => METRICS.typing_dropped.inc(),
        }
        None
    }

    /// Begins to look up what is waited for, as it was at cluster time `at`, which must be where the cache stands.
    pub(crate) fn look_up(&mut self, database: &Database, cache: &mut Cache, at: u64) {
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
        let database = database.clone();
        METRICS.typing_lookups.inc();
        let task =
            tokio::spawn(async move { snapshot(&database, name::CONVERSATIONS, filter, fields, at).await });
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
        for missing in missing.into_iter().filter(|_| found.is_some()) {
            if self.misses.len() < MISSES {
                self.misses.insert(missing, until);
            }
        }
        let mut told = Vec::new();
        for typing in std::mem::take(&mut self.waiting) {
            if !lookup.conversations.contains(&typing.conversation) {
                self.waiting.push(typing);
                continue;
            }
            match judge(&typing, cache.conversations.get(&typing.conversation)) {
                Verdict::Tell(others) => told.push((typing, others)),
                Verdict::Refuse => METRICS.typing_refused.inc(),
                // It changed meanwhile, or does not exist.
                Verdict::Unknown => METRICS.typing_dropped.inc(),
            }
        }
        told
    }

    /// Whether the conversation was looked for in vain just now. So is everything new once too many were: nobody makes
    /// the streamer ask the database as often as they like.
    fn is_missing(&mut self, conversation: Id) -> bool {
        if self.misses.len() >= MISSES {
            let now = Instant::now();
            self.misses.retain(|_, until| *until > now);
        }
        match self.misses.get(&conversation) {
            Some(until) if *until > Instant::now() => true,
            Some(_) => {
                self.misses.remove(&conversation);
                false
            }
            None => self.misses.len() >= MISSES,
        }
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
        let (mut desk, mut cache) = (Desk::default(), Cache::default());
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
            desk.hear(types(Id::mint()), &cache);
        }
        assert_eq!(desk.waiting.len(), WAITING);
    }

    #[test]
    fn the_last_word_of_a_typist_counts() {
        let [user, other, group] = people();
        let (mut desk, mut cache) = (Desk::default(), Cache::default());
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
