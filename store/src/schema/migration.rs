//! The steps from version to version, and who takes them.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use super::version::{self, Lock};
use super::{INTERVAL, early};
use crate::{Store, StoreError};

/// One step. A node may die in the middle of it, and another then begins it anew: it must be right to take a step
/// twice, and to take one half.
struct Migration {
    /// The version that the database has afterwards.
    version: i64,
    /// What it does, for the log.
    name: &'static str,
    run: for<'a> fn(&'a Store) -> Step<'a>,
}

type Step<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

/// All steps, in order. What was released stays as it is; what is to be changed about it is a new step.
const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "fields that the earliest documents lack",
    run: |store| Box::pin(early::fill(store)),
}];

/// The version of the schema that this program works with.
pub const VERSION: i64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// How an attempt ended.
enum Attempt {
    /// The database has the newest version.
    Done,
    /// Somebody else took over the lock.
    Lost,
}

/// Brings the database to [`VERSION`], or waits until another node has done it, for at most `patience`.
///
/// # Errors
///
/// [`StoreError::Migrating`], [`StoreError::NewerSchema`], and whatever the database says.
pub(super) async fn run(store: &Store, patience: Duration) -> Result<(), StoreError> {
    let began = Instant::now();
    let mut told = false;
    while version::of(store, version::EARLIEST).await? < VERSION {
        if let Some((lock, version)) = Lock::acquire(store).await? {
            let attempt = lock.hold(migrate(store, &lock, version)).await;
            lock.release().await;
            match attempt.unwrap_or(Ok(Attempt::Lost))? {
                Attempt::Done => return Ok(()),
                Attempt::Lost => tracing::warn!("another node has taken over the migration"),
            }
        }
        if began.elapsed() >= patience {
            return Err(StoreError::Migrating { version: VERSION, waited: patience });
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!(version = VERSION, "waiting for another node that migrates the database");
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(())
}

/// Takes the steps that lead from `version` to the newest.
async fn migrate(store: &Store, lock: &Lock, version: i64) -> Result<Attempt, StoreError> {
    for step in MIGRATIONS.iter().filter(|step| step.version > version) {
        tracing::info!(version = step.version, name = step.name, "migrating the database");
        let began = Instant::now();
        (step.run)(store).await?;
        if !lock.raise(step.version).await? {
            return Ok(Attempt::Lost);
        }
        let seconds = began.elapsed().as_secs_f64();
        tracing::info!(version = step.version, seconds, "the database has been migrated");
    }
    Ok(Attempt::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_from_one() {
        let versions: Vec<i64> = MIGRATIONS.iter().map(|step| step.version).collect();
        assert_eq!(versions, (1..=VERSION).collect::<Vec<_>>());
    }
}
