//! Stored documents as the frontend sees them.
//!
//! | module | holds |
//! |---|---|
//! | [`sight`] | how much of a user another one sees |

mod sight;

use std::borrow::Cow;

use protocol::model::{self, ConversationUpdate, ReadBy, UserSummary};
use protocol::upload::Links;
use protocol::{Id, Timestamp};
use rustc_hash::FxHashMap;
use store::document::{Conversation, Message, Profile, ReadCursor, ReadKey, Seen, User};
use store::read::Reading;

pub(crate) use sight::{Sight, compatibility};

/// What rendering needs beside what is rendered: the addresses of uploads are signed anew each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pen<'a> {
    pub(crate) links: &'a Links,
    pub(crate) now: Timestamp,
}

impl<'a> Pen<'a> {
    pub(crate) fn new(links: &'a Links) -> Self {
        Self { links, now: Timestamp::now() }
    }

    fn link<'b>(&self, stored: Option<&'b str>) -> Option<Cow<'b, str>> {
        stored.map(|stored| self.links.shown(stored, self.now))
    }

    /// A user, as they see themself.
    pub(crate) fn own(&self, me: User) -> model::User {
        let avatar = self.link(me.avatar.as_deref()).map(Cow::into_owned);
        let settings =
            model::Settings { notifications: me.settings.notifications, privacy: me.settings.privacy };
        model::User {
            mongo_id: me.id,
            id: me.id,
            username: me.username,
            name: me.name,
            avatar,
            email: Some(me.email),
            status: me.status,
            last_seen: me.last_seen,
            bio: me.bio,
            score: me.score,
            interests: me.interests,
            location: me.location,
            occupation: me.occupation,
            compatibility: None,
            friendship: None,
            limited: false,
            friends: Some(me.friends),
            joined_date: me.joined_date,
            settings: Some(settings),
            created_at: me.created_at,
            updated_at: me.updated_at,
        }
    }

    /// A user, as `viewer` may see them; nothing where they may not.
    pub(crate) fn seen(&self, viewer: &User, seen: Seen) -> Option<model::User> {
        (Sight::of(viewer, &seen) != Sight::Nothing).then(|| self.related(viewer, seen))
    }

    /// A user who is something to `viewer`: at least name, handle and picture are shown.
    pub(crate) fn related(&self, viewer: &User, seen: Seen) -> model::User {
        let (limited, own) = (Sight::of(viewer, &seen) != Sight::Full, seen.id == viewer.id);
        let avatar = self.link(seen.avatar.as_deref()).map(Cow::into_owned);
        let compatibility = (!limited && !own).then(|| compatibility(&viewer.interests, &seen.interests));
        let text = |text: String| if limited { String::new() } else { text };
        model::User {
            mongo_id: seen.id,
            id: seen.id,
            friendship: (!own).then(|| sight::friendship(viewer, &seen)),
            username: seen.username,
            name: seen.name,
            avatar,
            email: None,
            status: if limited { "offline".to_owned() } else { seen.status },
            last_seen: seen.last_seen.filter(|_| !limited),
            bio: text(seen.bio),
            score: if limited { 0 } else { seen.score },
            interests: if limited { Vec::new() } else { seen.interests },
            location: text(seen.location),
            occupation: text(seen.occupation),
            compatibility,
            limited,
            friends: None,
            joined_date: seen.joined_date,
            settings: None,
            created_at: seen.created_at,
            // When somebody last changed what cannot be seen is not to be seen either.
            updated_at: if limited { seen.created_at } else { seen.updated_at },
        }
    }

    /// An author beside a message.
    pub(crate) fn author<'b>(&self, profile: &'b Profile) -> UserSummary<'b> {
        UserSummary::author(profile.id, profile.name.as_str(), self.link(profile.avatar.as_deref()))
    }

    /// Somebody in a list of participants.
    pub(crate) fn participant<'b>(&self, id: Id, profile: Option<&'b Profile>) -> UserSummary<'b> {
        let Some(profile) = profile else { return UserSummary::gone(id) };
        let status = Some(Cow::Borrowed(profile.status.as_str())).filter(|status| !status.is_empty());
        UserSummary { status, ..self.author(profile) }
    }

    /// A message with its author and readers.
    fn message<'b>(
        &self,
        message: &'b Message,
        sender: UserSummary<'b>,
        read_by: Vec<ReadBy>,
    ) -> model::Message<'b> {
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
            attachment_url: self.link(url),
            client_message_id: message.client_message_id.as_deref().map(Cow::Borrowed),
            read_by,
            read_count: None,
            created_at: message.created_at,
            updated_at: message.updated_at,
            edited_at: message.edited_at.filter(|_| !message.is_deleted),
            is_deleted: message.is_deleted,
        }
    }

    /// A message that was stored just now.
    pub(crate) fn fresh<'b>(&self, stored: &'b Message, sender: &'b Profile) -> model::Message<'b> {
        self.message(stored, self.author(sender), vec![sent(stored)])
    }
}

/// That the sender knows what they sent: the first entry of every `readBy`.
fn sent(message: &Message) -> ReadBy {
    ReadBy { user_id: message.sender, read_at: message.created_at }
}

/// The people and read cursors that a response needs.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pen: Pen<'a>,
    caller: Id,
    people: FxHashMap<Id, Profile>,
    cursors: FxHashMap<ReadKey, ReadCursor>,
    /// How far everybody has read, where not everybody is named.
    reading: Option<Vec<Reading>>,
}

