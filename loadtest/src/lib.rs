//! The load harness: a black-box client that puts LinkUp under a fixed load and judges what came back.
//!
//! *Open loop*: messages leave by a schedule that is drawn up beforehand and never waits for the server,
//! and every latency is counted from the **scheduled** time. A server (or a harness) that stalls is
//! therefore charged for every message that should have been sent meanwhile; a closed loop would hide
//! just those ("coordinated omission"). How late the harness itself was is reported beside the latencies.
//!
//! Every run ends with a verdict. It is `ok` only if each send was acknowledged and each acknowledged
//! message arrived exactly once and in `seq` order.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`chat`] | the scenario `chat`: people in pairs who write to each other |
//! | [`find_max`] | the highest rate of `chat` that holds a service level |
//! | [`search`] | where to look next for it |
//! | [`service_level`] | what a run has to keep to |
//! | [`interrupt`] | ending a run early, in good order |
//! | [`idle`] | the scenario `idle`: what a connection costs that does nothing |
//! | [`schedule`] | who sends the how-manieth message when |
//! | [`pacer`] | the thread that sends by the schedule |
//! | [`seat`] | one person's place in the run: from what arrives to ledger and histograms |
//! | [`ledger`] | what one person sent and got, and the verdict over all of them |
//! | [`marker`] | the text of a message, by which its arrival is recognised |
//! | [`people`] | users and conversations, from a seed file or registered over REST |
//! | [`rest`] | the few REST calls that registering takes |
//! | [`connect`] | opening many connections, a bounded number at once |
//! | [`connection`] | one authenticated connection |
//! | [`dialect`] | the two protocols on top of WebSocket: Socket.IO and plain JSON |
//! | [`wire`] | WebSocket frames |
//! | [`process`] | what Linux tells about a process: limits, memory, CPU |
//! | [`report`] | histograms, percentiles, the line of results, progress |

pub mod chat;
pub mod cli;
pub mod connect;
pub mod connection;
pub mod dialect;
pub mod find_max;
pub mod idle;
pub mod interrupt;
pub mod ledger;
pub mod marker;
pub mod pacer;
pub mod people;
pub mod process;
pub mod report;
pub mod rest;
pub mod schedule;
pub mod search;
pub mod seat;
pub mod service_level;
pub mod wire;

/// Why a run could not take place. (A run that took place and went badly has a failed verdict instead.)
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options contradict each other or the seed file.
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
    /// The process may not open as many files as there are to be connections.
    #[error(
        "{connections} connections need {need} open files, but this process may open only {limit}: \
         raise the limit (ulimit -n {need}) or spread the connections over several loadtest processes"
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
    #[error("connection {number} could not be opened: {source}")]
    Connect {
        /// Which one, from 0.
        number: usize,
        /// What happened.
        source: connection::ConnectError,
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
    /// Signals cannot be listened for.
    #[error("signals cannot be listened for: {0}")]
    Signals(#[source] std::io::Error),
    /// A task of the harness itself ended badly.
    #[error("a task of the harness failed")]
    Task(#[from] tokio::task::JoinError),
}
