//! Payloads of realtime events that REST has no answer like.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::UserSummary;
use crate::{Id, Timestamp};

/// An edited message, the payload of `message:update`: what is new, and what it takes to find the place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageUpdate<'a> {
    /// The message's identifier, under MongoDB's name.
    #[serde(rename = "_id")]
    pub mongo_id: Id,
    /// The identifier again.
    pub id: Id,
    /// The identifier once more, as in `message:read` and `message:delete`.
    pub message_id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// Its number within the conversation.
    pub seq: i64,
    /// Who wrote it.
    pub sender: UserSummary<'a>,
    /// What it says now.
    pub content: Cow<'a, str>,
    /// When it was committed.
    pub created_at: Timestamp,
    /// When it was edited.
    pub updated_at: Timestamp,
    /// The same.
    pub edited_at: Timestamp,
}

/// A deleted message, the payload of `message:delete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageDelete {
    /// The message's identifier, under MongoDB's name.
    #[serde(rename = "_id")]
    pub mongo_id: Id,
    /// The identifier again.
    pub id: Id,
    /// The identifier once more.
    pub message_id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// Its number within the conversation.
    pub seq: i64,
    /// Who wrote and deleted it.
    pub user_id: Id,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Always true.
    pub is_deleted: bool,
}

/// That somebody has read a message and all before it, the payload of `message:read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageRead {
    /// The last message that was read.
    pub message_id: Id,
    /// Who read it.
    pub user_id: Id,
    /// Where.
    pub conversation_id: Id,
    /// When.
    pub read_at: Timestamp,
    /// The number of that message: everything up to it is read.
    pub seq: i64,
}

/// That somebody is typing or has stopped, the payload of `conversation:typing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Typing {
    /// Where.
    pub conversation_id: Id,
    /// Who.
    pub user_id: Id,
    /// Whether they are typing now.
    pub is_typing: bool,
}

/// What somebody is now, the payload of `user:status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserStatus<'a> {
    /// Who.
    pub user_id: Id,
    /// `online`, `offline` or `away`.
    pub status: Cow<'a, str>,
    /// When they were last seen.
    pub last_seen: Option<Timestamp>,
}

/// Who takes part in an activity now, the payload of `activity:join` and `activity:leave`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityMembers<'a> {
    /// The activity.
    pub activity_id: Id,
    /// Who joined or left.
    pub user_id: Id,
    /// Who takes part after that, populated, the host among them; no more than 100.
    pub updated_participants: Vec<UserSummary<'a>>,
    /// How many take part after that, named or not.
    pub participant_count: i64,
}
