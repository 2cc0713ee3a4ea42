//! LinkUp from end to end: real servers, a real MongoDB, real clients.
//!
//! One test binary, so that all tests share one `mongod`; each has a database of its own.
//!
//! | module | shows |
//! |---|---|
//! | [`rest`] | the REST API on its own |
//! | [`commit`] | group commit, whatever races and whatever happens between the api and MongoDB |
//! | [`socketio`] | the stock Socket.IO client, the plain WebSocket, and what passes through to the api |
//! | [`delivery`] | every message arrives once and in order, whatever lies between |
//! | [`presence`] | who is online, away or offline, as gateways tell it and as others see it |
//! | [`probe`] | the synthetic probe: exchanges, whose fault it is when they fail, and its accounts |
//! | [`clients`] | clients that others have written: stock, in Python, in Rust |
//! | [`realtime`] | a storm of reconnects, a slow client among a thousand, and who may see what, whatever happens |
//! | [`events`] | every event reaches those who are entitled to it, and nobody else |
//! | [`restart`] | crashes: of a streamer, of the whole launcher |
//! | [`launcher`] | the program: what it starts, leaves behind and says when it cannot |
//! | [`loadtest_runs`] | the load harness: its profiles and protocols, and its report in a browser |
//! | [`browser`] | people on the page, and frontends of another origin, in real browsers |
//! | [`policies`] | what a gateway refuses, and what is answered to commands |
//! | [`operators`] | metrics as documented and bounded, and health whatever fails |
//! | [`arrows`] | which crate may depend on which |
//! | [`readme`] | the README's tables of settings and of the REST API |
//! | [`support`] | what the tests are made of |
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test fails; clippy sees that only in test functions"
)]

mod arrows;
mod browser;
mod clients;
mod commit;
mod delivery;
mod events;
mod launcher;
mod loadtest_runs;
mod operators;
mod policies;
mod presence;
mod probe;
mod readme;
mod realtime;
mod rest;
mod restart;
mod socketio;
mod support;
