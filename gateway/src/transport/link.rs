//! The connection's own side: its application, its clients' sessions, and what the clients say.
//!
//! | module | holds |
//! |---|---|
//! | `sessions` | one session for each client |

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::agent::Agent;
use super::conn::Conn;
use super::fault::Fault;
use super::frame::{Item, Wire};
use super::metrics::Why;
use super::packet::{self, Assembly, Engine, MAIN_NAMESPACE, Malformed, Packet};
use super::{Application, ClientEvent, Message};

mod sessions;

use sessions::{Live, Sessions};

/// How often the clients of one transport may ask to be connected, refused or not. Each time costs the application far
/// more than it costs them, and one that goes on may have a new transport, which is limited by itself.
const MAX_ASKS: u8 = 16;

/// What the task of one connection has. Dropping it reports the clients as gone, so that no way of ending,
/// not even a panic of the application, forgets that.
pub(super) struct Link<A: Application> {
    pub(super) conn: Arc<Conn>,
    app: Arc<A>,
    /// Given back when the connection ends.
    _permit: A::Permit,
    agent: Agent,
    /// How often clients have asked to be connected.
    asks: AtomicU8,
    /// Only one task at a time touches it; the lock is never contended.
    sessions: Mutex<Sessions<A>>,
}

impl From<Malformed> for Fault<'static> {
    fn from(malformed: Malformed) -> Self {
        Fault::protocol(malformed.0)
    }
}

impl<A: Application> Link<A> {
    pub(super) fn new(conn: Arc<Conn>, app: Arc<A>, permit: A::Permit, agent: Agent) -> Self {
        conn.shared.metrics.opened(conn.wire, agent);
        let (asks, sessions) = (AtomicU8::new(0), Mutex::new(Sessions::default()));
        Self { conn, app, _permit: permit, agent, asks, sessions }
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions<A>> {
        // The flag tells of a panic of the application in `event`, after which the sessions are only given back.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is open. On protocols where no client asks to be connected, it is by that.
    pub(super) fn begin(&self) {
        if matches!(self.conn.wire, Wire::Engine | Wire::Raw)
            && let Err(fault) = self.connect("{}")
        {
            self.conn.close(fault);
        }
    }

    /// Whether binary messages have a meaning.
    pub(super) fn takes_binary(&self) -> bool {
        match self.conn.wire {
            Wire::SocketIo => A::ATTACHMENTS > 0,
            Wire::Plain => false,
            Wire::Engine | Wire::Raw => true,
        }
    }

    /// One text packet on Engine.IO.
    pub(super) fn engine_packet(&self, text: &str) -> Result<(), Fault<'static>> {
        match Engine::decode(text)? {
            Engine::Noop => Ok(()),
            Engine::Pong => {
                self.conn.pong();
                Ok(())
            }
            Engine::Close => Err(Fault::new(1000, "", Why::Client)),
            Engine::Message(message) if self.conn.wire == Wire::Engine => {
                self.message(Message::Text(message))
            }
            Engine::Message(_) if self.sessions().assembly().is_some() => {
                Err(Fault::protocol("attachments are missing"))
            }
            Engine::Message(message) => self.socketio_packet(message),
        }
    }

    /// One binary packet on Engine.IO.
    pub(super) fn engine_binary(&self, data: &[u8]) -> Result<(), Fault<'static>> {
        if self.conn.wire == Wire::Engine {
            return self.message(Message::Binary(data));
        }
        if !self.takes_binary() {
            return Err(Fault::BINARY);
        }
        let mut sessions = self.sessions();
        let assembly = sessions.assembly().ok_or(Fault::protocol("an attachment of nothing"))?;
        if !assembly.add(data)? {
            return Ok(());
        }
        let assembly = sessions.take_assembly();
        drop(sessions);
        match assembly {
            Some(Assembly { text, attachments, .. }) => match Packet::decode(&text, A::ATTACHMENTS)? {
                Packet::Event { namespace, event, .. } => {
                    self.event(namespace, ClientEvent { attachments: &attachments, ..event })
                }
                Packet::Ack { namespace, id, args, .. } => self.acknowledged(namespace, id, args),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn socketio_packet(&self, text: &str) -> Result<(), Fault<'static>> {
        match Packet::decode(text, A::ATTACHMENTS)? {
            Packet::Binary => Err(Fault::BINARY),
            Packet::Connect { namespace: MAIN_NAMESPACE, auth } => self.connect(auth),
            Packet::Connect { namespace, auth } if self.app.namespace(namespace) => {
                self.enter(Some(namespace), auth)
            }
            Packet::Connect { namespace, .. } => {
                self.count_ask()?;
                self.conn.push(Item::no_namespace(namespace));
                Ok(())
            }
            Packet::Event { namespace, event, attachments: 0 } => self.event(namespace, event),
            Packet::Ack { namespace, id, args, attachments: 0 } => self.acknowledged(namespace, id, args),
            Packet::Event { namespace, attachments, .. } | Packet::Ack { namespace, attachments, .. } => {
                self.present(namespace)?;
                let limit = self.conn.shared.config.max_payload;
                self.sessions().assemble(Assembly::new(text, attachments, limit));
                Ok(())
            }
            Packet::Disconnect { namespace } => {
                self.conn.leave(self.present(namespace)?);
                self.settle(self.conn.socket_id());
                Ok(())
            }
        }
    }

    /// One text message on `/ws`.
    pub(super) fn plain_message(&self, text: &str) -> Result<(), Fault<'static>> {
        let event = packet::decode_plain(text)?;
        if self.conn.socket_id() != 0 {
            self.event(MAIN_NAMESPACE, event)
        } else if matches!(&*event.name, protocol::event::USER_CONNECT | protocol::event::RESUME) {
            self.connect(packet::object_or_empty(event.args)?)
        } else {
            Err(Fault::NOT_CONNECTED)
        }
    }

    /// One message of the application's own.
    pub(super) fn message(&self, message: Message<'_>) -> Result<(), Fault<'static>> {
        self.with(MAIN_NAMESPACE, |live| self.app.message(&live.socket, &live.session, message))
    }

    /// The main client asks to be connected, with the text of a JSON object.
    pub(super) fn connect(&self, auth: &str) -> Result<(), Fault<'static>> {
        self.enter(None, auth)
    }

    /// Counts an attempt to be connected; an error if there have been enough.
    fn count_ask(&self) -> Result<(), Fault<'static>> {
        let asked = self.asks.load(Ordering::Relaxed);
        if asked >= MAX_ASKS {
            return Err(Fault::TOO_MANY_ASKS);
        }
        self.asks.store(asked + 1, Ordering::Relaxed);
        Ok(())
    }

