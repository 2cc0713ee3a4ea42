//! Users, conversations and messages as the frontend sees them.
//!
//! Field names are the frontend specification's. `id` stands beside `_id` because the frontend compares
//! with `currentUser.id`. Texts are `Cow`s so that the hot path serialises what it has read without copying.
//!
//! | module | holds |
//! |---|---|
//! | `live` | payloads of realtime events that REST has no answer like |

mod live;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Id, Timestamp};

pub use live::{ActivityMembers, MessageDelete, MessageRead, MessageUpdate, Typing, UserStatus};

/// What others see of a user in lists and beside messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserSummary<'a> {
    /// The identifier, under MongoDB's name.
    #[serde(rename = "_id")]
    pub mongo_id: Id,
    /// The identifier again.
    pub id: Id,
    /// The displayed name.
    pub name: Cow<'a, str>,
    /// Address of a picture, if the user has one.
    pub avatar: Option<Cow<'a, str>>,
    /// `online`, `offline` or `away`; absent where only an author is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Cow<'a, str>>,
}

/// A user as answered by the users routes. `email` and `settings` only to the user themself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The identifier, under MongoDB's name.
    #[serde(rename = "_id")]
    pub mongo_id: Id,
    /// The identifier again.
    pub id: Id,
    /// The unique handle.
    pub username: String,
    /// The displayed name.
    pub name: String,
    /// Address of a picture, if the user has one.
    pub avatar: Option<String>,
    /// Only for the user themself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `online`, `offline` or `away`.
    pub status: String,
    /// When the user was last connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Free text about the user.
    pub bio: String,
    /// Points for the leaderboard.
    pub score: i64,
    /// What the user cares for.
    pub interests: Vec<String>,
    /// Where the user lives.
    pub location: String,
    /// What the user does.
    pub occupation: String,
    /// How many of a hundred interests the caller shares with this user, of those that either has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<i64>,
    /// Whether the caller and this user are friends; absent for the user themself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friendship: Option<Friendship>,
    /// True where the user's privacy leaves the caller only name, handle, picture and when they joined: the other
    /// fields are empty then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub limited: bool,
    /// Whom the user has added as a friend. Only for the user themself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friends: Option<Vec<Id>>,
    /// When the user registered.
    pub joined_date: Timestamp,
    /// Only for the user themself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// When the document was made.
    pub created_at: Timestamp,
    /// When the document was last changed.
    pub updated_at: Timestamp,
}

/// A user's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Whether the user wants notifications.
    pub notifications: bool,
    /// `public`, `friends-only` or `private`.
    pub privacy: String,
}

/// What two users are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Friendship {
    /// Neither has added the other.
    None,
    /// The caller has added the other, who has not answered.
    Requested,
    /// The other has added the caller, who has not answered.
    Received,
    /// Both have added each other.
    Friends,
}

/// A user and a token for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The user, as they see themself.
    pub user: User,
    /// For the `Authorization` header and the socket's handshake.
    pub token: String,
}

/// That something was done which leaves nothing to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Success {
    /// Always true.
    pub success: bool,
}

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// The identifier, under MongoDB's name.
    #[serde(rename = "_id")]
    pub mongo_id: Id,
    /// The identifier again.
    pub id: Id,
    /// Where it is served, for a day at least: good as `attachmentUrl` and as `avatar`.
    pub url: String,
    /// Its media type, as its bytes say.
    pub content_type: String,
    /// How many bytes it has.
    pub size: i64,
    /// The name of the file, if the client gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An activity, with its people populated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Activity<'a> {
    /// The identifier, under MongoDB's name.
    #[serde(rename = "_id")]
    pub mongo_id: Id,
    /// The identifier again.
    pub id: Id,
    /// Whose it is.
    pub host_id: Id,
    /// The same, populated.
    pub host: UserSummary<'a>,
    /// What it is called.
    pub title: Cow<'a, str>,
    /// What it is about.
    pub description: Cow<'a, str>,
    /// `academic`, `hobby`, `wellness` or `social`.
    pub activity_type: Cow<'a, str>,
    /// Where it takes place, in the host's words.
    pub location_type: Cow<'a, str>,
    /// When it begins.
    pub date_time: Timestamp,
    /// How long it takes, in minutes.
    pub duration: i64,
    /// How many may take part, the host included.
    pub max_participants: i64,
    /// Who takes part, populated, the host among them; in a list no more than 32.
    pub participants: Vec<UserSummary<'a>>,
    /// How many take part.
    pub participant_count: i64,
    /// How many of a hundred interests the caller shares with the host, of those that either has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<i64>,
    /// Its conversation, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Id>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, by its host or by somebody who joined or left.
    pub updated_at: Timestamp,
}

