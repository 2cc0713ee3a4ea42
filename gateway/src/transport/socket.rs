//! The application's handle of one client.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::conn::Conn;
use super::fault::Fault;
use super::frame::{Item, To, Wire};
use super::metrics::Why;
use super::{Admission, Event, Message};

/// What became of a client that was to be let in with what it missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Admitted {
    /// It was let in, and everything is on its way.
    Yes,
    /// There is no room for what it missed. Nothing was done, so that it can be let in without, or be turned away.
    NoRoom,
    /// It is gone, or has been answered before.
    Gone,
}

/// One client that asked to be connected. Cheap to clone, usable from any task; no method ever waits.
///
/// A handle belongs to one `connect`: once that client is gone, and another may have connected in its place on the same
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

    /// What the client speaks.
    #[must_use]
    pub fn wire(&self) -> Wire {
        self.conn.wire
    }

    /// Lets the client in, and tells it so. False if it is gone, or has been answered before. On
    /// [`Wire::Engine`](super::Wire::Engine) and [`Wire::Raw`](super::Wire::Raw) it is in from the start.
    pub fn accept(&self) -> bool {
        self.admit(Admission::default())
    }

    /// The same, with what it takes to come back.
    pub fn admit(&self, admission: Admission<'_>) -> bool {
        self.conn.admit(self.id, admission)
    }

    /// The same for a client that comes back, with what it has missed right behind the answer. That does not count
    /// against what may wait for one client ([`Config::outbound_limit`](super::Config::outbound_limit)); what comes
    /// later does. It counts against what may wait for all ([`Config::backlog_total`](super::Config::backlog_total)),
    /// and a client that has not read it after a minute is closed with
    /// [`SLOW_CONSUMER`](protocol::code::close::SLOW_CONSUMER).
    pub fn admit_with(&self, admission: Admission<'_>, missed: &[Event]) -> Admitted {
        let items = |to: To<'_>| missed.iter().map(|event| event.items(to)).collect();
        self.conn.admit_with(self.id, admission, items)
    }

    /// Turns the client away for good, whether it was let in already or not: a Socket.IO client is refused or
    /// disconnected, after which the stock one does not come back by itself, a `/ws` client is refused if it was not
    /// let in yet, and the transport is closed with [`UNAUTHORIZED`](protocol::code::close::UNAUTHORIZED) behind that,
    /// whoever else uses it in other namespaces.
    pub fn dismiss(&self, message: &str) {
        self.conn.dismiss(self.id, message);
    }

    /// Closes the transport with [`UNAUTHORIZED`](protocol::code::close::UNAUTHORIZED) at `at`, unless another time is
    /// set until then, or its last client leaves. To a Socket.IO client this is an accident, after which it reconnects
    /// (and is refused, if it has nothing better).
    pub fn expire_at(&self, at: Option<Instant>) {
        self.conn.expire_at(self.id, at);
    }

    /// Turns the client away for good, unless it has been answered before: the stock client does not come
    /// back by itself. A Socket.IO transport stays open until its connect timeout, for the client to try
    /// with something else; any other is closed with
    /// [`UNAUTHORIZED`](protocol::code::close::UNAUTHORIZED).
    pub fn refuse(&self, message: &str) {
        self.conn.refuse(self.id, message);
    }

    /// Sends an event. Nothing is sent before [`Socket::accept`] or after the client is gone, and a client that
    /// lets too much pile up is closed with [`SLOW_CONSUMER`](protocol::code::close::SLOW_CONSUMER).
    pub fn emit(&self, event: &Event) {
        self.conn.send(self.id, |to| event.items(to));
    }

    /// Sends an event that the client is to acknowledge with this number, which then comes to
    /// [`Application::acknowledged`](super::Application::acknowledged). Only Socket.IO has that; on other protocols it
    /// is like [`Socket::emit`].
    pub fn ask(&self, event: &Event, id: u64) {
        self.conn.send(self.id, |to| event.asking(to, id));
    }

    /// Acknowledges the client's event with that number ([`ClientEvent::ack`](super::ClientEvent::ack)) by one
    /// JSON text. On Socket.IO it may be several with commas between them: the arguments of the callback.
    pub fn ack(&self, id: u64, json: &str) {
        self.conn.send(self.id, |to| (Item::ack(to, id, json, 0), &[]));
    }

    /// The same with binary attachments, for which `{"_placeholder":true,"num":n}` stand in `json`. Only Socket.IO has
    /// them; on other protocols they are left out.
    pub fn ack_with(&self, id: u64, json: &str, attachments: Vec<Bytes>) {
        let frames: Vec<Item> = attachments.into_iter().map(Item::binary).collect();
        self.conn.send(self.id, |to| {
            let frames = if to.wire == Wire::SocketIo { &frames[..] } else { &[] };
            (Item::ack(to, id, json, frames.len()), frames)
        });
    }

    /// Sends a message on [`Wire::Engine`](super::Wire::Engine) or [`Wire::Raw`](super::Wire::Raw); on others, which
    /// have events, this does nothing.
    pub fn send(&self, message: Message<'_>) {
        if let Some(item) = Item::message(self.conn.wire, message) {
            self.conn.send(self.id, |_| (item, &[]));
        }
    }

    /// Closes the transport with a WebSocket close code ([`protocol::code::close`]), after what was sent before
    /// has been written. To a Socket.IO client this is an accident, after which it reconnects.
    pub fn close(&self, code: u16, reason: &str) {
        self.conn.close_socket(self.id, Fault::new(code, reason, Why::Application));
    }
}

#[cfg(test)]
impl Socket {
    /// A client that has asked to be connected, on a connection without a task or a peer.
    pub(crate) fn detached(wire: Wire, config: super::Config) -> Option<Self> {
        let registry = service::metrics::Registry::new();
        Conn::new(wire, Arc::new(super::wheel::Shared::new(config, &registry))).ask(None)
    }

    /// How many of the frames that wait for it are timed.
    pub(crate) fn timed(&self) -> usize {
        self.conn.waiting(|item| item.stamp().is_measured())
    }

    /// The frames that wait for it, which are gone by that.
    pub(crate) fn drain(&self) -> Vec<Vec<u8>> {
        let context = std::task::Context::from_waker(std::task::Waker::noop());
        let all = super::conn::Progress { any: true, cost: usize::MAX };
        let mut batch = std::collections::VecDeque::new();
        self.conn.supply(&mut batch, false, all, &context);
        batch.iter().map(|item| item.parts().concat()).collect()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.id)
    }
}
