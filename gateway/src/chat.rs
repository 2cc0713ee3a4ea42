//! The chat application on top of the transport: who may connect, what clients send, where events go.
//!
//! It knows users and sockets and nothing else: no conversations, no database, no state that cannot be lost.
//!
//! | module | holds |
//! |---|---|
//! | `arrival` | how far a client that asked to be connected has come |
//! | `gate` | who may begin a connection |
//! | `rates` | how often users may connect, and how many commands may come |
//! | `commands` | what clients send |
//! | `reply` | how they are told what came of it |
//! | `hub` | users, their sockets, and the streamer's deliveries to them |
//! | `link` | terms, numbering and registrations between gateway and streamer |
//! | `presence` | what the api is told of who is there |
//! | `typing` | who is typing |

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response};
use protocol::code::{close, text};
use protocol::recovery::Recovery;
use protocol::token::Tokens;
use protocol::{Clock, ErrorCode, Id, Timestamp, peer};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::api_client::{ApiClient, Connect};
use crate::http::{self, Edge};
use crate::metrics::{Connected, Metrics, Policy};
use crate::transport::{Application, Body, ClientEvent, Socket};

mod arrival;
mod commands;
mod gate;
pub(crate) mod hub;
mod link;
mod presence;
mod rates;
mod reply;
mod typing;

pub(crate) use arrival::Arrival;
pub(crate) use gate::{Gate, Permit};
pub(crate) use rates::Rates;
pub(crate) use reply::Reply;

/// The application.
#[derive(Debug)]
pub(crate) struct Chat {
    pub(crate) tokens: Tokens,
    pub(crate) api: Arc<ApiClient>,
    pub(crate) hub: mpsc::UnboundedSender<hub::Command>,
    pub(crate) edge: Edge,
    pub(crate) gate: Gate,
    pub(crate) rates: Rates,
    /// What other gateways know this one by.
    pub(crate) node: Option<String>,
    pub(crate) metrics: Arc<Metrics>,
}

/// What is kept for one connected client; `None` if its token was refused.
pub(crate) type Session = Option<Member>;

/// A client with a good token.
#[derive(Debug)]
pub(crate) struct Member {
    user: Id,
    arrival: Arc<Arrival>,
}

/// What a client gives to be connected. What it takes to come back may be anything: it is good, or there is a fresh
/// start.
#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    pid: Value,
    #[serde(default)]
    offset: Value,
}

impl Auth {
    /// Where this client of `user` is to go on.
    fn resume(&self, tokens: &Tokens, user: Id) -> Option<hub::Resume> {
        let recovery = Recovery::of(tokens, user, self.pid.as_str()?)?;
        let offset = match &self.offset {
            Value::Null => None,
            offset => Some(offset.as_str()?.parse::<Clock>().ok()?),
        };
        Some(hub::Resume { recovery, from: recovery.replay_from(offset) })
    }
}

impl Application for Chat {
    type Session = Session;
    type Permit = Permit;

    fn allow<B>(&self, request: &Request<B>) -> Result<Permit, Response<Body>> {
        if self.api.is_away() {
            // Nobody could be let in. A transport that is refused is tried again by every client; a socket would be
            // given up.
            self.metrics.refused(Policy::Away);
            return Err(http::error(
                ErrorCode::Unavailable,
                "The service is unavailable, please try again later",
            ));
        }
        self.gate.allow(request)
    }

    fn finish(&self, request: &HeaderMap, response: &mut Response<Body>) {
        self.edge.cors.mark(response, self.edge.cors.allowed(request));
    }

    fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    fn peer(&self, node: &str) -> Option<String> {
        peer::url(&self.tokens, node)
    }

    async fn http(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let is_for_socket = self.wire(request.uri().path()).is_some();
        self.edge.answer(request, peer, is_for_socket).await
    }

    fn connect(self: &Arc<Self>, socket: &Socket, auth: &str) -> Session {
        let auth = serde_json::from_str::<Auth>(auth).ok();
        let claims = auth.as_ref().and_then(|auth| self.tokens.verify(auth.token.as_deref()?).ok());
        let (Some(auth), Some(claims)) = (auth, claims) else {
            self.metrics.connects.ended(Connected::BadToken);
            socket.refuse(text::AUTHENTICATION_ERROR);
            return None;
        };
        let (user, generation) = (claims.user_id, claims.generation);
        if !self.rates.may_connect(user) {
            self.metrics.connects.ended(Connected::Gone);
            socket.close(close::TOO_MANY, "too many connects of one user");
            return None;
        }
        let arrival = Arrival::new(&self.metrics.connects);
        socket.expire_at(instant(claims.exp));
        // The hub knows the socket before the api is asked, so that a revocation in between finds it.
        self.tell(hub::Command::Open {
            socket: socket.clone(),
            user,
            generation,
            resume: self.resume(&auth, user),
            arrival: Arc::clone(&arrival),
        });
        tokio::spawn(Arc::clone(self).vouch(socket.clone(), user, generation, Arc::clone(&arrival)));
        Some(Member { user, arrival })
    }

