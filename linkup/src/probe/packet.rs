//! What a server says in Socket.IO v5 over Engine.IO v4, as far as it says such things to the probe.

use serde_json::Value;

/// What a frame says.
#[derive(Debug, PartialEq)]
pub(super) enum Packet {
    /// The transport is open.
    Open,
    /// The transport is closed.
    Close,
    /// To be answered.
    Ping,
    /// The socket is let in.
    Connected,
    /// The socket is not let in, in these words.
    Refused(String),
    /// The socket is sent away.
    Disconnected,
    /// An event, with the first of its arguments.
    Event(String, Value),
    /// The acknowledgement of this number, with the first of its arguments.
    Ack(u64, Value),
    /// What does not matter.
    Other,
}

/// Reads a frame of text; `None` where it makes no sense.
pub(super) fn read(text: &str) -> Option<Packet> {
    let mut rest = text.chars();
    Some(match rest.next()? {
        '0' => Packet::Open,
        '1' => Packet::Close,
        '2' => Packet::Ping,
        '4' => return message(rest.as_str()),
        '6' => Packet::Other,
        _ => return None,
    })
}

fn message(text: &str) -> Option<Packet> {
    let mut rest = text.chars();
    let kind = rest.next()?;
    let rest = rest.as_str();
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    Some(match kind {
        '0' => Packet::Connected,
        '1' => Packet::Disconnected,
        '2' => {
            // An event that asks for an acknowledgement has a number before the list.
            let mut list = list(rest.trim_start_matches(|c: char| c.is_ascii_digit()))?;
            Packet::Event(list.next()?.as_str()?.to_owned(), list.next().unwrap_or_default())
        }
        '3' => {
            let digits = rest.find('[')?;
            Packet::Ack(rest[..digits].parse().ok()?, list(&rest[digits..])?.next().unwrap_or_default())
        }
        '4' => Packet::Refused(json(rest)?["message"].as_str().unwrap_or("without a word").to_owned()),
        _ => return None,
    })
}

fn list(text: &str) -> Option<std::vec::IntoIter<Value>> {
    serde_json::from_str::<Vec<Value>>(text).ok().map(Vec::into_iter)
}

/// An event that asks for an acknowledgement of this number.
pub(super) fn event(number: u64, name: &str, payload: &Value) -> String {
    format!("42{number}{}", serde_json::json!([name, payload]))
}

/// The answer to [`Packet::Ping`].
pub(super) const PONG: &str = "3";

/// Asks for the socket to be let in.
pub(super) fn connect(token: &str) -> String {
    format!("40{}", serde_json::json!({"token": token}))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_server_says_is_understood() {
        for (text, packet) in [
            (r#"0{"sid":"x","upgrades":[],"pingInterval":1}"#, Packet::Open),
            ("1", Packet::Close),
            ("2", Packet::Ping),
            ("6", Packet::Other),
            (r#"40{"sid":"x","pid":"y"}"#, Packet::Connected),
            ("41", Packet::Disconnected),
            (r#"44{"message":"Authentication error"}"#, Packet::Refused("Authentication error".to_owned())),
            (
                r#"42["message:new",{"a":1},"clock"]"#,
                Packet::Event("message:new".to_owned(), json!({"a": 1})),
            ),
            (r#"427["x"]"#, Packet::Event("x".to_owned(), Value::Null)),
            (r#"4312[{"ok":true}]"#, Packet::Ack(12, json!({"ok": true}))),
            ("430[]", Packet::Ack(0, Value::Null)),
        ] {
            assert_eq!(read(text), Some(packet), "{text}");
        }
        for text in ["", "4", "42", "42{}", "42[1]", "43[", "43x[]", "44x", "45", "9", "<html>", "é"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_said_is_as_the_protocol_has_it() {
        assert_eq!(event(7, "message:send", &json!({"a": "b"})), r#"427["message:send",{"a":"b"}]"#);
        assert_eq!(connect("t"), r#"40{"token":"t"}"#);
    }
}
