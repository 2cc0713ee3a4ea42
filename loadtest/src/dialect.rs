//! The two protocols on top of WebSocket: Socket.IO v5 (over Engine.IO v4) and plain JSON arrays.
//!
//! Both carry the same events. Only the fields that the verdict needs are read; everything else in a
//! message is skipped without being copied.

use std::borrow::Cow;
use std::fmt::Write;

use protocol::{Id, event};
use serde::Deserialize;

/// Which protocol to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// Socket.IO v5 at `/socket.io/`, over the WebSocket transport.
    #[value(name = "socketio")]
    SocketIo,
    /// Plain JSON arrays at `/ws`.
    Ws,
}

/// A `message:new`, as far as it is of interest.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewMessage<'a> {
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// Its number within the conversation.
    pub seq: i64,
    /// Who wrote it.
    pub sender: Sender,
    /// What was written.
    #[serde(borrow)]
    pub content: Cow<'a, str>,
}

/// The author of a message.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Sender {
    /// The identifier.
    #[serde(rename = "_id")]
    pub id: Id,
}

/// The answer to a `message:send`.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Committed under this `seq`.
    Ok(i64),
    /// Not sent, and why.
    Failed(Cow<'a, str>),
}

/// A text frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// Engine.IO's greeting: now the client may authenticate.
    Open,
    /// A sign of life is asked for.
    Ping,
    /// Authenticated: from here on events arrive.
    Connected,
    /// Not authenticated, for good.
    Refused(Cow<'a, str>),
    /// The server ended the session but not the transport.
    Goodbye,
    /// A message was committed.
    New(NewMessage<'a>),
    /// A send was answered.
    Answer {
        /// The number that the send carried.
        id: u64,
        /// The answer.
        answer: Answer<'a>,
    },
    /// An event that is of no interest here.
    Other,
    /// Not a frame of this protocol.
    Malformed,
}

#[derive(Deserialize)]
struct RawAnswer<'a> {
    ok: bool,
    #[serde(default)]
    message: Option<RawSeq>,
    #[serde(default, borrow)]
    error: Option<RawError<'a>>,
}

#[derive(Deserialize)]
struct RawSeq {
    seq: i64,
}

#[derive(Deserialize)]
struct RawError<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

