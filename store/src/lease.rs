//! The streamer's lease: at most one streamer is active, and a deposed one cannot overwrite its successor's
//! resume point.
//!
//! Times are the server's (`$$NOW`), so the clocks of streamer hosts do not matter. Every acquisition raises
//! `term`; whatever the holder writes is filtered on its term.

use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::options::ReturnDocument;

use crate::command::{Command, Commands};
use crate::{Store, StoreError};

/// The collection.
pub const LEASES: &str = "leases";
const STREAMER: &str = "streamer";

/// A lease that is held.
#[derive(Debug, Clone)]
pub struct Lease {
    leases: Collection<Document>,
    commands: Commands,
    /// Rises with every acquisition.
    pub term: i64,
}

/// Where the last holder stood: everything up to `time` was published.
#[derive(Debug, Clone)]
pub struct ResumePoint {
    /// The change stream's token.
    pub token: RawDocumentBuf,
    /// The cluster time that the token stands for; complete, never half of a transaction.
    pub time: u64,
}

impl Lease {
    /// Takes the lease for `holder` if nobody holds it or its time has run out.
    ///
    /// # Errors
    ///
    /// When the database does not answer. `Ok(None)` means that somebody else holds it.
    pub async fn acquire(
        store: &Store,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<(Self, Option<ResumePoint>)>, StoreError> {
        let (leases, commands) = (store.database().collection::<Document>(LEASES), store.commands.clone());
        let take = async || {
            let update = leases
                .find_one_and_update(
                    doc! { "_id": STREAMER, "$or": [
                        { "$expr": { "$lte": ["$expiresAt", "$$NOW"] } },
                        { "expiresAt": { "$exists": false } },
                    ] },
                    vec![doc! { "$set": {
                        "holder": holder,
                        "term": { "$add": ["$term", Bson::Int64(1)] },
                        "expiresAt": { "$add": ["$$NOW", ttl.as_millis() as i64] },
                    } }],
                )
                .return_document(ReturnDocument::After);
            commands.run(Command::FindAndModify, update).await
        };
        let mut taken = take().await?;
        if taken.is_none() {
            // Held, or never held: MongoDB takes no `$expr` in an upsert, so the first holder makes the document.
            match commands
                .run(Command::Insert, leases.insert_one(doc! { "_id": STREAMER, "term": 0_i64 }))
                .await
            {
                Ok(_) => taken = take().await?,
                Err(StoreError::Duplicate(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let Some(document) = taken else { return Ok(None) };
        let term = document.get_i64("term").unwrap_or(1);
        Ok(Some((Self { leases, commands, term }, resume_point(&document))))
    }

    /// Holds the lease for another `ttl`.
    ///
    /// # Errors
    ///
    /// When the database does not answer. `Ok(false)` means that the lease is lost.
    pub async fn renew(&self, ttl: Duration) -> Result<bool, StoreError> {
        let expires = doc! { "$set": { "expiresAt": { "$add": ["$$NOW", ttl.as_millis() as i64] } } };
        Ok(self
            .commands
            .run(Command::Update, self.leases.update_one(self.mine(), vec![expires]))
            .await?
            .matched_count
            == 1)
    }

    /// Remembers where the stream stands.
    ///
    /// # Errors
    ///
    /// When the database does not answer. `Ok(false)` means that the lease is lost and nothing was written.
    pub async fn save(&self, point: &ResumePoint) -> Result<bool, StoreError> {
        let set = doc! { "$set": {
            "token": Document::try_from(point.token.as_ref())?,
            // Kept as a number: seconds in the upper half, increment in the lower.
            "clusterTime": point.time as i64,
        } };
        Ok(self.commands.run(Command::Update, self.leases.update_one(self.mine(), set)).await?.matched_count
            == 1)
    }

    /// Forgets where the stream stood, for it cannot be resumed there: whoever comes next begins at the present.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn forget(&self) -> Result<(), StoreError> {
        let unset = doc! { "$unset": { "token": "", "clusterTime": "" } };
        self.commands.run(Command::Update, self.leases.update_one(self.mine(), unset)).await.map(drop)
    }

    /// Gives the lease back, so that the next streamer need not wait for it to run out.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn release(&self) -> Result<(), StoreError> {
        let unset = doc! { "$unset": { "expiresAt": "" } };
        self.commands.run(Command::Update, self.leases.update_one(self.mine(), unset)).await.map(drop)
    }

    fn mine(&self) -> Document {
        doc! { "_id": STREAMER, "term": self.term }
    }
}

fn resume_point(document: &Document) -> Option<ResumePoint> {
    let token = RawDocumentBuf::try_from(document.get_document("token").ok()?).ok()?;
    Some(ResumePoint { token, time: document.get_i64("clusterTime").ok()? as u64 })
}
