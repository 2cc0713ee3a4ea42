//! One change of the stream, read where it lies in the reply.
//!
//! | module | holds |
//! |---|---|
//! | [`parts`] | what changes are made of |
//! | [`raw`] | fields of raw documents |

mod parts;
pub(crate) mod raw;

use mongodb::bson::{Document, RawDocument, doc};
use protocol::{Id, UnixMicros};
use store::name;
use store::stream::{StreamError, cluster_time};

use crate::cache::{Activity, Conversation, Summary};

pub(crate) use parts::{ConversationChange, Membership, Message, MessageChange, Read, Text, UserChange};
use raw::id;

/// What of a change matters to the streamer.
#[derive(Debug)]
pub(crate) enum Kind<'a> {
    /// A message was committed.
    Message(Message<'a>),
    /// A message was edited or deleted.
    MessageChanged(MessageChange<'a>),
    /// Somebody has read on.
    Read(Read),
    /// A conversation was made.
    ConversationMade(Id, Conversation),
    /// A conversation's name or participants changed.
    ConversationChanged(Id, ConversationChange),
    /// One of the two of a direct conversation has blocked the other, or no longer does.
    BlocksChanged(Id),
    /// A conversation was replaced by hand: its participants are told nothing, but the next message goes to them.
    ConversationReplaced(Id, Conversation),
    /// A conversation was removed by hand.
    ConversationGone(Id),
    /// A user registered, or was replaced by hand.
    UserMade(Id, Summary),
    /// What others see of a user changed, or all sessions of the user were ended.
    UserChanged(Id, UserChange),
    /// A user's account ended.
    UserGone(Id),
    /// An activity was made, or replaced by hand.
    ActivityMade(Id, Activity),
    /// Somebody joined or left an activity.
    Membership(Membership),
    /// An activity was cancelled.
    ActivityGone(Id),
}

/// A change and its cluster time.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) time: u64,
    pub(crate) kind: Kind<'a>,
}

/// What the server sends: inserts, and those updates that mean something to clients. Updates of views (a
/// conversation's last message) and read cursors that only begin never leave it.
pub(crate) fn filter() -> Document {
    let changed = |collection: &str, fields: &[&str]| {
        let any: Vec<Document> = fields
            .iter()
            .map(|field| doc! { format!("updateDescription.updatedFields.{field}"): { "$exists": true } })
            .collect();
        doc! { "operationType": "update", "ns.coll": collection, "$or": any }
    };
    let members = doc! {
        "operationType": "update", "ns.coll": name::ACTIVITIES,
        "updateDescription.updatedFields.change.kind": { "$in": ["join", "leave"] },
    };
    let watched =
        [name::MESSAGES, name::CONVERSATIONS, name::USERS, name::READS, name::ACTIVITIES].as_slice();
    doc! {
        "ns.coll": { "$in": watched },
        "$or": [
            { "operationType": "insert", "ns.coll": { "$ne": name::READS } },
            { "operationType": "insert", "ns.coll": name::READS, "fullDocument.last": { "$exists": true } },
            changed(name::READS, &["last"]),
            changed(name::MESSAGES, &["change"]),
            changed(name::CONVERSATIONS, &["change", "blockRev"]),
            changed(name::USERS, &["name", "avatar", "status", "lastSeen", "generation"]),
            members,
            {
                "operationType": { "$in": ["replace", "delete"] },
                "ns.coll": { "$nin": [name::MESSAGES, name::READS] },
            },
        ],
    }
}

/// When a change was written to the oplog, by the server's clock. Of everything in one transaction or batch the same.
pub(crate) fn committed(event: &RawDocument) -> Option<UnixMicros> {
    let millis = event.get_datetime("wallTime").ok()?.timestamp_millis();
    Some(UnixMicros::from_micros(millis.saturating_mul(1_000)))
}

/// The collection that a change is of; empty if it says none.
pub(crate) fn collection(event: &RawDocument) -> &str {
    event.get_document("ns").and_then(|namespace| namespace.get_str("coll")).unwrap_or_default()
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
        let kind = match event.get_str("operationType")? {
            "insert" => Kind::inserted(collection, event.get_document("fullDocument")?)?,
            "replace" => Kind::replaced(collection, event.get_document("fullDocument")?)?,
            "update" => Kind::updated(collection, event)?,
            "delete" => Kind::deleted(collection, event)?,
            _ => None,
        };
        Ok(kind.map(|kind| Self { time, kind }))
    }
}

impl<'a> Kind<'a> {
    fn inserted(collection: &str, document: &'a RawDocument) -> Result<Option<Self>, StreamError> {
        Ok(Some(match collection {
            name::MESSAGES => Self::Message(Message::parse(document)?),
            name::CONVERSATIONS => {
                Self::ConversationMade(id(document, "_id")?, Conversation::parse(document)?)
            }
            name::READS => {
                Self::Read(Read::parse(document.get_document("_id")?, document.get_document("last")?)?)
            }
            _ => return Self::replaced(collection, document),
        }))
    }

