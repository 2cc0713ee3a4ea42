//! Why the launcher gives up. Every text says what to do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use bus::BusError;
use service::config::ConfigErrors;
use store::StoreError;

use crate::data_dir::DataDirError;
use crate::mongod::MongodError;
use crate::seed::shape::SeedError;

/// Why nothing runs, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Settings that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Logging could not be set up.
    #[error("the configuration cannot be used:\n  {0}")]
    Logging(String),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// There is no `mongod`, or it does not run.
    #[error(transparent)]
    Mongod(#[from] MongodError),
    /// MongoDB does not answer, or is not what is needed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The servers form another replica set than the URI says.
    #[error(
        "MongoDB at {hosts} belongs to the replica set {found}, and MONGODB_URI says replicaSet={asked}; correct the URI"
    )]
    OtherSet {
        /// Host and port of the members that were asked.
        hosts: String,
        /// Its name.
        found: String,
        /// The URI's name.
        asked: String,
    },
    /// The servers were started for a replica set that nobody made.
    #[error(
        "MongoDB at {hosts} was started with --replSet, but its replica set was never initiated; run rs.initiate() on it once"
    )]
    NotInitiated {
        /// Host and port of the members that were asked.
        hosts: String,
    },
    /// The bus does not answer.
    #[error("{0}; check that nats-server runs there and that NATS_URL is right")]
    Bus(#[from] BusError),
    /// A port cannot be listened on.
    #[error("{what} cannot listen on {address} ({source}); {}", port_advice(source, setting))]
    Port {
        /// Who wants it.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The variable that sets its port.
        setting: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A part ended though nobody told it to.
    #[error("the {0} ended by itself, so everything was stopped; the log above tells why")]
    PartEnded(&'static str),
    /// A part is not ready in time.
    #[error("not ready after {seconds} s: {missing}; the log above tells why")]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// The parts that are not ready.
        missing: String,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for the JWT secret ({0}); set JWT_SECRET")]
    NoRandomness(String),
    /// The generated secret was damaged.
    #[error("{path} holds no usable secret; remove it to have a new one made (everybody must sign in again)")]
    KeptSecret {
        /// The file.
        path: PathBuf,
    },
    /// Tokens are to be signed for processes whose secret is not known.
    #[error("JWT_SECRET is not set; set it to the secret of the processes that are to accept the tokens")]
    NoSecret,
    /// A launcher uses the data directory and has no MongoDB to share, or not yet.
    #[error(
        "the launcher that uses {path} does not tell where its MongoDB is; if it uses MONGODB_URI set the same here, otherwise wait until it is ready"
    )]
    NotPublished {
        /// The directory.
        path: PathBuf,
    },
    /// What is to be seeded cannot be.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// What was seeded cannot be written down.
    #[error("{path} cannot be written ({source}); choose another file with --out")]
    Out {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Signals cannot be waited for, or another service of the system failed.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
    /// A token could not be signed.
    #[error(transparent)]
    Token(#[from] protocol::token::TokenError),
}

fn port_advice(source: &io::Error, setting: &str) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another program has it: stop that, or set {setting} to another port (0 takes any free one)"
            )
        }
        io::ErrorKind::PermissionDenied => format!("set {setting} to a port above 1023"),
        _ => format!("check LISTEN_ADDR and {setting}"),
    }
}
