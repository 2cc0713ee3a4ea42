//! The internal calls from gateway to api: batches of commands, each with its own answer.
//!
//! `POST` to [`PATH`] with a [`Batch`]; the answer is [`Answers`], as many as there were commands and in the
//! same order. A batch that gets no answer is sent again as it is: every command is idempotent, because
//! the gateway mints message identifiers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::code::ApiError;
use crate::{Id, Timestamp};

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
    /// A user has read a message, and all before it. Answered with [`crate::model::MessageRead`].
    Read {
        /// Who.
        user: Id,
        /// What.
        message: Id,
    },
    /// What a user is on one gateway has changed. Answered with null, also where a later version is known already.
    Presence {
        /// The gateway, as one life of its process.
        gateway: Id,
        /// Who.
        user: Id,
        /// Rises with every change that this gateway tells; an earlier one never undoes a later.
        version: u64,
        /// What they are there now.
        presence: Presence,
        /// When that came to be.
        at: Timestamp,
    },
    /// The gateway lives. Sent every [`HEARTBEAT_INTERVAL_SECS`], or its users are taken for offline after
    /// [`HEARTBEAT_TIMEOUT_SECS`]. Answered with [`Heartbeat`].
    Alive {
        /// The gateway.
        gateway: Id,
    },
}

/// What a user is, on one gateway or on all together (the most present counts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Without a connection, or wishes to look like that.
    Offline,
    /// Connected, but not attending.
    Away,
    /// Connected.
    Online,
}

impl Presence {
    /// The name in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Away => "away",
            Self::Online => "online",
        }
    }
}

/// The answer to [`Command::Alive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Which of its lives the gateway is in. When it is another one than before, the gateway is new or was taken for dead
    /// meanwhile, and its users for offline: it is to tell everybody's presence again, under new versions.
    pub epoch: i64,
}

/// How often a gateway says that it lives, in seconds.
pub const HEARTBEAT_INTERVAL_SECS: u64 = 5;
/// After how many silent seconds a gateway is dead. Longer than clients take to come back elsewhere, so that nobody
/// looks offline because a gateway was restarted.
pub const HEARTBEAT_TIMEOUT_SECS: u64 = 30;

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
