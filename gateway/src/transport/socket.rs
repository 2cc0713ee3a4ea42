//! The application's handle of one client.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::conn::Conn;
use super::fault::Fault;
use super::frame::Item;
use super::metrics::Why;
use super::{Admission, Event};

/// One client that asked to be connected. Cheap to clone, usable from any task; no method ever waits.
///
/// A handle belongs to one `connect`: once that client is gone, or another has connected on the same
/// transport, its methods do nothing. It keeps a few hundred bytes alive, never the TCP connection.
#[derive(Clone)]
pub struct Socket {
    conn: Arc<Conn>,
    id: u64,
}

impl Socket {
    pub(super) fn new(conn: Arc<Conn>, id: u64) -> Self {
        Self { conn, id }
    }

    /// A number that no other socket of this process has or had. Never 0.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Lets the client in, and tells it so. False if it is gone, or has been answered before.
    pub fn accept(&self) -> bool {
        self.admit(Admission::default())
    }

    /// The same, with what it takes to come back.
    pub fn admit(&self, admission: Admission<'_>) -> bool {
        self.conn.admit(self.id, admission)
    }

    /// Turns the client away for good, whether it was let in already or not: as [`Socket::refuse`] if not; otherwise
    /// a Socket.IO client is disconnected, after which the stock one does not come back by itself, and the transport is closed with
    /// [`UNAUTHORIZED`](protocol::code::close::UNAUTHORIZED).
    pub fn dismiss(&self, message: &str) {
        self.conn.dismiss(self.id, message);
    }

    /// Closes the transport with [`UNAUTHORIZED`](protocol::code::close::UNAUTHORIZED) at `at`, unless another time is set until
    /// then. To a Socket.IO client this is an accident, after which it reconnects (and is refused, if it has nothing better).
    pub fn expire_at(&self, at: Option<Instant>) {
        self.conn.expire_at(self.id, at);
    }

    /// Turns the client away for good, unless it has been answered before: the stock client does not come
    /// back by itself. A Socket.IO transport stays open until its connect timeout, for the client to try
    /// with something else; a `/ws` connection is closed with
    /// [`UNAUTHORIZED`](protocol::code::close::UNAUTHORIZED).
    pub fn refuse(&self, message: &str) {
        self.conn.refuse(self.id, message);
    }

    /// Sends an event. Nothing is sent before [`Socket::accept`] or after the client is gone, and a client that
    /// lets too much pile up is closed with [`SLOW_CONSUMER`](protocol::code::close::SLOW_CONSUMER).
    pub fn emit(&self, event: &Event) {
        self.conn.send(self.id, |wire| event.item(wire));
    }

    /// Acknowledges the client's event with that number ([`ClientEvent::ack`](super::ClientEvent::ack)) by one
    /// JSON text. On Socket.IO it may be several with commas between them: the arguments of the callback.
    pub fn ack(&self, id: u64, json: &str) {
        self.conn.send(self.id, |wire| Item::ack(wire, id, json));
    }

    /// Closes the transport with a WebSocket close code ([`protocol::code::close`]), after what was sent before
    /// has been written. To a Socket.IO client this is an accident, after which it reconnects.
    pub fn close(&self, code: u16, reason: &str) {
        self.conn.close_socket(self.id, Fault::new(code, reason, Why::Application));
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.id)
    }
}
