//! Reading messages as they arrive: each is read once, however many sockets it arrives at.
//!
//! A message goes to many sockets as the same bytes. What was read of the last ones is kept beside their bytes; an
//! arrival that equals one of them costs a comparison of memory, not a parser.

use std::borrow::Cow;
use std::hash::Hasher;

use protocol::Id;
use rustc_hash::FxHasher;
use serde::Deserialize;

use crate::marker::{Marker, Origin};

/// How many messages are remembered.
const REMEMBERED: usize = 128;

/// A `message:new`, as far as it is of interest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewMessage<'a> {
    conversation_id: Id,
    #[serde(default)]
    seq: Option<i64>,
    #[serde(borrow)]
    sender: Sender<'a>,
    #[serde(borrow)]
    content: Cow<'a, str>,
}

/// The author: a profile, or where the specification's own server leaves it at that, an identifier.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sender<'a> {
    Profile {
        #[serde(rename = "_id")]
        id: Id,
    },
    Id(#[serde(borrow)] Cow<'a, str>),
}

/// What was read of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The conversation's identifier.
    pub(super) conversation: Id,
    /// Its number in the conversation, where it has one.
    pub(super) seq: Option<i64>,
    /// The author.
    pub(super) sender: Id,
    /// What its text says, if it is a message of this run.
    pub(super) marker: Option<Marker>,
}

/// What the run makes of a message: the same at every socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Unreadable.
    Malformed,
    /// Of this run, but under another's name or in another conversation than it was sent to.
    Misplaced,
    /// A message of others.
    Foreign {
        /// The conversation's place in the world, if it is there.
        conversation: Option<u32>,
        /// Its number.
        number: Option<i64>,
    },
    /// A message of this run.
    Ours {
        /// The conversation's place in the world.
        conversation: u32,
        /// The sender's place.
        sender: u32,
        /// Its number, among those of the conversation or of the sender.
        number: i64,
        /// Which send it is.
        origin: Origin,
        /// When it was due, and when it left.
        due_us: u64,
        /// When it left.
        sent_us: u64,
        /// It had been seen under another number.
        stored_twice: bool,
    },
}

/// The last messages, as they came and as they were read.
#[derive(Debug)]
pub(super) struct Memory {
    entries: Vec<(Vec<u8>, Meaning)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { entries: vec![(Vec::new(), Meaning::Malformed); REMEMBERED] }
    }
}

impl Memory {
    /// What was made of the same bytes before; otherwise the place where that is to be put.
    pub(super) fn find(&self, packet: &[u8]) -> Result<Meaning, usize> {
        let place = place(packet);
        let (bytes, meaning) = &self.entries[place];
        if bytes == packet { Ok(*meaning) } else { Err(place) }
    }

    /// Keeps what was made of a message.
    pub(super) fn keep(&mut self, place: usize, packet: &[u8], meaning: Meaning) {
        let (bytes, kept) = &mut self.entries[place];
        bytes.clear();
        bytes.extend_from_slice(packet);
        *kept = meaning;
    }
}

/// A message's identifier is at its beginning, its clock at its end.
fn place(packet: &[u8]) -> usize {
    let mut hasher = FxHasher::default();
    hasher.write(&packet[..packet.len().min(56)]);
    hasher.write(&packet[packet.len().saturating_sub(16)..]);
    (hasher.finish() >> 40) as usize % REMEMBERED
}

/// Reads the arguments of a `message:new`, which begin with the message. `run` is this run's mark.
pub(super) fn read(arguments: &[u8], run: u32) -> Option<Message> {
    let mut values = serde_json::Deserializer::from_slice(arguments).into_iter::<NewMessage<'_>>();
    let message = values.next()?.ok()?;
    // What follows is the clock, or nothing; and the bracket that ends the event.
    let rest = &arguments[values.byte_offset()..];
    if !(rest == b"]" || (rest.starts_with(b",\"") && rest.ends_with(b"\"]"))) {
        return None;
    }
    let sender = match message.sender {
        Sender::Profile { id } => id,
        Sender::Id(text) => text.parse().ok()?,
    };
    let marker = Marker::read(&message.content).filter(|marker| marker.run == run);
    Some(Message { conversation: message.conversation_id, seq: message.seq, sender, marker })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef01234567";

    fn event(seq: &str, content: &str, sender: &str, tail: &str) -> String {
        format!(
            r#"{{"_id":"{ID}","conversationId":"{ID}",{seq}"sender":{sender},"content":"{content}","readBy":[{{"userId":"{ID}"}}]}}{tail}"#
        )
    }

    #[test]
    fn a_message_is_read_with_and_without_what_linkup_adds() {
        let profile = format!(r#"{{"_id":"{ID}","name":"Ann \"A\""}}"#);
        let text = event("\"seq\":7,", "hi \\\"you\\\"", &profile, ",\"ff-1-0\"]");
        let message = read(text.as_bytes(), 1).unwrap();
        assert_eq!((message.seq, message.sender.to_string().as_str(), message.marker), (Some(7), ID, None));
        let text = event("", "load 00000001 0 5 6 7 8 x", &format!("\"{ID}\""), "]");
        let message = read(text.as_bytes(), 1).unwrap();
        assert_eq!((message.seq, message.marker.unwrap().origin.index), (None, 5));
        assert_eq!(read(text.as_bytes(), 2).unwrap().marker, None, "of another run");
    }

    #[test]
    fn what_is_no_message_is_not_read() {
        let good = event("\"seq\":7,", "x", &format!("\"{ID}\""), ",\"ff-1-0\"]");
        assert!(read(good.as_bytes(), 1).is_some());
        for text in
            [&good[..good.len() - 1], &good.replace(ID, "x"), "{}]", "", &good.replace(",\"ff", ",{\"ff")]
        {
            assert!(read(text.as_bytes(), 1).is_none(), "{text}");
        }
    }

    #[test]
    fn only_the_same_bytes_have_the_same_meaning() {
        let mut memory = Memory::default();
        let (one, other) = (b"42[\"message:new\",1]".as_slice(), b"42[\"message:new\",2]".as_slice());
        let place = memory.find(one).unwrap_err();
        memory.keep(place, one, Meaning::Misplaced);
        assert_eq!(memory.find(one), Ok(Meaning::Misplaced));
        let place = memory.find(other).unwrap_err();
        memory.keep(place, other, Meaning::Foreign { conversation: None, number: None });
        assert_ne!(memory.find(other), Ok(Meaning::Misplaced));
    }
}
