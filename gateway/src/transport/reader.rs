//! The reading half of a connection: fastwebsockets, but only while bytes arrive.
//!
//! A fastwebsockets reader holds a buffer of 8 KB, and its read future must not be dropped while it holds
//! bytes of an unfinished frame. So an idle connection has neither: once the socket turns readable, a boxed
//! [`burst`] reads frames until the socket is empty *at the end of a frame*. That it is such an end is known by
//! counting: [`Metered`] adds what the reader took from the socket, and each whole frame is subtracted.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use fastwebsockets::{CloseCode, Frame, OpCode, Role, WebSocketError, WebSocketRead, after_handshake_split};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::ReadHalf;

use super::fault::Fault;
use super::frame::{Item, MAX_CONTROL, NO_STATUS, Wire};
use super::link::Link;
use super::metrics::{Metrics, Why};
use super::{Application, Message};

/// After so many frames in a row, the task's other half and other tasks get their turn.
const FRAMES_PER_TURN: u32 = 64;

/// How reading ended.
pub(super) enum Ending {
    /// The connection is to be closed.
    Close(Fault<'static>),
    /// The TCP connection is no more.
    Lost,
}

impl From<Fault<'static>> for Ending {
    fn from(fault: Fault<'static>) -> Self {
        Self::Close(fault)
    }
}

/// Reads until there is nothing more to read. `early` are bytes that came with the handshake.
pub(super) async fn listen<A: Application>(mut stream: ReadHalf<'_>, link: &Link<A>, early: Bytes) -> Ending {
    let mut message = None;
    let mut early = Some(early).filter(|early| !early.is_empty());
    loop {
        let early = early.take();
        if early.is_none() && poll_fn(|context| stream.as_ref().poll_read_ready(context)).await.is_err() {
            return Ending::Lost;
        }
        if let Err(ending) = Box::pin(burst(&mut stream, link, &mut message, early.unwrap_or_default())).await
        {
            return ending;
        }
    }
}

/// Reads frames until none is begun and no byte is there. `message` is what is there of a fragmented message,
/// which may span bursts.
pub(super) async fn burst<A: Application, S: AsyncRead + Unpin>(
    stream: &mut S,
    link: &Link<A>,
    message: &mut Option<Box<Partial>>,
    early: Bytes,
) -> Result<(), Ending> {
    let unaccounted = AtomicUsize::new(0);
    let metrics = &link.conn.shared.metrics;
    let metered = Metered { stream, early, unaccounted: &unaccounted, metrics };
    let mut frames = reader(metered, link.conn.shared.config.max_payload);
    let mut in_turn = 0;
    loop {
        // Pings and closes are answered by `handle`, so nothing is ever sent from here.
        let frame = match frames.read_frame(&mut |_| async { Ok::<(), Infallible>(()) }).await {
            Ok(frame) => frame,
            Err(WebSocketError::IoError(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(ending(&error)),
        };
        metrics.frames_received.increment(1);
        let mut head = [0; 16];
        let mut frame = frame;
        let length = frame.fmt_head(&mut head) + frame.payload.len();
        if head[1] & 0x80 == 0 {
            return Err(Fault::protocol("frame not masked").into());
        }
        // A client that spends more bytes on a length than it needs is undercounted: its reader is kept while
        // it is idle, and that is all.
        unaccounted.fetch_sub(length, Ordering::Relaxed);
        link.conn.touch();
        handle(link, message, &frame)?;
        in_turn += 1;
        if in_turn == FRAMES_PER_TURN {
            in_turn = 0;
            tokio::task::yield_now().await;
        }
    }
}

fn reader<S: AsyncRead + Unpin>(stream: S, max_payload: usize) -> WebSocketRead<S> {
    let (mut frames, _) = after_handshake_split(stream, tokio::io::sink(), Role::Server);
    frames.set_auto_close(false);
    frames.set_auto_pong(false);
    // The first size that is refused.
    frames.set_max_message_size(max_payload.saturating_add(1));
    frames
}

/// What becomes of the connection after the reader's error.
fn ending(error: &WebSocketError) -> Ending {
    match error {
        WebSocketError::IoError(_) | WebSocketError::UnexpectedEOF => Ending::Lost,
        WebSocketError::InvalidUTF8 => Fault::INVALID_TEXT.into(),
        WebSocketError::FrameTooLarge => Fault::TOO_LARGE.into(),
        WebSocketError::ReservedBitsNotZero => Fault::protocol("reserved bits set").into(),
        _ => Fault::protocol("bad frame").into(),
    }
}

/// A message of which the last fragment is not there.
pub(super) struct Partial {
    binary: bool,
    data: Vec<u8>,
    /// How much of a text is known to be UTF-8. Behind it is at most a character that is not complete.
    checked: usize,
}

impl Partial {
    /// The next fragment. A text that cannot become UTF-8 any more is refused at once.
    fn extend(&mut self, payload: &[u8], limit: usize) -> Result<(), Fault<'static>> {
        if self.data.len() + payload.len() > limit {
            return Err(Fault::TOO_LARGE);
        }
        self.data.extend_from_slice(payload);
        if !self.binary {
            match std::str::from_utf8(&self.data[self.checked..]) {
                Ok(_) => self.checked = self.data.len(),
                Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
                Err(_) => return Err(Fault::INVALID_TEXT),
            }
        }
        Ok(())
    }
}

/// One whole frame.
fn handle<A: Application>(
    link: &Link<A>,
    message: &mut Option<Box<Partial>>,
    frame: &Frame<'_>,
) -> Result<(), Fault<'static>> {
    let payload = &*frame.payload;
    let limit = link.conn.shared.config.max_payload;
    match frame.opcode {
        OpCode::Close => return Err(answer_close(payload)),
        OpCode::Ping | OpCode::Pong if payload.len() > MAX_CONTROL => {
            return Err(Fault::protocol("control frame too long"));
        }
        OpCode::Ping => link.conn.push(Item::pong(payload)),
        OpCode::Pong => link.conn.pong(),
        OpCode::Text | OpCode::Binary if message.is_some() => {
            return Err(Fault::protocol("fragments of another message are left"));
        }
        OpCode::Binary if !link.takes_binary() => return Err(Fault::BINARY),
        OpCode::Text | OpCode::Binary => {
            let binary = frame.opcode == OpCode::Binary;
            if frame.fin {
                return deliver(link, binary, payload);
            }
            let mut partial = Box::new(Partial { binary, data: Vec::new(), checked: 0 });
            partial.extend(payload, limit)?;
            *message = Some(partial);
        }
        OpCode::Continuation => {
            let Some(partial) = message else { return Err(Fault::protocol("nothing to continue")) };
            partial.extend(payload, limit)?;
            if frame.fin
                && let Some(partial) = message.take()
            {
                return deliver(link, partial.binary, &partial.data);
            }
        }
    }
    Ok(())
}

