//! The transport over real sockets, with a trivial application and a client that can misbehave.

#![allow(clippy::unwrap_used, reason = "a helper that cannot go on has failed its test")]

#[path = "transport/app.rs"]
mod app;
#[path = "transport/client.rs"]
mod client;
#[path = "transport/frames.rs"]
mod frames;
#[path = "transport/handshakes.rs"]
mod handshakes;
#[path = "transport/packets.rs"]
mod packets;
#[path = "transport/pressure.rs"]
mod pressure;
#[path = "transport/times.rs"]
mod times;
