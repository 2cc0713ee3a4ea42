//! The documents as they are stored. Field names in MongoDB are the specification's (camelCase).
//!
//! | module | holds |
//! |---|---|
//! | `activity` | activities |
//! | `cursor` | how far users have read |

mod activity;
mod cursor;

use protocol::{Id, Timestamp, UnixMicros};
use serde::{Deserialize, Serialize};

use crate::convert::stored;
use crate::password::PasswordHash;

pub use activity::{Activity, ActivityChange};
pub use cursor::{LastRead, ReadCursor, ReadKey, ReadMark};

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
    /// The hash of the password. Empty where a query left it out.
    #[serde(default)]
    pub password: PasswordHash,
    /// Address of a picture.
    #[serde(default)]
    pub avatar: Option<String>,
    /// `online`, `offline` or `away`.
    pub status: String,
    /// When the user was last connected.
    #[serde(default, with = "stored")]
    pub last_seen: Option<Timestamp>,
    /// Whom the user has added as a friend. Only if both have added each other are they friends.
    #[serde(default, with = "stored")]
    pub friends: Vec<Id>,
    /// Whom the user has blocked.
    #[serde(default, with = "stored")]
    pub blocked: Vec<Id>,
    /// How often all sessions of the user were ended: tokens of an earlier generation are no longer good.
    #[serde(default)]
    pub generation: i64,
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
    /// The name of the probe whose account it is. Such a user is not there for anybody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
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

/// What another user, the viewer, may be shown of a user. It holds no private field; whoever shows it still has to
/// leave out what the privacy setting hides.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// [`User::id`].
    #[serde(rename = "_id", with = "stored")]
    pub id: Id,
    /// [`User::username`].
    pub username: String,
    /// [`User::name`].
    pub name: String,
    /// [`User::avatar`].
    #[serde(default)]
    pub avatar: Option<String>,
    /// [`User::status`].
    #[serde(default)]
    pub status: String,
    /// [`User::last_seen`].
    #[serde(default, with = "stored")]
    pub last_seen: Option<Timestamp>,
    /// [`User::bio`].
    #[serde(default)]
    pub bio: String,
    /// [`User::score`].
    #[serde(default)]
    pub score: i64,
    /// [`User::interests`].
    #[serde(default)]
    pub interests: Vec<String>,
    /// [`User::location`].
    #[serde(default)]
    pub location: String,
    /// [`User::occupation`].
    #[serde(default)]
    pub occupation: String,
    /// [`User::joined_date`].
    #[serde(with = "stored")]
    pub joined_date: Timestamp,
    /// [`User::created_at`].
    #[serde(with = "stored")]
    pub created_at: Timestamp,
    /// [`User::updated_at`].
    #[serde(with = "stored")]
    pub updated_at: Timestamp,
    /// [`Settings::privacy`].
    #[serde(default)]
    pub privacy: String,
    /// Whether the user has added the viewer as a friend.
    pub adds_viewer: bool,
    /// Whether the user has blocked the viewer.
    pub blocks_viewer: bool,
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
    /// [`User::generation`].
    #[serde(default)]
    pub generation: i64,
    /// [`User::probe`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
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
    /// A view, written behind the acknowledgement: never relied on for what it says.
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
    /// The last message when it was archived: with a later one it counts as active, whatever
    /// [`Conversation::is_active`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_seq: Option<i64>,
    /// Of a direct conversation: which of the two have blocked the other. Nobody sends as long as it is not empty.
    #[serde(default, with = "stored", skip_serializing_if = "Vec::is_empty")]
    pub blocked_by: Vec<Id>,
    /// The name of the probe whose conversation it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// Counts changes of name, participants and activity; every change is conditional on it.
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
    /// How often it was edited or deleted: an older state of it never overwrites a newer.
    #[serde(default)]
    pub rev: i64,
}

/// What was changed about a conversation, by whom and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationChange {
    /// `update`, `archive` or `reactivate`.
    pub kind: String,
    /// Whether it is active after the change.
    #[serde(default = "active", rename = "isActive")]
    pub is_active: bool,
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

/// Changes that were written before they could archive left the conversation active.
const fn active() -> bool {
    true
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
    /// When its author last edited it.
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// Whether it was deleted; then its text and attachment are gone.
    pub is_deleted: bool,
    /// The last edit, or the deletion, written with it in one piece so that the change stream carries all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<MessageChange>,
    /// When the first server received it, for measuring how long delivery takes. Never shown to clients.
    #[serde(default, rename = "receivedMicros", skip_serializing_if = "Option::is_none")]
    pub received: Option<UnixMicros>,
}

/// What happened to a message after it was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageChange {
    /// `edit` or `delete`.
    pub kind: String,
    /// [`Message::conversation_id`].
    #[serde(with = "stored")]
    pub conversation_id: Id,
    /// [`Message::seq`].
    pub seq: i64,
    /// [`Message::sender`].
    #[serde(with = "stored")]
    pub sender: Id,
    /// [`Message::created_at`].
    #[serde(with = "stored")]
    pub created_at: Timestamp,
    /// When it happened.
    #[serde(with = "stored")]
    pub at: Timestamp,
    /// Counts the changes of this message: 1, 2, 3 …; every change is conditional on it.
    pub rev: i64,
}
