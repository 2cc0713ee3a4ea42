//! What clients send: each command is counted, checked and carried out, and whoever asked for an acknowledgement gets
//! one.

use std::sync::Arc;
use std::time::Instant;

use protocol::body::{self, NewMessage, ReadMessage, SetStatus, SetTyping, Status};
use protocol::code::{ApiError, close, text};
use protocol::command::{MAX_PAYLOAD, Presence};
use protocol::input::{Input, Line};
use protocol::token::Claims;
use protocol::{ErrorCode, Id, UnixMicros, event};
use serde_json::value::to_raw_value;

use super::gate::whole_seconds;
use super::rates::Excess;
use super::{Chat, Member, Reply, hub, instant};
use crate::api_client::{Connect, Read, Send};
use crate::metrics::Kind;
use crate::transport::{ClientEvent, Socket};

/// The longest token that is looked at, in characters.
const MAX_TOKEN: usize = 8_192;

protocol::input! {
    /// The payload of a `user:connect` on a socket that is connected.
    struct NewToken {
        /// A newer token of the same user.
        token / "token": Line<1, MAX_TOKEN>,
    }
}

fn kind(name: &str) -> Kind {
    match name {
        event::MESSAGE_SEND => Kind::Send,
        event::MESSAGE_READ => Kind::Read,
        event::CONVERSATION_TYPING => Kind::Typing,
        event::USER_STATUS => Kind::Status,
        event::USER_CONNECT => Kind::Refresh,
        _ => Kind::Unknown,
    }
}

impl Chat {
    /// Carries out what a client sent.
    pub(super) fn command(self: &Arc<Self>, socket: &Socket, member: &Member, event: &ClientEvent<'_>) {
        let kind = kind(&event.name);
        let reply =
            Reply { socket: socket.clone(), ack: event.ack, kind, metrics: Arc::clone(&self.metrics) };
        let bytes = if kind == Kind::Send { event.payload.len() } else { 0 };
        match self.rates.check(socket.id(), member.user, bytes) {
            Ok(()) => {}
            Err(Excess::Wait(wait)) => {
                let message = format!("Too many commands; try again in {}s", whole_seconds(wait));
                return reply.refuse(&ApiError::new(ErrorCode::TooManyRequests, message));
            }
            Err(Excess::Flood) => return socket.close(close::TOO_MANY, "too many commands"),
        }
        if !member.arrival.is_admitted() {
            return reply.fail(&ApiError::new(ErrorCode::Unauthorized, "Not connected yet"));
        }
        let user = member.user;
        match kind {
            Kind::Send => self.send(user, event.payload, reply),
            Kind::Read => self.read(user, event.payload, reply),
            Kind::Typing => self.typing(user, event.payload, reply),
            Kind::Status => self.status(user, event.payload, reply),
            Kind::Refresh => self.refresh(user, event.payload, reply),
            // Without an acknowledgement ignored, as by the frontend specification's own server.
            Kind::Unknown => reply.fail(&ApiError::new(ErrorCode::NotFound, "Unknown event")),
        }
    }

    fn send(&self, sender: Id, payload: &str, reply: Reply) {
        match message(payload) {
            Ok((conversation, payload)) => self.api.send(Send {
                message: Id::mint(),
                sender,
                conversation,
                payload,
                reply,
                since: Instant::now(),
                received: UnixMicros::now(),
            }),
            Err(error) => reply.fail(&error),
        }
    }

    fn read(&self, user: Id, payload: &str, reply: Reply) {
        match ReadMessage::from_json(payload.as_bytes()) {
            Ok(read) => {
                self.api.read(Read { user, message: read.message_id, reply, since: Instant::now() });
            }
            Err(invalid) => reply.fail(&invalid.into()),
        }
    }

    /// Whether the user is in the conversation at all is for the streamer to tell, which knows.
    fn typing(&self, user: Id, payload: &str, reply: Reply) {
        match SetTyping::from_json(payload.as_bytes()) {
            Ok(SetTyping { conversation_id: conversation, is_typing }) => {
                self.tell(hub::Command::Typing { socket: reply.socket.id(), user, conversation, is_typing });
                reply.done();
            }
            Err(invalid) => reply.fail(&invalid.into()),
        }
    }

    fn status(&self, user: Id, payload: &str, reply: Reply) {
        let presence = match SetStatus::from_json(payload.as_bytes()) {
            Ok(SetStatus { status: Status::Online }) => Presence::Online,
            Ok(SetStatus { status: Status::Away }) => Presence::Away,
            Ok(SetStatus { status: Status::Offline }) => Presence::Offline,
            Err(invalid) => return reply.fail(&invalid.into()),
        };
        self.tell(hub::Command::Status { socket: reply.socket.id(), user, presence });
        match to_raw_value(presence.as_str()) {
            Ok(status) => reply.done_with("status", &status),
            // A word is always encoded.
            Err(_) => reply.done(),
        }
    }

    /// A newer token of the same user. Until it is taken, and if it is not, the one before goes on to its own end.
    fn refresh(self: &Arc<Self>, user: Id, payload: &str, reply: Reply) {
        let token = match NewToken::from_json(payload.as_bytes()) {
            Ok(NewToken { token }) => token.0,
            Err(invalid) => return reply.fail(&invalid.into()),
        };
        match self.tokens.verify(&token) {
            Ok(claims) if claims.user_id == user => {
                tokio::spawn(Arc::clone(self).renew(claims, reply));
            }
            _ => reply.fail(&refused()),
        }
    }

    /// Asks the api whether the token's session still lasts.
    async fn renew(self: Arc<Self>, claims: Claims, reply: Reply) {
        let Claims { user_id: user, generation, exp, .. } = claims;
        match self.api.connect(Connect { user, generation }).await {
            Ok(()) => {
                self.tell(hub::Command::Refreshed { socket: reply.socket.id(), user, generation });
                reply.socket.expire_at(instant(exp));
                reply.done();
            }
            Err(error) if error.code == ErrorCode::Unauthorized => reply.fail(&refused()),
            Err(error) => reply.fail(&error),
        }
    }
}

fn refused() -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, text::AUTHENTICATION_ERROR)
}

/// Reads a message. Whether an attachment that was uploaded here is given as it was given out, the api finds out, which
/// has the key.
fn message(payload: &str) -> Result<(Id, NewMessage), ApiError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(ApiError::new(ErrorCode::TooLarge, "The message is too large"));
    }
    Ok(body::sent(payload)?)
}

#[cfg(test)]
mod tests;
