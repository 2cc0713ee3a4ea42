//! The vocabulary that every part of LinkUp shares, and nothing else: no I/O, no database, no runtime.
//!
//! | module | holds |
//! |---|---|
//! | [`id`] | [`Id`]: the 12-byte identifiers of users, conversations and messages |
//! | [`time`] | [`Timestamp`]: milliseconds, ISO 8601 on the wire; [`UnixMicros`], for measuring |
//! | [`clock`] | [`Clock`]: the position of an event in the total order of changes |
//! | [`event`] | names of the realtime events, and how one is encoded |
//! | [`model`] | users, conversations and messages as the frontend sees them |
//! | [`input`](mod@input) | declared input: the fields of bodies and queries, checked and described by one declaration |
//! | [`json`] | one way to read JSON: large by simd-json, small by `serde_json`, with one verdict |
//! | [`body`] | what clients may say in bodies and events, and the words that documents are made of |
//! | [`command`] | the batched internal calls from gateway to api |
//! | [`bus`] | what streamer and gateways say to each other |
//! | [`token`] | JSON Web Tokens: claims, signing, verifying |
//! | [`recovery`] | what lets a client that comes back have what it missed |
//! | [`peer`] | how gateways tell each other, in session ids, where they are |
//! | [`probe`] | what a probe asks the api for, and is given |
//! | [`upload`] | addresses of uploaded files: as they are stored, and signed as they are shown |
//! | [`code`] | error codes of the API and close codes of WebSockets |
//! | [`route`] | hashing of conversations to lanes and lanes to nodes |

pub mod body;
pub mod bus;
pub mod clock;
pub mod code;
pub mod command;
pub mod event;
pub mod id;
pub mod input;
pub mod json;
pub mod model;
pub mod peer;
pub mod probe;
pub mod recovery;
pub mod route;
pub mod time;
pub mod token;
pub mod upload;

pub use clock::Clock;
pub use code::ErrorCode;
pub use id::Id;
pub use time::{Timestamp, UnixMicros};
