//! Gateways: their heartbeats, and what becomes of the users of one that fell silent.
//!
//! A gateway's document says when it was last heard of, by the server's clock. What a silent one leaves behind is taken
//! away in steps, each of which can be the last that a node lives to take, and each of which may be taken by several at
//! once: as long as anything is left, so is the gateway's document, and the next sweep goes on.

use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::options::ReturnDocument;
use protocol::command::HEARTBEAT_TIMEOUT_SECS;
use protocol::{Id, Timestamp};
use rustc_hash::FxHashSet;
use serde::Deserialize;

use super::pipeline;
use crate::command::Command;
use crate::connect::majority;
use crate::convert::{oid, stored};
use crate::{COMMAND_TIMEOUT, Store, StoreError, name, readable};

/// How many users of a silent gateway are taken for offline at once.
const BATCH: usize = 256;
/// What a sweep has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many gateways left nothing behind any more.
    pub gateways: u64,
    /// How many users are something else than before.
    pub transitions: u64,
}

/// A gateway's document.
#[derive(Deserialize)]
struct Gateway {
    #[serde(rename = "_id", with = "stored")]
    id: Id,
    /// When it was last heard of.
    #[serde(with = "stored")]
    at: Timestamp,
    /// Whether that is too long ago.
    silent: bool,
}

/// A user whom a gateway has left behind.
#[derive(Deserialize)]
struct Left {
    #[serde(rename = "_id", with = "stored")]
    user: Id,
    /// The version of the gateway's entry. Not there where somebody else wrote the document.
    #[serde(default)]
    version: Option<i64>,
}

impl Store {
    /// [`name::GATEWAYS`].
    #[must_use]
    pub fn gateways(&self) -> Collection<Document> {
        self.database().collection(name::GATEWAYS)
    }