    fn replaced(collection: &str, document: &RawDocument) -> Result<Option<Self>, StreamError> {
        let id = || id(document, "_id");
        Ok(Some(match collection {
            name::CONVERSATIONS => Self::ConversationReplaced(id()?, Conversation::parse(document)?),
            name::USERS => Self::UserMade(id()?, Summary::parse(document)?),
            name::ACTIVITIES => Self::ActivityMade(id()?, Activity::parse(document)?),
            _ => return Ok(None),
        }))
    }

    fn updated(collection: &str, event: &'a RawDocument) -> Result<Option<Self>, StreamError> {
        let fields = event.get_document("updateDescription")?.get_document("updatedFields")?;
        Ok(match collection {
            name::MESSAGES => MessageChange::parse(key(event)?, fields)?.map(Self::MessageChanged),
            name::READS => {
                let key = event.get_document("documentKey")?.get_document("_id")?;
                Some(Self::Read(Read::parse(key, fields.get_document("last")?)?))
            }
            name::CONVERSATIONS if fields.get("change")?.is_some() => {
                let change = ConversationChange::parse(fields.get_document("change")?)?;
                Some(Self::ConversationChanged(key(event)?, change))
            }
            name::CONVERSATIONS => Some(Self::BlocksChanged(key(event)?)),
            name::USERS => Some(Self::UserChanged(key(event)?, UserChange::parse(fields)?)),
            name::ACTIVITIES => {
                Membership::parse(key(event)?, fields.get_document("change")?)?.map(Self::Membership)
            }
            _ => None,
        })
    }

    fn deleted(collection: &str, event: &RawDocument) -> Result<Option<Self>, StreamError> {
        Ok(Some(match collection {
            name::CONVERSATIONS => Self::ConversationGone(key(event)?),
            name::USERS => Self::UserGone(key(event)?),
            name::ACTIVITIES => Self::ActivityGone(key(event)?),
            _ => return Ok(None),
        }))
    }
}

fn key(event: &RawDocument) -> Result<Id, StreamError> {
    id(event.get_document("documentKey")?, "_id")
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;
    use mongodb::bson::{DateTime, RawBson, RawDocumentBuf, Timestamp, rawdoc};

    use super::*;

    fn event(
        operation: &str,
        collection: &str,
        key: impl Into<RawBson>,
        rest: RawDocumentBuf,
    ) -> RawDocumentBuf {
        rawdoc! {
            "operationType": operation, "ns": { "db": "x", "coll": collection }, "documentKey": { "_id": key.into() },
            "clusterTime": Timestamp { time: 7, increment: 2 }, "fullDocument": rest.clone(),
            "updateDescription": { "updatedFields": rest },
        }
    }

    #[test]
    fn a_cursor_that_is_made_or_moved_says_who_read_what() {
        let (c, u, message, sender) = (ObjectId::new(), ObjectId::new(), ObjectId::new(), ObjectId::new());
        let last =
            rawdoc! { "seq": 3_i64, "at": DateTime::from_millis(5), "messageId": message, "sender": sender };
        for operation in ["insert", "update"] {
            let key = rawdoc! { "c": c, "u": u };
            let rest = rawdoc! { "_id": key.clone(), "seq": 3_i64, "last": last.clone() };
            let event = event(operation, name::READS, key, rest);
            let change = Change::parse(&event).unwrap().unwrap();
            let Kind::Read(read) = change.kind else { panic!("{change:?}") };
            assert_eq!(change.time, 7 << 32 | 2);
            assert_eq!(
                [read.conversation, read.reader, read.message, read.sender].map(store::convert::oid),
                [c, u, message, sender]
            );
            assert_eq!((read.seq, read.at.millis()), (3, 5));
        }
    }

    #[test]
    fn an_edit_that_says_the_same_and_an_update_of_an_activity_are_told_from_others() {
        let (id, at) = (ObjectId::new(), DateTime::from_millis(5));
        let parse = |collection: &str, rest: RawDocumentBuf| {
            let event = event("update", collection, id, rest);
            format!("{:?}", Change::parse(&event).unwrap().map(|change| change.kind))
        };
        let change = |kind: &str| {
            rawdoc! {
                "kind": kind, "conversationId": id, "seq": 1, "sender": id, "createdAt": at, "at": at, "user": id,
            }
        };
        let edited = parse(name::MESSAGES, rawdoc! { "change": change("edit"), "content": "x" });
        assert!(edited.contains("Now(\"x\")"), "{edited}");
        assert!(parse(name::MESSAGES, rawdoc! { "change": change("edit") }).contains("Same"));
        assert!(parse(name::MESSAGES, rawdoc! { "change": change("delete") }).contains("Deleted"));
        assert!(parse(name::ACTIVITIES, rawdoc! { "change": change("join") }).contains("joined: true"));
        assert_eq!(parse(name::ACTIVITIES, rawdoc! { "change": change("update") }), "None");
        assert!(parse(name::CONVERSATIONS, rawdoc! { "blockRev": 3_i64 }).contains("BlocksChanged"));
        // Written by hand, a number has 32 bits: a session ends all the same.
        assert!(parse(name::USERS, rawdoc! { "generation": 4 }).contains("generation: Some(4)"));
    }
}