    fn event(self: &Arc<Self>, socket: &Socket, session: &Session, event: ClientEvent<'_>) {
        if let Some(member) = session {
            self.command(socket, member, &event);
        }
    }

    fn disconnect(self: &Arc<Self>, socket: &Socket, session: Session) {
        if let Some(member) = session {
            member.arrival.end(&self.metrics.connects, Connected::Gone);
            self.tell(hub::Command::Close { socket: socket.id(), user: member.user });
        }
    }
}

impl Chat {
    /// Where a client that comes back is to go on, unless its user comes back too often.
    fn resume(&self, auth: &Auth, user: Id) -> Option<hub::Resume> {
        let resume = auth.resume(&self.tokens, user)?;
        if self.rates.may_resume(user) {
            return Some(resume);
        }
        self.metrics.hub.recoveries_missed.increment(1);
        None
    }

    /// Asks the api whether the user may connect, and tells the hub.
    async fn vouch(self: Arc<Self>, socket: Socket, user: Id, generation: i64, arrival: Arc<Arrival>) {
        let connects = &self.metrics.connects;
        match self.api.connect(Connect { user, generation }).await {
            Ok(()) => self.tell(hub::Command::Vouched { socket: socket.id(), user }),
            Err(error) if error.code == ErrorCode::Unauthorized => {
                arrival.end(connects, Connected::UnknownUser);
                socket.refuse(&error.message);
                self.tell(hub::Command::Close { socket: socket.id(), user });
            }
            // Trouble is not a refusal: the client shall come back by itself.
            Err(_) => {
                arrival.end(connects, Connected::Away);
                socket.close(close::TRY_AGAIN, "try again");
            }
        }
    }

    fn tell(&self, command: hub::Command) {
        let waiting = &self.metrics.hub.queue;
        // First, so that there are never fewer than none.
        waiting.fetch_add(1, Ordering::Relaxed);
        if self.hub.send(command).is_err() {
            // The hub ends only with the process, and then every socket is closed anyway.
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The moment that a token's `exp` names, in seconds since 1970; now if it is over. `None` if it is too far away to
/// ever come.
fn instant(exp: i64) -> Option<Instant> {
    let left = exp.saturating_mul(1000).saturating_sub(Timestamp::now().millis());
    Instant::now().checked_add(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resume(tokens: &Tokens, user: Id, auth: &Value) -> Option<hub::Resume> {
        serde_json::from_value::<Auth>(auth.clone()).unwrap().resume(tokens, user)
    }

    #[test]
    fn who_comes_back_goes_on_where_it_was_and_nonsense_is_a_fresh_start() {
        let (tokens, ada, at) =
            (Tokens::new(&[7; 32]), Id::mint(), |time| Clock { time, change: 0, event: 0 });
        let recovery = Recovery::begin(at(5));
        let pid = recovery.pid(&tokens, ada).unwrap();
        let from = |auth: &Value| resume(&tokens, ada, auth).map(|resume| resume.from);
        assert_eq!(from(&json!({ "pid": pid })), Some(at(5)), "without an event yet");
        assert_eq!(from(&json!({ "pid": pid, "offset": null })), Some(at(5)));
        assert_eq!(from(&json!({ "pid": pid, "offset": at(9).to_string() })), Some(at(9)));
        assert_eq!(from(&json!({ "pid": pid, "offset": at(3).to_string() })), Some(at(5)));
        for auth in [
            json!({}),
            json!({ "offset": at(9).to_string() }),
            json!({ "pid": 7 }),
            json!({ "pid": ["x"], "offset": {} }),
            json!({ "pid": pid, "offset": "yesterday" }),
            json!({ "pid": pid, "offset": 9 }),
            json!({ "pid": format!("{pid}x") }),
        ] {
            assert_eq!(from(&auth), None, "{auth}");
        }
        assert!(resume(&tokens, Id::mint(), &json!({ "pid": pid })).is_none(), "somebody else's");
    }

    #[test]
    fn a_token_ends_when_it_says() {
        let now = Timestamp::now().millis() / 1000;
        let left = |exp| instant(exp).map(|at| at.saturating_duration_since(Instant::now()));
        assert!(left(now + 60).is_some_and(|left| (58..=60).contains(&left.as_secs())));
        assert_eq!(left(now - 60), Some(Duration::ZERO));
        assert_eq!(left(0), Some(Duration::ZERO));
        assert!(left(i64::MAX).is_none_or(|left| left.as_secs() > 1 << 40));
    }
}