impl Protocol {
    /// The name on the command line and in results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SocketIo => "socketio",
            Self::Ws => "ws",
        }
    }

    /// Where the WebSocket handshake goes.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket",
            Self::Ws => "/ws",
        }
    }

    /// Whether the server speaks first, with [`Incoming::Open`].
    #[must_use]
    pub const fn is_greeted(self) -> bool {
        matches!(self, Self::SocketIo)
    }

    /// The text that authenticates. A JWT needs no escaping.
    #[must_use]
    pub fn authenticate(self, token: &str) -> String {
        match self {
            Self::SocketIo => format!(r#"40{{"token":"{token}"}}"#),
            Self::Ws => format!(r#"["{}",{{"token":"{token}"}}]"#, event::USER_CONNECT),
        }
    }

    /// Writes a `message:send` that asks for an acknowledgement under the number `id`. `content` must
    /// need no escaping, which a marker does not.
    pub fn send(self, out: &mut String, id: usize, conversation: Id, content: &str) {
        let name = event::MESSAGE_SEND;
        let payload = format_args!(r#"{{"conversationId":"{conversation}","content":"{content}"}}"#);
        let written = match self {
            Self::SocketIo => write!(out, r#"42{id}["{name}",{payload}]"#),
            Self::Ws => write!(out, r#"["{name}",{payload},{id}]"#),
        };
        debug_assert!(written.is_ok(), "writing to a String does not fail");
    }

    /// Reads a text frame.
    #[must_use]
    pub fn parse(self, text: &str) -> Incoming<'_> {
        match self {
            Self::SocketIo => socket_io(text),
            Self::Ws => plain(text),
        }
        .unwrap_or(Incoming::Malformed)
    }
}

fn socket_io(text: &str) -> Option<Incoming<'_>> {
    if let Some(event) = text.strip_prefix("42") {
        return match event.strip_prefix(r#"["message:new","#) {
            Some(payload) => new_message(payload),
            None => event.starts_with("[\"").then_some(Incoming::Other),
        };
    }
    if let Some(packet) = text.strip_prefix("43") {
        let bracket = packet.find('[')?;
        let (answer, tail) = first_value(&packet[bracket + 1..])?;
        return (tail == "]")
            .then_some(Incoming::Answer { id: packet[..bracket].parse().ok()?, answer: answered(answer)? });
    }
    match text.get(..2).unwrap_or(text) {
        "2" => Some(Incoming::Ping),
        "0{" => Some(Incoming::Open),
        "40" => Some(Incoming::Connected),
        "41" => Some(Incoming::Goodbye),
        "44" => refusal(&text[2..]),
        _ => None,
    }
}

fn plain(text: &str) -> Option<Incoming<'_>> {
    if let Some(payload) = text.strip_prefix(r#"["message:new","#) {
        return new_message(payload);
    }
    if let Some(rest) = text.strip_prefix(r#"["ack","#) {
        let (answer, tail) = first_value(rest)?;
        let id = tail.strip_prefix(',')?.strip_suffix(']')?.trim().parse().ok()?;
        return Some(Incoming::Answer { id, answer: answered(answer)? });
    }
    if text.starts_with(r#"["connect","#) {
        return Some(Incoming::Connected);
    }
    if let Some(rest) = text.strip_prefix(r#"["connect_error","#) {
        return refusal(rest);
    }
    text.starts_with("[\"").then_some(Incoming::Other)
}

/// The first JSON value in `text` and what follows it.
fn first_value<'a, T: Deserialize<'a>>(text: &'a str) -> Option<(T, &'a str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

fn new_message(payload: &str) -> Option<Incoming<'_>> {
    let (message, tail) = first_value(payload)?;
    tail.ends_with(']').then_some(Incoming::New(message))
}

fn answered(raw: RawAnswer<'_>) -> Option<Answer<'_>> {
    match raw {
        RawAnswer { ok: true, message: Some(message), .. } => Some(Answer::Ok(message.seq)),
        RawAnswer { ok: false, error: Some(error), .. } => Some(Answer::Failed(error.message)),
        _ => None,
    }
}

fn refusal(payload: &str) -> Option<Incoming<'_>> {
    first_value::<RawError<'_>>(payload).map(|(error, _)| Incoming::Refused(error.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef01234567";

    fn message() -> String {
        format!(
            r#"{{"_id":"{ID}","id":"{ID}","conversationId":"{ID}","seq":7,"sender":{{"_id":"{ID}","id":"{ID}","name":"Ann \"A\"","avatar":null}},"content":"hi \"you\"","contentType":"text","readBy":[{{"userId":"{ID}","readAt":"2026-11-23T04:26:30.123Z"}}],"isDeleted":false}}"#
        )
    }

    #[test]
    fn a_new_message_is_read_in_both_dialects() {
        let event = format!(r#"["message:new",{},"ff-1-0"]"#, message());
        for (protocol, text) in [(Protocol::SocketIo, format!("42{event}")), (Protocol::Ws, event)] {
            let Incoming::New(new) = protocol.parse(&text) else { panic!("{text}") };
            assert_eq!(new.seq, 7);
            assert_eq!(new.content, "hi \"you\"");
            assert_eq!(new.sender.id.to_string(), ID);
            assert_eq!(new.conversation_id.to_string(), ID);
            assert_eq!(protocol.parse(&text[..text.len() - 1]), Incoming::Malformed, "cut off");
            assert_eq!(protocol.parse(&text.replace("\"seq\":7,", "")), Incoming::Malformed, "no seq");
        }
    }

    #[test]
    fn answers_are_read_in_both_dialects() {
        let ok = format!(r#"{{"ok":true,"message":{}}}"#, message());
        let failed = r#"{"ok":false,"error":{"code":"forbidden","message":"Not yours"}}"#;
        let framed = |protocol, answer: &str| match protocol {
            Protocol::SocketIo => format!("4312[{answer}]"),
            Protocol::Ws => format!(r#"["ack",{answer},12]"#),
        };
        for protocol in [Protocol::SocketIo, Protocol::Ws] {
            assert_eq!(
                protocol.parse(&framed(protocol, &ok)),
                Incoming::Answer { id: 12, answer: Answer::Ok(7) }
            );
            let Incoming::Answer { id: 12, answer: Answer::Failed(why) } =
                protocol.parse(&framed(protocol, failed)).into_owned_for_test()
            else {
                panic!("{protocol:?}")
            };
            assert_eq!(why, "Not yours");
            assert_eq!(protocol.parse(&framed(protocol, r#"{"ok":true}"#)), Incoming::Malformed);
        }
        assert_eq!(Protocol::SocketIo.parse("43[{}]"), Incoming::Malformed);
    }

    impl Incoming<'_> {
        fn into_owned_for_test(self) -> Incoming<'static> {
            match self {
                Self::Answer { id, answer: Answer::Failed(why) } => {
                    Incoming::Answer { id, answer: Answer::Failed(why.into_owned().into()) }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_other_packets_are_told_apart() {
        use Incoming::{Connected, Goodbye, Malformed, Open, Other, Ping};
        for (text, expected) in [
            (r#"0{"sid":"a","upgrades":[],"pingInterval":25000}"#, Open),
            ("2", Ping),
            (r#"40{"sid":"b"}"#, Connected),
            ("41", Goodbye),
            (r#"44{"message":"Authentication error"}"#, Incoming::Refused("Authentication error".into())),
            (r#"42["conversation:update",{},"ff-1-0"]"#, Other),
            ("", Malformed),
            ("4", Malformed),
            ("42{}", Malformed),
            ("é", Malformed),
        ] {
            assert_eq!(Protocol::SocketIo.parse(text), expected, "{text}");
        }
        for (text, expected) in [
            (r#"["connect",{"sid":"b"}]"#, Connected),
            (r#"["connect_error",{"message":"User not found"}]"#, Incoming::Refused("User not found".into())),
            (r#"["conversation:update",{},"ff-1-0"]"#, Other),
            ("{}", Malformed),
        ] {
            assert_eq!(Protocol::Ws.parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_send_is_what_the_server_expects() {
        let conversation: Id = ID.parse().unwrap();
        let mut text = String::new();
        Protocol::SocketIo.send(&mut text, 3, conversation, "hello");
        assert_eq!(text, format!(r#"423["message:send",{{"conversationId":"{ID}","content":"hello"}}]"#));
        text.clear();
        Protocol::Ws.send(&mut text, 3, conversation, "hello");
        assert_eq!(text, format!(r#"["message:send",{{"conversationId":"{ID}","content":"hello"}},3]"#));
    }
}
