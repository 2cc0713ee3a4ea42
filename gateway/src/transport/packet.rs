//! Reading what clients send: Engine.IO and Socket.IO packets, and the messages of `/ws`.
//!
//! Everything borrows from the text frame; a packet is only looked at once. The published codecs
//! (`engineioxide-core`, `socketioxide-parser-common`) own what they decode and parse event arguments into
//! values that the application would only serialise again, so they do not serve here.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::ClientEvent;

/// The namespace that everybody is in.
pub(super) const MAIN_NAMESPACE: &str = "/";

/// Names that stock clients and servers keep for themselves.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Longer names are nobody's namespace, and would only be echoed.
const MAX_NAMESPACE: usize = 256;

/// A packet from a Socket.IO client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// Engine.IO: the client closes the transport.
    Close,
    /// Engine.IO: a pong or a noop. A sign of life and nothing else.
    Alive,
    /// The client asks to be connected; `auth` is the text of a JSON object.
    Connect { namespace: &'a str, auth: &'a str },
    /// The client disconnects.
    Disconnect { namespace: &'a str },
    /// An event.
    Event { namespace: &'a str, event: ClientEvent<'a> },
    /// An acknowledgement. Well-formed, but the server never asks for one.
    Ack { namespace: &'a str },
    /// An event or acknowledgement with binary attachments, which are not accepted.
    Binary,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

impl<'a> Packet<'a> {
    /// Reads one text frame of an Engine.IO transport.
    pub(super) fn decode(text: &'a str) -> Result<Self, Malformed> {
        match text.as_bytes().first() {
            Some(b'1') => Ok(Self::Close),
            Some(b'3' | b'6') => Ok(Self::Alive),
            Some(b'4') => Self::decode_socketio(&text[1..]),
            _ => Err(Malformed("bad Engine.IO packet")),
        }
    }

    fn decode_socketio(text: &'a str) -> Result<Self, Malformed> {
        let Some(kind) = text.as_bytes().first() else { return Err(Malformed("empty Socket.IO packet")) };
        if !kind.is_ascii_digit() {
            return Err(Malformed("bad Socket.IO packet type"));
        }
        let (namespace, rest) = split_namespace(&text[1..])?;
        match kind {
            b'0' => Ok(Self::Connect { namespace, auth: object_or_empty(rest)? }),
            b'1' if rest.is_empty() => Ok(Self::Disconnect { namespace }),
            b'2' => {
                let (ack, array) = split_id(rest)?;
                let Elements { name, args, payload, .. } = Elements::parse(array)?;
                if RESERVED.contains(&&*name) {
                    return Err(Malformed("reserved event name"));
                }
                Ok(Self::Event {
                    namespace,
                    event: ClientEvent { name, payload, args, attachments: &[], ack },
                })
            }
            b'3' => match split_id(rest)? {
                (Some(_), array) if serde_json::from_str::<Vec<IgnoredAny>>(array).is_ok() => {
                    Ok(Self::Ack { namespace })
                }
                _ => Err(Malformed("bad acknowledgement")),
            },
            b'5' | b'6' => Ok(Self::Binary),
            _ => Err(Malformed("bad Socket.IO packet")),
        }
    }
}

/// Reads one text frame of `/ws`: `[name, payload?, acknowledgement number?]`.
pub(super) fn decode_plain(text: &str) -> Result<ClientEvent<'_>, Malformed> {
    let Elements { name, payload, args, second } = Elements::parse(text)?;
    let ack = match second {
        None => None,
        Some(number) => Some(number.parse().map_err(|_| Malformed("bad acknowledgement number"))?),
    };
    // What follows the payload is not an argument.
    let args = if args.is_empty() { args } else { payload };
    Ok(ClientEvent { name, payload, args, attachments: &[], ack })
}

/// The payload of a CONNECT or `user:connect`: a JSON object, or nothing, which is as good as an empty one.
pub(super) fn object_or_empty(text: &str) -> Result<&str, Malformed> {
    if text.is_empty() {
        return Ok("{}");
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) if raw.get().starts_with('{') => Ok(raw.get()),
        _ => Err(Malformed("bad connect payload")),
    }
}

