//! What is written to clients: frames whose head is computed once and whose body is shared.

use bytes::Bytes;

use super::sid::Sid;
use super::{Admission, Config};

pub(super) use super::Wire;

/// An event for any number of sockets, encoded once.
///
/// The JSON bytes are shared by all of them; a clone of an `Event` and its place in a socket's queue cost a
/// reference count and a few bytes of frame head.
#[derive(Clone, Debug)]
pub struct Event {
    json: Bytes,
    socketio: Head,
    plain: Head,
}

impl Event {
    /// The event whose JSON array (`["name", …]`) is `json`. It must be valid JSON, which is not checked.
    #[must_use]
    pub fn new(json: Bytes) -> Self {
        let socketio = Head::text(b"42", json.len());
        let plain = Head::text(b"", json.len());
        Self { json, socketio, plain }
    }

    pub(super) fn item(&self, wire: Wire) -> Item {
        let head = match wire {
            Wire::SocketIo => self.socketio,
            Wire::Plain | Wire::Engine | Wire::Raw => self.plain,
        };
        Item { head, body: self.json.clone() }
    }
}

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// The longest payload of a control frame.
pub(super) const MAX_CONTROL: usize = 125;

/// A frame header and the first bytes of its payload.
#[derive(Clone, Copy, Debug)]
struct Head {
    length: u8,
    bytes: [u8; Self::CAPACITY],
}

impl Head {
    /// Ten bytes of header and up to five of prefix.
    const CAPACITY: usize = 15;

    fn text(prefix: &[u8], rest: usize) -> Self {
        Self::new(TEXT, prefix, rest)
    }

    /// The head of a frame whose payload is `prefix` and then `rest` bytes that are kept elsewhere.
    fn new(opcode: u8, prefix: &[u8], rest: usize) -> Self {
        let payload = prefix.len() + rest;
        let mut bytes = [0; Self::CAPACITY];
        bytes[0] = opcode;
        let header = match payload {
            0..126 => {
                bytes[1] = payload as u8;
                2
            }
            126..65_536 => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&(payload as u64).to_be_bytes());
                10
            }
        };
        bytes[header..header + prefix.len()].copy_from_slice(prefix);
        Self { length: (header + prefix.len()) as u8, bytes }
    }
}

/// One whole frame in a queue.
#[derive(Clone, Debug)]
pub(super) struct Item {
    head: Head,
    body: Bytes,
}

