//! The protocol layer of the edge: HTTP, WebSocket, Engine.IO and Socket.IO, and the driving of connections.
//!
//! It knows nothing of chat. What happens on a connection is told to an [`Application`], and the application
//! speaks back through [`Socket`] handles. Two protocols end here and look the same to the application:
//! Socket.IO v5 over Engine.IO v4 at `/socket.io/`, and plain JSON text frames at `/ws`.
//!
//! | module | holds |
//! |---|---|
//! | `config` | [`Config`]: times and sizes |
//! | `server` | [`run`]: the accept loop, HTTP, the drain |
//! | `handshake` | which requests become connections, and what the others are told |
//! | `packet` | reading Engine.IO, Socket.IO and `/ws` messages |
//! | `frame` | writing them: [`Event`], encoded once for all sockets |
//! | `conn` | the state of one connection that tasks share: its queue, and where it stands in its life |
//! | `pulse` | its clocks: heartbeat, connect timeout, write stall |
//! | `fault` | how and why it is closed |
//! | `socket` | [`Socket`]: the application's handle |
//! | `link` | the connection's own side: sessions and what clients say |
//! | `drive` | the task of one connection |
//! | `reader` | its reading half: fastwebsockets, only while bytes arrive |
//! | `writer` | its writing half: one vectored write for all that waits |
//! | `wheel` | the one timer of all connections |
//! | `sid` | session ids |
//! | `metrics` | counters and gauges |
//!
//! Life of a connection: hyper answers the handshake, the TCP stream is taken out of hyper and its task ends;
//! a new small task drives the stream. While nothing happens it holds no buffer at all.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::{Request, Response};

mod config;
mod conn;
mod drive;
mod fault;
mod frame;
mod handshake;
mod link;
mod metrics;
mod packet;
mod pulse;
mod reader;
mod server;
mod sid;
mod socket;
mod wheel;
mod writer;

pub use config::Config;
pub use frame::Event;
pub use server::run;
pub use socket::Socket;

/// The body of an HTTP answer.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body broke off while it was being sent.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body that is already there.
pub fn body(content: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(content.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What is built on top of the transport.
///
/// `connect`, `event` and `disconnect` are called from the task of the connection and must not block: what
/// takes time belongs into a task of the application's own. For one client they come in this order: one
/// `connect`, any number of `event`s, one `disconnect`.
pub trait Application: Send + Sync + Sized + 'static {
    /// What the application keeps for one connected (or connecting) client.
    type Session: Send + Sync + 'static;

    /// Whether this WebSocket handshake, valid in itself, may go on. The client's address is in the request's
    /// extensions, as a [`SocketAddr`].
    ///
    /// # Errors
    ///
    /// The answer that refuses the handshake, such as 503 with `Retry-After`, or 403 for a foreign origin.
    #[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
    fn allow(&self, request: &Request<Incoming>) -> Result<(), Response<Body>> {
        let _ = request;
        Ok(())
    }

    /// Answers a request that is for neither `/socket.io/` nor `/ws`.
    fn http(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// A client asks to be connected: Socket.IO's CONNECT, the first message `user:connect` of `/ws`, or a
    /// `/ws` handshake with an `Authorization: Bearer` header. `auth` is the text of a JSON object: what the
    /// client gave, `{"token": …}` for the header, `{}` for nothing.
    ///
    /// The application answers through [`Socket::accept`], [`Socket::refuse`] or [`Socket::close`], now or later
    /// and from any task.
    fn connect(self: &Arc<Self>, socket: &Socket, auth: &str) -> Self::Session;

    /// An event from a client that asked to be connected; it may not have been accepted yet.
    fn event(self: &Arc<Self>, socket: &Socket, session: &Self::Session, event: ClientEvent<'_>);

    /// The client is gone: it left, was refused or closed, or its connection broke. Called exactly once for
    /// each `connect`, also when the server stops; `socket` sends nothing any more.
    fn disconnect(self: &Arc<Self>, socket: &Socket, session: Self::Session);
}

/// An event that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEvent<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// The first argument, as JSON text; `null` if there is none.
    pub payload: &'a str,
    /// All arguments after the name, as JSON texts with commas between them and no brackets around them;
    /// empty if there is none.
    pub args: &'a str,
    /// Where the client asked for an acknowledgement: the number to give to [`Socket::ack`].
    pub ack: Option<u64>,
}
