//! Stored documents as the frontend sees them.

use std::borrow::Cow;

use protocol::model::{self, ConversationUpdate, ReadBy, UserSummary};
use protocol::{Id, Timestamp};
use rustc_hash::FxHashMap;
use store::document::{Conversation, Message, Profile, ReadCursor, ReadKey, User};

/// The name of an author or participant who is not in `users` any more.
const GONE: &str = "Deleted user";

/// A user, as others see them.
pub(crate) fn user(user: User) -> model::User {
    model::User {
        mongo_id: user.id,
        id: user.id,
        username: user.username,
        name: user.name,
        avatar: user.avatar,
        email: None,
        status: user.status,
        last_seen: user.last_seen,
        bio: user.bio,
        score: user.score,
        interests: user.interests,
        location: user.location,
        occupation: user.occupation,
        joined_date: user.joined_date,
        settings: None,
        created_at: user.created_at,
        updated_at: user.updated_at,
    }
}

/// A user, as they see themself.
pub(crate) fn own(mut me: User) -> model::User {
    let email = std::mem::take(&mut me.email);
    let settings = std::mem::take(&mut me.settings);
    let settings = model::Settings { notifications: settings.notifications, privacy: settings.privacy };
    model::User { email: Some(email), settings: Some(settings), ..user(me) }
}

/// An author beside a message.
pub(crate) fn author(profile: &Profile) -> UserSummary<'_> {
    UserSummary::author(profile.id, profile.name.as_str(), profile.avatar.as_deref().map(Cow::Borrowed))
}

/// A message with its author and readers.
pub(crate) fn message<'a>(
    message: &'a Message,
    sender: UserSummary<'a>,
    read_by: Vec<ReadBy>,
) -> model::Message<'a> {
    // Of a deleted message only its place in the order is left.
    let text = if message.is_deleted { "" } else { message.content.as_str() };
    let url = message.attachment_url.as_deref().filter(|_| !message.is_deleted);
    model::Message {
        mongo_id: message.id,
        id: message.id,
        conversation_id: message.conversation_id,
        seq: message.seq,
        sender,
        content: Cow::Borrowed(text),
        content_type: Cow::Borrowed(&message.content_type),
        attachment_url: url.map(Cow::Borrowed),
        client_message_id: message.client_message_id.as_deref().map(Cow::Borrowed),
        read_by,
        created_at: message.created_at,
        updated_at: message.updated_at,
        is_deleted: message.is_deleted,
    }
}

/// That the sender knows what they sent: the first entry of every `readBy`.
pub(crate) fn sent(message: &Message) -> ReadBy {
    ReadBy { user_id: message.sender, read_at: message.created_at }
}

/// A message that was stored just now.
pub(crate) fn fresh<'a>(stored: &'a Message, sender: &'a Profile) -> model::Message<'a> {
    message(stored, author(sender), vec![sent(stored)])
}

/// The people and read cursors that a response needs.
#[derive(Debug)]
pub(crate) struct Context {
    caller: Id,
    people: FxHashMap<Id, Profile>,
    cursors: FxHashMap<ReadKey, ReadCursor>,
}

impl Context {
    pub(crate) fn new(
        caller: Id,
        people: Vec<Profile>,
        cursors: impl IntoIterator<Item = ReadCursor>,
    ) -> Self {
        Self {
            caller,
            people: people.into_iter().map(|profile| (profile.id, profile)).collect(),
            cursors: cursors.into_iter().map(|cursor| (cursor.key, cursor)).collect(),
        }
    }

