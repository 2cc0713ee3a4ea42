//! The launcher: finds, fetches and runs MongoDB, and runs LinkUp on it, whole or in parts.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`embedded`] | everything in one process, which is what `linkup` without a command runs |
//! | [`role`] | one part alone in its process: `linkup api`, `streamer`, `gateway` and `probe` |
//! | [`probe`] | two users of its own exchange messages, and operators see how that goes |
//! | [`seed`] | `linkup seed`: users, conversations and tokens for demonstrations and measurements |
//! | [`mongod`] | where a `mongod` comes from, and how it is run as a replica set of one |
//! | [`database`] | the MongoDB that is used: a given one, or our own |
//! | [`data_dir`] | the data directory: one launcher at a time |
//! | [`secret`] | the secret that tokens are signed with |
//! | [`settings`] | addresses and ports |
//! | [`parts`] | tasks that start one after the other and stop the other way round |
//! | [`console`] | what a person at the terminal sees |
//! | [`error`] | why the launcher gives up, each with what to do |

pub mod cli;
pub mod console;
pub mod data_dir;
pub mod database;
pub mod embedded;
pub mod error;
pub mod mongod;
pub mod parts;
pub mod probe;
pub mod role;
pub mod secret;
pub mod seed;
pub mod settings;
