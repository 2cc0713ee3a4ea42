//! What must hold of declared input, whatever bytes a client sends.
//!
//! | module | holds |
//! |---|---|
//! | [`declared`] | declarations that have a field of every type |
//! | [`sound`] | what must hold of a value that was accepted |

pub mod declared;
pub mod sound;

use std::fmt::Debug;

use protocol::body::{NewMessage, SendMessage, conversation_id, sent};
use protocol::command::Batch;
use protocol::input::{Input, Invalid, NO_OBJECT};
use protocol::json::SIMD_FROM;
use serde_json::{Map, Value};

use crate::declared::{Anything, Everything, Small};
use crate::sound::Sound;

/// How keys begin that `serde_json::Value` does not take as they are.
const SECRET_KEY: &[u8] = b"serde_json::private";

/// Reads `data` as every body and every query there is.
///
/// # Panics
///
/// When something does not hold that must.
pub fn check(data: &[u8]) {
    body_and_query::<Everything>(data);
    body_and_query::<Anything>(data);
    body_and_query::<Small>(data);
    body_and_query::<SendMessage>(data);
    message(data);
    parsers(data);
}

/// A text that is long enough for the other parser, and means the same, is read as the same.
fn parsers(data: &[u8]) {
    let long = [data, &[b' '; SIMD_FROM]].concat();
    let body = |data: &[u8]| format!("{:?}", Everything::from_json(data));
    assert_eq!(body(data), body(&long));
    assert_eq!(NewMessage::parse(data), NewMessage::parse(&long));
    let batch = |data: &[u8]| Batch::from_json(data).map(|batch| format!("{batch:?}")).ok();
    assert_eq!(batch(data), batch(&long));
}

/// A message as REST and sockets give it.
fn message(data: &[u8]) {
    match NewMessage::parse(data) {
        Ok(message) => message.check(),
        Err(refused) => check_refusal::<SendMessage>(&refused),
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let conversation = conversation_id(text);
    if let Err(refused) = &conversation {
        assert!(["body", "conversationId"].contains(&&*refused.field), "{refused:?}");
    }
    // Whether both are read at once or one after the other must not show.
    let apart = conversation.and_then(|id| NewMessage::parse(data).map(|message| (id, message)));
    assert_eq!(sent(text), apart);
}

fn body_and_query<T: Input + Sound + Debug>(data: &[u8]) {
    let read = T::from_json(data);
    match &read {
        Ok(read) => read.check(),
        Err(refused) => check_refusal::<T>(refused),
    }
    agrees(data, &read);
    let Ok(text) = std::str::from_utf8(data) else { return };
    match T::from_query(Some(text)) {
        Ok(read) => read.check(),
        Err(refused) => {
            assert_ne!(refused, NO_OBJECT, "a query is no body");
            check_refusal::<T>(&refused);
        }
    }
}

/// What is refused names a declared field, or the body as a whole, and nothing of what the client wrote.
fn check_refusal<T: Input>(refused: &Invalid) {
    let end = refused.field.find(['.', '[']).unwrap_or(refused.field.len());
    let name = &refused.field[..end];
    let known = T::FIELDS.iter().any(|field| field.name == name);
    assert!(known || *refused == NO_OBJECT, "{refused:?} names no field");
    let message = refused.to_string();
    assert_eq!(message, format!("{}: {}", refused.field, refused.problem));
    assert!(!refused.problem.is_empty() && message.len() < 200, "{message}");
    assert!(!message.contains(char::is_control), "{message:?}");
}

/// Reading field by field comes to the same as reading all of the JSON first, but that a field which is there twice
/// is seen, and that keys with a meaning of their own to `serde_json` are keys like others.
fn agrees<T: Input + Debug>(data: &[u8], read: &Result<T, Invalid>) {
    if data.windows(SECRET_KEY.len()).any(|bytes| bytes == SECRET_KEY) {
        return;
    }
    let Ok(object) = serde_json::from_slice::<Map<String, Value>>(data) else { return };
    match (read, T::from_object(object)) {
        (Ok(read), Ok(other)) => assert_eq!(format!("{read:?}"), format!("{other:?}")),
        (Err(refused), Err(other)) if *refused == other => {}
        (Err(refused), _) if refused.problem == "must not be there twice" => {}
        (read, other) => panic!("{read:?} is not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_to_start_from_is_accepted() {
        let everything = include_bytes!("../seeds/everything.json");
        assert!(Everything::from_json(everything).is_ok());
        let message = include_bytes!("../seeds/message.json");
        assert!(NewMessage::parse(message).is_ok());
        let query = include_str!("../seeds/query.txt").trim();
        assert_eq!(Everything::from_query(Some(query)).unwrap_err().field, "ids");
        [&everything[..], message, query.as_bytes(), b"\xff", b""].into_iter().for_each(check);
    }
}