impl Item {
    /// The bytes of the frame, in two parts.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        [&self.head.bytes[..usize::from(self.head.length)], &self.body]
    }

    /// How many bytes are written for it.
    pub(super) fn len(&self) -> usize {
        usize::from(self.head.length) + self.body.len()
    }

    /// What it counts for against the outbound limit: the queue's own memory is charged too, or a flood of
    /// tiny frames would take many times the limit.
    pub(super) fn cost(&self) -> usize {
        self.len() + size_of::<Self>()
    }

    /// `prefix` is at most five bytes.
    fn text(prefix: &[u8], body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { head: Head::text(prefix, body.len()), body }
    }

    /// Engine.IO's open packet.
    pub(super) fn open(config: &Config) -> Self {
        let body = format!(
            r#"{{"sid":"{}","upgrades":[],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            Sid::mint(),
            config.ping_interval.as_millis(),
            config.ping_timeout.as_millis(),
            config.max_payload,
        );
        Self::text(b"0", body)
    }

    /// The heartbeat.
    pub(super) fn ping(wire: Wire) -> Self {
        let head = match wire {
            Wire::SocketIo | Wire::Engine => Head::text(b"2", 0),
            Wire::Plain | Wire::Raw => Head::new(PING, b"", 0),
        };
        Self { head, body: Bytes::new() }
    }

    /// The answer to a WebSocket ping, whose payload is at most [`MAX_CONTROL`] bytes.
    pub(super) fn pong(payload: &[u8]) -> Self {
        let body = Bytes::copy_from_slice(&payload[..payload.len().min(MAX_CONTROL)]);
        Self { head: Head::new(PONG, b"", body.len()), body }
    }

    /// The client is connected.
    pub(super) fn connected(wire: Wire, admission: Admission<'_>) -> Self {
        let mut told = serde_json::json!({ "sid": Sid::mint().to_string() });
        if let Some(pid) = admission.pid {
            told["pid"] = pid.into();
        }
        if wire == Wire::Plain {
            told["recovered"] = admission.recovered.into();
            return Self::text(b"", format!(r#"["connect",{told}]"#));
        }
        Self::text(b"40", told.to_string())
    }

    /// The client is turned away after it was connected, for good.
    pub(super) fn dismissed() -> Self {
        Self::text(b"41", Bytes::new())
    }

    /// The client is not to be connected.
    pub(super) fn refused(wire: Wire, message: &str) -> Self {
        let message = serde_json::Value::from(message);
        match wire {
            Wire::SocketIo => Self::text(b"44", format!(r#"{{"message":{message}}}"#)),
            Wire::Plain | Wire::Engine | Wire::Raw => {
                Self::text(b"", format!(r#"["connect_error",{{"message":{message}}}]"#))
            }
        }
    }

    /// There is no such namespace. `namespace` comes from a packet: it begins with a slash and holds no comma.
    pub(super) fn no_namespace(namespace: &str) -> Self {
        Self::text(b"44", format!(r#"{namespace},{{"message":"Invalid namespace"}}"#))
    }

    /// An acknowledgement. `json` is one JSON text; on Socket.IO it may be several with commas between them.
    pub(super) fn ack(wire: Wire, id: u64, json: &str) -> Self {
        match wire {
            Wire::SocketIo => Self::text(b"43", format!("{id}[{json}]")),
            Wire::Plain | Wire::Engine | Wire::Raw => Self::text(b"", format!(r#"["ack",{json},{id}]"#)),
        }
    }

    /// A close frame. [`NO_STATUS`] stands for an empty one; the reason is cut to what a control frame holds.
    pub(super) fn close(code: u16, reason: &str) -> Self {
        let mut payload = Vec::new();
        if code != NO_STATUS {
            payload.extend_from_slice(&code.to_be_bytes());
            payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(MAX_CONTROL - 2)]);
        }
        Self { head: Head::new(CLOSE, b"", payload.len()), body: payload.into() }
    }
}

/// RFC 6455's stand-in for a close frame without a code. Never sent.
pub(super) const NO_STATUS: u16 = 1005;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(item: &Item) -> Vec<u8> {
        item.parts().concat()
    }

    #[test]
    fn an_event_is_shared_and_framed_for_both_protocols() {
        let json = Bytes::from_static(br#"["a",{}]"#);
        let event = Event::new(json.clone());
        assert_eq!(bytes(&event.item(Wire::SocketIo)), b"\x81\x0a42[\"a\",{}]");
        assert_eq!(bytes(&event.item(Wire::Plain)), b"\x81\x08[\"a\",{}]");
        assert_eq!(event.item(Wire::Plain).parts()[1].as_ptr(), json.as_ptr());
    }

    #[test]
    fn lengths_take_one_two_or_eight_bytes() {
        for (length, header) in [(123, 2), (124, 4), (65_533, 4), (65_534, 10)] {
            let event = Event::new(vec![b'x'; length].into());
            let frame = bytes(&event.item(Wire::SocketIo));
            assert_eq!(frame.len(), header + 2 + length);
            assert_eq!(&frame[header..header + 2], b"42");
            let stated = match header {
                2 => u64::from(frame[1]),
                4 => u64::from(u16::from_be_bytes(frame[2..4].try_into().unwrap())),
                _ => u64::from_be_bytes(frame[2..10].try_into().unwrap()),
            };
            assert_eq!(stated, length as u64 + 2);
        }
    }

    #[test]
    fn packets() {
        let text = |item: Item| String::from_utf8(bytes(&item)[2..].to_vec()).unwrap();
        assert_eq!(bytes(&Item::ping(Wire::SocketIo)), b"\x81\x012");
        assert_eq!(bytes(&Item::ping(Wire::Plain)), b"\x89\x00");
        assert_eq!(bytes(&Item::pong(b"abc")), b"\x8a\x03abc");
        assert_eq!(text(Item::ack(Wire::SocketIo, 7, r#"1,"2""#)), r#"437[1,"2"]"#);
        assert_eq!(text(Item::ack(Wire::Plain, 7, "{}")), r#"["ack",{},7]"#);
        assert_eq!(text(Item::refused(Wire::SocketIo, "a\"b")), r#"44{"message":"a\"b"}"#);
        assert_eq!(text(Item::refused(Wire::Plain, "no")), r#"["connect_error",{"message":"no"}]"#);
        assert_eq!(text(Item::no_namespace("/x")), r#"44/x,{"message":"Invalid namespace"}"#);
        assert_eq!(bytes(&Item::close(1001, "bye")), b"\x88\x05\x03\xe9bye");
        assert_eq!(bytes(&Item::close(NO_STATUS, "")), b"\x88\x00");
        let long = bytes(&Item::close(1000, &"ä".repeat(100)));
        assert_eq!(long.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&long[4..]).is_ok());
    }

    #[test]
    fn the_open_packet_has_exactly_its_keys() {
        let frame = bytes(&Item::open(&Config::default()));
        let start = frame.iter().position(|&byte| byte == b'{').unwrap();
        assert_eq!(frame[start - 1], b'0');
        let open: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&frame[start..]).unwrap();
        assert_eq!(open.len(), 5);
        assert_eq!(open["upgrades"], serde_json::json!([]));
        assert_eq!(open["pingInterval"], 25_000);
        assert_eq!(open["pingTimeout"], 20_000);
        assert_eq!(open["maxPayload"], 100_000);
        assert_eq!(open["sid"].as_str().unwrap().len(), 20);
    }

    #[test]
    fn a_queued_frame_is_small() {
        assert!(size_of::<Item>() <= 48);
    }
}
