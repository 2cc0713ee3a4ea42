//! Reading what clients send: Engine.IO and Socket.IO packets, and the messages of `/ws`.
//!
//! Everything borrows from the text frame; a packet is only looked at once. The published codecs
//! (`engineioxide-core`, `socketioxide-parser-common`) own what they decode and parse event arguments into
//! values that the application would only serialise again, so they do not serve here.
//!
//! | module | holds |
//! |---|---|
//! | `assembly` | a packet whose binary attachments are still coming |
//! | `placeholders` | where those stand in its JSON |

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::ClientEvent;

mod assembly;
mod placeholders;

pub(super) use assembly::Assembly;

/// The namespace that everybody is in.
pub(super) const MAIN_NAMESPACE: &str = "/";

/// Names that stock clients and servers keep for themselves.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Longer names are nobody's namespace, and would only be echoed.
const MAX_NAMESPACE: usize = 256;

/// A text packet of Engine.IO from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine<'a> {
    /// The client closes the transport.
    Close,
    /// The answer to a ping.
    Pong,
    /// A noop. A sign of life and nothing else.
    Noop,
    /// A message of what is built on top.
    Message(&'a str),
}

impl<'a> Engine<'a> {
    /// Reads one text frame of an Engine.IO transport.
    pub(super) fn decode(text: &'a str) -> Result<Self, Malformed> {
        match text.as_bytes().first() {
            Some(b'1') => Ok(Self::Close),
            Some(b'3') => Ok(Self::Pong),
            Some(b'6') => Ok(Self::Noop),
            Some(b'4') => Ok(Self::Message(&text[1..])),
            _ => Err(Malformed("bad Engine.IO packet")),
        }
    }
}

/// A packet from a Socket.IO client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// The client asks to be connected; `auth` is the text of a JSON object.
    Connect { namespace: &'a str, auth: &'a str },
    /// The client disconnects.
    Disconnect { namespace: &'a str },
    /// An event. Its `attachments` follow, so many.
    Event { namespace: &'a str, event: ClientEvent<'a>, attachments: usize },
    /// An acknowledgement. `args` are JSON texts with commas between them; its `attachments` follow.
    Ack { namespace: &'a str, id: u64, args: &'a str, attachments: usize },
    /// An event or acknowledgement with binary attachments, where none are accepted.
    Binary,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

impl<'a> Packet<'a> {
    /// Reads one message of an Engine.IO transport. `limit` is how many attachments are accepted.
    pub(super) fn decode(text: &'a str, limit: usize) -> Result<Self, Malformed> {
        let Some(kind) = text.as_bytes().first() else { return Err(Malformed("empty Socket.IO packet")) };
        if !kind.is_ascii_digit() {
            return Err(Malformed("bad Socket.IO packet type"));
        }
        let (attachments, rest) = match kind {
            b'5' | b'6' if limit == 0 => return Ok(Self::Binary),
            b'5' | b'6' => split_attachments(&text[1..], limit)?,
            _ => (0, &text[1..]),
        };
        let (namespace, rest) = split_namespace(rest)?;
        match kind {
            b'0' => Ok(Self::Connect { namespace, auth: object_or_empty(rest)? }),
            b'1' if rest.is_empty() => Ok(Self::Disconnect { namespace }),
            b'2' | b'5' => {
                let (ack, array) = split_id(rest)?;
                let Elements { name, args, payload, .. } = Elements::parse(array)?;
                if RESERVED.contains(&&*name) {
                    return Err(Malformed("reserved event name"));
                }
                if *kind == b'5' {
                    placeholders::check(array, attachments)?;
                }
                let event = ClientEvent { name, payload, args, attachments: &[], ack };
                Ok(Self::Event { namespace, event, attachments })
            }
            b'3' | b'6' => {
                let (Some(id), array) = split_id(rest)? else { return Err(BAD_ACK) };
                let args = inside_array(array).ok_or(BAD_ACK)?;
                if *kind == b'6' {
                    placeholders::check(array, attachments)?;
                }
                Ok(Self::Ack { namespace, id, args, attachments })
            }
            _ => Err(Malformed("bad Socket.IO packet")),
        }
    }
}

const BAD_ACK: Malformed = Malformed("bad acknowledgement");

/// What stands between the brackets of a JSON array. `None` if it is not one.
fn inside_array(text: &str) -> Option<&str> {
    serde_json::from_str::<Vec<IgnoredAny>>(text).ok()?;
    Some(text.trim().strip_prefix('[')?.strip_suffix(']')?.trim())
}

/// Takes the number of attachments off the front, at most `limit`.
fn split_attachments(text: &str, limit: usize) -> Result<(usize, &str), Malformed> {
    let bad = Malformed("bad number of attachments");
    let (number, rest) = text.split_once('-').ok_or(bad)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad);
    }
    match number.parse() {
        Ok(number) if number <= limit.min(placeholders::MAX) => Ok((number, rest)),
        _ => Err(Malformed("too many attachments")),
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
mod tests;
