//! The documents as they are stored. Field names in MongoDB are the specification's (camelCase).

use protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::convert::stored;

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The identifier.
    #[serde(rename = "_id", with = "stored")]
    pub id: Id,
    /// The unique handle, made from the name.
    pub username: String,
    /// The displayed name.
    pub name: String,
    /// The displayed name in lower case: the order of lists.
    #[serde(default)]
    pub name_lower: String,
    /// What the search finds the user by, in lower case: words of the name and of the handle.
    #[serde(default)]
    pub terms: Vec<String>,
    /// The e-mail address in lower case; unique. Empty where a query left it out.
    #[serde(default)]
    pub email: String,
    /// Argon2id, in the PHC string format. Empty where a query left it out.
    #[serde(default)]
    pub password: String,
    /// Address of a picture.
    #[serde(default)]
    pub avatar: Option<String>,
    /// `online`, `offline` or `away`.
    pub status: String,
    /// When the user was last connected.
    #[serde(default, with = "stored")]
    pub last_seen: Option<Timestamp>,
    /// The user's friends.
    #[serde(default, with = "stored")]
    pub friends: Vec<Id>,
    /// Free text about the user.
    #[serde(default)]
    pub bio: String,
    /// Points for the leaderboard.
    #[serde(default)]
    pub score: i64,
    /// What the user cares for.
    #[serde(default)]
    pub interests: Vec<String>,
    /// Where the user lives.
    #[serde(default)]
    pub location: String,
    /// What the user does.
    #[serde(default)]
    pub occupation: String,
    /// When the user registered.
    #[serde(with = "stored")]
    pub joined_date: Timestamp,
    /// The user's settings.
    #[serde(default)]
    pub settings: Settings,
    /// When the document was made.
    #[serde(with = "stored")]
    pub created_at: Timestamp,
    /// When the document was last changed.
    #[serde(with = "stored")]
    pub updated_at: Timestamp,
}

/// A user's settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Whether the user wants notifications.
    pub notifications: bool,
    /// `public`, `friends-only` or `private`.
    pub privacy: String,
}

/// The part of a user that stands beside messages and in lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The identifier.
    #[serde(rename = "_id", with = "stored")]
    pub id: Id,
    /// The displayed name.
    pub name: String,
    /// Address of a picture.
    #[serde(default)]
    pub avatar: Option<String>,
    /// `online`, `offline` or `away`.
    #[serde(default)]
    pub status: String,
}

/// A conversation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// The identifier.
    #[serde(rename = "_id", with = "stored")]
    pub id: Id,
    /// A group's name.
    pub name: Option<String>,
    /// `direct` or `group`.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Who takes part.
    #[serde(with = "stored")]
    pub participants: Vec<Id>,
    /// Who made it.
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Id>,
    /// `<lower id>:<higher id>` of a direct conversation; unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_key: Option<String>,
    /// The activity it belongs to.
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    pub activity_id: Option<Id>,
    /// A view, written behind the acknowledgement: never relied on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message: Option<LastMessage>,
    /// When it was made.
    #[serde(with = "stored")]
    pub created_at: Timestamp,
    /// When it last changed or, a little behind, had a message.
    #[serde(with = "stored")]
    pub updated_at: Timestamp,
    /// False once archived.
    pub is_active: bool,
    /// Counts changes of name and participants; every change is conditional on it.
    #[serde(default)]
    pub rev: i64,
    /// The last change, written with it in one piece so that the change stream carries all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ConversationChange>,
}

/// The two kinds of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Between two people, who have only this one.
    Direct,
    /// Between any number of people.
    Group,
}

impl Kind {
    /// The name in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
        }
    }
}

/// The view of a conversation's last message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastMessage {
    /// What was written.
    pub content: String,
    /// Who wrote it.
    #[serde(with = "stored")]
    pub sender: Id,
    /// When.
    #[serde(with = "stored")]
    pub timestamp: Timestamp,
    /// Its number: an older message never overwrites a newer.
    pub seq: i64,
}