    fn enter(&self, namespace: Option<&str>, auth: &str) -> Result<(), Fault<'static>> {
        self.count_ask()?;
        // An earlier client that was refused is over before the next one begins.
        self.settle(self.conn.socket_id());
        let Some(socket) = self.conn.ask(namespace) else { return Err(Fault::protocol("connected already")) };
        let session = self.app.connect(&socket, auth);
        self.sessions().insert(namespace.is_none(), Live { socket, session });
        Ok(())
    }

    /// The id of the socket of the client in a namespace.
    fn present(&self, namespace: &str) -> Result<u64, Fault<'static>> {
        let id = match namespace {
            MAIN_NAMESPACE => self.conn.socket_id(),
            other => self.conn.named_id(other),
        };
        if id == 0 { Err(Fault::NOT_CONNECTED) } else { Ok(id) }
    }

    fn event(&self, namespace: &str, event: ClientEvent<'_>) -> Result<(), Fault<'static>> {
        self.with(namespace, |live| self.app.event(&live.socket, &live.session, event))
    }

    fn acknowledged(&self, namespace: &str, id: u64, args: &str) -> Result<(), Fault<'static>> {
        self.with(namespace, |live| self.app.acknowledged(&live.socket, &live.session, id, args))
    }

    fn with(&self, namespace: &str, tell: impl FnOnce(&Live<A>)) -> Result<(), Fault<'static>> {
        let id = self.present(namespace)?;
        match self.sessions().find(id) {
            Some(live) => {
                tell(live);
                Ok(())
            }
            None => Err(Fault::NOT_CONNECTED),
        }
    }

    /// Ends the sessions of clients that are not there any more: they were refused or closed. `main` is the id of the
    /// main client that is there.
    pub(super) fn settle(&self, main: u64) {
        let (first, others) = self.sessions().take_over(|id| id == main, |id| self.conn.is_present(id));
        first.into_iter().chain(others).for_each(|live| self.report(live));
    }

    /// Ends the sessions.
    pub(super) fn end(&self) {
        let (first, others) = self.sessions().take_over(|_| false, |_| false);
        first.into_iter().chain(others).for_each(|live| self.report(live));
    }

    fn report(&self, Live { socket, session }: Live<A>) {
        self.app.disconnect(&socket, session);
    }
}

impl<A: Application> Drop for Link<A> {
    fn drop(&mut self) {
        self.conn.lost();
        self.conn.shared.metrics.gone(self.conn.wire, self.agent);
        self.end();
    }
}
