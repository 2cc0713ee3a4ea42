//! Measures what one client that stops reading costs a thousand others: nothing, it should be.

use std::time::{Duration, Instant};

use loadtest::connect::connect_all;
use loadtest::connection::Connection;
use loadtest::dialect::Protocol;

use super::Failure;
use super::crowd::{Crowd, Tally};
use super::fanout;
use super::feed::Streamer;
use super::process::Server;
use super::stack::People;

/// Bytes of an event. So many that in ten seconds the deaf one is owed more than kernel and gateway hold for it, and is
/// cut off.
const FRAME: usize = 5_000;
/// Events a second.
const RATE: u32 = 100;

/// What the others got, and what the gateway held, without a client that does not read and with one.
pub(crate) struct Slow {
    pub(crate) without: Tally,
    pub(crate) with: Tally,
    /// What the gateway's resident memory grew by.
    pub(crate) grown: i64,
}

/// Sends the same events to a crowd twice, the second time beside a client that does not read.
pub(crate) async fn measure(
    gateway: &Server,
    people: &People,
    listeners: usize,
    streamer: &mut Streamer,
    measured: Duration,
) -> Result<Slow, Failure> {
    streamer.frame = FRAME;
    let epoch = Instant::now();
    let mut crowd = Crowd::of(gateway.target().await?, epoch);
    crowd.join(&people.tokens[..listeners]).await?;
    let observed = gateway.observed;
    let without = fanout::measure(streamer, &crowd, observed, (&[RATE], measured, epoch)).await?;
    drop(crowd);

    let epoch = Instant::now();
    let mut crowd = Crowd::of(gateway.target().await?, epoch);
    crowd.join(&people.tokens[..listeners]).await?;
    let mut deaf: Vec<Connection> = Vec::new();
    let token = vec![people.tokens[0].clone()];
    connect_all(&gateway.target().await?, Protocol::SocketIo, token, 1, |_, connection| {
        deaf.push(connection)
    })
    .await?;
    let before = observed.resident_bytes()?;
    let with = fanout::measure(streamer, &crowd, observed, (&[RATE], measured, epoch)).await?;
    let grown = observed.resident_bytes()? as i64 - before as i64;
    if let Some(how) = crowd.lost() {
        return Err(format!("connections beside the slow one ended: {how}").into());
    }
    drop(deaf);
    Ok(Slow { without: without[0].tally, with: with[0].tally, grown })
}