    fn author(&self, id: Id) -> UserSummary<'_> {
        self.people.get(&id).map_or_else(|| UserSummary::author(id, GONE, None), author)
    }

    fn participant(&self, id: Id) -> UserSummary<'_> {
        let status = self.people.get(&id).map(|profile| Cow::Borrowed(profile.status.as_str()));
        UserSummary { status, ..self.author(id) }
    }

    /// A message; `readers` are those whose cursors are told, the sender among them or not.
    pub(crate) fn message<'a>(&'a self, stored: &'a Message, readers: &[Id]) -> model::Message<'a> {
        let read_at = |user: Id| {
            let key = ReadKey { conversation: stored.conversation_id, user };
            self.read_at(self.cursors.get(&key)?, stored)
        };
        let others = readers.iter().filter(|user| **user != stored.sender);
        let entries = others.filter_map(|&user| Some(ReadBy { user_id: user, read_at: read_at(user)? }));
        let read_by = std::iter::once(sent(stored)).chain(entries).collect();
        message(stored, self.author(stored.sender), read_by)
    }

    /// When a message was read. To the caller everything up to their cursor is read, also what is older than their
    /// membership: a page that shows it would otherwise mark it as read again and again.
    fn read_at(&self, cursor: &ReadCursor, stored: &Message) -> Option<Timestamp> {
        let passed = cursor.key.user == self.caller && cursor.seq >= stored.seq;
        cursor.read_at(stored.seq).or(passed.then_some(stored.created_at))
    }

    /// What is the same for all participants.
    pub(crate) fn update<'a>(&'a self, conversation: &'a Conversation) -> ConversationUpdate<'a> {
        ConversationUpdate {
            mongo_id: conversation.id,
            id: conversation.id,
            name: conversation.name.as_deref().map(Cow::Borrowed),
            kind: Cow::Borrowed(conversation.kind.as_str()),
            participants: conversation.participants.iter().map(|id| self.participant(*id)).collect(),
            created_by: conversation.created_by,
            activity_id: conversation.activity_id,
            created_at: conversation.created_at,
            updated_at: conversation.updated_at,
            is_active: conversation.is_active,
        }
    }
}

#[cfg(test)]
mod tests {
    use store::document::ReadMark;

    use super::*;

    fn stored(sender: Id, seq: i64) -> Message {
        Message {
            id: Id::mint(),
            conversation_id: Id::from_bytes([9; 12]),
            seq,
            sender,
            content: "secret".to_owned(),
            content_type: "text".to_owned(),
            attachment_url: Some("https://example.org".to_owned()),
            client_message_id: None,
            created_at: Timestamp::from_millis(seq),
            updated_at: Timestamp::from_millis(seq),
            is_deleted: false,
        }
    }

    #[test]
    fn readers_are_the_sender_and_those_whose_cursor_passed_the_message() {
        let [sender, reader, late] = [1, 2, 3].map(|n| Id::from_bytes([n; 12]));
        let at = Timestamp::from_millis(100);
        let cursor = |user, seq| ReadCursor {
            key: ReadKey { conversation: Id::from_bytes([9; 12]), user },
            seq,
            from: 0,
            marks: vec![ReadMark { seq, at }],
        };
        let context = Context::new(late, vec![], [cursor(reader, 5), cursor(late, 4), cursor(sender, 9)]);
        let stored = stored(sender, 5);
        let message = context.message(&stored, &[sender, reader, late]);
        let told =
            [ReadBy { user_id: sender, read_at: stored.created_at }, ReadBy { user_id: reader, read_at: at }];
        assert_eq!(message.read_by, told);
        assert_eq!(message.sender.name, GONE);
    }

    #[test]
    fn to_one_who_joined_later_older_messages_are_read_and_others_are_not_told_so() {
        let [sender, joined] = [1, 2].map(|n| Id::from_bytes([n; 12]));
        let key = ReadKey { conversation: Id::from_bytes([9; 12]), user: joined };
        let stored = stored(sender, 5);
        let readers = |caller| {
            let cursor = ReadCursor { key, seq: 5, from: 5, marks: vec![] };
            Context::new(caller, vec![], [cursor]).message(&stored, &[sender, joined]).read_by.len()
        };
        assert_eq!((readers(joined), readers(sender)), (2, 1));
    }

    #[test]
    fn a_tombstone_keeps_its_place_and_nothing_else() {
        let stored = Message { is_deleted: true, ..stored(Id::mint(), 3) };
        let context = Context::new(Id::mint(), vec![], []);
        let message = context.message(&stored, &[]);
        assert_eq!((message.content.as_ref(), message.attachment_url, message.seq), ("", None, 3));
    }
}
