//! The chat application on top of the transport: who may connect, what clients send, where events go.
//!
//! It knows users and sockets and nothing else: no conversations, no database, no state that cannot be lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Request, Response};
use protocol::code::{ApiError, close, text};
use protocol::command::{Answer, MAX_PAYLOAD};
use protocol::token::Tokens;
use protocol::{ErrorCode, Id, body, event};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::api_client::{ApiClient, Connect, Reply, Send};
use crate::http::Edge;
use crate::metrics::METRICS;
use crate::transport::{Application, Body, ClientEvent, Event, Socket};

pub(crate) mod hub;
mod link;

/// The application.
#[derive(Debug)]
pub(crate) struct Chat {
    pub(crate) tokens: Tokens,
    pub(crate) api: Arc<ApiClient>,
    pub(crate) hub: mpsc::UnboundedSender<hub::Command>,
    pub(crate) edge: Edge,
}

/// What is kept for one connected client; `None` if its token was refused.
pub(crate) type Session = Option<Member>;

/// A client with a good token.
#[derive(Debug)]
pub(crate) struct Member {
    user: Id,
    /// Set by the hub when it admits the socket.
    admitted: Arc<AtomicBool>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    token: Option<String>,
}

/// The frontend specification's answer to a send that failed and asked for no acknowledgement.
pub(crate) fn failed_to_send() -> Event {
    const EVENT: &[u8] = br#"["error",{"message":"Failed to send message"}]"#;
    Event::new(Bytes::from_static(EVENT))
}

impl Application for Chat {
    type Session = Session;
    type Permit = ();

    fn allow<B>(&self, _: &Request<B>) -> Result<(), Response<Body>> {
        Ok(())
    }

    async fn http(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        self.edge.answer(request, peer).await
    }

    fn connect(self: &Arc<Self>, socket: &Socket, auth: &str) -> Session {
        let token = serde_json::from_str::<Auth>(auth).ok().and_then(|auth| auth.token);
        let Some(claims) = token.and_then(|token| self.tokens.verify(&token).ok()) else {
            METRICS.refused_tokens.inc();
            socket.refuse(text::AUTHENTICATION_ERROR);
            return None;
        };
        let (user, admitted) = (claims.user_id, Arc::<AtomicBool>::default());
        // The hub knows the socket before the api is asked, so that a revocation in between finds it.
        self.tell(hub::Command::Open { socket: socket.clone(), user, admitted: Arc::clone(&admitted) });
        tokio::spawn(Arc::clone(self).vouch(socket.clone(), user, claims.generation));
        Some(Member { user, admitted })
    }

    fn event(self: &Arc<Self>, socket: &Socket, session: &Session, event: ClientEvent<'_>) {
        let Some(member) = session else { return };
        // Events that are not known are ignored, as by the frontend specification's own server.
        if event.name == event::MESSAGE_SEND {
            let reply = Reply { socket: socket.clone(), ack: event.ack };
            self.send(member, event.payload, reply);
        }
    }

    fn disconnect(self: &Arc<Self>, socket: &Socket, session: Session) {
        if let Some(member) = session {
            self.tell(hub::Command::Close { socket: socket.id(), user: member.user });
        }
    }
}

impl Chat {
    /// Asks the api whether the user may connect, and tells the hub.
    async fn vouch(self: Arc<Self>, socket: Socket, user: Id, generation: i64) {
        match self.api.connect(Connect { user, generation }).await {
            Ok(()) => self.tell(hub::Command::Vouched { socket: socket.id(), user }),
            Err(error) if error.code == ErrorCode::Unauthorized => {
                METRICS.refused_users.inc();
                socket.refuse(&error.message);
                self.tell(hub::Command::Close { socket: socket.id(), user });
            }
            // Trouble is not a refusal: the client shall come back by itself.
            Err(_) => socket.close(close::TRY_AGAIN, "try again"),
        }
    }

    fn send(&self, member: &Member, payload: &str, reply: Reply) {
        match message(member, payload) {
            Ok((conversation, payload)) => {
                let sender = member.user;
                self.api.send(Send {
                    message: Id::mint(),
                    sender,
                    conversation,
                    payload,
                    reply,
                    since: Instant::now(),
                });
            }
            Err(error) => reply.tell(Answer::Err(error)),
        }
    }

    fn tell(&self, command: hub::Command) {
        // The hub ends only with the process, and then every socket is closed anyway.
        drop(self.hub.send(command));
    }
}

/// Reads as much of a message as is needed to choose its lane; the api checks the rest.
fn message(member: &Member, payload: &str) -> Result<(Id, Box<RawValue>), ApiError> {
    if !member.admitted.load(Ordering::Relaxed) {
        return Err(ApiError::new(ErrorCode::Unauthorized, "Not connected yet"));
    }
    if payload.len() > MAX_PAYLOAD {
        return Err(ApiError::new(ErrorCode::TooLarge, "The message is too large"));
    }
    let conversation = body::conversation_id(payload)?;
    let payload = RawValue::from_string(payload.to_owned())
        .map_err(|_| ApiError::new(ErrorCode::BadRequest, "body: must be a JSON object"))?;
    Ok((conversation, payload))
}
