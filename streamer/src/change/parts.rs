//! What changes are made of.

use mongodb::bson::RawDocument;
use mongodb::bson::raw::RawBsonRef;
use protocol::{Id, Timestamp, UnixMicros};
use store::stream::StreamError;

use super::raw::{date, id, ids, number, optional_date, optional_number, optional_str};

/// A committed message; its texts still lie in the reply.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) id: Id,
    pub(crate) conversation: Id,
    pub(crate) seq: i64,
    pub(crate) sender: Id,
    pub(crate) content: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) attachment_url: Option<&'a str>,
    pub(crate) client_message_id: Option<&'a str>,
    pub(crate) created_at: Timestamp,
    /// When the first server received it.
    pub(crate) received: Option<UnixMicros>,
}

/// The `change` subdocument that the api writes with every edit and deletion of a message.
#[derive(Debug)]
pub(crate) struct MessageChange<'a> {
    pub(crate) id: Id,
    pub(crate) conversation: Id,
    pub(crate) seq: i64,
    pub(crate) sender: Id,
    pub(crate) created_at: Timestamp,
    pub(crate) at: Timestamp,
    pub(crate) text: Text<'a>,
}

/// What an edited message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text<'a> {
    /// This.
    Now(&'a str),
    /// What it said before: MongoDB tells only what really changed.
    Same,
    /// What it said before, and something else by now: a later change of the same batch tells what.
    Overtaken,
    /// Nothing: it was deleted.
    Deleted,
}

/// The `last` subdocument that the api writes with every move of a read cursor.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) conversation: Id,
    pub(crate) reader: Id,
    pub(crate) message: Id,
    pub(crate) sender: Id,
    pub(crate) seq: i64,
    pub(crate) at: Timestamp,
}

/// The `change` subdocument that the api writes with every change of a conversation.
#[derive(Debug)]
pub(crate) struct ConversationChange {
    pub(crate) participants: Vec<Id>,
    pub(crate) removed: Vec<Id>,
    pub(crate) name: Option<String>,
    /// False once archived.
    pub(crate) is_active: bool,
    /// Where the group has passed to another participant, because its creator left.
    pub(crate) created_by: Option<Id>,
    pub(crate) at: Timestamp,
}

/// The fields of a user that changed.
#[derive(Debug, Default)]
pub(crate) struct UserChange {
    pub(crate) name: Option<String>,
    /// Changed to a picture, or to none.
    pub(crate) avatar: Option<Option<String>>,
    pub(crate) status: Option<String>,
    pub(crate) last_seen: Option<Timestamp>,
    /// All sessions were ended: tokens are good from this generation on.
    pub(crate) generation: Option<i64>,
}

/// Somebody joined or left an activity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub(crate) activity: Id,
    pub(crate) user: Id,
    /// False: left.
    pub(crate) joined: bool,
}

impl<'a> Message<'a> {
    pub(super) fn parse(document: &'a RawDocument) -> Result<Self, StreamError> {
        Ok(Self {
            id: id(document, "_id")?,
            conversation: id(document, "conversationId")?,
            seq: document.get_i64("seq")?,
            sender: id(document, "sender")?,
            content: document.get_str("content")?,
            content_type: document.get_str("contentType")?,
            attachment_url: optional_str(document, "attachmentUrl")?,
            client_message_id: optional_str(document, "clientMessageId")?,
            created_at: date(document, "createdAt")?,
            received: optional_number(document, "receivedMicros")?.map(UnixMicros::from_micros),
        })
    }
}

impl<'a> MessageChange<'a> {
    /// From the fields that changed; `None` where it was neither edited nor deleted.
    pub(super) fn parse(message: Id, fields: &'a RawDocument) -> Result<Option<Self>, StreamError> {
        let change = fields.get_document("change")?;
        let text = match change.get_str("kind")? {
            "edit" => optional_str(fields, "content")?.map_or(Text::Same, Text::Now),
            "delete" => Text::Deleted,
            _ => return Ok(None),
        };
        Ok(Some(Self {
            id: message,
            conversation: id(change, "conversationId")?,
            seq: number(change, "seq")?,
            sender: id(change, "sender")?,
            created_at: date(change, "createdAt")?,
            at: date(change, "at")?,
            text,
        }))
    }
}

impl Read {
    /// From the cursor's key and its last move.
    pub(super) fn parse(key: &RawDocument, last: &RawDocument) -> Result<Self, StreamError> {
        Ok(Self {
            conversation: id(key, "c")?,
            reader: id(key, "u")?,
            message: id(last, "messageId")?,
            sender: id(last, "sender")?,
            seq: number(last, "seq")?,
            at: date(last, "at")?,
        })
    }
}

impl ConversationChange {
    pub(super) fn parse(change: &RawDocument) -> Result<Self, StreamError> {
        Ok(Self {
            participants: ids(change.get_array("participants")?)?,
            removed: ids(change.get_array("removed")?)?,
            name: optional_str(change, "name")?.map(str::to_owned),
            // Changes that were written before they could archive left the conversation active.
            is_active: change.get_bool("isActive").unwrap_or(true),
            created_by: change.get_object_id("createdBy").ok().map(store::convert::id),
            at: date(change, "at")?,
        })
    }
}

impl UserChange {
    pub(super) fn parse(fields: &RawDocument) -> Result<Self, StreamError> {
        let avatar = match fields.get("avatar")? {
            None => None,
            Some(RawBsonRef::String(url)) => Some(Some(url.to_owned())),
            Some(_) => Some(None),
        };
        let text = |field| optional_str(fields, field).map(|text| text.map(str::to_owned));
        Ok(Self {
            name: text("name")?,
            avatar,
            status: text("status")?,
            last_seen: optional_date(fields, "lastSeen")?,
            generation: optional_number(fields, "generation")?,
        })
    }

    /// Whether others are to be told: the user came or went.
    pub(crate) fn is_presence(&self) -> bool {
        self.status.is_some() || self.last_seen.is_some()
    }
}

impl Membership {
    /// From the `change` subdocument; `None` where nobody joined or left.
    pub(super) fn parse(activity: Id, change: &RawDocument) -> Result<Option<Self>, StreamError> {
        let joined = match change.get_str("kind")? {
            "join" => true,
            "leave" => false,
            _ => return Ok(None),
        };
        Ok(Some(Self { activity, user: id(change, "user")?, joined }))
    }
}
