//! How a client is told what came of its command.

use std::sync::Arc;

use bytes::Bytes;
use protocol::code::ApiError;
use protocol::event;
use serde_json::json;
use serde_json::value::RawValue;

use crate::metrics::{Kind, Metrics, Outcome};
use crate::transport::{Event, Socket};

/// The socket that sent a command, and the acknowledgement it asked for.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) socket: Socket,
    pub(crate) ack: Option<u64>,
    pub(crate) kind: Kind,
    pub(crate) metrics: Arc<Metrics>,
}

impl Reply {
    /// It took effect: `{"ok":true}`.
    pub(crate) fn done(self) {
        self.succeed(r#"{"ok":true}"#);
    }

    /// It took effect, and this came of it: `{"ok":true,"<name>":<value>}`.
    pub(crate) fn done_with(self, name: &'static str, value: &RawValue) {
        self.succeed(&format!(r#"{{"ok":true,"{name}":{value}}}"#));
    }

    fn succeed(self, json: &str) {
        self.metrics.command(self.kind, Outcome::Ok);
        if let Some(ack) = self.ack {
            self.socket.ack(ack, json);
        }
    }

    /// It did not.
    pub(crate) fn fail(self, error: &ApiError) {
        self.metrics.command(self.kind, Outcome::of(error.code));
        self.tell(error);
    }

    /// It was one too many, and was not even looked at.
    pub(crate) fn refuse(self, error: &ApiError) {
        self.metrics.command(self.kind, Outcome::Refused);
        self.tell(error);
    }

    fn emit(&self, json: Bytes) {
        self.metrics.events.of(&json).increment(1);
        self.socket.emit(&Event::new(json));
    }

    /// Without an acknowledgement a failure is told where the client would wait in vain, in the frontend
    /// specification's words: a message that was not sent, a token that was not taken. Others pass in silence, as
    /// there.
    fn tell(self, error: &ApiError) {
        match (self.ack, self.kind) {
            (Some(ack), _) => self.socket.ack(ack, &json!({ "ok": false, "error": error }).to_string()),
            (None, Kind::Send) => self.emit(Bytes::from_static(FAILED_TO_SEND)),
            (None, Kind::Refresh) => {
                // A message of ours is always encoded.
                if let Ok(json) = event::encode(event::ERROR, &json!({ "message": error.message }), None) {
                    self.emit(json);
                }
            }
            (None, Kind::Read | Kind::Typing | Kind::Status | Kind::Unknown) => {
                tracing::debug!(command = ?self.kind, %error, "a command failed");
            }
        }
    }
}

/// The frontend specification's answer to a send that failed and asked for no acknowledgement.
const FAILED_TO_SEND: &[u8] = br#"["error",{"message":"Failed to send message"}]"#;

#[cfg(test)]
mod tests {
    use protocol::code::text;

    use super::*;

    #[test]
    fn a_failed_send_is_told_in_the_specifications_words() {
        let words = json!({ "message": text::FAILED_TO_SEND });
        assert_eq!(event::encode(event::ERROR, &words, None).unwrap(), FAILED_TO_SEND);
    }
}