/// Takes the namespace off the front. The comma after it may be missing where nothing follows.
fn split_namespace(text: &str) -> Result<(&str, &str), Malformed> {
    if !text.starts_with('/') {
        return Ok((MAIN_NAMESPACE, text));
    }
    let (namespace, rest) = text.split_once(',').unwrap_or((text, ""));
    if namespace.len() > MAX_NAMESPACE {
        return Err(Malformed("namespace too long"));
    }
    Ok((namespace, rest))
}

/// Takes the number of the wanted acknowledgement, if there is one, off the front.
fn split_id(text: &str) -> Result<(Option<u64>, &str), Malformed> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok((None, text));
    }
    let id = text[..digits].parse().map_err(|_| Malformed("bad acknowledgement id"))?;
    Ok((Some(id), &text[digits..]))
}

/// An event array, taken apart without copying.
struct Elements<'a> {
    name: Cow<'a, str>,
    /// The first argument, or `null`.
    payload: &'a str,
    /// All arguments, without brackets.
    args: &'a str,
    /// The second argument.
    second: Option<&'a str>,
}

impl<'a> Elements<'a> {
    fn parse(text: &'a str) -> Result<Self, Malformed> {
        let array: Array<'a> = serde_json::from_str(text).map_err(|_| Malformed("bad event"))?;
        let Some(first) = array.first else {
            return Ok(Self { name: array.name, payload: "null", args: "", second: None });
        };
        // The first argument is a part of `text`, so the distance of their addresses is its offset, and the
        // text from there to the closing bracket is the arguments.
        let start = first.get().as_ptr() as usize - text.as_ptr() as usize;
        let args = text[start..].trim_end();
        let args = args.strip_suffix(']').unwrap_or(args).trim_end();
        Ok(Self { name: array.name, payload: first.get(), args, second: array.second.map(RawValue::get) })
    }
}

