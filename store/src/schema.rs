//! What the database must look like, and how it comes to look like that: collections with validators, indexes, and a
//! schema version with the steps that lead to it.
//!
//! | module | holds |
//! |---|---|
//! | `validator` | the collections, each with what its documents must look like |
//! | `version` | the version that a database has, and the lock under which it is raised |
//! | `migration` | the steps from version to version, and who takes them |
//! | `early` | the step that fills in what the earliest documents lack |

mod early;
mod migration;
mod validator;
mod version;

use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{ValidationAction, ValidationLevel};
use mongodb::results::CollectionSpecification;
use tokio::time::{Instant, sleep};

use crate::command::Command;
use crate::connect::majority;
use crate::error::{INDEX_BUILD, NAMESPACE_EXISTS};
use crate::{Store, StoreError, index};

pub use migration::VERSION;
use validator::Collection;

/// How long a node waits at most for another that brings the database to the newest version. Filling in a field of a
/// hundred million documents may take as long.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// How often a node looks whether another has come to an end.
const INTERVAL: Duration = Duration::from_millis(200);

impl Store {
    /// Makes the database what this program expects: migrations that have not been run, then collections, validators
    /// and indexes that are missing or have changed. Any number of nodes may do so at the same time, and every start
    /// does it again; on a database that is as it should be, nothing is changed.
    ///
    /// Where documents have to be migrated one node does it, and the others wait for it. Where an index is missing
    /// on a collection with data, it takes as long as building it takes.
    ///
    /// # Errors
    ///
    /// [`StoreError::NewerSchema`] when the database belongs to a newer program; [`StoreError::Migrating`] when another
    /// node does not come to an end with its migration; when MongoDB is away; when an index of the same name but
    /// another definition exists, or a unique one cannot be built.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        self.prepare_within(PATIENCE).await
    }

    /// Does what [`Store::prepare`] does, but waits for another node's migration no longer than `patience`.
    ///
    /// # Errors
    ///
    /// As [`Store::prepare`].
    pub async fn prepare_within(&self, patience: Duration) -> Result<(), StoreError> {
        let began = Instant::now();
        let collections = validator::collections();
        let there = self.existing(collections.iter().map(|collection| collection.name).collect()).await?;
        // A database without any of them is at the newest version from the start. It is told before the first
        // of them is made, so that nobody ever takes it for an old one.
        let first = if there.is_empty() { VERSION } else { version::EARLIEST };
        if version::of(self, first).await? != VERSION {
            migration::run(self, patience).await?;
        }
        let made = collections.iter().map(|collection| {
            let there = there.iter().find(|there| there.name == collection.name);
            self.prepare_collection(collection, there, || began.elapsed() < patience)
        });
        try_join_all(made).await.map(drop)
    }

    /// Those of these collections that are there. One command.
    async fn existing(&self, names: Vec<&str>) -> Result<Vec<CollectionSpecification>, StoreError> {
        let listing = self.database().list_collections().filter(doc! {"name": {"$in": names}});
        self.run(Command::Other, async { listing.await?.try_collect().await }).await
    }

    async fn prepare_collection(
        &self,
        collection: &Collection,
        there: Option<&CollectionSpecification>,
        patient: impl Fn() -> bool,
    ) -> Result<(), StoreError> {
        let indexes = index::of(collection.name);
        match (there, &collection.validator) {
            (Some(there), Some(validator)) if !has(there, validator) => {
                self.set_validator(collection.name, validator, patient).await?;
            }
            (Some(_), _) => {}
            // The first index makes it.
            (None, None) if !indexes.is_empty() => {}
            (None, validator) => self.make_collection(collection.name, validator.as_ref()).await?,
        }
        if !indexes.is_empty() {
            // Not bounded: on a collection with data this takes its time.
            self.database().collection::<Document>(collection.name).create_indexes(indexes).await?;
        }
        Ok(())
    }

    async fn make_collection(&self, name: &str, validator: Option<&Document>) -> Result<(), StoreError> {
        let mut create = self.database().create_collection(name);
        if let Some(validator) = validator {
            create = create
                .validator(validator.clone())
                .validation_level(ValidationLevel::Moderate)
                .validation_action(ValidationAction::Error);
        }
        match self.run(Command::Other, create).await {
            // Another node was first, and made the same.
            Err(StoreError::Fault(error)) if has_code(&error, NAMESPACE_EXISTS) => Ok(()),
            result => result,
        }
    }

    /// Has the collection's documents checked from now on. Documents that are there and are not valid can still be
    /// changed.
    ///
    /// MongoDB refuses while an index is being built. If another node builds it, that node has set the validator
    /// before.
    async fn set_validator(
        &self,
        name: &str,
        validator: &Document,
        patient: impl Fn() -> bool,
    ) -> Result<(), StoreError> {
        let command = doc! {
            "collMod": name,
            "validator": validator.clone(),
            "validationLevel": "moderate",
            "validationAction": "error",
            "writeConcern": majority(),
        };
        loop {
            match self.run(Command::Other, self.database().run_command(command.clone())).await {
                Err(StoreError::Fault(error)) if has_code(&error, INDEX_BUILD) && patient() => {}
                result => {
                    result?;
                    tracing::info!(
                        collection = name,
                        "documents are checked against a new schema from now on"
                    );
                    return Ok(());
                }
            }
            if self.existing(vec![name]).await?.first().is_some_and(|there| has(there, validator)) {
                return Ok(());
            }
            sleep(INTERVAL).await;
        }
    }
}

/// Whether a collection has this validator, set as we set it.
fn has(there: &CollectionSpecification, validator: &Document) -> bool {
    let options = &there.options;
    options.validator.as_ref() == Some(validator)
        && matches!(options.validation_level, Some(ValidationLevel::Moderate))
        && matches!(options.validation_action, Some(ValidationAction::Error))
}

fn has_code(error: &mongodb::error::Error, code: i32) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if command.code == code)
}