    /// Notes that a gateway lives, and tells which of its lives this is: another number whenever it was not known, or
    /// was taken for dead meanwhile. Then it has to tell everybody's presence again. One command, two where the same
    /// gateway is new to two nodes at once.
    ///
    /// The answer may be lost on its way, and the gateway ask again: it is told the same then.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn beat(&self, gateway: Id) -> Result<i64, StoreError> {
        let goes_on = doc! {"$and": [{"$eq": ["$alive", true]}, {"$isNumber": "$epoch"}]};
        // The time, so that a gateway whose document was removed meanwhile does not begin with a number that it had
        // before.
        let next = doc! {"$max": [{"$add": ["$epoch", 1]}, {"$toLong": "$$NOW"}]};
        let epoch = doc! {"$cond": [goes_on, "$epoch", next]};
        let beat = doc! {"$set": {"epoch": epoch, "at": "$$NOW", "alive": true}};
        let gateways = self.gateways();
        let ask = async || {
            let asked = gateways
                .find_one_and_update(doc! {"_id": oid(gateway)}, vec![beat.clone()])
                .upsert(true)
                .return_document(ReturnDocument::After);
            self.run(Command::FindAndModify, asked).await
        };
        let document = match ask().await {
            Err(error) if error.is_duplicate() => ask().await?,
            result => result?,
        };
        Ok(document.and_then(|document| document.get_i64("epoch").ok()).unwrap_or_default())
    }

    /// Has the users of gateways that have been silent for [`HEARTBEAT_TIMEOUT_SECS`] be offline there, and removes
    /// what is left of these gateways. Two commands where there is none; otherwise a handful, and six for every few
    /// hundred users.
    ///
    /// # Errors
    ///
    /// [`StoreError`], the first that came. The next sweep goes on.
    pub async fn sweep_gateways(&self) -> Result<Swept, StoreError> {
        let gateways = self.all_gateways().await?;
        self.adopt(&gateways).await?;
        let (mut swept, mut problem) = (Swept::default(), None);
        for gateway in gateways.iter().filter(|gateway| gateway.silent) {
            match self.sweep(gateway, &mut swept).await {
                Ok(()) => {}
                Err(error) if error.is_unavailable() => return Err(error),
                // What is the matter with one gateway's users does not keep those of the others online.
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        if gateways.iter().any(|gateway| gateway.silent) {
            self.forget_who_is_nowhere().await?;
        }
        problem.map_or(Ok(swept), Err)
    }

    /// Removes the documents of users who are on no gateway any more. Everybody knows by now what they are.
    async fn forget_who_is_nowhere(&self) -> Result<(), StoreError> {
        // Not `$size`, which no index answers.
        let nowhere = doc! {"nodes": Bson::Array(Vec::new())};
        self.run(Command::Delete, self.presence().delete_many(nowhere)).await.map(drop)
    }

    async fn all_gateways(&self) -> Result<Vec<Gateway>, StoreError> {
        let gateways = self.gateways().clone_with_type::<Gateway>();
        // As many as there are, which is few.
        let action = gateways
            .find(doc! {})
            .sort(doc! {"_id": 1})
            .projection(doc! {"at": 1, "silent": is_silent()})
            .max_time(COMMAND_TIMEOUT);
        self.run(Command::Find, async { action.await?.try_collect().await }).await
    }

    /// Gives a document to gateways that have users and no document: they are new, or tell of users after they were
    /// swept. From now on they have as long as any other to be heard of.
    async fn adopt(&self, known: &[Gateway]) -> Result<(), StoreError> {
        let presence = self.presence();
        let nodes: Vec<Bson> =
            self.run(Command::Other, presence.distinct("nodes", doc! {}).max_time(COMMAND_TIMEOUT)).await?;
        let known: FxHashSet<Id> = known.iter().map(|gateway| gateway.id).collect();
        let strangers = nodes.iter().filter_map(|node| node.as_str()?.parse().ok());
        let strangers = strangers.filter(|id: &Id| !known.contains(id)).map(|id| {
            let document = doc! {
                "at": {"$ifNull": ["$at", "$$NOW"]},
                "alive": {"$ifNull": ["$alive", false]},
            };
            doc! {"q": {"_id": oid(id)}, "u": [{"$set": document}], "upsert": true}
        });
        let updates: Vec<Document> = strangers.collect();
        if updates.is_empty() {
            return Ok(());
        }
        self.update_many_documents(name::GATEWAYS, updates, majority()).await
    }

    async fn sweep(&self, gateway: &Gateway, swept: &mut Swept) -> Result<(), StoreError> {
        // From here on its next heartbeat is told that it was taken for dead.
        let silent = doc! {"_id": oid(gateway.id), "$expr": is_silent()};
        let dead = doc! {"$set": {"alive": false}};
        if self.run(Command::Update, self.gateways().update_one(silent, dead)).await?.matched_count == 0 {
            return Ok(());
        }
        let node = gateway.id.to_string();
        let mut last = Id::from_bytes([0; 12]);
        loop {
            let left = self.left_by(&node, last).await?;
            let Some(end) = left.last() else { break };
            last = end.user;
            // Looked at after the entries were read. If it is dead even now, these are from before it died, for a
            // gateway that lives again tells everybody under new versions only after it has learned that it was dead.
            if !self.is_dead(gateway.id).await? {
                return Ok(());
            }
            swept.transitions += self.take_away(gateway, &node, &left).await?;
        }
        // What came in between, or cannot be taken away, is left to the next sweep.
        if self.left_by(&node, Id::from_bytes([0; 12])).await?.is_empty() {
            let dead = doc! {"_id": oid(gateway.id), "alive": false};
            swept.gateways +=
                self.run(Command::Delete, self.gateways().delete_one(dead)).await?.deleted_count;
        }
        Ok(())
    }

    async fn left_by(&self, node: &str, after: Id) -> Result<Vec<Left>, StoreError> {
        let presence = self.presence().clone_with_type::<RawDocumentBuf>();
        let action = presence
            .find(doc! {"nodes": node, "_id": {"$gt": oid(after)}})
            .sort(doc! {"_id": 1})
            .limit(BATCH as i64)
            .batch_size(BATCH as u32 + 1)
            .projection(doc! {"version": format!("$g.{node}.v")})
            .max_time(COMMAND_TIMEOUT);
        let rows: Vec<RawDocumentBuf> =
            self.run(Command::Find, async { action.await?.try_collect().await }).await?;
        Ok(readable(name::PRESENCE, &rows))
    }

    async fn is_dead(&self, gateway: Id) -> Result<bool, StoreError> {
        let gateways = self.gateways();
        let dead = gateways.find_one(doc! {"_id": oid(gateway), "alive": false});
        Ok(self.run(Command::Find, dead.max_time(COMMAND_TIMEOUT)).await?.is_some())
    }

    /// Has these users be offline on a gateway, and removes the gateway from their documents once everybody knows. How
    /// many are something else than before. Four commands.
    async fn take_away(&self, gateway: &Gateway, node: &str, left: &[Left]) -> Result<u64, StoreError> {
        let users: Vec<Id> = left.iter().map(|left| left.user).collect();
        let absent = |left: &Left| Some(pipeline::absent(left.user, node, left.version?, gateway.at));
        let absent: Vec<Document> = left.iter().filter_map(absent).collect();
        let mut refused = 0;
        if !absent.is_empty() {
            refused += self.update_each(name::PRESENCE, absent, majority()).await?.refused.len();
        }
        let published = self.publish(&users).await?;
        refused += published.refused.len();
        if refused > 0 {
            tracing::warn!(node, refused, "users of a gateway that fell silent cannot be changed");
        }
        // Whose entry was refused is left as they are: it does not say that they are not there.
        let done = left.iter().filter(|left| !published.refused.contains(&left.user));
        let without: Vec<Document> =
            done.map(|left| pipeline::without(left.user, node, left.version)).collect();
        if without.is_empty() {
            return Ok(published.changed);
        }
        self.update_many_documents(name::PRESENCE, without, majority()).await?;
        Ok(published.changed)
    }
}

/// Whether a gateway was last heard of too long ago.
fn is_silent() -> Document {
    let timeout = Duration::from_secs(HEARTBEAT_TIMEOUT_SECS);
    doc! {"$gt": [{"$subtract": ["$$NOW", "$at"]}, millis(timeout)]}
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
