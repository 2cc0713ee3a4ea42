//! One change of the stream, read where it lies in the reply.

use mongodb::bson::raw::RawBsonRef;
use mongodb::bson::{Document, RawArray, RawDocument, doc};
use protocol::{Id, Timestamp};
use store::name;
use store::stream::{StreamError, cluster_time};

use crate::cache::{Conversation, Summary};

/// What of a change matters to the streamer.
#[derive(Debug)]
pub(crate) enum Kind<'a> {
    /// A message was committed.
    Message(Message<'a>),
    /// A conversation was made.
    ConversationMade(Id, Conversation),
    /// A conversation's name or participants changed.
    ConversationChanged(Id, ConversationChange),
    /// A user registered, or was replaced by hand.
    UserMade(Id, Summary),
    /// What others see of a user changed.
    UserChanged(Id, SummaryChange),
    /// A conversation was replaced by hand: its participants are told nothing, but the next message goes to them.
    ConversationReplaced(Id, Conversation),
    /// A conversation was removed by hand.
    ConversationGone(Id),
    /// A user's account ended.
    UserGone(Id),
}

/// A change and its cluster time.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) time: u64,
    pub(crate) kind: Kind<'a>,
}

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

/// The fields of a summary that changed.
#[derive(Debug)]
pub(crate) struct SummaryChange {
    pub(crate) name: Option<String>,
    /// Changed to a picture, or to none.
    pub(crate) avatar: Option<Option<String>>,
    pub(crate) status: Option<String>,
}

/// What the server sends: inserts, and those updates that mean something to clients. Updates of views (a
/// conversation's last message) and of read cursors never leave it.
pub(crate) fn filter() -> Document {
    let changed = |collection: &str, fields: &[&str]| {
        let any: Vec<Document> = fields
            .iter()
            .map(|field| doc! { format!("updateDescription.updatedFields.{field}"): { "$exists": true } })
            .collect();
        doc! { "operationType": "update", "ns.coll": collection, "$or": any }
    };
    doc! {
        "ns.coll": { "$in": [name::MESSAGES, name::CONVERSATIONS, name::USERS] },
        "$or": [
            { "operationType": "insert" },
            changed(name::CONVERSATIONS, &["change"]),
            changed(name::USERS, &["name", "avatar", "status"]),
            { "operationType": { "$in": ["replace", "delete"] }, "ns.coll": { "$ne": name::MESSAGES } },
        ],
    }
}

impl<'a> Change<'a> {
    /// Reads a change. `Ok(None)` for one that means nothing here.
    ///
    /// # Errors
    ///
    /// When fields are missing or of the wrong type: somebody wrote past the api.
    pub(crate) fn parse(event: &'a RawDocument) -> Result<Option<Self>, StreamError> {
        let time = cluster_time(event.get_timestamp("clusterTime")?);
        let collection = event.get_document("ns")?.get_str("coll")?;
        let kind = match (event.get_str("operationType")?, collection) {
            ("insert", name::MESSAGES) => Kind::Message(Message::parse(event.get_document("fullDocument")?)?),
            ("insert", name::CONVERSATIONS) => {
                let document = event.get_document("fullDocument")?;
                Kind::ConversationMade(id(document, "_id")?, Conversation::parse(document)?)
            }
            ("insert" | "replace", name::USERS) => {
                let document = event.get_document("fullDocument")?;
                Kind::UserMade(id(document, "_id")?, Summary::parse(document)?)
            }
            ("update", name::CONVERSATIONS) => {
                let change = updated_fields(event)?.get_document("change")?;
                Kind::ConversationChanged(key(event)?, ConversationChange::parse(change)?)
            }
            ("update", name::USERS) => {
                Kind::UserChanged(key(event)?, SummaryChange::parse(updated_fields(event)?)?)
            }
            ("replace", name::CONVERSATIONS) => {
                let document = event.get_document("fullDocument")?;
                Kind::ConversationReplaced(id(document, "_id")?, Conversation::parse(document)?)
            }
            ("delete", name::CONVERSATIONS) => Kind::ConversationGone(key(event)?),
            ("delete", name::USERS) => Kind::UserGone(key(event)?),
            _ => return Ok(None),
        };
        Ok(Some(Self { time, kind }))
    }
}

impl<'a> Message<'a> {
    fn parse(document: &'a RawDocument) -> Result<Self, StreamError> {
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
        })
    }
}

impl ConversationChange {
    fn parse(change: &RawDocument) -> Result<Self, StreamError> {
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

impl SummaryChange {
    fn parse(fields: &RawDocument) -> Result<Self, StreamError> {
        let avatar = match fields.get("avatar")? {
            None => None,
            Some(RawBsonRef::String(url)) => Some(Some(url.to_owned())),
            Some(_) => Some(None),
        };
        let text = |field| optional_str(fields, field).map(|text| text.map(str::to_owned));
        Ok(Self { name: text("name")?, avatar, status: text("status")? })
    }
}

fn updated_fields(event: &RawDocument) -> Result<&RawDocument, StreamError> {
    Ok(event.get_document("updateDescription")?.get_document("updatedFields")?)
}

fn key(event: &RawDocument) -> Result<Id, StreamError> {
    id(event.get_document("documentKey")?, "_id")
}

/// A field that holds an identifier.
pub(crate) fn id(document: &RawDocument, field: &str) -> Result<Id, StreamError> {
    Ok(store::convert::id(document.get_object_id(field)?))
}

/// A field that holds a time.
pub(crate) fn date(document: &RawDocument, field: &str) -> Result<Timestamp, StreamError> {
    Ok(store::convert::time(document.get_datetime(field)?))
}

/// A field that holds a text, or null, or is absent.
pub(crate) fn optional_str<'a>(
    document: &'a RawDocument,
    field: &str,
) -> Result<Option<&'a str>, StreamError> {
    match document.get(field)? {
        Some(RawBsonRef::String(text)) => Ok(Some(text)),
        Some(RawBsonRef::Null) | None => Ok(None),
        Some(_) => Err(StreamError::Malformed),
    }
}

/// An array of identifiers.
pub(crate) fn ids(array: &RawArray) -> Result<Vec<Id>, StreamError> {
    array
        .into_iter()
        .map(|item| match item? {
            RawBsonRef::ObjectId(oid) => Ok(store::convert::id(oid)),
            _ => Err(StreamError::Malformed),
        })
        .collect()
}
