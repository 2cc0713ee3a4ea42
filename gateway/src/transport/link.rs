//! The connection's own side: its application, its client's session, and what the client says.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::conn::Conn;
use super::fault::Fault;
use super::frame::{Item, Wire};
use super::metrics::{METRICS, Why};
use super::packet::{self, MAIN_NAMESPACE, Malformed, Packet};
use super::{Application, ClientEvent, Socket};

/// What the task of one connection has. Dropping it reports the client as gone, so that no way of ending,
/// not even a panic of the application, forgets that.
pub(super) struct Link<A: Application> {
    pub(super) conn: Arc<Conn>,
    app: Arc<A>,
    /// Given back when the connection ends.
    _permit: A::Permit,
    /// Only the connection's task touches it; the lock is never contended.
    live: Mutex<Option<Live<A>>>,
}

struct Live<A: Application> {
    socket: Socket,
    session: A::Session,
}

impl From<Malformed> for Fault<'static> {
    fn from(malformed: Malformed) -> Self {
        Fault::protocol(malformed.0)
    }
}

impl<A: Application> Link<A> {
    pub(super) fn new(conn: Arc<Conn>, app: Arc<A>, permit: A::Permit) -> Self {
        METRICS.open(conn.wire).inc();
        Self { conn, app, _permit: permit, live: Mutex::new(None) }
    }

    fn live(&self) -> MutexGuard<'_, Option<Live<A>>> {
        // The flag tells of a panic of the application in `event`, after which the session is only given back.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One text message on `/socket.io/`.
    pub(super) fn engine_packet(&self, text: &str) -> Result<(), Fault<'static>> {
        match Packet::decode(text)? {
            Packet::Alive => Ok(()),
            Packet::Close => Err(Fault::new(1000, "", Why::Client)),
            Packet::Binary => Err(Fault::BINARY),
            Packet::Connect { namespace: MAIN_NAMESPACE, auth } => self.connect(auth),
            Packet::Connect { namespace, .. } => {
                self.conn.push(Item::no_namespace(namespace));
                Ok(())
            }
            Packet::Event { namespace: MAIN_NAMESPACE, event } => self.event(event),
            Packet::Disconnect { namespace: MAIN_NAMESPACE } if self.connected() => {
                self.conn.leave();
                self.end();
                Ok(())
            }
            Packet::Ack { namespace: MAIN_NAMESPACE } if self.connected() => Ok(()),
            Packet::Event { .. } | Packet::Disconnect { .. } | Packet::Ack { .. } => {
                Err(Fault::NOT_CONNECTED)
            }
        }
    }

    /// One text message on `/ws`.
    pub(super) fn plain_message(&self, text: &str) -> Result<(), Fault<'static>> {
        let event = packet::decode_plain(text)?;
        if self.connected() {
            self.event(event)
        } else if event.name == protocol::event::USER_CONNECT {
            self.connect(packet::object_or_empty(event.args)?)
        } else {
            Err(Fault::NOT_CONNECTED)
        }
    }

    /// The client asks to be connected, with the text of a JSON object.
    pub(super) fn connect(&self, auth: &str) -> Result<(), Fault<'static>> {
        // An earlier client that was refused is over before the next one begins.
        self.settle(self.conn.socket_id());
        let Some(socket) = self.conn.ask() else { return Err(Fault::protocol("connected already")) };
        let session = self.app.connect(&socket, auth);
        *self.live() = Some(Live { socket, session });
        Ok(())
    }

    fn connected(&self) -> bool {
        self.conn.socket_id() != 0
    }

    fn event(&self, event: ClientEvent<'_>) -> Result<(), Fault<'static>> {
        let present = self.conn.socket_id();
        match &*self.live() {
            Some(live) if live.socket.id() == present => {
                self.app.event(&live.socket, &live.session, event);
                Ok(())
            }
            _ => Err(Fault::NOT_CONNECTED),
        }
    }

    /// Ends the session of a client that is not the present one: it was refused or closed.
    pub(super) fn settle(&self, present: u64) {
        let over = self.live().take_if(|live| live.socket.id() != present);
        self.report(over);
    }

    /// Ends the session.
    pub(super) fn end(&self) {
        let over = mem::take(&mut *self.live());
        self.report(over);
    }

    fn report(&self, over: Option<Live<A>>) {
        if let Some(Live { socket, session }) = over {
            self.app.disconnect(&socket, session);
        }
    }
}

impl<A: Application> Drop for Link<A> {
    fn drop(&mut self) {
        self.conn.lost();
        METRICS.open(self.conn.wire).dec();
        self.end();
    }
}

/// The token of an `Authorization: Bearer` header, as the payload of a `user:connect`.
pub(super) fn bearer(header: &str) -> Option<String> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| serde_json::json!({ "token": token.trim() }).to_string())
}

/// Whether a connection of this protocol may be given its client's token in the handshake.
pub(super) fn takes_header(wire: Wire) -> bool {
    wire == Wire::Plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_tokens() {
        assert_eq!(bearer("Bearer a.b-c"), Some(r#"{"token":"a.b-c"}"#.to_owned()));
        assert_eq!(bearer("bearer  x\" "), Some(r#"{"token":"x\""}"#.to_owned()));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
    }
}
