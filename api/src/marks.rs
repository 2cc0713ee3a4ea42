//! Marks of messages as read, coalesced like sends: whatever is marked while one batch is in flight goes into the next
//! one, and a batch takes at most five commands however many marks it holds. Marks only ever move a cursor forward, so
//! neither their order nor a repetition matters; where nothing moves, nothing is written.

use std::sync::Arc;

use protocol::id::distinct;
use protocol::model::MessageRead;
use protocol::{Id, Timestamp};
use rustc_hash::FxHashMap;
use service::batcher::{Batcher, Limits};
use store::conversation::{Access, SMALL};
use store::document::{LastRead, Message, Profile, ReadCursor, ReadKey};
use store::read::Move;
use store::{Store, StoreError};
use tokio::sync::oneshot;

use crate::answer::Failure;
use crate::handle::{NO_MESSAGE, allowed};
use crate::metrics::Metrics;

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
    /// Who marked it.
    user: Id,
    /// Whose reading is told: everybody's in a small conversation, the caller's own in a large one.
    pub(crate) readers: Vec<Id>,
    batch: Arc<Known>,
}

/// The people and cursors of a batch, as they are with its marks.
#[derive(Debug)]
pub(crate) struct Known {
    profiles: FxHashMap<Id, Profile>,
    cursors: Cursors,
    at: Timestamp,
}

type Cursors = FxHashMap<ReadKey, ReadCursor>;

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

    /// How far whoever marked the message has read: to it, or further where they had before.
    pub(crate) fn read(&self) -> MessageRead {
        let (message, user_id, conversation_id) = (&self.message, self.user, self.message.conversation_id);
        let cursor = self.batch.cursors.get(&ReadKey { conversation: conversation_id, user: user_id });
        let last = cursor.and_then(|cursor| cursor.last).filter(|last| last.seq >= message.seq);
        let (message_id, seq, read_at) = match last {
            Some(last) => (last.message_id, last.seq, last.at),
            // They have read on, and it is not known to which message; or this is from before their time.
            None => {
                let read_at = cursor.and_then(|cursor| cursor.read_at(message.seq));
                (message.id, message.seq, read_at.unwrap_or(self.batch.at))
            }
        };
        MessageRead { message_id, user_id, conversation_id, read_at, seq }
    }
}

/// Marks messages as read.
#[derive(Clone, Debug)]
pub(crate) struct Marks(Batcher<Mark, Result<Marked, Failure>>);

impl Marks {
    pub(crate) fn start(store: Store, metrics: &Metrics) -> Self {
        Self(Batcher::spawn(LIMITS, metrics.marks_batcher.clone(), move |marks| {
            process(store.clone(), marks)
        }))
    }

    /// Marks a message, and all before it, as read.
    pub(crate) async fn mark(&self, mark: Mark) -> Result<Marked, Failure> {
        self.0.call(mark).await?
    }

    /// The same; the answer comes later.
    pub(crate) fn ask(&self, mark: Mark) -> Result<oneshot::Receiver<Result<Marked, Failure>>, Failure> {
        Ok(self.0.enqueue(mark)?)
    }
}

async fn process(store: Store, marks: Vec<Mark>) -> Vec<Result<Marked, Failure>> {
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
    let mut cursors: Cursors = cursors.into_iter().map(|cursor| (cursor.key, cursor)).collect();
    let at = Timestamp::now();
    let moves = moves(&found, &cursors, at);
    store.advance_cursors(&moves).await?;
    for Move { key, last, .. } in moves {
        cursors.entry(key).or_insert_with(|| ReadCursor::new(key)).advance(last);
    }
    let profiles = profiles.into_iter().map(|profile| (profile.id, profile)).collect();
    let batch = Arc::new(Known { profiles, cursors, at });
    let marked = found.into_iter().map(|found| {
        let (mark, message, access) = found?;
        let readers = readers(access, mark.user);
        Ok(Marked { message: message.clone(), user: mark.user, readers, batch: batch.clone() })
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

/// How far each cursor is to move, of those that are not there or further already.
fn moves(found: &[Found<'_>], cursors: &Cursors, at: Timestamp) -> Vec<Move> {
    let mut furthest: FxHashMap<ReadKey, &Message> = FxHashMap::default();
    for (mark, message, _) in found.iter().flatten() {
        let key = ReadKey { conversation: message.conversation_id, user: mark.user };
        let kept = furthest.entry(key).or_insert(*message);
        if message.seq > kept.seq {
            *kept = *message;
        }
    }
    let to = |(key, message): (ReadKey, &Message)| {
        let cursor = cursors.get(&key);
        let Message { seq, id, sender, .. } = *message;
        let last = LastRead { seq, at, message_id: id, sender };
        cursor.is_none_or(|cursor| cursor.seq < seq).then_some(Move { key, last, is_new: cursor.is_none() })
    };
    furthest.into_iter().filter_map(to).collect()
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
            received: None,
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
        let moved = |cursors: &Cursors| {
            let moves = moves(&found, cursors, Timestamp::from_millis(9)).into_iter();
            let mut moves: Vec<_> =
                moves.map(|to| (to.key.conversation, to.last.seq, to.last.message_id, to.is_new)).collect();
            moves.sort_unstable();
            moves
        };
        let [second, third] = [messages[1].id, messages[2].id];
        assert_eq!(moved(&Cursors::default()), [(here, 7, second, true), (there, 1, third, true)]);
        let cursor = |conversation, seq| {
            let key = ReadKey { conversation, user: ada };
            (key, ReadCursor { seq, ..ReadCursor::new(key) })
        };
        assert_eq!(
            moved(&[cursor(here, 6), cursor(there, 1)].into_iter().collect()),
            [(here, 7, second, false)]
        );
        assert_eq!(moved(&[cursor(here, 7), cursor(there, 2)].into_iter().collect()), []);
    }

    #[test]
    fn who_has_read_further_is_told_how_far() {
        let [here, ada] = [1, 2].map(|n| Id::from_bytes([n; 12]));
        let key = ReadKey { conversation: here, user: ada };
        let last =
            LastRead { seq: 7, at: Timestamp::from_millis(70), message_id: Id::mint(), sender: Id::mint() };
        let read = |cursor: ReadCursor, seq| {
            let message = message(here, seq);
            let (cursors, at) = ([(key, cursor)].into_iter().collect(), Timestamp::from_millis(99));
            let batch = Arc::new(Known { profiles: FxHashMap::default(), cursors, at });
            let read = Marked { message: message.clone(), user: ada, readers: vec![ada], batch }.read();
            assert_eq!((read.user_id, read.conversation_id), (ada, here));
            (
                read.seq,
                read.message_id == message.id,
                read.message_id == last.message_id,
                read.read_at.millis(),
            )
        };
        let mut cursor = ReadCursor::new(key);
        cursor.advance(last);
        assert_eq!(read(cursor.clone(), 3), (7, false, true, 70));
        // Of a cursor that an earlier program moved it is not known to which message.
        assert_eq!(read(ReadCursor { last: None, ..cursor.clone() }, 3), (3, true, false, 70));
        // Who joins begins behind what came before.
        assert_eq!(read(ReadCursor { seq: 12, from: 12, ..cursor }, 9), (9, true, false, 99));
    }
}