/// What was changed about a conversation, by whom and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationChange {
    /// `update`.
    pub kind: String,
    /// The participants after the change, all of them.
    #[serde(with = "stored")]
    pub participants: Vec<Id>,
    /// Who was a participant before and no longer is.
    #[serde(with = "stored")]
    pub removed: Vec<Id>,
    /// The name after the change.
    pub name: Option<String>,
    /// Whose the conversation is after the change, where that changed: its creator has left.
    #[serde(default, rename = "createdBy", with = "stored", skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Id>,
    /// Who changed it.
    #[serde(with = "stored")]
    pub by: Id,
    /// When.
    #[serde(with = "stored")]
    pub at: Timestamp,
    /// [`Conversation::rev`] after the change.
    pub rev: i64,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The identifier, minted by the first server that saw the message.
    #[serde(rename = "_id", with = "stored")]
    pub id: Id,
    /// The conversation it belongs to.
    #[serde(with = "stored")]
    pub conversation_id: Id,
    /// Its number within the conversation: 1, 2, 3 …
    pub seq: i64,
    /// Who wrote it.
    #[serde(with = "stored")]
    pub sender: Id,
    /// What was written.
    pub content: String,
    /// `text`, `image` or `file`.
    pub content_type: String,
    /// Address of the attached image or file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment_url: Option<String>,
    /// The sender's own identifier of this message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<String>,
    /// When it was committed; never decreases with `seq`.
    #[serde(with = "stored")]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[serde(with = "stored")]
    pub updated_at: Timestamp,
    /// Whether it was deleted.
    pub is_deleted: bool,
}

/// How far a user has read a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadCursor {
    /// Whose, and where.
    #[serde(rename = "_id")]
    pub key: ReadKey,
    /// Everything up to this number is read.
    pub seq: i64,
    /// The last message when the user joined, 0 for one who was there from the beginning: the cursor began there,
    /// which is not to say that anything up to it was read.
    #[serde(default)]
    pub from: i64,
    /// The last moves of the cursor, oldest first.
    #[serde(default)]
    pub marks: Vec<ReadMark>,
}

/// The key of a [`ReadCursor`]. The order of its fields is part of it: MongoDB compares documents bytewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReadKey {
    /// The conversation.
    #[serde(rename = "c", with = "stored")]
    pub conversation: Id,
    /// The user.
    #[serde(rename = "u", with = "stored")]
    pub user: Id,
}

/// One move of a read cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// Where the cursor moved to.
    pub seq: i64,
    /// When.
    #[serde(with = "stored")]
    pub at: Timestamp,
}

impl ReadCursor {
    /// When the message of this number was read, as far as is remembered: of an old one, when the cursor passed it at the
    /// latest. A message from before the user joined was not read by them, unless they had been a member before and
    /// read it then: such a mark lies before [`ReadCursor::from`] itself.
    #[must_use]
    pub fn read_at(&self, seq: i64) -> Option<Timestamp> {
        let mark = self.marks.iter().find(|mark| mark.seq >= seq)?;
        (seq > self.from || mark.seq <= self.from).then_some(mark.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_a_member_joined_is_not_read_by_reading_on() {
        let key = ReadKey { conversation: Id::mint(), user: Id::mint() };
        let mark = |seq| ReadMark { seq, at: Timestamp::from_millis(seq) };
        let read = |from, marks: &[i64], seq| {
            let marks: Vec<ReadMark> = marks.iter().map(|seq| mark(*seq)).collect();
            ReadCursor { key, seq: 20, from, marks }.read_at(seq).map(Timestamp::millis)
        };
        assert_eq!(
            (read(0, &[5, 9], 3), read(0, &[5, 9], 9), read(0, &[5, 9], 10)),
            (Some(5), Some(9), None)
        );
        assert_eq!((read(10, &[12], 10), read(10, &[12], 11)), (None, Some(12)));
        // Read up to 5 as a member, gone until 10, read on up to 12.
        assert_eq!((read(10, &[5, 12], 5), read(10, &[5, 12], 6)), (Some(5), None));
    }
}