struct Array<'a> {
    name: Cow<'a, str>,
    first: Option<&'a RawValue>,
    second: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Array<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// `Cow` alone always deserialises to an owned string.
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct ArrayVisitor;
        impl<'de> Visitor<'de> for ArrayVisitor {
            type Value = Array<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array that begins with a name")
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Array<'de>, S::Error> {
                let Some(Name(name)) = seq.next_element()? else {
                    return Err(serde::de::Error::invalid_length(0, &self));
                };
                let first = seq.next_element()?;
                let second = if first.is_some() { seq.next_element()? } else { None };
                while second.is_some() && seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Array { name, first, second })
            }
        }
        deserializer.deserialize_seq(ArrayVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event<'a>(name: &'a str, payload: &'a str, args: &'a str, ack: Option<u64>) -> ClientEvent<'a> {
        ClientEvent { name: name.into(), payload, args, attachments: &[], ack }
    }

    #[test]
    fn well_formed_packets() {
        let cases = [
            ("1", Packet::Close),
            ("3", Packet::Alive),
            ("6", Packet::Alive),
            ("40", Packet::Connect { namespace: "/", auth: "{}" }),
            (r#"40{"token":"a"}"#, Packet::Connect { namespace: "/", auth: r#"{"token":"a"}"# }),
            (r#"40/,{"a":1}"#, Packet::Connect { namespace: "/", auth: r#"{"a":1}"# }),
            ("40/custom", Packet::Connect { namespace: "/custom", auth: "{}" }),
            ("40/custom,", Packet::Connect { namespace: "/custom", auth: "{}" }),
            (r#"40/custom,{"a":1}"#, Packet::Connect { namespace: "/custom", auth: r#"{"a":1}"# }),
            ("41", Packet::Disconnect { namespace: "/" }),
            ("41/custom", Packet::Disconnect { namespace: "/custom" }),
            ("41/custom,", Packet::Disconnect { namespace: "/custom" }),
            (r#"42["a"]"#, Packet::Event { namespace: "/", event: event("a", "null", "", None) }),
            (
                r#"42["message",1,"2",{"3":[true]}]"#,
                Packet::Event { namespace: "/", event: event("message", "1", r#"1,"2",{"3":[true]}"#, None) },
            ),
            (
                "42456[\"a\" , [1] ,2 ] ",
                Packet::Event { namespace: "/", event: event("a", "[1]", "[1] ,2", Some(456)) },
            ),
            (
                r#"42/x,0["ä","\ud83d\ude00"]"#,
                Packet::Event {
                    namespace: "/x",
                    event: event("ä", r#""\ud83d\ude00""#, r#""\ud83d\ude00""#, Some(0)),
                },
            ),
            (r#"42["\u0061b",1]"#, Packet::Event { namespace: "/", event: event("ab", "1", "1", None) }),
            ("4312[]", Packet::Ack { namespace: "/" }),
            (r#"451-["a",{"_placeholder":true,"num":0}]"#, Packet::Binary),
            ("461-1[]", Packet::Binary),
        ];
        for (text, packet) in cases {
            assert_eq!(Packet::decode(text), Ok(packet), "{text}");
        }
    }

    #[test]
    fn malformed_packets() {
        for text in [
            "",
            "0",
            "2",
            "2probe",
            "5",
            "7",
            "abc",
            "ä",
            "4",
            "4abc",
            "49",
            "4ä",
            "40abc",
            "40[]",
            "40null",
            "40{",
            "4012{}",
            "41{}",
            "41abc",
            "42",
            "42{}",
            "42[]",
            "42[",
            "42[]]",
            "42[1]",
            "42[null]",
            "42{\"a\":1}",
            "42\"a\"",
            "42abc[\"a\"]",
            "42-1[\"a\"]",
            "42[\"a\"]x",
            "42[\"a\",]",
            "42[\"a\",1,]",
            "42[\"a\",1,2",
            "4218446744073709551616[\"a\"]",
            "42[\"connect\"]",
            "42[\"connect_error\"]",
            "42[\"disconnect\"]",
            "42[\"disconnecting\"]",
            "42[\"newListener\"]",
            "42[\"removeListener\",1]",
            "42[\"\\u0063onnect\"]",
            "43",
            "43[]",
            "431{}",
            "431",
            "43abc[]",
            "44{\"message\":\"x\"}",
            "47",
            "48",
            "b",
            "\u{0}",
        ] {
            assert!(Packet::decode(text).is_err(), "{text}");
        }
        let long = format!("40/{}", "x".repeat(MAX_NAMESPACE));
        assert!(Packet::decode(&long).is_err());
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = format!("42[\"a\",{}{}]", "[".repeat(200_000), "]".repeat(200_000));
        assert!(Packet::decode(&deep).is_ok());
        assert!(Packet::decode(&deep[..deep.len() - 2]).is_err());
    }

    #[test]
    fn every_cut_of_a_packet_is_survived() {
        let text = r#"42/näm,12["na\u0041me",{"ä":"\"]"},[1,2]]"#;
        for cut in (0..=text.len()).filter(|&cut| text.is_char_boundary(cut)) {
            let (start, end) = text.split_at(cut);
            let _ = Packet::decode(start);
            let _ = Packet::decode(end);
            let _ = decode_plain(end);
        }
    }

    #[test]
    fn damaged_packets_are_survived() {
        let packets =
            [r#"42/n,12["na\u0041me",{"ä":"\"]"},[1,2]]"#, r#"40/x,{"a":[1]}"#, r#"["a",{"b":1},7]"#];
        let mut seed = 7_u64;
        let mut draw = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for _ in 0..50_000 {
            let mut text: Vec<char> = packets[draw(packets.len())].chars().collect();
            for _ in 0..=draw(3) {
                let position = draw(text.len());
                text[position] = ['"', '\\', '[', ']', '{', '}', ',', '0', '/', 'ä', '\0'][draw(11)];
            }
            let text: String = text.into_iter().collect();
            let _ = Packet::decode(&text);
            let _ = decode_plain(&text);
        }
    }

    #[test]
    fn plain_messages() {
        assert_eq!(decode_plain(r#"["a"]"#), Ok(event("a", "null", "", None)));
        assert_eq!(decode_plain(r#"["a",{"b":1}]"#), Ok(event("a", r#"{"b":1}"#, r#"{"b":1}"#, None)));
        assert_eq!(
            decode_plain(r#" ["a", {"b":1} , 7]"#),
            Ok(event("a", r#"{"b":1}"#, r#"{"b":1}"#, Some(7)))
        );
        assert_eq!(decode_plain(r#"["a",1,7,"more"]"#), Ok(event("a", "1", "1", Some(7))));
        for text in [
            "",
            "[]",
            "{}",
            "[1]",
            "null",
            "x",
            r#"["a",1,"7"]"#,
            r#"["a",1,-7]"#,
            r#"["a",1,7.5]"#,
            r#"["a",1,null]"#,
        ] {
            assert!(decode_plain(text).is_err(), "{text}");
        }
    }
}
