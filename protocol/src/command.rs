//! The internal calls from gateway to api: batches of commands, each with its own answer.
//!
//! `POST` to [`PATH`] with a [`Batch`]; the answer is [`Answers`], as many as there were commands and in the
//! same order. A batch that gets no answer is sent again as it is: every command is idempotent, because
//! the gateway mints message identifiers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::body::NewMessage;
use crate::code::ApiError;
use crate::input::Invalid;
use crate::{Id, Timestamp, UnixMicros};

/// Where an api node takes batches. Not under `/api`, so the edge never passes a client's request to it.
pub const PATH: &str = "/internal/commands";
/// Where an api node tells whether it can take effect now what a batch asks for: `GET`, authenticated as a batch is.
/// 200 if it can, otherwise 503 with `{"message": …}`.
pub const READY_PATH: &str = "/internal/ready";

/// The largest number of commands in a batch; an api node refuses more.
pub const MAX_BATCH: usize = 512;
/// The largest payload of one command, in bytes: the longest text, every character of it escaped twice over, and
/// room for the rest. The gateway refuses more before it takes a place in a batch.
pub const MAX_PAYLOAD: usize = 64 << 10;
/// The largest batch, in bytes.
pub const MAX_BODY: usize = MAX_BATCH * (MAX_PAYLOAD + 1024);

/// Commands in the order in which they must take effect. `P` is the form of their payloads.
#[derive(Debug, Serialize, Deserialize)]
pub struct Batch<P = NewMessage> {
    /// At most [`MAX_BATCH`].
    pub commands: Vec<Command<P>>,
}

impl Batch<Result<NewMessage, Invalid>> {
    /// Reads a batch, each of its messages checked for itself.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        if let Ok(batch) = crate::json::read::<Batch>(json) {
            return Ok(batch.map(NewMessage::checked));
        }
        // A gateway of an earlier version passes on what the client wrote, good or bad.
        let batch: Batch<Box<RawValue>> = serde_json::from_slice(json)?;
        Ok(batch.map(|payload| NewMessage::parse(payload.get().as_bytes())))
    }
}

impl<P> Batch<P> {
    fn map<Q>(self, payload: impl Fn(P) -> Q) -> Batch<Q> {
        Batch { commands: self.commands.into_iter().map(|command| command.map(&payload)).collect() }
    }
}

/// One command.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command<P = NewMessage> {
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
        /// What it says. The gateway has checked it, and the api checks it again.
        payload: P,
        /// When the gateway received it; a gateway of an earlier version does not say.
        #[serde(default)]
        received: Option<UnixMicros>,
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

impl<P> Command<P> {
    fn map<Q>(self, with: impl Fn(P) -> Q) -> Command<Q> {
        match self {
            Self::Connect { user, generation } => Command::Connect { user, generation },
            Self::Send { message, sender, conversation, payload, received } => {
                Command::Send { message, sender, conversation, payload: with(payload), received }
            }
            Self::Read { user, message } => Command::Read { user, message },
            Self::Presence { gateway, user, version, presence, at } => {
                Command::Presence { gateway, user, version, presence, at }
            }
            Self::Alive { gateway } => Command::Alive { gateway },
        }
    }
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
    /// Which of its lives the gateway is in. When it is another one than before, the gateway is new or was taken for
    /// dead meanwhile, and its users for offline: it is to tell everybody's presence again, under new versions.
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
    /// It took effect; the value is what the command promises. It goes on to the client as it is, so it is not read: to
    /// skip it is several times cheaper than to read and write it, whatever the parser.
    Ok(Box<RawValue>),
    /// It was refused.
    Err(ApiError),
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ErrorCode;

    fn text(content: &str) -> NewMessage {
        NewMessage::parse(json!({ "content": content }).to_string().as_bytes()).unwrap()
    }

    fn send<P>(payload: P) -> Command<P> {
        let [message, sender, conversation] = [(); 3].map(|()| Id::mint());
        Command::Send { message, sender, conversation, payload, received: None }
    }

    /// What each message of a batch says, or why it is refused.
    fn payloads(json: &str) -> Vec<Result<NewMessage, String>> {
        let batch = Batch::from_json(json.as_bytes()).unwrap();
        let payloads = batch.commands.into_iter().filter_map(|command| match command {
            Command::Send { payload, .. } => Some(payload.map_err(|invalid| invalid.to_string())),
            _ => None,
        });
        payloads.collect()
    }

    #[test]
    fn batches_round_trip_whichever_parser_reads_them() {
        for count in [1, MAX_BATCH] {
            let commands = (0..count).map(|n| send(text(&format!("{n}: \u{e9}\n\"")))).collect();
            let json = serde_json::to_string(&Batch { commands }).unwrap();
            let read = payloads(&json);
            assert_eq!(read.len(), count);
            for (n, payload) in read.into_iter().enumerate() {
                assert_eq!(payload, Ok(text(&format!("{n}: \u{e9}\n\""))));
            }
        }
    }

    #[test]
    fn a_message_that_is_refused_harms_no_neighbour() {
        let refused = |json: Value| NewMessage::parse(json.to_string().as_bytes()).unwrap_err().to_string();
        // As gateways of this version write them, in a form that is good, and as clients wrote them.
        let empty = json!({"content": " ", "contentType": "text"});
        let long = json!({"content": "x".repeat(4_001), "contentType": "text"});
        let (number, none) = (json!({"content": 1}), json!({"conversationId": Id::mint()}));
        let good = json!({"content": "good", "conversationId": Id::mint(), "contentType": null});
        for payloads_of in [vec![empty, long], vec![number, none, good]] {
            let commands = payloads_of.iter().map(send).collect();
            let json = serde_json::to_string(&Batch { commands }).unwrap();
            let expected = payloads_of.into_iter().map(|payload| match &payload["content"] {
                content if content == "good" => Ok(text("good")),
                _ => Err(refused(payload)),
            });
            assert_eq!(payloads(&json), expected.collect::<Vec<_>>());
        }
        assert!(Batch::from_json(br#"{"commands":[{"send":{}}]}"#).is_err());
    }

    #[test]
    fn answers_round_trip() {
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
