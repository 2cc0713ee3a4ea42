//! A polling session goes on over a WebSocket.
//!
//! The WebSocket first shows that it gets through: it sends `2probe` and is answered, and with `5` it is given the
//! session. Until then it is nobody's connection. It is read by the same frame reader as all others, but byte by byte,
//! so that whatever comes behind the `5` is still there for the task that goes on ([`drive`](super::drive::drive)).

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use fastwebsockets::{OpCode, Role, WebSocketError, after_handshake_split};
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::drive::hear_out;
use super::fault::Fault;
use super::frame::{Item, MAX_CONTROL, NO_STATUS};
use super::metrics::Why;
use super::polling::{Claim, Handover};
use super::{Application, Config};

const PROBE: &[u8] = b"2probe";
/// A whole frame, as it is sent.
const PROBED: &[u8] = b"\x81\x063probe";
const UPGRADE: &[u8] = b"5";

/// How long after a probe the client's poll is released. Clients may send the `5` right behind the probe, and a request
/// after that, which comes by another way: it must not overtake.
const GRACE: Duration = Duration::from_millis(10);

const TAKEN: Fault<'static> = Fault::protocol("the session has another WebSocket");
const OVER: Fault<'static> = Fault::protocol("the session is over");
const LATE: Fault<'static> = Fault::protocol("not upgraded in time");
const UNEXPECTED: Fault<'static> = Fault::protocol("an upgrade is expected");

/// What a WebSocket has that took a session over: its stream, the session, and bytes that came behind the `5`.
pub(super) type Upgraded<A> = (TcpStream, Handover<A>, Bytes);

/// Sees a WebSocket through until it is given the session it came for. `None` if that does not come to pass: then it is
/// closed, and the session none the worse. `claim` is `None` for one that comes second.
pub(super) async fn take_over<A: Application>(
    mut stream: TcpStream,
    mut early: Bytes,
    claim: Option<Claim<A>>,
    config: &Config,
) -> Option<Upgraded<A>> {
    let fault = match claim {
        None => Some(TAKEN),
        Some(claim) => match prove(&mut stream, &mut early, &claim, config).await {
            Ok(()) => match claim.redeem().await {
                Some(handover) => return Some((stream, handover, early)),
                None => Some(OVER),
            },
            Err(fault) => fault,
        },
    };
    if let Some(fault) = fault {
        // Whether that arrives or not: there is nothing more to do here.
        let _ = timeout(config.close_timeout(), close(&mut stream, fault)).await;
    }
    None
}

/// Waits for the `5`. An error without a fault means that there is no peer any more.
async fn prove<A: Application>(
    stream: &mut TcpStream,
    early: &mut Bytes,
    claim: &Claim<A>,
    config: &Config,
) -> Result<(), Option<Fault<'static>>> {
    let (reading, writing) = stream.split();
    let probed = Notify::new();
    let proof = timeout(config.upgrade_timeout, converse(reading, writing, early, &probed));
    tokio::select! {
        proof = proof => proof.unwrap_or(Err(Some(LATE))),
        () = claim.over() => Err(Some(OVER)),
        never = release(&probed, claim) => match never {},
    }
}

/// Once there was a probe: gives the client a moment to have everything that it sent arrive, and then releases its
/// poll.
async fn release<A: Application>(probed: &Notify, claim: &Claim<A>) -> Infallible {
    probed.notified().await;
    sleep(GRACE).await;
    claim.release();
    pending().await
}

async fn converse(
    reading: ReadHalf<'_>,
    mut writing: WriteHalf<'_>,
    early: &mut Bytes,
    probed: &Notify,
) -> Result<(), Option<Fault<'static>>> {
    let sips = Sips { stream: reading, early };
    let (mut frames, _) = after_handshake_split(sips, tokio::io::sink(), Role::Server);
    frames.set_auto_close(false);
    frames.set_auto_pong(false);
    frames.set_max_message_size(MAX_CONTROL + 1);
    loop {
        let mut frame = match frames.read_frame(&mut |_| async { Ok::<(), Infallible>(()) }).await {
            Ok(frame) => frame,
            Err(WebSocketError::IoError(_) | WebSocketError::UnexpectedEOF) => return Err(None),
            Err(_) => return Err(Some(UNEXPECTED)),
        };
        let mut head = [0; 16];
        frame.fmt_head(&mut head);
        let masked = head[1] & 0x80 != 0;
        let item = match (frame.opcode, &*frame.payload) {
            _ if !masked || !frame.fin => return Err(Some(UNEXPECTED)),
            (OpCode::Text, UPGRADE) => return Ok(()),
            (OpCode::Text, PROBE) => {
                write(&mut writing, PROBED).await?;
                probed.notify_one();
                continue;
            }
            (OpCode::Ping, payload) => Item::pong(payload),
            (OpCode::Pong, _) => continue,
            (OpCode::Close, _) => return Err(Some(Fault::new(NO_STATUS, "", Why::Client))),
            _ => return Err(Some(UNEXPECTED)),
        };
        for part in item.parts() {
            write(&mut writing, part).await?;
        }
    }
}

async fn write(writing: &mut WriteHalf<'_>, bytes: &[u8]) -> Result<(), Option<Fault<'static>>> {
    writing.write_all(bytes).await.map_err(|_| None)
}

/// Closes in good order: a socket with something left to read would be reset, and the peer might not hear why.
async fn close(stream: &mut TcpStream, fault: Fault<'static>) -> io::Result<()> {
    for part in Item::close(fault.code, fault.reason).parts() {
        stream.write_all(part).await?;
    }
    stream.shutdown().await?;
    poll_fn(|context| hear_out(context, stream)).await;
    Ok(())
}

/// A stream that never gives more than one byte at a time: whoever reads frames from it has none left over at the end
/// of one.
struct Sips<'a, 's> {
    stream: ReadHalf<'s>,
    /// What is there already.
    early: &'a mut Bytes,
}

impl AsyncRead for Sips<'_, '_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.has_remaining() {
            let mut bytes = [0; 256];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            *self.early = Bytes::copy_from_slice(read.filled());
        }
        if self.early.has_remaining() && buffer.remaining() > 0 {
            buffer.put_slice(&[self.early.get_u8()]);
        }
        Poll::Ready(Ok(()))
    }
}