/// That a user has read a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadBy {
    /// Who read it.
    pub user_id: Id,
    /// When.
    pub read_at: Timestamp,
}

/// A message, its author populated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message<'a> {
    /// The identifier, under MongoDB's name.
    #[serde(rename = "_id")]
    pub mongo_id: Id,
    /// The identifier again.
    pub id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// Its number within the conversation: 1, 2, 3 … without a gap.
    pub seq: i64,
    /// Who wrote it.
    pub sender: UserSummary<'a>,
    /// What was written; empty in a tombstone.
    pub content: Cow<'a, str>,
    /// `text`, `image` or `file`.
    pub content_type: Cow<'a, str>,
    /// Address of the attached image or file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment_url: Option<Cow<'a, str>>,
    /// The sender's own identifier of this message, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<Cow<'a, str>>,
    /// Who has read it; the sender always, with the time of sending. In a conversation of more than 32 people only the
    /// sender and the caller.
    pub read_by: Vec<ReadBy>,
    /// How many people have read it, in a conversation of more than 32: with a page of messages, a single conversation,
    /// and an edited message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_count: Option<i64>,
    /// When it was committed. Never decreases with `seq`.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When its author last edited it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// Whether it was deleted: then only its place in the order is left.
    pub is_deleted: bool,
}

/// A conversation in a list: its last message and how many are unread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conversation<'a> {
    /// Everything that is the same for all participants.
    #[serde(flatten, borrow)]
    pub update: ConversationUpdate<'a>,
    /// The message with the highest `seq`, or null.
    pub last_message: Option<Message<'a>>,
    /// How many messages of others come after the caller's read cursor; counted up to 999.
    pub unread_count: i64,
    /// With a single conversation: a page of its messages, oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Message<'a>>>,
}

/// A conversation as its participants are told about it, the payload of `conversation:update`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationUpdate<'a> {
    /// The identifier, under MongoDB's name.
    #[serde(rename = "_id")]
    pub mongo_id: Id,
    /// The identifier again.
    pub id: Id,
    /// A group's name.
    pub name: Option<Cow<'a, str>>,
    /// `direct` or `group`.
    #[serde(rename = "type")]
    pub kind: Cow<'a, str>,
    /// The participants, populated; in a list and in an event no more than 32. Empty for one who was removed.
    pub participants: Vec<UserSummary<'a>>,
    /// How many take part, named or not; 0 for one who was removed.
    pub participant_count: i64,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Id>,
    /// The activity it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity_id: Option<Id>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed or had a message.
    pub updated_at: Timestamp,
    /// False once archived; false as well for one who was removed from it.
    pub is_active: bool,
}

/// The name of an author or participant who is not there any more.
const GONE: &str = "Deleted user";

impl<'a> UserSummary<'a> {
    /// A summary of somebody who is not there any more.
    #[must_use]
    pub const fn gone(id: Id) -> Self {
        Self { mongo_id: id, id, name: Cow::Borrowed(GONE), avatar: None, status: None }
    }

    /// A summary without a status, as it stands beside a message.
    #[must_use]
    pub fn author(id: Id, name: impl Into<Cow<'a, str>>, avatar: Option<Cow<'a, str>>) -> Self {
        Self { mongo_id: id, id, name: name.into(), avatar, status: None }
    }
}
