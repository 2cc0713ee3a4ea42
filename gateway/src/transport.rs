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
//! | `router` | which request is answered by what |
//! | `handshake` | which requests are handshakes, and what the others are told |
//! | `polling` | sessions of clients that poll |
//! | `upgrade` | such a session goes on over a WebSocket |
//! | `peers` | requests for sessions of other nodes, passed to them |
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
//! | `agent` | what clients are, by what they say |
//! | `wheel` | the one timer of all connections |
//! | `sid` | session ids |
//! | `metrics` | counters and gauges |
//! | `fuzz` | a door for the fuzzers, which nobody else opens |
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
use hyper::{HeaderMap, Request, Response};

mod agent;
mod config;
mod conn;
mod drive;
mod fault;
mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
mod handshake;
mod link;
mod metrics;
mod packet;
mod peers;
mod polling;
mod pulse;
mod reader;
mod router;
mod server;
mod sid;
mod socket;
mod upgrade;
mod wheel;
mod writer;

pub use config::Config;
pub use frame::Event;
pub use server::run;
pub use socket::{Admitted, Socket};

/// The body of an HTTP answer.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body broke off while it was being sent.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body that is already there.
pub fn body(content: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(content.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Socket.IO v5 over Engine.IO v4, which runs over long polling, over a WebSocket, or over first one and then the
    /// other.
    SocketIo,
    /// JSON text frames over a WebSocket.
    Plain,
    /// Engine.IO v4 with messages of the application's own ([`Application::message`]).
    Engine,
    /// A WebSocket with messages of the application's own.
    Raw,
}

/// What is built on top of the transport.
///
/// `connect`, `event`, `acknowledged`, `message` and `disconnect` are called from the task of the connection and must
/// not block: what takes time belongs into a task of the application's own. For one client they come in this order: one
/// `connect`, any number of the others, one `disconnect`.
pub trait Application: Send + Sync + Sized + 'static {
    /// What the application keeps for one connected (or connecting) client.
    type Session: Send + Sync + 'static;
    /// What [`Application::allow`] hands out, held until the connection ends: a place among those of one address, say.
    type Permit: Send + Sync + 'static;

    /// How many binary attachments an event or acknowledgement of a client may have; with zero binary is refused.
    /// Together with their packet they count against [`Config::max_payload`].
    const ATTACHMENTS: usize = 0;

    /// The protocol that is spoken on a path; `None` where requests go to [`Application::http`].
    fn wire(&self, path: &str) -> Option<Wire> {
        match path {
            "/socket.io/" | "/socket.io" => Some(Wire::SocketIo),
            "/ws" => Some(Wire::Plain),
            _ => None,
        }
    }

    /// Whether a new connection, whose handshake is valid in itself, may be made. Asked once for each, not again when
    /// it goes on from polling to a WebSocket; but asked as well for such a WebSocket that is passed to another node,
    /// or comes second, and for as long as that is open. The peer's address is in the request's extensions, as a
    /// [`SocketAddr`].
    ///
    /// # Errors
    ///
    /// The answer that refuses the handshake, such as 503 or 429 with `Retry-After`, or 403 for a foreign origin.
    #[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
    fn allow<B>(&self, request: &Request<B>) -> Result<Self::Permit, Response<Body>>;

    /// Completes an HTTP answer of the transport's own (to polls, posts and refused handshakes), for instance by what
    /// lets browsers show it to pages of other origins. `request` are the request's headers.
    fn finish(&self, request: &HeaderMap, response: &mut Response<Body>) {
        let _ = (request, response);
    }

    /// The name of this node, which becomes a part of the ids of sessions: letters, digits, `-`, `_` and `.`. `None`
    /// where there is no other, or a load balancer sends a client's requests to one node always.
    fn node(&self) -> Option<&str> {
        None
    }

    /// Where another node is: `http://host:port` for its [`Application::node`] name, which comes from a client. `None`
    /// if there is no such node.
    fn peer(&self, node: &str) -> Option<String> {
        let _ = node;
        None
    }

    /// Whether clients may connect to this Socket.IO namespace. Each namespace on a connection has a client, a
    /// [`Socket`] and a session of its own.
    fn namespace(&self, name: &str) -> bool {
        name == "/"
    }

    /// Answers a request on a path without a [`Wire`], and preflights (`OPTIONS`) on those with one.
    fn http(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// A client asks to be connected: Socket.IO's CONNECT, the first message `user:connect` or `resume` of `/ws`, or a
    /// `/ws` handshake with an `Authorization: Bearer` header. `auth` is the text of a JSON object: what the
    /// client gave, `{"token": …}` for the header (with `pid` and `offset` if they are in the query), `{}` for nothing.
    /// On [`Wire::Engine`] and [`Wire::Raw`] it is called with `{}` as soon as the connection is open.
    ///
    /// The application answers through [`Socket::accept`], [`Socket::refuse`] or [`Socket::close`], now or later
    /// and from any task.
    fn connect(self: &Arc<Self>, socket: &Socket, auth: &str) -> Self::Session;

    /// An event from a client that asked to be connected; it may not have been accepted yet.
    fn event(self: &Arc<Self>, socket: &Socket, session: &Self::Session, event: ClientEvent<'_>);

    /// A client acknowledges the event that was sent to it with this number ([`Socket::ask`]). `args` are JSON texts
    /// with commas between them.
    fn acknowledged(self: &Arc<Self>, socket: &Socket, session: &Self::Session, id: u64, args: &str) {
        let _ = (socket, session, id, args);
    }

    /// A message on [`Wire::Engine`] or [`Wire::Raw`].
    fn message(self: &Arc<Self>, socket: &Socket, session: &Self::Session, message: Message<'_>) {
        let _ = (socket, session, message);
    }

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
    /// The binary attachments, which stand in `args` as `{"_placeholder":true,"num":n}`.
    pub attachments: &'a [Bytes],
    /// Where the client asked for an acknowledgement: the number to give to [`Socket::ack`].
    pub ack: Option<u64>,
}

/// A message without a meaning of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Anything.
    Binary(&'a [u8]),
}

/// How a client is let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admission<'a> {
    /// What the client may come back with after it was cut off, to have what it missed (`pid`). The stock Socket.IO
    /// client counts as recovered if it is given the one that it came with.
    pub pid: Option<&'a str>,
    /// Whether everything that the client missed follows. Told to `/ws` clients.
    pub recovered: bool,
}
