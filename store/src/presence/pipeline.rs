//! The updates of a user's document. Each is one atomic step: an entry changes, and with it what the user is by all of
//! them.

use mongodb::bson::{Bson, Document, doc};
use protocol::command::Presence;
use protocol::{Id, Timestamp};

use super::Delta;
use crate::convert::{date, oid};

/// Enters what a delta says, unless the same or a later version is there.
pub(super) fn entry(delta: &Delta) -> Document {
    let gateway = delta.gateway.to_string();
    let version = i64::try_from(delta.version).unwrap_or(i64::MAX);
    let (entry, known) = (format!("$g.{gateway}"), format!("$g.{gateway}.v"));
    let is_later = doc! {"$lt": [{"$ifNull": [known, -1_i64]}, version]};
    let told = doc! {"v": version, "s": delta.presence.as_str()};
    let nodes = doc! {"$ifNull": ["$nodes", []]};
    let is_there = doc! {"$in": [&gateway, nodes.clone()]};
    let enter = doc! {"$set": {
        format!("g.{gateway}"): {"$cond": [is_later, told, entry]},
        "nodes": {"$cond": [is_there, "$nodes", {"$concatArrays": [nodes, [&gateway]]}]},
    }};
    // A gateway whose clock is ahead does not have people seen in the future.
    let at = doc! {"$min": [date(delta.at), "$$NOW"]};
    // Also of somebody who is offline and has no document: what they were before may still be on its way.
    doc! {"q": {"_id": oid(delta.user)}, "u": [enter, settle(at)], "upsert": true}
}

/// Has a gateway's entry of this version say that the user is not there, since the gateway was last heard of.
pub(super) fn absent(user: Id, gateway: &str, version: i64, heard: Timestamp) -> Document {
    let leave = doc! {"$set": {format!("g.{gateway}.s"): Presence::Offline.as_str()}};
    let at = doc! {"$max": ["$at", date(heard)]};
    doc! {"q": entry_at(user, gateway, Some(version)), "u": [leave, settle(at)]}
}

/// Takes away a gateway's entry of this version that says that the user is not there, or that says nothing.
pub(super) fn without(user: Id, gateway: &str, version: Option<i64>) -> Document {
    let mut entry = entry_at(user, gateway, version);
    entry.insert(format!("g.{gateway}.s"), doc! {"$in": [Presence::Offline.as_str(), Bson::Null]});
    doc! {"q": entry, "u": {"$unset": {format!("g.{gateway}"): ""}, "$pull": {"nodes": gateway}}}
}

fn entry_at(user: Id, gateway: &str, version: Option<i64>) -> Document {
    doc! {"_id": oid(user), format!("g.{gateway}.v"): version}
}

/// Works out what the user is; where that is something else than before, it counts from `at` on, under the next number.
/// Numbers follow the clock, so that they go on rising where a document was removed and is made again.
fn settle(at: Document) -> Document {
    let [online, away, offline] = [Presence::Online, Presence::Away, Presence::Offline].map(Presence::as_str);
    let is = |status: &str| doc! {"$in": [status, "$$entries.v.s"]};
    let best = doc! {"$cond": [is(online), online, {"$cond": [is(away), away, offline]}]};
    let now = doc! {"$toLong": "$$NOW"};
    let next = doc! {"$max": [{"$add": [{"$ifNull": ["$rev", 0_i64]}, 1_i64]}, now]};
    let changed = doc! {"status": "$$best", "rev": next, "at": at};
    let is_same = doc! {"$eq": ["$$best", "$status"]};
    doc! {"$replaceWith": {"$let": {
        "vars": {"entries": {"$objectToArray": "$g"}},
        "in": {"$let": {
            "vars": {"best": best},
            "in": {"$mergeObjects": ["$$ROOT", {"$cond": [is_same, {}, changed]}]},
        }},
    }}}
}
