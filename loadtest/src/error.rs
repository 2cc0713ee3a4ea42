//! Why a run could not take place. A run that took place and went badly has a failed verdict instead.

use std::path::PathBuf;

/// Why a run could not take place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings contradict each other or the seed file.
    #[error("{0}")]
    Usage(String),
    /// The address cannot be used.
    #[error("--url {url}: {problem}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The address is not of this machine, and nobody said that it may be put under load.
    #[error(
        "--url {url}: {address} is not an address of this machine; load may take a server down, so say that it is yours \
         to load with --i-own-this-target"
    )]
    NotOwned {
        /// As it was given.
        url: String,
        /// What it means.
        address: std::net::IpAddr,
    },
    /// It was ended before there was anything to report.
    #[error("interrupted before anything was measured")]
    Interrupted,
    /// The seed file cannot be used.
    #[error("seed file {path}: {problem}")]
    Seed {
        /// Its path.
        path: String,
        /// What is wrong with it, with the line's number where there is one.
        problem: String,
    },
    /// The profile cannot be used.
    #[error("profile {path}: {problem}")]
    Profile {
        /// Its path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The process may not open as many files as there are to be connections.
    #[error(
        "{connections} connections need {need} open files, but this process may open only {limit}: \
         raise the limit (ulimit -n {need}) or spread the connections over several processes (--workers)"
    )]
    FileLimit {
        /// How many connections were asked for.
        connections: usize,
        /// How many open files that takes.
        need: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// A connection could not be opened.
    #[error("connection {number} could not be opened: {problem}")]
    Connect {
        /// Which one, from 0.
        number: usize,
        /// What happened.
        problem: String,
    },
    /// A REST call failed.
    #[error("{call}: {problem}")]
    Rest {
        /// Method and path.
        call: String,
        /// What happened, or what was answered.
        problem: String,
    },
    /// The process to observe cannot be observed.
    #[error("process {pid}: {problem}")]
    Process {
        /// Its id.
        pid: u32,
        /// Why not.
        problem: String,
    },
    /// What a run leaves behind cannot be written or read.
    #[error("{path}: {problem}")]
    Output {
        /// Which file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// Signals cannot be listened for.
    #[error("signals cannot be listened for: {0}")]
    Signals(#[source] std::io::Error),
    /// The kernel refused what driving connections takes.
    #[error("connections cannot be driven: {0}")]
    Engine(#[source] std::io::Error),
    /// A worker process failed.
    #[error("worker {number}: {problem}")]
    Worker {
        /// Which one, from 0.
        number: usize,
        /// What happened.
        problem: String,
    },
    /// A server that was to be started did not come up.
    #[error("{program}: {problem}")]
    Server {
        /// Which one.
        program: String,
        /// What happened.
        problem: String,
    },
    /// A task of the harness itself ended badly.
    #[error("a task of the harness failed")]
    Task(#[from] tokio::task::JoinError),
}
