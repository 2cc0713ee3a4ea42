//! Measures what one client that stops reading costs a thousand others: nothing, it should be.

use std::time::{Duration, Instant};

use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, handshake};
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Failure;
use super::crowd::{Crowd, Tally};
use super::fanout;
use super::feed::Streamer;
use super::process::Server;
use super::stack::People;

/// Bytes of an event. So many that in ten seconds the deaf one is owed more than kernel and gateway hold for it, and is
/// cut off.
const FRAME: usize = 5_000;
/// How long it may take to be admitted.
const ADMISSION: Duration = Duration::from_secs(30);
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
    let mut crowd = Crowd::of(gateway.target().await?, epoch)?;
    crowd.join(&people.tokens[..listeners]).await?;
    let observed = gateway.observed;
    let without = fanout::measure(streamer, &crowd, observed, (&[RATE], measured, epoch)).await?;
    drop(crowd);

    let epoch = Instant::now();
    let mut crowd = Crowd::of(gateway.target().await?, epoch)?;
    crowd.join(&people.tokens[..listeners]).await?;
    let base = gateway.target().await?.base();
    let deaf = timeout(ADMISSION, deaf(&base, &people.tokens[0])).await??;
    let before = observed.resident_bytes()?;
    let with = fanout::measure(streamer, &crowd, observed, (&[RATE], measured, epoch)).await?;
    let grown = observed.resident_bytes()? as i64 - before as i64;
    if let Some(how) = crowd.lost() {
        return Err(format!("connections beside the slow one ended: {how}").into());
    }
    drop(deaf);
    Ok(Slow { without: without[0].tally, with: with[0].tally, grown })
}

/// A client that is admitted and reads no more.
async fn deaf(base: &str, token: &str) -> Result<FragmentCollector<TokioIo<Upgraded>>, Failure> {
    let authority = base.trim_start_matches("http://");
    let request = Request::get(format!("{base}/socket.io/?EIO=4&transport=websocket"))
        .header(HOST, authority)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header("Sec-WebSocket-Key", handshake::generate_key())
        .header("Sec-WebSocket-Version", "13")
        .body(Empty::<Bytes>::new())?;
    let stream = TcpStream::connect(authority).await?;
    let (socket, _) = handshake::client(&TokioExecutor::new(), request, stream).await?;
    let mut socket = FragmentCollector::new(socket);
    let connect = format!(r#"40{{"token":"{token}"}}"#).into_bytes();
    socket.write_frame(Frame::text(Payload::Owned(connect))).await?;
    loop {
        let frame = socket.read_frame().await?;
        match frame.payload.get(..2) {
            Some(b"40") if frame.opcode == OpCode::Text => return Ok(socket),
            Some(b"44") => return Err(format!("refused: {}", String::from_utf8_lossy(&frame.payload)).into()),
            _ => {}
        }
    }
}
