//! Realtime events: their names, and the one encoding that every socket shares.
//!
//! An event is a JSON array: name, payload and, where the event is part of the recoverable stream, its
//! clock as a last string. On a Socket.IO connection it follows the packet prefix `42`; on a plain
//! WebSocket it is the whole text frame. The stock Socket.IO client takes the *last string argument* of an
//! event as its offset, so no other event may end in a string.

use bytes::Bytes;
use serde::Serialize;

use crate::Clock;

/// A new message was committed. Payload: [`crate::model::Message`].
pub const MESSAGE_NEW: &str = "message:new";
/// A conversation was created or changed. Payload: [`crate::model::ConversationUpdate`].
pub const CONVERSATION_UPDATE: &str = "conversation:update";
/// A message was edited. Payload: [`crate::model::MessageUpdate`].
pub const MESSAGE_UPDATE: &str = "message:update";
/// A message was deleted. Payload: [`crate::model::MessageDelete`].
pub const MESSAGE_DELETE: &str = "message:delete";
/// Somebody has read a message, and all before it. Payload: [`crate::model::MessageRead`]. From a client:
/// [`crate::body::ReadMessage`].
pub const MESSAGE_READ: &str = "message:read";
/// Somebody is typing, or has stopped; never with a clock. Payload: [`crate::model::Typing`]. From a client:
/// [`crate::body::SetTyping`].
pub const CONVERSATION_TYPING: &str = "conversation:typing";
/// Somebody went online, away or offline. Payload: [`crate::model::UserStatus`]. From a client:
/// [`crate::body::SetStatus`].
pub const USER_STATUS: &str = "user:status";
/// Somebody joined an activity. Payload: [`crate::model::ActivityMembers`].
pub const ACTIVITY_JOIN: &str = "activity:join";
/// Somebody left an activity. Payload: [`crate::model::ActivityMembers`].
pub const ACTIVITY_LEAVE: &str = "activity:leave";
/// From a client: send a message. Payload: [`crate::body::SendMessage`].
pub const MESSAGE_SEND: &str = "message:send";
/// From a client: authenticate (on `/ws` only), or replace the token by a newer one of the same user. Payload:
/// `{token}`.
pub const USER_CONNECT: &str = "user:connect";
/// From a client on `/ws`: authenticate and get what was missed. Payload: `{token, pid, offset}`.
pub const RESUME: &str = "resume";
/// To a client whose command without acknowledgement failed. Payload: `{message}`.
pub const ERROR: &str = "error";

/// Encodes an event. `clock` is given for events of the recoverable stream only.
///
/// # Errors
///
/// When the payload's own serialisation fails, which none of [`crate::model`] does.
pub fn encode<T: Serialize + ?Sized>(
    name: &str,
    payload: &T,
    clock: Option<Clock>,
) -> Result<Bytes, serde_json::Error> {
    let mut text = Vec::with_capacity(512);
    match clock {
        Some(clock) => serde_json::to_writer(&mut text, &(name, payload, clock))?,
        None => serde_json::to_writer(&mut text, &(name, payload))?,
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_the_last_argument() {
        let clock = Clock { time: 255, change: 1, event: 0 };
        let event = encode(MESSAGE_NEW, &serde_json::json!({"a": 1}), Some(clock)).unwrap();
        assert_eq!(event, r#"["message:new",{"a":1},"ff-1-0"]"#);
        let event = encode(ERROR, &serde_json::json!({"message": "x"}), None).unwrap();
        assert_eq!(event, r#"["error",{"message":"x"}]"#);
    }
}
