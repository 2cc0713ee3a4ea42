//! The version that a database has, and the lock under which it is raised: one document of [`crate::name::META`].
//!
//! The lock's times are the server's (`$$NOW`), as those of [`crate::lease`] are. Whatever its holder writes here is
//! filtered on being the holder, so one that was too slow cannot undo what its successor has done.

use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;

use super::migration::VERSION;
use crate::command::{Command, Commands};
use crate::{Store, StoreError, name};

/// The version of a database from before there were versions.
pub(super) const EARLIEST: i64 = 0;
/// A holder that does not renew the lock for so long has died, and another takes over.
const TTL: Duration = Duration::from_secs(30);
/// How often the lock is renewed: two renewals may fail.
const RENEWAL: Duration = Duration::from_secs(10);

const SCHEMA: &str = "schema";

/// The version of a database; one that has none is given `first`. One command.
///
/// # Errors
///
/// [`StoreError::NewerSchema`], and when the database does not answer.
pub(super) async fn of(store: &Store, first: i64) -> Result<i64, StoreError> {
    let meta = meta(store);
    let ask = async || {
        let asked = meta
            .find_one_and_update(doc! {"_id": SCHEMA}, doc! {"$setOnInsert": {"version": first}})
            .upsert(true)
            .return_document(ReturnDocument::After);
        store.run(Command::FindAndModify, asked).await
    };
    let document = match ask().await {
        // Two first askers raced to make the document; now it is there.
        Err(error) if error.is_duplicate() => ask().await?,
        result => result?,
    };
    known(document.as_ref())
}

/// The version that the document tells, unless it is one of a newer program.
fn known(document: Option<&Document>) -> Result<i64, StoreError> {
    let number = |document: &Document| {
        document.get_i64("version").or_else(|_| document.get_i32("version").map(i64::from)).ok()
    };
    match document.and_then(number).unwrap_or(EARLIEST) {
        found if found > VERSION => Err(StoreError::NewerSchema { found, known: VERSION }),
        found => Ok(found),
    }
}

fn meta(store: &Store) -> Collection<Document> {
    store.database().collection(name::META)
}

/// The right to raise the version, while it lasts.
pub(super) struct Lock {
    meta: Collection<Document>,
    commands: Commands,
    holder: ObjectId,
}

impl Lock {
    /// Takes the lock, unless somebody holds it. Returns it with the version that the database has now. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError::NewerSchema`], and when the database does not answer.
    pub(super) async fn acquire(store: &Store) -> Result<Option<(Self, i64)>, StoreError> {
        let (meta, holder) = (meta(store), ObjectId::new());
        // A lock that is not there has no time, and nothing is less than any time.
        let free = doc! {"_id": SCHEMA, "$expr": {"$lte": ["$lock.expiresAt", "$$NOW"]}};
        let take = doc! {"$set": {"lock": {"holder": holder, "expiresAt": expiry()}}};
        let taken = meta.find_one_and_update(free, vec![take]).return_document(ReturnDocument::After);
        let Some(document) = store.run(Command::FindAndModify, taken).await? else { return Ok(None) };
        let lock = Self { meta, commands: store.commands.clone(), holder };
        match known(Some(&document)) {
            Ok(version) => Ok(Some((lock, version))),
            Err(error) => {
                lock.release().await;
                Err(error)
            }
        }
    }

    /// Does `work` while holding the lock. `None` if the lock is lost meanwhile: then the work is dropped where it
    /// stands, for somebody else does it.
    pub(super) async fn hold<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let lost = async {
            loop {
                tokio::time::sleep(RENEWAL).await;
                // Where there is no answer the lock may still be held; the next renewal will tell.
                if matches!(self.renew().await, Ok(false)) {
                    return;
                }
            }
        };
        tokio::select! {
            done = work => Some(done),
            () = lost => None,
        }
    }

    async fn renew(&self) -> Result<bool, StoreError> {
        self.change(vec![doc! {"$set": {"lock.expiresAt": expiry()}}]).await
    }

    /// Notes that the database has this version now. False if the lock is lost, and nothing was noted.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub(super) async fn raise(&self, version: i64) -> Result<bool, StoreError> {
        self.change(vec![doc! {"$set": {"version": version}}]).await
    }

    /// Gives the lock back, so that nobody has to wait for it to run out. If that fails they wait.
    pub(super) async fn release(self) {
        if let Err(error) = self.change(vec![doc! {"$unset": "lock"}]).await {
            tracing::debug!(%error, "the lock of the schema was not given back");
        }
    }

    async fn change(&self, change: Vec<Document>) -> Result<bool, StoreError> {
        let mine = doc! {"_id": SCHEMA, "lock.holder": self.holder};
        Ok(self.commands.run(Command::Update, self.meta.update_one(mine, change)).await?.matched_count == 1)
    }
}

/// When a lock that is taken or renewed now runs out.
fn expiry() -> Document {
    doc! {"$add": ["$$NOW", TTL.as_millis() as i64]}
}