impl<'p> Context<'p> {
    pub(crate) fn new(
        pen: Pen<'p>,
        caller: Id,
        people: Vec<Profile>,
        cursors: impl IntoIterator<Item = ReadCursor>,
    ) -> Self {
        Self {
            pen,
            caller,
            people: people.into_iter().map(|profile| (profile.id, profile)).collect(),
            cursors: cursors.into_iter().map(|cursor| (cursor.key, cursor)).collect(),
            reading: None,
        }
    }

    /// The same, with which readers are counted where they are not named.
    pub(crate) fn counting(self, reading: Option<Vec<Reading>>) -> Self {
        Self { reading, ..self }
    }

    /// Whether somebody who was looked for is there.
    pub(crate) fn knows(&self, id: Id) -> bool {
        self.people.contains_key(&id)
    }

    fn author(&self, id: Id) -> UserSummary<'_> {
        let profile = self.people.get(&id);
        profile.map_or_else(|| UserSummary::gone(id), |profile| self.pen.author(profile))
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
        let message = self.pen.message(stored, self.author(stored.sender), read_by);
        model::Message { read_count: self.read_count(stored), ..message }
    }

    /// How many have read a message, the sender among them. Who joined later does not count.
    fn read_count(&self, stored: &Message) -> Option<i64> {
        let others = self.reading.as_ref()?.iter().filter(|reading| {
            reading.seq >= stored.seq && reading.from < stored.seq && reading.key.user != stored.sender
        });
        Some(1 + others.count() as i64)
    }

    /// When a message was read. To the caller everything up to their cursor is read, also what is older than their
    /// membership: a page that shows it would otherwise mark it as read again and again.
    fn read_at(&self, cursor: &ReadCursor, stored: &Message) -> Option<Timestamp> {
        let passed = cursor.key.user == self.caller && cursor.seq >= stored.seq;
        cursor.read_at(stored.seq).or(passed.then_some(stored.created_at))
    }

    /// A participant. Where one has blocked the other, neither is told whether the other is there.
    fn participant(&self, id: Id, conversation: &Conversation) -> UserSummary<'_> {
        let summary = self.pen.participant(id, self.people.get(&id));
        if conversation.blocked_by.is_empty() { summary } else { UserSummary { status: None, ..summary } }
    }

    /// What is the same for all participants, of whom there are `size`, named or not.
    pub(crate) fn update<'a>(
        &'a self,
        conversation: &'a Conversation,
        size: usize,
    ) -> ConversationUpdate<'a> {
        ConversationUpdate {
            mongo_id: conversation.id,
            id: conversation.id,
            name: conversation.name.as_deref().map(Cow::Borrowed),
            kind: Cow::Borrowed(conversation.kind.as_str()),
            participants: conversation
                .participants
                .iter()
                .map(|id| self.participant(*id, conversation))
                .collect(),
            participant_count: size as i64,
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
    use protocol::token::Tokens;
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
            edited_at: None,
            is_deleted: false,
            change: None,
            received: None,
        }
    }

    fn links() -> Links {
        Links::new(Tokens::new(&[7; 32]), None)
    }

    #[test]
    fn readers_are_the_sender_and_those_whose_cursor_passed_the_message() {
        let [sender, reader, late] = [1, 2, 3].map(|n| Id::from_bytes([n; 12]));
        let at = Timestamp::from_millis(100);
        let cursor = |user, seq| {
            let key = ReadKey { conversation: Id::from_bytes([9; 12]), user };
            ReadCursor { seq, marks: vec![ReadMark { seq, at }], ..ReadCursor::new(key) }
        };
        let links = links();
        let context = Context::new(
            Pen::new(&links),
            late,
            vec![],
            [cursor(reader, 5), cursor(late, 4), cursor(sender, 9)],
        );
        let stored = stored(sender, 5);
        let message = context.message(&stored, &[sender, reader, late]);
        let told =
            [ReadBy { user_id: sender, read_at: stored.created_at }, ReadBy { user_id: reader, read_at: at }];
        assert_eq!(message.read_by, told);
        assert_eq!(message.sender.name, "Deleted user");
    }

    #[test]
    fn to_one_who_joined_later_older_messages_are_read_and_others_are_not_told_so() {
        let [sender, joined] = [1, 2].map(|n| Id::from_bytes([n; 12]));
        let key = ReadKey { conversation: Id::from_bytes([9; 12]), user: joined };
        let stored = stored(sender, 5);
        let readers = |caller| {
            let cursor = ReadCursor { seq: 5, from: 5, ..ReadCursor::new(key) };
            let links = links();
            let context = Context::new(Pen::new(&links), caller, vec![], [cursor]);
            context.message(&stored, &[sender, joined]).read_by.len()
        };
        assert_eq!((readers(joined), readers(sender)), (2, 1));
    }

    #[test]
    fn a_tombstone_keeps_its_place_and_nothing_else() {
        let stored = Message { is_deleted: true, ..stored(Id::mint(), 3) };
        let links = links();
        let context = Context::new(Pen::new(&links), Id::mint(), vec![], []);
        let message = context.message(&stored, &[]);
        assert_eq!((message.content.as_ref(), message.attachment_url, message.seq), ("", None, 3));
    }

    #[test]
    fn of_a_limited_profile_nothing_else_is_told() {
        let now = Timestamp::from_millis(3);
        let viewer = User::new("Ada".to_owned(), "a@b.org".to_owned(), "ada".to_owned(), String::new(), now);
        let links = links();
        let shown = Pen::new(&links).seen(&viewer, sight::tests::seen("friends-only", false, false)).unwrap();
        let json = serde_json::to_string(&shown).unwrap();
        assert!(
            shown.limited && !json.contains("secret") && !json.contains("online") && !json.contains("Tea")
        );
        assert_eq!((shown.score, shown.last_seen, shown.compatibility), (0, None, None));
        assert_eq!(shown.updated_at, shown.created_at);
    }
}
