//! Marks of messages as read, coalesced like sends: whatever is marked while one batch is in flight goes into the next one, and a
//! batch takes at most five commands however many marks it holds. Marks only ever move a cursor forward, so neither
//! their order nor a repetition matters.

use std::sync::Arc;

use protocol::id::distinct;
use protocol::{Id, Timestamp};
use rustc_hash::FxHashMap;
use service::batcher::{Batcher, Limits};
use store::conversation::{Access, SMALL};
use store::document::{Message, Profile, ReadCursor, ReadKey};
use store::{Store, StoreError};

use crate::answer::Failure;
use crate::handle::{NO_MESSAGE, allowed};
use crate::metrics::METRICS;

const LIMITS: Limits = Limits { batch: 256, queue: 8_192 };

/// That somebody has read a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) user: Id,
    pub(crate) message: Id,
}

/// A message that was marked, and who is told to have read it.
#[derive(Clone, Debug)]
pub(crate) struct Marked {
    pub(crate) message: Message,
    /// Whose reading is told: everybody's in a small conversation, the caller's own in a large one.
    pub(crate) readers: Vec<Id>,
    batch: Arc<Known>,
}

/// The people and cursors of a batch.
#[derive(Debug)]
pub(crate) struct Known {
    profiles: FxHashMap<Id, Profile>,
    cursors: FxHashMap<ReadKey, ReadCursor>,
}

impl Marked {
    /// Who wrote the message, if they are still there.
    pub(crate) fn sender(&self) -> Option<Profile> {
        self.batch.profiles.get(&self.message.sender).cloned()
    }

    /// How far the readers have read.
    pub(crate) fn cursors(&self) -> impl Iterator<Item = ReadCursor> {
        let conversation = self.message.conversation_id;
        let keys = self.readers.iter().map(move |&user| ReadKey { conversation, user });
        keys.filter_map(|key| self.batch.cursors.get(&key).cloned())
    }
}

/// Marks messages as read.
#[derive(Clone, Debug)]
pub(crate) struct Marks(Batcher<Mark, Result<Marked, Failure>>);

impl Marks {
    pub(crate) fn start(store: Store) -> Self {
        Self(Batcher::spawn(LIMITS, move |marks| process(store.clone(), marks)))
    }

    /// Marks a message, and all before it, as read.
    pub(crate) async fn mark(&self, mark: Mark) -> Result<Marked, Failure> {
        self.0.call(mark).await?
    }
}

async fn process(store: Store, marks: Vec<Mark>) -> Vec<Result<Marked, Failure>> {
    METRICS.marks.observe(marks.len() as f64);
    let count = marks.len();
    commit(&store, marks).await.unwrap_or_else(|error| {
        let failure = Failure::from(error);
        (0..count).map(|_| Err(failure.clone())).collect()
    })
}

/// What became of a mark so far.
type Found<'a> = Result<(Mark, &'a Message, &'a Access), Failure>;

async fn commit(store: &Store, marks: Vec<Mark>) -> Result<Vec<Result<Marked, Failure>>, StoreError> {
    let messages = store.messages_by_id(&distinct(marks.iter().map(|mark| mark.message))).await?;
    let conversations = distinct(messages.iter().map(|message| message.conversation_id));
    let accesses = match conversations.as_slice() {
        [] => Vec::new(),
        conversations => store.accesses(conversations, &distinct(marks.iter().map(|mark| mark.user))).await?,
    };
    let found = find(&marks, &messages, &accesses);
    store.advance_cursors(&moves(&found), Timestamp::now()).await?;
    let told: Vec<ReadKey> = found
        .iter()
        .flatten()
        .flat_map(|(mark, message, access)| {
            let conversation = message.conversation_id;
            readers(access, mark.user).into_iter().map(move |user| ReadKey { conversation, user })
        })
        .collect();
    let senders = distinct(found.iter().flatten().map(|(_, message, _)| message.sender));
    let told = unique(told);
    let (profiles, cursors) = tokio::try_join!(store.profiles(&senders), store.read_cursors(&told))?;
    let batch = Arc::new(Known {
        profiles: profiles.into_iter().map(|profile| (profile.id, profile)).collect(),
        cursors: cursors.into_iter().map(|cursor| (cursor.key, cursor)).collect(),
    });
    let marked = found.into_iter().map(|found| {
        let (mark, message, access) = found?;
        let readers = readers(access, mark.user);
        Ok(Marked { message: message.clone(), readers, batch: batch.clone() })
    });
    Ok(marked.collect())
}

/// Finds the message of each mark, if whoever marks it may see it.
fn find<'a>(marks: &[Mark], messages: &'a [Message], accesses: &'a [Access]) -> Vec<Found<'a>> {
    let messages: FxHashMap<Id, &Message> = messages.iter().map(|message| (message.id, message)).collect();
    let accesses: FxHashMap<Id, &Access> = accesses.iter().map(|access| (access.id, access)).collect();
    let find = |mark: &Mark| {
        let message = messages.get(&mark.message).ok_or_else(|| Failure::not_found(NO_MESSAGE))?;
        let access = allowed(accesses.get(&message.conversation_id).copied(), mark.user)?;
        Ok((*mark, *message, access))
    };
    marks.iter().map(find).collect()
}

/// How far each cursor is to move.
fn moves(found: &[Found<'_>]) -> Vec<(ReadKey, i64)> {
    let mut furthest: FxHashMap<ReadKey, i64> = FxHashMap::default();
    for (mark, message, _) in found.iter().flatten() {
        let key = ReadKey { conversation: message.conversation_id, user: mark.user };
        let seq = furthest.entry(key).or_insert(message.seq);
        *seq = message.seq.max(*seq);
    }
    furthest.into_iter().collect()
}

/// Whose reading is told to `caller`. Of a large conversation the participants are not even read.
pub(crate) fn readers(access: &Access, caller: Id) -> Vec<Id> {
    if access.size <= SMALL { access.participants.clone() } else { vec![caller] }
}

fn unique(mut keys: Vec<ReadKey>) -> Vec<ReadKey> {
    keys.sort_unstable_by_key(|key| (key.conversation, key.user));
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(conversation: Id, seq: i64) -> Message {
        let at = Timestamp::from_millis(seq);
        Message {
            id: Id::mint(),
            conversation_id: conversation,
            seq,
            sender: Id::mint(),
            content: String::new(),
            content_type: "text".to_owned(),
            attachment_url: None,
            client_message_id: None,
            created_at: at,
            updated_at: at,
            edited_at: None,
            is_deleted: false,
            change: None,
        }
    }

    #[test]
    fn of_many_marks_only_the_furthest_moves_the_cursor_and_others_are_refused_on_their_own() {
        let [here, there, ada, eve] = [1, 2, 3, 4].map(|n| Id::from_bytes([n; 12]));
        let access = |id| Access { id, is_active: true, blocked: false, size: 1, participants: vec![ada] };
        let messages = [message(here, 3), message(here, 7), message(there, 1)];
        let accesses = [access(here), access(there)];
        let mark = |user, message: &Message| Mark { user, message: message.id };
        let marks = [
            mark(ada, &messages[1]),
            mark(ada, &messages[0]),
            mark(ada, &messages[2]),
            mark(eve, &messages[0]),
            Mark { user: ada, message: Id::mint() },
        ];
        let found = find(&marks, &messages, &accesses);
        assert_eq!(found.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, true, false, false]);
        let mut moves: Vec<(Id, i64)> =
            moves(&found).into_iter().map(|(key, seq)| (key.conversation, seq)).collect();
        moves.sort_unstable();
        assert_eq!(moves, [(here, 7), (there, 1)]);
    }
}
