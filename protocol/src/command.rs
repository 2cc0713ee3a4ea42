//! The internal calls from gateway to api: batches of commands, each with its own answer.
//!
//! `POST` to [`PATH`] with a [`Batch`]; the answer is [`Answers`], as many as there were commands and in the
//! same order. A batch that gets no answer is sent again as it is: every command is idempotent, because
//! the gateway mints message identifiers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Id;
use crate::code::ApiError;

/// Where an api node takes batches. Not under `/api`, so the edge never passes a client's request to it.
pub const PATH: &str = "/internal/commands";

/// The largest number of commands in a batch; an api node refuses more.
pub const MAX_BATCH: usize = 512;
/// The largest payload of one command, in bytes: the longest text, every character of it escaped twice over, and
/// room for the rest. The gateway refuses more before it takes a place in a batch.
pub const MAX_PAYLOAD: usize = 64 << 10;
/// The largest batch, in bytes.
pub const MAX_BODY: usize = MAX_BATCH * (MAX_PAYLOAD + 1024);

/// Commands in the order in which they must take effect.
#[derive(Debug, Serialize, Deserialize)]
pub struct Batch {
    /// At most [`MAX_BATCH`].
    pub commands: Vec<Command>,
}

/// One command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// May this user open a socket with a token of this generation? Answered with the user's
    /// [`crate::model::UserSummary`], or refused.
    Connect {
        /// The user of the token.
        user: Id,
        /// How many times all sessions of the user had been ended when the token was issued: see
        /// [`crate::token::Claims::generation`].
        generation: i64,
    },
    /// Store a message. Answered with the stored [`crate::model::Message`].
    Send {
        /// Minted by the gateway, so that a retry never doubles the message.
        message: Id,
        /// The user whose socket sent it.
        sender: Id,
        /// The conversation, already read from the payload to choose the lane.
        conversation: Id,
        /// The payload as the client sent it; the api checks it as it checks a REST body.
        payload: Box<RawValue>,
    },
}

/// One answer for each command of the batch.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answers {
    /// In the order of the commands.
    pub answers: Vec<Answer>,
}

/// What came of a command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It took effect; the value is what the command promises.
    Ok(Box<RawValue>),
    /// It was refused.
    Err(ApiError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn commands_and_answers_round_trip() {
        let payload = RawValue::from_string(r#"{"content":"hi"}"#.to_owned()).unwrap();
        let send =
            Command::Send { message: Id::mint(), sender: Id::mint(), conversation: Id::mint(), payload };
        let json = serde_json::to_string(&Batch { commands: vec![send] }).unwrap();
        let batch: Batch = serde_json::from_str(&json).unwrap();
        assert!(
            matches!(&batch.commands[0], Command::Send { payload, .. } if payload.get() == r#"{"content":"hi"}"#)
        );

        let answers = Answers {
            answers: vec![
                Answer::Ok(RawValue::from_string("1".to_owned()).unwrap()),
                Answer::Err(ApiError::new(ErrorCode::Forbidden, "not yours")),
            ],
        };
        let json = serde_json::to_string(&answers).unwrap();
        assert_eq!(json, r#"{"answers":[{"ok":1},{"err":{"message":"not yours","code":"forbidden"}}]}"#);
        assert_eq!(serde_json::from_str::<Answers>(&json).unwrap().answers.len(), 2);
    }
}
