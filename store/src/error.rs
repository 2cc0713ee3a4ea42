//! What can go wrong with MongoDB, sorted by what a caller can do about it.

use std::time::Duration;

use mongodb::error::{Error, ErrorKind, WriteFailure};
use protocol::Id;

/// MongoDB's code of a unique index that was violated.
pub(crate) const DUPLICATE_KEY: i32 = 11_000;
/// MongoDB's code of a collection that exists already.
pub(crate) const NAMESPACE_EXISTS: i32 = 48;
/// MongoDB's code of a collection that cannot be changed while an index is being built on it.
pub(crate) const INDEX_BUILD: i32 = 12_587;
/// MongoDB's code of a document that its collection's validator refuses.
pub(crate) const NOT_VALID: i32 = 121;

/// Codes of a server that cannot serve just now: unreachable peers, an operation cut short, shutting down, no longer or
/// not yet primary, a cursor that went with it. They pass by themselves, and a write that met one may or may not have
/// taken effect.
pub(crate) const TRANSIENT: [i32; 21] = [
    6, 7, 24, 43, 50, 64, 89, 91, 134, 175, 189, 202, 237, 262, 9_001, 10_058, 10_107, 11_600, 11_602,
    13_435, 13_436,
];

/// An error of MongoDB or on the way to it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URI cannot be read.
    ///
    /// The driver's own words are not shown: they quote what it stumbled over, and that can be half a password.
    #[error(
        "the MongoDB URI cannot be read. It looks like mongodb://host:27017/linkup?replicaSet=rs0; special characters \
         in a user name or password must be percent-encoded"
    )]
    InvalidUri(#[source] Error),
    /// Nothing answered when connecting.
    #[error(
        "MongoDB at {hosts} does not answer: {source}. Check that mongod runs there, that the address and the \
         credentials in MONGODB_URI are right, and that its replica set was initiated"
    )]
    NoAnswer {
        /// Host and port of every member that the URI names.
        hosts: String,
        /// What the driver says.
        source: Box<StoreError>,
    },
    /// A server without a replica set has no change streams, and LinkUp cannot do without.
    #[error(
        "MongoDB at {hosts} is not a replica set, and change streams need one. Start mongod with --replSet rs0 and \
         run rs.initiate() once; one member is enough"
    )]
    NotReplicaSet {
        /// Host and port of every member that the URI names.
        hosts: String,
    },
    /// No answer within [`crate::COMMAND_TIMEOUT`]. A write may or may not have taken effect.
    #[error("MongoDB did not answer in time")]
    TimedOut,
    /// MongoDB cannot be reached, has no primary, or could not replicate a write. It will pass. A write may
    /// or may not have taken effect: the outcome is unknown, not negative.
    #[error("MongoDB is away: {}", .0.kind)]
    Unavailable(#[source] Error),
    /// A write that the driver does not read for us was not replicated to a majority in time. Its outcome is unknown.
    #[error("MongoDB could not replicate a write: {0}")]
    NotReplicated(String),
    /// A unique index already holds the key.
    #[error("duplicate key: {}", .0.kind)]
    Duplicate(#[source] Error),
    /// The collection's validator refuses the document.
    ///
    /// The server's own words are not shown: they quote the document.
    #[error("MongoDB refused a document that is not as its collection's schema says")]
    NotValid(#[source] Error),
    /// The database belongs to a newer program.
    #[error(
        "the database has schema version {found}, and this LinkUp knows versions up to {known}: a newer LinkUp has \
         prepared it. Start the newer one, or restore a backup from before the upgrade"
    )]
    NewerSchema {
        /// The database's version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Another node holds the lock under which a database is brought to the newest schema version.
    #[error(
        "another node has been bringing the database to schema version {version} for more than {} s. Wait until its \
         log says that it has finished, then start this one again",
        .waited.as_secs()
    )]
    Migrating {
        /// The version that is being waited for.
        version: i64,
        /// How long this node has waited.
        waited: Duration,
    },
    /// Chunks of an uploaded file are missing, or have not the length that they should have.
    #[error("the bytes of the uploaded file {0} are not all there")]
    Incomplete(Id),
    /// A stored document has not the shape it should have.
    #[error("unexpected document: {0}")]
    Malformed(#[from] mongodb::bson::error::Error),
    /// Anything else: a mistake in a command, or a limit that was hit. Trying again will not help.
    #[error("MongoDB refused: {}", .0.kind)]
    Fault(#[source] Error),
    /// Others kept changing the same document, so that a change never met it as it was read. Nothing was changed.
    #[error("a document keeps changing")]
    Contended,
    /// Upserts of a command met others that made the same documents at the same moment. The rest took effect.
    #[error("somebody else made the same document")]
    Raced,
    /// Some of the updates of a command failed.
    #[error("MongoDB refused: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether the trouble passes by itself; a write that met it may or may not have taken effect.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Unavailable(_) | Self::NotReplicated(_) | Self::NoAnswer { .. })
    }

    /// Whether the unique index of this name refused the write.
    #[must_use]
    pub fn is_duplicate_in(&self, index: &str) -> bool {
        match self {
            Self::Duplicate(error) => {
                // MongoDB names the index in the text only: "… index: email dup key: { … }".
                write_error_texts(error).any(|text| text.contains(&format!("index: {index} ")))
            }
            _ => false,
        }
    }

    /// Whether a unique index refused the write.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Duplicate(_))
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        if is_unavailable(&error) {
            Self::Unavailable(error)
        } else if write_error_codes(&error).any(|code| code == DUPLICATE_KEY) {
            Self::Duplicate(error)
        } else if write_error_codes(&error).any(|code| code == NOT_VALID) {
            Self::NotValid(error)
        } else {
            Self::Fault(error)
        }
    }
}

/// Network trouble, no server to choose, not primary, shutting down, or a write concern that was not met.
fn is_unavailable(error: &Error) -> bool {
    let by_kind = match error.kind.as_ref() {
        ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Shutdown
        | ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
        ErrorKind::InsertMany(many) => many.write_concern_error.is_some(),
        _ => false,
    };
    by_kind
        || write_error_codes(error).any(|code| TRANSIENT.contains(&code))
        || error.contains_label(mongodb::error::RETRYABLE_WRITE_ERROR)
        || error.contains_label(mongodb::error::RETRYABLE_ERROR)
}

fn write_error_codes(error: &Error) -> impl Iterator<Item = i32> {
    let (one, many) = match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(write)) => (Some(write.code), None),
        ErrorKind::Command(command) => (Some(command.code), None),
        ErrorKind::InsertMany(many) => (None, many.write_errors.as_deref()),
        _ => (None, None),
    };
    one.into_iter().chain(many.unwrap_or_default().iter().map(|write| write.code))
}

fn write_error_texts(error: &Error) -> impl Iterator<Item = &str> {
    let (one, many) = match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(write)) => (Some(write.message.as_str()), None),
        ErrorKind::Command(command) => (Some(command.message.as_str()), None),
        ErrorKind::InsertMany(many) => (None, many.write_errors.as_deref()),
        _ => (None, None),
    };
    one.into_iter().chain(many.unwrap_or_default().iter().map(|write| write.message.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_trouble_is_away_and_a_custom_error_is_a_fault() {
        let broken = Error::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(StoreError::from(broken).is_unavailable());
        assert!(!StoreError::from(Error::custom("x")).is_unavailable());
        assert!(StoreError::TimedOut.is_unavailable());
    }
}
