//! The packets of both protocols: Socket.IO v5 over Engine.IO v4, and plain JSON arrays.
//!
//! A packet is only told apart here. What an event or an acknowledgement carries is handed on as it came, since most
//! of it is of no interest to a run.

use std::fmt::Write;
use std::sync::Arc;

use protocol::event;
use serde::Deserialize;

/// How to speak to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Socket.IO v5 at `/socket.io/`, over a WebSocket from the start.
    #[value(name = "socketio")]
    SocketIo,
    /// The same by HTTP polling alone.
    Polling,
    /// The same by polling first and then over a WebSocket, as the stock client does it.
    Upgrade,
    /// Plain JSON arrays over a WebSocket at `/ws`.
    Ws,
}

/// Who connects.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Authenticates the user.
    pub token: Arc<str>,
    /// What a connection that comes back says, to get what it missed.
    pub resume: Option<Resume>,
}

/// Where an earlier connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The earlier connection's `pid`.
    pub pid: String,
    /// The clock of the last event that arrived there; empty if none did.
    pub offset: String,
}

/// What the server said to authentication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Names this connection when it comes back. `None` if the server does not recover connections.
    pub pid: Option<String>,
    /// Whether it is the continuation of the earlier connection.
    pub recovered: bool,
}

/// A packet from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Engine.IO's greeting, with the session's id and the transports that it may change to.
    Open(&'a str),
    /// A sign of life is asked for.
    Ping,
    /// The answer to the probe of a WebSocket that is to take over.
    Probed,
    /// Nothing.
    Noop,
    /// Authenticated; what came with it.
    Connected(&'a str),
    /// Not authenticated, for good: why.
    Refused(&'a str),
    /// The server ended the session.
    Goodbye,
    /// An event: its name and its arguments, as they came, without the closing bracket.
    Event(&'a str, &'a str),
    /// The answer to what was sent under this number.
    Acknowledgement(u64, &'a str),
    /// Not a packet of this protocol.
    Malformed,
}

#[derive(Deserialize)]
struct Greeting {
    sid: String,
}

#[derive(Deserialize)]
struct Connected {
    #[serde(default)]
    pid: Option<String>,
    #[serde(default)]
    recovered: Option<bool>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Protocol {
    /// The name on the command line and in results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SocketIo => "socketio",
            Self::Polling => "polling",
            Self::Upgrade => "upgrade",
            Self::Ws => "ws",
        }
    }

    /// Whether a connection begins with polling, which takes two files.
    #[must_use]
    pub const fn polls_first(self) -> bool {
        matches!(self, Self::Polling | Self::Upgrade)
    }

    /// Writes what authenticates. Tokens, ids and clocks need no escaping.
    pub(super) fn authenticate(self, credentials: &Credentials) -> String {
        let Credentials { token, resume } = credentials;
        let resume = resume
            .as_ref()
            .map_or(String::new(), |Resume { pid, offset }| format!(r#","pid":"{pid}","offset":"{offset}""#));
        match self {
            Self::Ws if resume.is_empty() => format!(r#"["{}",{{"token":"{token}"}}]"#, event::USER_CONNECT),
            Self::Ws => format!(r#"["resume",{{"token":"{token}"{resume}}}]"#),
            _ => format!(r#"40{{"token":"{token}"{resume}}}"#),
        }
    }

    /// Writes an event with one argument, and asks for an acknowledgement under the number `id` if there is one.
    pub fn emit(self, out: &mut String, name: &str, payload: std::fmt::Arguments<'_>, id: Option<u64>) {
        // Writing to a String does not fail.
        let _ = match (self, id) {
            (Self::Ws, Some(id)) => write!(out, r#"["{name}",{payload},{id}]"#),
            (Self::Ws, None) => write!(out, r#"["{name}",{payload}]"#),
            (_, Some(id)) => write!(out, r#"42{id}["{name}",{payload}]"#),
            (_, None) => write!(out, r#"42["{name}",{payload}]"#),
        };
    }

    /// Reads a packet.
    #[must_use]
    pub fn parse(self, packet: &[u8]) -> Packet<'_> {
        let parse = if self == Self::Ws { plain } else { socket_io };
        str::from_utf8(packet).ok().and_then(parse).unwrap_or(Packet::Malformed)
    }
}

fn socket_io(text: &str) -> Option<Packet<'_>> {
    if let Some(array) = text.strip_prefix("42[\"") {
        return event(array);
    }
    if let Some(packet) = text.strip_prefix("43") {
        let (id, answer) = packet.split_once('[')?;
        return Some(Packet::Acknowledgement(id.parse().ok()?, answer.strip_suffix(']')?));
    }
    match text.as_bytes() {
        b"2" => Some(Packet::Ping),
        b"6" => Some(Packet::Noop),
        b"3probe" => Some(Packet::Probed),
        b"41" => Some(Packet::Goodbye),
        b"1" => Some(Packet::Goodbye),
        [b'0', b'{', ..] => Some(Packet::Open(&text[1..])),
        [b'4', b'0', ..] => Some(Packet::Connected(&text[2..])),
        [b'4', b'4', ..] => Some(Packet::Refused(&text[2..])),
        _ => None,
    }
}

fn plain(text: &str) -> Option<Packet<'_>> {
    let array = text.strip_prefix("[\"")?;
    match event(array)? {
        Packet::Event("ack", arguments) => {
            let (answer, id) = arguments.rsplit_once(',')?;
            Some(Packet::Acknowledgement(id.trim().parse().ok()?, answer))
        }
        Packet::Event("connect", admission) => Some(Packet::Connected(admission)),
        Packet::Event("connect_error", refusal) => Some(Packet::Refused(refusal)),
        event => Some(event),
    }
}

/// Reads an event behind the quote that begins its name.
fn event(array: &str) -> Option<Packet<'_>> {
    let (name, arguments) = array.strip_suffix(']')?.split_once('"')?;
    Some(Packet::Event(name, arguments.strip_prefix(',').unwrap_or(arguments)))
}

/// The session's id in Engine.IO's greeting.
pub(super) fn session(greeting: &str) -> Option<String> {
    serde_json::from_str::<Greeting>(greeting).ok().map(|greeting| greeting.sid)
}

/// What the server said when it authenticated whoever came back from `resume`.
pub(super) fn admission(connected: &str, resume: Option<&Resume>) -> Admission {
    let connected = serde_json::from_str(connected).unwrap_or(Connected { pid: None, recovered: None });
    let same = || resume.is_some_and(|resume| connected.pid.as_ref() == Some(&resume.pid));
    Admission { recovered: connected.recovered.unwrap_or_else(same), pid: connected.pid }
}

/// Why the server refused.
pub(super) fn refusal(text: &str) -> String {
    serde_json::from_str::<Refusal>(text).map_or_else(|_| text.to_owned(), |refusal| refusal.message)
}

/// The clock behind an event's payload: the last argument, if that is a text.
#[must_use]
pub fn clock(arguments: &str) -> Option<&str> {
    let (_, clock) = arguments.strip_suffix('"')?.rsplit_once(",\"")?;
    Some(clock).filter(|clock| !clock.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Packet::{Acknowledgement, Connected, Event, Goodbye, Malformed, Noop, Open, Ping, Probed, Refused};

    #[test]
    fn packets_are_told_apart() {
        for (text, expected) in [
            (r#"0{"sid":"a"}"#, Open(r#"{"sid":"a"}"#)),
            ("2", Ping),
            ("6", Noop),
            ("3probe", Probed),
            (r#"40{"sid":"b"}"#, Connected(r#"{"sid":"b"}"#)),
            ("41", Goodbye),
            (r#"44{"message":"no"}"#, Refused(r#"{"message":"no"}"#)),
            (r#"42["message:new",{"a":"]"},"c"]"#, Event("message:new", r#"{"a":"]"},"c""#)),
            (r#"42["error"]"#, Event("error", "")),
            (r#"4312[{"ok":true}]"#, Acknowledgement(12, r#"{"ok":true}"#)),
            ("", Malformed),
            ("4", Malformed),
            ("42{}", Malformed),
            ("43x[]", Malformed),
            ("42[\"cut off", Malformed),
            ("é", Malformed),
        ] {
            assert_eq!(Protocol::SocketIo.parse(text.as_bytes()), expected, "{text}");
        }
        for (text, expected) in [
            (r#"["connect",{"sid":"b"}]"#, Connected(r#"{"sid":"b"}"#)),
            (r#"["connect_error",{"message":"no"}]"#, Refused(r#"{"message":"no"}"#)),
            (r#"["message:new",{},"c"]"#, Event("message:new", r#"{},"c""#)),
            (r#"["ack",{"ok":true,"a":[1,2]},12]"#, Acknowledgement(12, r#"{"ok":true,"a":[1,2]}"#)),
            ("{}", Malformed),
            ("2", Malformed),
        ] {
            assert_eq!(Protocol::Ws.parse(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(Protocol::Ws.parse(b"[\"\xff\"]"), Malformed);
    }

    #[test]
    fn the_clock_is_the_last_argument() {
        assert_eq!(clock(r#"{"a":1},"ff-1-0""#), Some("ff-1-0"));
        assert_eq!(clock(r#"{"a":"b"}"#), None);
        assert_eq!(clock(r#"{"a":1},"""#), None);
        assert_eq!(clock(""), None);
    }

    #[test]
    fn whoever_comes_back_tells_where_they_were() {
        let resume = Resume { pid: "p".to_owned(), offset: "ff-1-0".to_owned() };
        let fresh = Credentials { token: "t".into(), resume: None };
        let back = Credentials { resume: Some(resume.clone()), ..fresh.clone() };
        assert_eq!(Protocol::Upgrade.authenticate(&fresh), r#"40{"token":"t"}"#);
        assert_eq!(Protocol::SocketIo.authenticate(&back), r#"40{"token":"t","pid":"p","offset":"ff-1-0"}"#);
        assert_eq!(Protocol::Ws.authenticate(&fresh), r#"["user:connect",{"token":"t"}]"#);
        assert_eq!(
            Protocol::Ws.authenticate(&back),
            r#"["resume",{"token":"t","pid":"p","offset":"ff-1-0"}]"#
        );
        // The stock client takes the same pid for a recovery; over plain frames the server says so.
        for (text, recovered) in [
            (r#"{"sid":"s","pid":"p"}"#, true),
            (r#"{"sid":"s","pid":"q"}"#, false),
            (r#"{"sid":"s"}"#, false),
            (r#"{"sid":"s","pid":"q","recovered":true}"#, true),
            (r#"{"sid":"s","pid":"p","recovered":false}"#, false),
        ] {
            assert_eq!(admission(text, Some(&resume)).recovered, recovered, "{text}");
        }
        assert!(!admission(r#"{"pid":"p"}"#, None).recovered);
    }

    #[test]
    fn events_are_written_in_both_protocols() {
        let mut text = String::new();
        Protocol::Polling.emit(&mut text, "a:b", format_args!("{{}}"), Some(3));
        Protocol::SocketIo.emit(&mut text, "a:b", format_args!("1"), None);
        Protocol::Ws.emit(&mut text, "a:b", format_args!("{{}}"), Some(3));
        Protocol::Ws.emit(&mut text, "a:b", format_args!("1"), None);
        assert_eq!(text, r#"423["a:b",{}]42["a:b",1]["a:b",{},3]["a:b",1]"#);
    }
}