fn deliver<A: Application>(link: &Link<A>, binary: bool, payload: &[u8]) -> Result<(), Fault<'static>> {
    if binary {
        return match link.conn.wire {
            Wire::SocketIo | Wire::Engine => link.engine_binary(payload),
            Wire::Raw => link.message(Message::Binary(payload)),
            Wire::Plain => Err(Fault::BINARY),
        };
    }
    let text = std::str::from_utf8(payload).map_err(|_| Fault::INVALID_TEXT)?;
    match link.conn.wire {
        Wire::SocketIo | Wire::Engine => link.engine_packet(text),
        Wire::Plain => link.plain_message(text),
        Wire::Raw => link.message(Message::Text(text)),
    }
}

/// The client closes: the answer repeats its code, if that is one that may be sent.
fn answer_close(payload: &[u8]) -> Fault<'static> {
    let client = |code| Fault::new(code, "", Why::Client);
    match payload {
        [] => client(NO_STATUS),
        _ if payload.len() > MAX_CONTROL => Fault::protocol("control frame too long"),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !CloseCode::from(code).is_allowed() {
                Fault::protocol("bad close code")
            } else if std::str::from_utf8(reason).is_err() {
                Fault::INVALID_TEXT
            } else {
                client(code)
            }
        }
        _ => Fault::protocol("bad close frame"),
    }
}

/// The socket, as the frame reader sees it.
struct Metered<'a, S> {
    stream: &'a mut S,
    /// Read before everything else.
    early: Bytes,
    /// How many bytes the reader took that do not belong to a whole frame yet. Atomic only because the future
    /// may move between threads.
    unaccounted: &'a AtomicUsize,
    metrics: &'a Metrics,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<'_, S> {
    /// Where there is nothing to read and nothing is begun, this is the error `WouldBlock` instead of a wait.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if !self.early.is_empty() {
            let length = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early[..length]);
            self.early.advance(length);
        } else {
            match Pin::new(&mut *self.stream).poll_read(context, buffer) {
                Poll::Ready(result) => result?,
                Poll::Pending if self.unaccounted.load(Ordering::Relaxed) == 0 => {
                    return Poll::Ready(Err(io::ErrorKind::WouldBlock.into()));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        let read = buffer.filled().len() - before;
        self.unaccounted.fetch_add(read, Ordering::Relaxed);
        self.metrics.bytes_received.increment(read as u64);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use protocol::code::close;

    use super::*;

    #[test]
    fn a_text_is_refused_with_the_fragment_that_spoils_it() {
        let after = |fragments: &[&[u8]]| {
            let mut partial = Partial { binary: false, data: Vec::new(), checked: 0 };
            fragments.iter().take_while(|fragment| partial.extend(fragment, 100).is_ok()).count()
        };
        assert_eq!(after(&[b"\xc3", b"\xa4", b"\xf0\x9f", b"\x98", b"\x80"]), 5);
        assert_eq!(after(&[b"a\xc3", b"\x28", b"b"]), 1);
        assert_eq!(after(&[b"\xf4", b"\x90", b"\x80", b"\x80"]), 1, "beyond what Unicode has");
        assert_eq!(after(&[b"\xed", b"\xa0"]), 1, "a surrogate");
        assert_eq!(after(&[b"\xf5"]), 0);
        assert_eq!(after(&[&[b'a'; 100], b"b"]), 1, "too large");
    }

    #[test]
    fn closes_are_answered_by_their_own_code_or_a_protocol_error() {
        let answer = |payload: &[u8]| answer_close(payload).code;
        assert_eq!(answer(b""), NO_STATUS);
        assert_eq!(answer(&[3, 232]), 1000);
        assert_eq!(answer(b"\x0f\xa0bye"), 4000);
        assert_eq!(answer(&[3]), close::PROTOCOL_ERROR);
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert_eq!(answer(&code.to_be_bytes()), close::PROTOCOL_ERROR, "{code}");
        }
        assert_eq!(answer(&[3, 232, 0xff]), close::INVALID_TEXT);
        assert_eq!(answer(&[3; 126]), close::PROTOCOL_ERROR);
    }
}
