//! WebSocket frames (RFC 6455) as a client writes and reads them.
//!
//! Hand-driven rather than taken from a library because the harness shares two cores with the server it
//! measures: frames are parsed where they were read, many per read, and written with one system call.
//! What LinkUp never sends (fragments, extensions, masked frames) is an error here and not supported.

use std::sync::atomic::{AtomicU64, Ordering};

/// The largest frame that is accepted, in bytes. Ten times what any event of LinkUp takes.
pub const MAX_FRAME: u64 = 1 << 20;

/// Enough for several events, small enough for ten thousand idle connections.
const READ_BUFFER: usize = 2_048;
/// What it grows to where reads fill it: each read costs a system call.
const MAX_READ_BUFFER: usize = 32 << 10;

/// The kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// The end of the connection, with a code and a reason.
    Close,
    /// To be answered with a pong of the same payload.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    const fn bits(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }
}

/// A frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its kind.
    pub opcode: Opcode,
    /// What it carries.
    pub payload: &'a [u8],
}

/// What a server must not send, or the harness does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A server must not mask its frames.
    #[error("the server sent a masked frame")]
    Masked,
    /// An extension that was never negotiated.
    #[error("the server sent a frame with reserved bits")]
    Reserved,
    /// A message in several frames.
    #[error("the server sent a fragmented message, which this client does not read")]
    Fragmented,
    /// An unknown kind of frame.
    #[error("the server sent a frame of unknown kind {0}")]
    Unknown(u8),
    /// A frame over [`MAX_FRAME`].
    #[error("the server sent a frame of {0} bytes")]
    TooLarge(u64),
}

/// Bytes from the server, on their way to become frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// A decoder that has already been given `bytes`, which came behind the handshake.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self { buffer: bytes.to_vec(), start: 0 }
    }

    /// Where to append what is read next. Has room for more.
    pub fn space(&mut self) -> &mut Vec<u8> {
        let (full, capacity) = (self.buffer.len() == self.buffer.capacity(), self.buffer.capacity());
        if self.start == self.buffer.len() {
            self.buffer.clear();
        } else if self.start > 0 {
            self.buffer.drain(..self.start);
        }
        self.start = 0;
        if self.buffer.capacity() - self.buffer.len() < READ_BUFFER / 2 {
            self.buffer.reserve(READ_BUFFER);
        }
        if full && capacity > 0 {
            self.buffer.reserve((2 * capacity).min(MAX_READ_BUFFER));
        }
        &mut self.buffer
    }

    /// The next whole frame, or `None` until more bytes have come.
    ///
    /// # Errors
    ///
    /// When the server broke the protocol. The connection is of no use afterwards.
    pub fn frame(&mut self) -> Result<Option<Frame<'_>>, WireError> {
        let bytes = &self.buffer[self.start..];
        let Some((opcode, head, size)) = header(bytes)? else { return Ok(None) };
        let from = self.start + head;
        if self.buffer.len() - from < size {
            return Ok(None);
        }
        self.start = from + size;
        Ok(Some(Frame { opcode, payload: &self.buffer[from..from + size] }))
    }
}

/// Kind, length of the header and length of the payload, once the header is whole.
fn header(bytes: &[u8]) -> Result<Option<(Opcode, usize, usize)>, WireError> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(WireError::Reserved);
    }
    if second & 0x80 != 0 {
        return Err(WireError::Masked);
    }
    let opcode = match first & 0x0f {
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        0 => return Err(WireError::Fragmented),
        other => return Err(WireError::Unknown(other)),
    };
    if first & 0x80 == 0 {
        return Err(WireError::Fragmented);
    }
    let (head, size) = match second & 0x7f {
        126 => match rest.first_chunk() {
            Some(size) => (4, u64::from(u16::from_be_bytes(*size))),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(size) => (10, u64::from_be_bytes(*size)),
            None => return Ok(None),
        },
        small => (2, u64::from(small)),
    };
    if size > MAX_FRAME { Err(WireError::TooLarge(size)) } else { Ok(Some((opcode, head, size as usize))) }
}

/// Appends a masked frame to `out`.
pub fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.push(0x80 | opcode.bits());
    match payload.len() {
        size @ 0..126 => out.push(0x80 | size as u8),
        size @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(size as u16).to_be_bytes());
        }
        size => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
    let key = masking_key();
    out.extend_from_slice(&key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// A key that differs from frame to frame. Masking protects proxies from a browser's scripts; for a
/// harness it need not be unpredictable, only real, so that the server pays for unmasking.
fn masking_key() -> [u8; 4] {
    static STATE: AtomicU64 = AtomicU64::new(0x2545_f491_4f6c_dd1d);
    let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed >> 32) as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a server writes it.
    fn served(payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0x81];
        match payload.len() {
            size @ 0..126 => out.push(size as u8),
            size @ 126..0x1_0000 => {
                out.push(126);
                out.extend_from_slice(&(size as u16).to_be_bytes());
            }
            size => {
                out.push(127);
                out.extend_from_slice(&(size as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(payload);
        out
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let payloads = [vec![b'a'; 0], vec![b'b'; 125], vec![b'c'; 126], vec![b'd'; 70_000], vec![b'e'; 3]];
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| served(payload)).collect();
        for cut in [1, 2, 3, 5, 127, 4_096, stream.len()] {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for chunk in stream.chunks(cut) {
                decoder.space().extend_from_slice(chunk);
                while let Some(frame) = decoder.frame().unwrap() {
                    assert_eq!(frame.opcode, Opcode::Text);
                    found.push(frame.payload.to_vec());
                }
            }
            assert!(found == payloads, "cut into pieces of {cut}");
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_an_error() {
        for (bytes, error) in [
            (&[0x81, 0x80][..], WireError::Masked),
            (&[0xc1, 0x00], WireError::Reserved),
            (&[0x01, 0x00], WireError::Fragmented),
            (&[0x80, 0x00], WireError::Fragmented),
            (&[0x83, 0x00], WireError::Unknown(3)),
            (&[0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0], WireError::TooLarge(1 << 32)),
        ] {
            assert_eq!(Decoder::new(bytes).frame(), Err(error));
        }
    }

    #[test]
    fn written_frames_are_masked_and_unmask_to_what_was_given() {
        for size in [0, 125, 126, 0xffff, 0x1_0000] {
            let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let mut out = Vec::new();
            encode(&mut out, Opcode::Text, &payload);
            assert_eq!(out[0], 0x81);
            assert_eq!(out[1] & 0x80, 0x80);
            let body = out.len() - size;
            let key: [u8; 4] = out[body - 4..body].try_into().unwrap();
            let plain: Vec<u8> = out[body..].iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k).collect();
            assert!(plain == payload, "{size}");
        }
        assert_ne!(masking_key(), masking_key());
    }
}
