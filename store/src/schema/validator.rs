//! The collections, each with what its documents must look like.
//!
//! A validator is the second line: the api has checked what clients say, and this refuses what a mistake in a query, or
//! somebody who writes past the api, would make of the data. It says what [`crate::document`] says. What may be missing
//! there, because an earlier program did not write it, may be missing here, so that nodes of two versions can work side
//! by side; fields that are not named are nobody's business.

use mongodb::bson::{Bson, Document, doc};
use protocol::body::{ActivityType, ContentType, Privacy};
use protocol::command::Presence;

use crate::activity::MAX_PARTICIPANTS;
use crate::friend::{MAX_BLOCKED, MAX_FRIENDS};
use crate::read::MARKS;
use crate::user::MAX_INTERESTS;
use crate::{name, upload};

/// What a user can be.
const STATUSES: [&str; 3] = [Presence::Online.as_str(), Presence::Away.as_str(), Presence::Offline.as_str()];

/// A collection and what its documents must look like.
pub(super) struct Collection {
    pub(super) name: &'static str,
    pub(super) validator: Option<Document>,
}

/// All collections.
pub(super) fn collections() -> Vec<Collection> {
    let with = |name, schema: Document| Collection { name, validator: Some(doc! {"$jsonSchema": schema}) };
    let without = |name| Collection { name, validator: None };
    vec![
        with(name::USERS, users()),
        with(name::CONVERSATIONS, conversations()),
        with(name::MESSAGES, messages()),
        with(name::ACTIVITIES, activities()),
        with(name::READS, reads()),
        with(name::PRESENCE, presence()),
        with(name::GATEWAYS, gateways()),
        // What a lease holds is its holder's business.
        without(name::LEASES),
        // The shape of these is given by GridFS.
        without(upload::FILES),
        without(upload::CHUNKS),
    ]
}

fn users() -> Document {
    let settings =
        doc! {"notifications": a("bool"), "privacy": one_of(&texts(Privacy::ALL, Privacy::as_str))};
    object(
        &["username", "name", "nameLower", "terms", "email", "password", "status", "friends", "settings"],
        &["joinedDate", "createdAt", "updatedAt"],
        doc! {
            "_id": a("objectId"),
            "username": filled(),
            "name": filled(),
            "nameLower": a("string"),
            "terms": list(a("string"), None),
            "email": a("string"),
            "password": a("string"),
            "avatar": maybe("string"),
            "status": one_of(&STATUSES),
            "lastSeen": maybe("date"),
            "presenceRev": number(0),
            "friends": list(a("objectId"), Some(MAX_FRIENDS as i64)),
            "blocked": list(a("objectId"), Some(MAX_BLOCKED as i64)),
            "generation": number(0),
            "bio": a("string"),
            "score": whole(),
            "interests": list(a("string"), Some(MAX_INTERESTS as i64)),
            "location": a("string"),
            "occupation": a("string"),
            "joinedDate": a("date"),
            "settings": object(&["notifications", "privacy"], &[], settings),
            "probe": probe(),
            "createdAt": a("date"),
            "updatedAt": a("date"),
        },
    )
}

fn conversations() -> Document {
    let last = doc! {
        "content": a("string"), "sender": a("objectId"), "timestamp": a("date"), "seq": number(1),
    };
    let change = doc! {
        "kind": one_of(&["update", "archive", "reactivate"]),
        "isActive": a("bool"),
        "participants": list(a("objectId"), Some(MAX_PARTICIPANTS)),
        "removed": list(a("objectId"), Some(MAX_PARTICIPANTS)),
        "name": maybe("string"),
        "createdBy": a("objectId"),
        "by": a("objectId"),
        "at": a("date"),
        "rev": number(1),
    };
    object(
        &["type", "participants", "isActive", "rev"],
        &["createdAt", "updatedAt"],
        doc! {
            "_id": a("objectId"),
            "name": maybe("string"),
            "type": one_of(&["direct", "group"]),
            // None are left once everybody has gone.
            "participants": list(a("objectId"), Some(MAX_PARTICIPANTS)),
            "createdBy": a("objectId"),
            "directKey": {"bsonType": "string", "pattern": "^[0-9a-f]{24}:[0-9a-f]{24}$"},
            "activityId": a("objectId"),
            "lastMessage": object(&["content", "sender", "timestamp", "seq"], &[], last),
            "createdAt": a("date"),
            "updatedAt": a("date"),
            "isActive": a("bool"),
            "archivedSeq": number(0),
            "blockedBy": list(a("objectId"), Some(2)),
            "blockRev": number(0),
            "probe": probe(),
            "rev": number(0),
            "change": object(&["kind", "participants", "removed", "by", "at", "rev"], &[], change),
        },
    )
}

