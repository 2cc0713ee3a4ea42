//! Conversations with all that a response tells of them: the last message and its readers, how many are unread, who
//! takes part. At most three commands, all at once, however many conversations there are.

use protocol::{Id, model};
use rustc_hash::{FxHashMap, FxHashSet};
use store::conversation::{Listed, SMALL};
use store::document::{Message, ReadKey};
use store::message::Stretch;
use store::read::Reading;
use store::{Store, StoreError};

use crate::app::App;
use crate::render::{Context, Pen};

/// Up to so many unread messages are counted; see also [`store::message::UNREAD_SCAN`].
const MAX_UNREAD: i64 = 999;

/// What it takes to render conversations.
pub(crate) struct Detail<'a> {
    caller: Id,
    listed: Vec<Listed>,
    /// With a single conversation: a page of its messages.
    messages: Vec<Message>,
    context: Context<'a>,
    unread: FxHashMap<Id, i64>,
}

impl<'p> Detail<'p> {
    pub(crate) async fn load(
        app: &'p App,
        caller: Id,
        listed: Vec<Listed>,
        messages: Vec<Message>,
    ) -> Result<Self, StoreError> {
        let store = &app.store;
        let (keys, uncounted) = (others_cursors(&listed, caller), uncounted(&listed, caller));
        let people = people(&listed, &messages);
        let counted = counted(&listed, &messages);
        let (cursors, counts, profiles, reading) = tokio::try_join!(
            store.read_cursors(&keys),
            store.unread_counts(caller, &uncounted),
            store.profiles(&people),
            reading(store, counted),
        )?;
        let own = listed.iter().filter_map(|listed| listed.cursor.clone());
        let own = own.chain(listed.iter().filter_map(|listed| listed.others.clone()).flatten());
        let context =
            Context::new(Pen::new(&app.config.links), caller, profiles, own.chain(cursors)).counting(reading);
        Ok(Self { caller, listed, messages, context, unread: counts.into_iter().collect() })
    }

    /// Those of these people, who are named, whose accounts are gone.
    pub(crate) fn gone(&self, ids: &[Id]) -> Vec<Id> {
        ids.iter().copied().filter(|id| !self.context.knows(*id)).collect()
    }

    /// All of them.
    pub(crate) fn conversations(&self) -> Vec<model::Conversation<'_>> {
        self.listed.iter().map(|listed| self.conversation(listed)).collect()
    }

    /// The only one, with a page of messages.
    pub(crate) fn conversation_with_messages(&self) -> Option<model::Conversation<'_>> {
        let listed = self.listed.first()?;
        let readers = self.readers(listed);
        let messages = self.messages.iter().map(|message| self.context.message(message, &readers)).collect();
        Some(model::Conversation { messages: Some(messages), ..self.conversation(listed) })
    }

    /// Whose reading `readBy` tells: everybody's in a small conversation, the caller's own in a large one.
    fn readers(&self, listed: &Listed) -> Vec<Id> {
        if listed.size <= SMALL { listed.conversation.participants.clone() } else { vec![self.caller] }
    }

    fn unread_count(&self, listed: &Listed) -> i64 {
        let counted = || self.unread.get(&listed.conversation.id).copied().unwrap_or(0);
        known_unread(listed, self.caller).unwrap_or_else(counted).min(MAX_UNREAD)
    }

    fn conversation<'a>(&'a self, listed: &'a Listed) -> model::Conversation<'a> {
        let conversation = &listed.conversation;
        let readers = self.readers(listed);
        let last = listed.last.as_ref();
        let mut update = self.context.update(conversation, listed.size);
        if let Some(last) = last {
            // The stored time is a view that may be a second behind.
            update.updated_at = update.updated_at.max(last.created_at);
        }
        model::Conversation {
            update,
            last_message: last.map(|last| self.context.message(last, &readers)),
            unread_count: self.unread_count(listed),
            messages: None,
        }
    }
}

/// The conversation in which readers are counted and not named: a large one whose messages are shown.
fn counted(listed: &[Listed], messages: &[Message]) -> Option<Id> {
    match listed {
        [one] if one.size > SMALL && !messages.is_empty() => Some(one.conversation.id),
        _ => None,
    }
}

