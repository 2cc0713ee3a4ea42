//! What is written to clients: frames whose head is computed once and whose body is shared.
//!
//! | module | holds |
//! |---|---|
//! | `event` | [`Event`], encoded once for all sockets |
//! | `stamp` | how long a message was under way |

use bytes::Bytes;

use super::sid::Sid;
use super::{Admission, Config, Message};

mod event;
mod stamp;

pub(super) use super::Wire;
pub use event::Event;

use stamp::Stamp;

/// For whom something is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct To<'a> {
    pub(super) wire: Wire,
    /// Empty for the main namespace, `/name,` for another: as it stands in packets.
    pub(super) namespace: &'a str,
}

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
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
    stamp: Stamp,
}

impl Item {
    /// The bytes of the frame, in two parts.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        [&self.head.bytes[..usize::from(self.head.length)], &self.body]
    }

    /// A frame that is not timed.
    fn new(head: Head, body: Bytes) -> Self {
        Self { head, body, stamp: Stamp::NONE }
    }

    /// What it is timed by.
    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
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

    /// The frame as an Engine.IO packet, for a transport that is not a WebSocket. `None` for what only WebSockets have.
    pub(super) fn packet(&self) -> Option<Polled<'_>> {
        let [head, body] = self.parts();
        let header = match head[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        match head[0] {
            TEXT => Some(Polled::Text([&head[header..], body])),
            BINARY => Some(Polled::Binary(body)),
            CLOSE => Some(Polled::Close),
            _ => None,
        }
    }

    /// `prefix` is at most five bytes.
    fn text(prefix: &[u8], body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self::new(Head::text(prefix, body.len()), body)
    }

    /// Binary data: a message of its own, or an attachment.
    pub(super) fn binary(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self::new(Head::new(BINARY, b"", body.len()), body)
    }

    /// Engine.IO's open packet. `upgrades` are the transports that the client may go on to.
    pub(super) fn open(sid: &str, upgrades: &[&str], config: &Config) -> Self {
        let body = format!(
            r#"{{"sid":"{sid}","upgrades":{},"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            serde_json::json!(upgrades),
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
        Self::new(head, Bytes::new())
    }

    /// The answer to a WebSocket ping, whose payload is at most [`MAX_CONTROL`] bytes.
    pub(super) fn pong(payload: &[u8]) -> Self {
        let body = Bytes::copy_from_slice(&payload[..payload.len().min(MAX_CONTROL)]);
        Self::new(Head::new(PONG, b"", body.len()), body)
    }

    /// The client is connected.
    pub(super) fn connected(to: To<'_>, admission: Admission<'_>) -> Self {
        let mut told = serde_json::json!({ "sid": Sid::mint().to_string() });
        if let Some(pid) = admission.pid {
            told["pid"] = pid.into();
        }
        if to.wire != Wire::SocketIo {
            told["recovered"] = admission.recovered.into();
            return Self::text(b"", format!(r#"["connect",{told}]"#));
        }
        Self::text(b"40", format!("{}{told}", to.namespace))
    }

    /// The client is turned away after it was connected, for good.
    pub(super) fn dismissed(to: To<'_>) -> Self {
        Self::text(b"41", to.namespace.to_owned())
    }

    /// The client is not to be connected.
    pub(super) fn refused(to: To<'_>, message: &str) -> Self {
        let message = serde_json::Value::from(message);
        if to.wire != Wire::SocketIo {
            return Self::text(b"", format!(r#"["connect_error",{{"message":{message}}}]"#));
        }
        Self::text(b"44", format!(r#"{}{{"message":{message}}}"#, to.namespace))
    }

    /// There is no such namespace. `namespace` comes from a packet: it begins with a slash and holds no comma.
    pub(super) fn no_namespace(namespace: &str) -> Self {
        Self::text(b"44", format!(r#"{namespace},{{"message":"Invalid namespace"}}"#))
    }

    /// An acknowledgement. `json` is one JSON text; on Socket.IO it may be several with commas between them, and
    /// `attachments` frames follow, for which placeholders stand in it.
    pub(super) fn ack(to: To<'_>, id: u64, json: &str, attachments: usize) -> Self {
        if to.wire != Wire::SocketIo {
            return Self::text(b"", format!(r#"["ack",{json},{id}]"#));
        }
        let kind = if attachments == 0 { b"43" } else { b"46" };
        Self::text(kind, event::body(to.namespace, attachments, Some(id), format!("[{json}]").as_bytes()))
    }

    /// A message of the application's own; `None` on protocols that have none.
    pub(super) fn message(wire: Wire, message: Message<'_>) -> Option<Self> {
        let prefix: &[u8] = match wire {
            Wire::Engine => b"4",
            Wire::Raw => b"",
            Wire::SocketIo | Wire::Plain => return None,
        };
        Some(match message {
            Message::Text(text) => Self::text(prefix, text.to_owned()),
            Message::Binary(data) => Self::binary(data.to_vec()),
        })
    }

    /// A close frame. [`NO_STATUS`] stands for an empty one; the reason is cut to what a control frame holds.
    pub(super) fn close(code: u16, reason: &str) -> Self {
        let mut payload = Vec::new();
        if code != NO_STATUS {
            payload.extend_from_slice(&code.to_be_bytes());
            payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(MAX_CONTROL - 2)]);
        }
        Self::new(Head::new(CLOSE, b"", payload.len()), payload.into())
    }
}

/// An Engine.IO packet without the frame around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polled<'a> {
    /// The packet's type and data, in two parts: they are to be written one after the other.
    Text([&'a [u8]; 2]),
    /// Binary data.
    Binary(&'a [u8]),
    /// The transport is closed: the packet `1`, after which nothing comes.
    Close,
}

/// RFC 6455's stand-in for a close frame without a code. Never sent.
pub(super) const NO_STATUS: u16 = 1005;

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const MAIN: To<'static> = to(Wire::SocketIo);
    const CUSTOM: To<'static> = To { wire: Wire::SocketIo, namespace: "/custom," };

    pub(super) const fn to(wire: Wire) -> To<'static> {
        To { wire, namespace: "" }
    }

    pub(super) fn bytes(item: &Item) -> Vec<u8> {
        item.parts().concat()
    }

    #[test]
    fn lengths_take_one_two_or_eight_bytes() {
        for (length, header) in [(123, 2), (124, 4), (65_533, 4), (65_534, 10)] {
            let item = Item::text(b"42", vec![b'x'; length]);
            let frame = bytes(&item);
            assert_eq!(frame.len(), header + 2 + length);
            assert_eq!(&frame[header..header + 2], b"42");
            let stated = match header {
                2 => u64::from(frame[1]),
                4 => u64::from(u16::from_be_bytes(frame[2..4].try_into().unwrap())),
                _ => u64::from_be_bytes(frame[2..10].try_into().unwrap()),
            };
            assert_eq!(stated, length as u64 + 2);
            assert_eq!(item.packet(), Some(Polled::Text([b"42", &vec![b'x'; length]])));
        }
    }

    #[test]
    fn packets() {
        let text = |item: Item| String::from_utf8(bytes(&item)[2..].to_vec()).unwrap();
        assert_eq!(bytes(&Item::ping(Wire::SocketIo)), b"\x81\x012");
        assert_eq!(bytes(&Item::ping(Wire::Plain)), b"\x89\x00");
        assert_eq!(bytes(&Item::pong(b"abc")), b"\x8a\x03abc");
        assert_eq!(text(Item::ack(MAIN, 7, r#"1,"2""#, 0)), r#"437[1,"2"]"#);
        assert_eq!(text(Item::ack(CUSTOM, 7, "", 0)), "43/custom,7[]");
        assert_eq!(text(Item::ack(CUSTOM, 7, "1", 2)), "462-/custom,7[1]");
        assert_eq!(text(Item::ack(to(Wire::Plain), 7, "{}", 0)), r#"["ack",{},7]"#);
        assert_eq!(text(Item::refused(MAIN, "a\"b")), r#"44{"message":"a\"b"}"#);
        assert_eq!(text(Item::refused(CUSTOM, "no")), r#"44/custom,{"message":"no"}"#);
        assert_eq!(text(Item::refused(to(Wire::Plain), "no")), r#"["connect_error",{"message":"no"}]"#);
        assert_eq!(text(Item::no_namespace("/x")), r#"44/x,{"message":"Invalid namespace"}"#);
        assert_eq!(text(Item::dismissed(MAIN)), "41");
        assert_eq!(text(Item::dismissed(CUSTOM)), "41/custom,");
        assert!(text(Item::connected(CUSTOM, Admission::default())).starts_with(r#"40/custom,{"sid":""#));
        let admission = Admission { pid: Some("p"), recovered: true };
        assert!(text(Item::connected(MAIN, admission)).starts_with(r#"40{"#));
        assert!(text(Item::connected(to(Wire::Plain), admission)).contains(r#""recovered":true"#));
        assert_eq!(bytes(&Item::close(1001, "bye")), b"\x88\x05\x03\xe9bye");
        assert_eq!(bytes(&Item::close(NO_STATUS, "")), b"\x88\x00");
        let long = bytes(&Item::close(1000, &"ä".repeat(100)));
        assert_eq!(long.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&long[4..]).is_ok());
    }

    #[test]
    fn messages_and_what_polling_makes_of_frames() {
        let message = |wire, message| Item::message(wire, message).map(|item| bytes(&item));
        assert_eq!(message(Wire::Engine, Message::Text("a")), Some(b"\x81\x024a".to_vec()));
        assert_eq!(message(Wire::Engine, Message::Binary(b"\xff")), Some(b"\x82\x01\xff".to_vec()));
        assert_eq!(message(Wire::Raw, Message::Text("a")), Some(b"\x81\x01a".to_vec()));
        assert_eq!(message(Wire::SocketIo, Message::Text("a")), None);
        assert_eq!(Item::binary(vec![1; 200]).packet(), Some(Polled::Binary(&[1; 200])));
        assert_eq!(Item::ping(Wire::SocketIo).packet(), Some(Polled::Text([b"2", b""])));
        assert_eq!(Item::close(4401, "no").packet(), Some(Polled::Close));
        assert_eq!(Item::pong(b"").packet(), None);
    }

    #[test]
    fn the_open_packet_has_exactly_its_keys() {
        for (upgrades, told) in
            [(&[][..], serde_json::json!([])), (&["websocket"], serde_json::json!(["websocket"]))]
        {
            let frame = bytes(&Item::open("abc", upgrades, &Config::default()));
            let start = frame.iter().position(|&byte| byte == b'{').unwrap();
            assert_eq!(frame[start - 1], b'0');
            let open: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&frame[start..]).unwrap();
            assert_eq!(open.len(), 5);
            assert_eq!(open["upgrades"], told);
            assert_eq!(open["pingInterval"], 25_000);
            assert_eq!(open["pingTimeout"], 20_000);
            assert_eq!(open["maxPayload"], 100_000);
            assert_eq!(open["sid"], "abc");
        }
    }

    #[test]
    fn a_queued_frame_is_small() {
        assert!(size_of::<Item>() <= 56, "{}", size_of::<Item>());
    }
}