/// Tens of thousands of these may be written in a second, so this asks only for what costs next to nothing.
fn messages() -> Document {
    let change =
        doc! {"kind": one_of(&["edit", "delete"]), "seq": number(1), "at": a("date"), "rev": number(1)};
    object(
        &["conversationId", "seq", "sender", "content", "contentType", "isDeleted"],
        &["createdAt", "updatedAt"],
        doc! {
            "_id": a("objectId"),
            "conversationId": a("objectId"),
            "seq": {"bsonType": "long", "minimum": 1_i64},
            "sender": a("objectId"),
            // Empty beside an attachment, and once it is deleted.
            "content": a("string"),
            "contentType": one_of(&texts(ContentType::ALL, ContentType::as_str)),
            "attachmentUrl": a("string"),
            "clientMessageId": a("string"),
            "createdAt": a("date"),
            "updatedAt": a("date"),
            "editedAt": a("date"),
            "isDeleted": a("bool"),
            "change": object(&["kind", "seq", "at", "rev"], &[], change),
        },
    )
}

fn activities() -> Document {
    let change = doc! {"kind": one_of(&["join", "leave", "update"]), "user": a("objectId"), "at": a("date")};
    let mut people = list(a("objectId"), Some(MAX_PARTICIPANTS));
    // The host always takes part.
    people.insert("minItems", 1);
    object(
        &["hostId", "title", "activityType", "dateTime", "duration", "maxParticipants", "participants"],
        &["createdAt", "updatedAt"],
        doc! {
            "_id": a("objectId"),
            "hostId": a("objectId"),
            "title": filled(),
            "description": a("string"),
            "activityType": one_of(&texts(ActivityType::ALL, ActivityType::as_str)),
            "locationType": a("string"),
            "dateTime": a("date"),
            "duration": number(1),
            "maxParticipants": number(1),
            "participants": people,
            "conversationId": a("objectId"),
            "createdAt": a("date"),
            "updatedAt": a("date"),
            "change": object(&["kind", "user", "at"], &[], change),
        },
    )
}

fn reads() -> Document {
    let key = doc! {"c": a("objectId"), "u": a("objectId")};
    let mark = doc! {"seq": number(0), "at": a("date")};
    let last = doc! {
        "seq": number(1), "at": a("date"), "messageId": a("objectId"), "sender": a("objectId"),
    };
    object(
        &["seq"],
        &[],
        doc! {
            "_id": object(&["c", "u"], &[], key),
            "seq": number(0),
            "from": number(0),
            "marks": list(object(&["seq", "at"], &[], mark), Some(i64::from(MARKS))),
            "last": object(&["seq", "at", "messageId", "sender"], &[], last),
        },
    )
}

/// As many of these are written as people come and go.
fn presence() -> Document {
    let entry = object(&["v", "s"], &[], doc! {"v": number(0), "s": one_of(&STATUSES)});
    object(
        &["g", "nodes", "status", "rev", "at"],
        &[],
        doc! {
            "_id": a("objectId"),
            "g": {"bsonType": "object", "additionalProperties": entry},
            "nodes": list(a("string"), None),
            "status": one_of(&STATUSES),
            "rev": number(1),
            "at": a("date"),
        },
    )
}

fn gateways() -> Document {
    object(
        &["at", "alive"],
        &[],
        doc! {"_id": a("objectId"), "at": a("date"), "alive": a("bool"), "epoch": a("long")},
    )
}

/// A value of this BSON type.
fn a(bson_type: &str) -> Document {
    doc! {"bsonType": bson_type}
}

/// A value of this BSON type, or null.
fn maybe(bson_type: &str) -> Document {
    doc! {"bsonType": [bson_type, "null"]}
}

/// The name of a probe.
fn probe() -> Document {
    doc! {"bsonType": "string", "pattern": "^[A-Za-z0-9-]{1,32}$"}
}

/// A text that is not empty.
fn filled() -> Document {
    doc! {"bsonType": "string", "minLength": 1}
}

/// The texts of a declared choice.
fn texts<T: Copy>(all: &[T], text: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| text(*one)).collect()
}

fn one_of(texts: &[&str]) -> Document {
    doc! {"enum": texts}
}

/// A whole number. We write 64 bits, but an update that is written by hand has 32.
fn whole() -> Document {
    doc! {"bsonType": ["int", "long"]}
}

/// A whole number that is not less than `least`.
fn number(least: i64) -> Document {
    doc! {"bsonType": ["int", "long"], "minimum": least}
}

fn list(items: Document, most: Option<i64>) -> Document {
    let mut list = doc! {"bsonType": "array", "items": items};
    if let Some(most) = most {
        list.insert("maxItems", most);
    }
    list
}

/// A document that has `required` and `also`, and what of `properties` it has is so.
fn object(required: &[&str], also: &[&str], properties: Document) -> Document {
    let required: Vec<Bson> = required.iter().chain(also).map(|field| Bson::from(*field)).collect();
    doc! {"bsonType": "object", "required": required, "properties": properties}
}