/// How far everybody has read in a conversation, if one is asked about.
pub(crate) async fn reading(
    store: &Store,
    conversation: Option<Id>,
) -> Result<Option<Vec<Reading>>, StoreError> {
    match conversation {
        Some(id) => store.reading(id).await.map(Some),
        None => Ok(None),
    }
}

/// The cursors, other than the caller's own, that `readBy` tells of and that are not there yet.
fn others_cursors(listed: &[Listed], caller: Id) -> Vec<ReadKey> {
    let told = listed.iter().filter(|one| one.last.is_some() && one.size <= SMALL && one.others.is_none());
    told.flat_map(|one| {
        let others = one.conversation.participants.iter().filter(move |user| **user != caller);
        others.map(|&user| ReadKey { conversation: one.conversation.id, user })
    })
    .collect()
}

/// How many messages come after the caller's cursor, others' or their own.
fn distance(one: &Listed) -> i64 {
    let after = one.cursor.as_ref().map_or(0, |cursor| cursor.seq);
    one.last.as_ref().map_or(0, |last| last.seq - after)
}

/// How many are unread, where that is known without looking: nothing comes after the cursor, or only the message that
/// is there already.
fn known_unread(one: &Listed, caller: Id) -> Option<i64> {
    match (distance(one), &one.last) {
        (1, Some(last)) => Some(i64::from(last.sender != caller && !last.is_deleted)),
        (distance, _) if distance <= 0 => Some(0),
        _ => None,
    }
}

/// What comes after the caller's cursors and has to be counted.
fn uncounted(listed: &[Listed], caller: Id) -> Vec<Stretch> {
    let places = listed.iter().filter(|one| known_unread(one, caller).is_none()).filter_map(|one| {
        let last = one.last.as_ref()?.seq;
        Some(Stretch { conversation: one.conversation.id, after: last - distance(one), last })
    });
    places.collect()
}

/// Everybody who is named.
fn people(listed: &[Listed], messages: &[Message]) -> Vec<Id> {
    let mut people: FxHashSet<Id> = messages.iter().map(|message| message.sender).collect();
    for one in listed {
        people.extend(&one.conversation.participants);
        people.extend(one.last.as_ref().map(|last| last.sender));
    }
    people.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;
    use store::document::{Conversation, ReadCursor};

    use super::*;

    #[test]
    fn only_what_cannot_be_known_is_counted() {
        let [ada, bob] = [1, 2].map(|n| Id::from_bytes([n; 12]));
        let now = Timestamp::now();
        let listed = |sender: Id, seq: i64, cursor: Option<i64>, is_deleted: bool| {
            let conversation = Conversation::new(ada, vec![ada, bob], None, now);
            let key = ReadKey { conversation: conversation.id, user: ada };
            let last = Message {
                id: Id::mint(),
                conversation_id: conversation.id,
                seq,
                sender,
                content: String::new(),
                content_type: "text".to_owned(),
                attachment_url: None,
                client_message_id: None,
                created_at: now,
                updated_at: now,
                edited_at: None,
                is_deleted,
                change: None,
                received: None,
            };
            let cursor = cursor.map(|seq| ReadCursor { seq, ..ReadCursor::new(key) });
            Listed { conversation, size: 2, last: Some(last), cursor, others: None }
        };
        let all = [
            (listed(bob, 5, Some(5), false), Some(0)),
            (listed(bob, 5, Some(6), false), Some(0)),
            (listed(bob, 5, Some(4), false), Some(1)),
            (listed(ada, 5, Some(4), false), Some(0)),
            (listed(bob, 5, Some(4), true), Some(0)),
            (listed(bob, 1, None, false), Some(1)),
            (listed(bob, 2, None, false), None),
            (listed(bob, 5, Some(3), false), None),
        ];
        for (one, unread) in &all {
            assert_eq!(known_unread(one, ada), *unread);
        }
        let listed: Vec<Listed> = all.into_iter().map(|(one, _)| one).collect();
        let stretches: Vec<(i64, i64)> =
            uncounted(&listed, ada).iter().map(|stretch| (stretch.after, stretch.last)).collect();
        assert_eq!(stretches, [(0, 2), (3, 5)]);
    }
}
