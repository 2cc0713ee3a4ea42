//! The transport over real sockets, with a trivial application and a client that can misbehave.
//!
//! | module | holds |
//! |---|---|
//! | [`app`] | an application that says what it was told |
//! | [`client`] | a raw WebSocket client that can also misbehave |
//! | [`poller`] | a client that polls, one request per TCP connection |
//!
//! | module | shows |
//! |---|---|
//! | [`handshakes`] | what becomes a connection, and what does not |
//! | [`frames`] | WebSocket frames: what the protocol allows, and what it does not |
//! | [`autobahn`] | what Autobahn's test suite asks of a server without extensions |
//! | [`packets`] | Socket.IO and `/ws` messages: what is understood, and what ends a connection |
//! | [`messages`] | protocols without events: messages of Engine.IO, and of bare WebSockets |
//! | [`attachments`] | binary attachments, and acknowledgements that the server asks for |
//! | [`namespaces`] | several clients on one connection, each in a namespace of its own |
//! | [`polling`] | Engine.IO over HTTP long polling |
//! | [`upgrade`] | polling sessions that go on over a WebSocket |
//! | [`peers`] | several nodes behind one address |
//! | [`pressure`] | peers that do not read |
//! | [`metrics`] | what is counted and timed |
//! | [`times`] | heartbeats, timeouts and the drain |

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test fails; clippy sees that only in test functions"
)]

#[path = "transport/app.rs"]
mod app;
#[path = "transport/attachments.rs"]
mod attachments;
#[path = "transport/autobahn.rs"]
mod autobahn;
#[path = "transport/client.rs"]
mod client;
#[path = "transport/frames.rs"]
mod frames;
#[path = "transport/handshakes.rs"]
mod handshakes;
#[path = "transport/messages.rs"]
mod messages;
#[path = "transport/metrics.rs"]
mod metrics;
#[path = "transport/namespaces.rs"]
mod namespaces;
#[path = "transport/packets.rs"]
mod packets;
#[path = "transport/peers.rs"]
mod peers;
#[path = "transport/poller.rs"]
mod poller;
#[path = "transport/polling.rs"]
mod polling;
#[path = "transport/pressure.rs"]
mod pressure;
#[path = "transport/times.rs"]
mod times;
#[path = "transport/upgrade.rs"]
mod upgrade;
