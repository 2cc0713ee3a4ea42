//! WebSocket frames (RFC 6455) as a client writes and reads them.
//!
//! Hand-driven rather than taken from a library because the harness shares the machine with the server that it
//! measures: frames are parsed where they were read, many per read, and written with one system call. What no server
//! of the specification sends (fragments, extensions, masked frames) is an error here.

/// The largest frame that is accepted, in bytes. Ten times what any event of LinkUp takes.
pub const MAX_FRAME: u64 = 1 << 20;

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
pub enum FrameError {
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

/// The frame at the start of `bytes` and its length there; `None` until it is whole.
///
/// # Errors
///
/// When the server broke the protocol. The connection is of no use afterwards.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some((opcode, head, size)) = header(bytes)? else { return Ok(None) };
    let Some(payload) = bytes.get(head..head + size) else { return Ok(None) };
    Ok(Some((Frame { opcode, payload }, head + size)))
}

/// Kind, length of the header and length of the payload, once the header is whole.
fn header(bytes: &[u8]) -> Result<Option<(Opcode, usize, usize)>, FrameError> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(FrameError::Reserved);
    }
    if second & 0x80 != 0 {
        return Err(FrameError::Masked);
    }
    let opcode = match first & 0x0f {
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        0 => return Err(FrameError::Fragmented),
        other => return Err(FrameError::Unknown(other)),
    };
    if first & 0x80 == 0 {
        return Err(FrameError::Fragmented);
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
    if size > MAX_FRAME { Err(FrameError::TooLarge(size)) } else { Ok(Some((opcode, head, size as usize))) }
}

/// Writes frames. Each gets a key of its own: masking protects proxies from a browser's scripts; for a harness the key
/// need not be unpredictable, only real, so that the server pays for unmasking.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoder {
    state: u64,
}

impl Encoder {
    /// Appends a masked frame to `out`.
    pub fn encode(&mut self, out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
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
        let key = self.key();
        out.extend_from_slice(&key);
        let start = out.len();
        out.extend_from_slice(payload);
        let (words, rest) = out[start..].as_chunks_mut::<4>();
        for word in words {
            *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
        }
        rest.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    }

    fn key(&mut self) -> [u8; 4] {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed >> 32) as u32).to_be_bytes()
    }
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
    fn frames_are_found_one_behind_the_other_and_never_before_they_are_whole() {
        for size in [0, 125, 126, 0xffff, 70_000] {
            let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let mut bytes = served(&payload);
            let whole = bytes.len();
            for cut in [0, 1, 2, 3, 9, whole - 1] {
                assert_eq!(decode(&bytes[..cut.min(whole - 1)]), Ok(None), "{size} cut at {cut}");
            }
            bytes.extend(served(b"next"));
            let (frame, used) = decode(&bytes).unwrap().unwrap();
            assert!(frame.payload == payload && used == whole, "{size}");
            assert_eq!(decode(&bytes[used..]).unwrap().unwrap().0.payload, b"next");
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_an_error() {
        for (bytes, error) in [
            (&[0x81, 0x80][..], FrameError::Masked),
            (&[0xc1, 0x00], FrameError::Reserved),
            (&[0x01, 0x00], FrameError::Fragmented),
            (&[0x80, 0x00], FrameError::Fragmented),
            (&[0x83, 0x00], FrameError::Unknown(3)),
            (&[0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0], FrameError::TooLarge(1 << 32)),
        ] {
            assert_eq!(decode(bytes), Err(error));
        }
    }

    #[test]
    fn written_frames_are_masked_and_unmask_to_what_was_given() {
        let mut encoder = Encoder::default();
        for size in [0, 3, 125, 126, 0xffff, 0x1_0001] {
            let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let mut out = Vec::new();
            encoder.encode(&mut out, Opcode::Text, &payload);
            assert_eq!(out[0], 0x81);
            assert_eq!(out[1] & 0x80, 0x80);
            let body = out.len() - size;
            let key: [u8; 4] = out[body - 4..body].try_into().unwrap();
            let plain: Vec<u8> = out[body..].iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k).collect();
            assert!(plain == payload, "{size}");
        }
        assert_ne!(encoder.key(), encoder.key());
    }
}
