//! The load harness: a black-box client that puts a chat server under load and proves what became of every message.
//!
//! *Open loop*: what is done is due by a schedule that never waits for the server, and every latency counts from the
//! **scheduled** time. A server (or a harness) that stalls is therefore charged for everything that should have
//! happened meanwhile; a closed loop would hide just that ("coordinated omission"). The latency from the actual start
//! stands beside it, and how late the harness itself was. What it could not start in time is left out and counted.
//!
//! *Proof*: every acknowledged message is followed to every connection that is entitled to it, and looked for over REST
//! in the end. One that is lost, doubled, out of order or with a stranger fails the run and is named.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`], [`command`] | the command line, and carrying it out |
//! | [`plan`], [`profile`] | what a run does: scenarios, settings, profiles |
//! | [`run`] | one run, from the first connection to the verdict |
//! | [`find_max`], [`search`] | the most that holds a service level |
//! | [`service_level`] | what a run has to keep to |
//! | [`crew`] | the processes of a run |
//! | [`traffic`] | what each of them does over its connections |
//! | [`engine`] | driving connections: sockets, frames, packets |
//! | [`arrivals`], [`clock`] | when what is due |
//! | [`requests`], [`rest`] | what is done over REST |
//! | [`ledger`], [`tracker`], [`marker`] | what was sent and what arrived |
//! | [`judge`], [`verify`] | what was lost, and what is not there over REST |
//! | [`recorder`] | latencies and counts |
//! | [`people`], [`world`] | users and conversations |
//! | [`resources`], [`process`], [`scrape`] | what processes use, and where messages wait |
//! | [`exposition`] | the harness's own metrics |
//! | [`report`] | what a run comes to, and the files that it leaves |
//! | [`compare`], [`statistics`] | whether one set of runs is worse than another |
//! | [`console`], [`interrupt`], [`error`] | progress, Ctrl-C, what can go wrong |

pub mod arrivals;
pub mod cli;
pub mod clock;
pub mod command;
pub mod compare;
pub mod console;
pub mod crew;
pub mod engine;
pub mod error;
pub mod exposition;
pub mod find_max;
pub mod interrupt;
pub mod judge;
pub mod ledger;
pub mod marker;
pub mod people;
pub mod plan;
pub mod process;
pub mod profile;
pub mod recorder;
pub mod report;
pub mod requests;
pub mod resources;
pub mod rest;
pub mod run;
pub mod scrape;
pub mod search;
pub mod service_level;
pub mod statistics;
pub mod tracker;
pub mod traffic;
pub mod verify;
pub mod world;

pub use error::Error;
