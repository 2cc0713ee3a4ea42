//! MongoDB: the documents, collections, indexes and queries of LinkUp.
//!
//! | module | holds |
//! |---|---|
//! | [`connect`] | how a [`Store`] comes to be: driver settings, and what a failure says |
//! | [`error`] | [`StoreError`]: away, duplicate or fault |
//! | `command` | how long commands take, and how many fail |
//! | `pool` | what the driver says of its connections |
//! | [`health`] | whether MongoDB takes writes |
//! | [`status`] | what MongoDB says of itself: members, oplog, load |
//! | [`convert`] | LinkUp's identifiers and times to and from BSON |
//! | [`document`] | the documents as they are stored |
//! | [`index`] | the collections' indexes, each with the query it serves |
//! | [`user`], [`friend`], [`conversation`], [`message`], [`read`], [`activity`] | the queries, as methods of [`Store`] |
//! | [`schema`] | collections with their validators, the schema's version and its migrations: [`Store::prepare`] |
//! | [`presence`] | who is connected, by gateway, and gateways that fell silent |
//! | [`probe`] | the accounts of probes, which nobody else sees, and their messages |
//! | [`upload`] | uploaded files, written and read in pieces |
//! | `write` | many updates in one command |
//! | [`password`] | hashes of passwords, which never leave this crate |
//! | [`lease`] | the streamer's lease and resume point |
//! | [`stream`] | the change stream, and documents as they were |

pub mod activity;
mod command;
pub mod connect;
pub mod conversation;
pub mod convert;
pub mod document;
pub mod error;
pub mod friend;
pub mod health;
pub mod index;
pub mod lease;
pub mod message;
pub mod password;
mod pool;
pub mod presence;
pub mod probe;
pub mod read;
pub mod schema;
pub mod status;
pub mod stream;
pub mod upload;
pub mod user;
mod write;

use std::future::IntoFuture;
use std::time::Duration;

use mongodb::{Client, Collection, Database};

use command::{Command, Commands};

pub use error::StoreError;
pub use mongodb::bson;

/// Names of the collections.
pub mod name {
    /// [`crate::document::User`].
    pub const USERS: &str = "users";
    /// [`crate::document::Conversation`].
    pub const CONVERSATIONS: &str = "conversations";
    /// [`crate::document::Message`].
    pub const MESSAGES: &str = "messages";
    /// [`crate::document::ReadCursor`].
    pub const READS: &str = "reads";
    /// [`crate::document::Activity`].
    pub const ACTIVITIES: &str = "activities";
    /// [`crate::presence::Standing`].
    pub const PRESENCE: &str = "presence";
    /// When each gateway was last heard of: see [`crate::Store::beat`].
    pub const GATEWAYS: &str = "gateways";
    /// What is known of the database itself: its schema's version.
    pub const META: &str = "meta";
    /// The GridFS bucket of uploaded files: `uploads.files` and `uploads.chunks`.
    pub const UPLOADS: &str = "uploads";
    pub use crate::lease::LEASES;
}

/// How long one command may take. The driver has no socket timeout of its own, so without this bound a server
/// that vanished without a word would hold its caller until TCP gives up.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to MongoDB and the database in it. Cheap to clone; clones share one pool.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    database: Database,
    commands: Commands,
}

impl Store {
    /// The driver's client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The database that the URI named, or `linkup`.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Awaits a driver action as [`bounded`] does, and measures it.
    pub(crate) async fn run<T>(
        &self,
        command: Command,
        action: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T, StoreError> {
        self.commands.run(command, action).await
    }

    /// [`name::USERS`].
    #[must_use]
    pub fn users(&self) -> Collection<document::User> {
        self.database.collection(name::USERS)
    }

    /// [`name::CONVERSATIONS`].
    #[must_use]
    pub fn conversations(&self) -> Collection<document::Conversation> {
        self.database.collection(name::CONVERSATIONS)
    }

    /// [`name::MESSAGES`].
    #[must_use]
    pub fn messages(&self) -> Collection<document::Message> {
        self.database.collection(name::MESSAGES)
    }

    /// [`name::ACTIVITIES`].
    #[must_use]
    pub fn activities(&self) -> Collection<document::Activity> {
        self.database.collection(name::ACTIVITIES)
    }

    /// [`name::READS`].
    #[must_use]
    pub fn reads(&self) -> Collection<document::ReadCursor> {
        self.database.collection(name::READS)
    }
}

/// Those of `rows` that can be read as a `T`. One document that somebody wrote past the api must not fail everybody
/// who is asked for in the same command, so it is left out, as if it were not there, and logged.
pub(crate) fn readable<T: serde::de::DeserializeOwned>(
    collection: &'static str,
    rows: &[bson::RawDocumentBuf],
) -> Vec<T> {
    let read = |row: &bson::RawDocumentBuf| match bson::deserialize_from_slice(row.as_bytes()) {
        Ok(read) => Some(read),
        Err(_) => {
            // Without the error's own words, which quote the document.
            let id = row.get("_id").ok().flatten().map(|id| format!("{id:?}"));
            tracing::warn!(collection, id, "a document was left out: it is not as LinkUp writes it");
            None
        }
    };
    rows.iter().filter_map(read).collect()
}

/// Awaits a driver action for at most [`COMMAND_TIMEOUT`] and sorts its error.
///
/// # Errors
///
/// [`StoreError::TimedOut`] when the time is up; otherwise the action's own error, sorted.
pub async fn bounded<T>(
    action: impl IntoFuture<Output = mongodb::error::Result<T>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(COMMAND_TIMEOUT, action.into_future()).await {
        Ok(result) => result.map_err(StoreError::from),
        Err(_) => Err(StoreError::TimedOut),
    }
}

#[cfg(test)]
mod tests {
    use bson::{doc, serialize_to_raw_document_buf};
    use protocol::Id;

    use super::*;

    #[test]
    fn a_row_that_cannot_be_read_costs_nobody_else_theirs() {
        let good = Id::mint();
        let rows = [
            doc! {"_id": convert::oid(Id::mint()), "name": 7},
            doc! {"name": "nobody"},
            doc! {"_id": convert::oid(good), "name": "Ada"},
        ];
        let rows = rows.map(|row| serialize_to_raw_document_buf(&row).unwrap());
        let read: Vec<document::Profile> = readable(name::USERS, &rows);
        assert_eq!(read.iter().map(|profile| profile.id).collect::<Vec<_>>(), [good]);
    }
}
