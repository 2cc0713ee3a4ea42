//! The transport over real sockets, with a trivial application and a client that can misbehave.

#![allow(clippy::unwrap_used, reason = "a helper that cannot go on has failed its test")]

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
