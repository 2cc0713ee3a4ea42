//! All connections of a process, and how each of them gets from TCP to an authenticated session.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::frame::{self, Encoder, Opcode};
use super::http;
use super::leg::Leg;
use super::packet::{self, Admission, Credentials, Protocol};
use super::target::Target;

/// How long opening and authenticating a connection may take.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Between the packets in one body of Engine.IO's polling.
const SEPARATOR: u8 = 0x1e;

/// Names a connection. One that is gone has a name that no other gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId {
    index: u32,
    generation: u32,
}

/// What stood at the beginning of what was read.
pub(super) enum Parcel<'a> {
    /// Nothing for the application.
    Nothing,
    /// A packet.
    Packet(&'a [u8]),
    /// Packets, separated as in a body of Engine.IO's polling.
    Packets(&'a [u8]),
}

/// A request that opens or keeps a connection.
enum Request<'a> {
    Upgrade,
    Get,
    Post(&'a str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Opening,
    Open,
    Leaving,
}

/// What a connection needs only while it polls.
#[derive(Debug, Default)]
struct Polling {
    path: String,
    /// Packets that are to be sent.
    outbox: String,
    /// Whether a GET is open on the first leg, and a POST on the second.
    getting: bool,
    posting: bool,
    /// A WebSocket is being opened on the second leg.
    upgrading: bool,
    /// The server has answered on it.
    probed: bool,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    state: State,
    tag: usize,
    legs: [Option<Leg>; 2],
    /// The leg that is a WebSocket.
    websocket: Option<usize>,
    polling: Option<Box<Polling>>,
    /// Kept until the server has admitted them.
    credentials: Option<Box<Credentials>>,
}

/// All connections of a process.
#[derive(Debug)]
pub struct Sockets {
    target: Target,
    protocol: Protocol,
    registry: Registry,
    slots: Vec<Slot>,
    free: Vec<u32>,
    opening: VecDeque<(Instant, SocketId)>,
    opened_ever: usize,
    encoder: Encoder,
    frame: Vec<u8>,
    text: String,
    pub(super) stopped: bool,
}

impl Sockets {
    pub(super) fn new(target: Target, protocol: Protocol, registry: Registry) -> Self {
        Self {
            target,
            protocol,
            registry,
            slots: Vec::new(),
            free: Vec::new(),
            opening: VecDeque::new(),
            opened_ever: 0,
            encoder: Encoder::default(),
            frame: Vec::new(),
            text: String::new(),
            stopped: false,
        }
    }

    /// The protocol that all connections speak.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Begins to open a connection. `tag` is the application's own number for it.
    ///
    /// # Errors
    ///
    /// When there are no more files or ports.
    pub fn open(&mut self, credentials: Credentials, tag: usize, now: Instant) -> io::Result<SocketId> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                state: State::Free,
                tag: 0,
                legs: [None, None],
                websocket: None,
                polling: None,
                credentials: None,
            });
            self.slots.len() as u32 - 1
        });
        let leg = match Leg::open(&self.target, self.opened_ever, &self.registry, token(index, 0)) {
            Ok(leg) => leg,
            Err(error) => {
                self.free.push(index);
                return Err(error);
            }
        };
        self.opened_ever += 1;
        let slot = &mut self.slots[index as usize];
        slot.state = State::Opening;
        slot.tag = tag;
        slot.legs[0] = Some(leg);
        slot.polling = self.protocol.polls_first().then(Box::default);
        slot.credentials = Some(Box::new(credentials));
        let id = SocketId { index, generation: slot.generation };
        self.opening.push_back((now, id));
        Ok(id)
    }

    /// The application's own number for a connection; `None` once it is gone.
    #[must_use]
    pub fn tag(&self, id: SocketId) -> Option<usize> {
        self.slot(id).map(|slot| slot.tag)
    }

    /// Whether a connection is authenticated.
    #[must_use]
    pub fn is_open(&self, id: SocketId) -> bool {
        self.slot(id).is_some_and(|slot| slot.state == State::Open)
    }

    /// Sends a packet without waiting. A connection that is gone swallows it.
    pub fn send(&mut self, id: SocketId, packet: &str) {
        let Self { slots, encoder, frame, .. } = self;
        let Some(slot) = slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)
        else {
            return;
        };
        if let Some(polling) = &mut slot.polling {
            if !polling.outbox.is_empty() {
                polling.outbox.push(char::from(SEPARATOR));
            }
            polling.outbox.push_str(packet);
            self.post(id.index);
        } else if let Some(leg) = slot.websocket.and_then(|leg| slot.legs[leg].as_mut()) {
            frame.clear();
            encoder.encode(frame, Opcode::Text, packet.as_bytes());
            leg.write(frame);
        }
    }

    /// Ends a connection in good order: the server is told, and closes it.
    pub fn leave(&mut self, id: SocketId) {
        if !self.is_open(id) {
            return self.cut(id);
        }
        match self.protocol {
            Protocol::Ws => {}
            Protocol::Polling => self.send(id, "41\x1e1"),
            _ => self.send(id, "41"),
        }
        self.slots[id.index as usize].state = State::Leaving;
        let slot = &self.slots[id.index as usize];
        if let (Some(leg), None) = (slot.websocket, &slot.polling) {
            self.control(id.index, leg, Opcode::Close, &1000_u16.to_be_bytes());
        } else if self.protocol == Protocol::Upgrade {
            // In the midst of the change there is no good order.
            self.cut(id);
        }
    }

    /// Ends a connection as a broken network does: the server is not told.
    pub fn cut(&mut self, id: SocketId) {
        if self.slot(id).is_some() {
            self.release(id.index);
        }
    }

    /// Ends [`super::Engine::run`].
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) fn id(&self, index: u32) -> Option<SocketId> {
        let slot = self.slots.get(index as usize).filter(|slot| slot.state != State::Free)?;
        Some(SocketId { index, generation: slot.generation })
    }

    pub(super) fn is_leaving(&self, id: SocketId) -> bool {
        self.slot(id).is_some_and(|slot| slot.state == State::Leaving)
    }

    pub(super) fn leg(&mut self, id: SocketId, leg: usize) -> Option<&mut Leg> {
        self.slots[id.index as usize].legs[leg].as_mut()
    }

    /// The second leg of a connection that polls may end at any time: the next POST opens another.
    pub(super) fn spare(&mut self, id: SocketId, leg: usize) -> bool {
        let slot = &mut self.slots[id.index as usize];
        let spare =
            leg == 1 && slot.polling.as_ref().is_some_and(|polling| !polling.posting && !polling.upgrading);
        if spare {
            slot.legs[1] = None;
        }
        spare
    }

    fn slot(&self, id: SocketId) -> Option<&Slot> {
        self.slots
            .get(id.index as usize)
            .filter(|slot| slot.generation == id.generation && slot.state != State::Free)
    }

    fn release(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = State::Free;
        slot.legs = [None, None];
        (slot.websocket, slot.polling, slot.credentials) = (None, None, None);
        self.free.push(index);
    }

    /// A connection that has not been opened in time.
    pub(super) fn expired(&mut self, now: Instant) -> Option<SocketId> {
        while let Some(&(since, id)) = self.opening.front() {
            let waits = self.slot(id).is_some_and(|slot| slot.state == State::Opening);
            if waits && now < since + OPEN_TIMEOUT {
                return None;
            }
            self.opening.pop_front();
            if waits {
                return Some(id);
            }
        }
        None
    }

    /// A leg can be written to: perhaps for the first time.
    pub(super) fn writable(&mut self, id: SocketId, number: usize) -> io::Result<()> {
        let Some(leg) = self.leg(id, number) else { return Ok(()) };
        if leg.connects()? {
            let slot = &mut self.slots[id.index as usize];
            match &mut slot.polling {
                None => self.request(id.index, 0, Request::Upgrade),
                Some(polling) if number == 0 => {
                    polling.path = "/socket.io/?EIO=4&transport=polling".to_owned();
                    self.get(id.index);
                }
                Some(_) => {}
            }
        }
        if let Some(leg) = self.leg(id, number) {
            leg.flush();
        }
        Ok(())
    }

    /// What stands at the beginning of what was read from a leg, and its length there; `None` until it is whole.
    ///
    /// # Errors
    ///
    /// How the connection ended.
    pub(super) fn parcel<'a>(
        &mut self,
        id: SocketId,
        leg: usize,
        bytes: &'a [u8],
    ) -> Result<Option<(usize, Parcel<'a>)>, String> {
        if self.slots[id.index as usize].websocket != Some(leg) {
            return self.answer(id.index, leg, bytes);
        }
        let Some((frame, length)) = frame::decode(bytes).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let parcel = match frame.opcode {
            Opcode::Text => Parcel::Packet(frame.payload),
            Opcode::Ping => {
                self.control(id.index, leg, Opcode::Pong, frame.payload);
                Parcel::Nothing
            }
            Opcode::Pong => Parcel::Nothing,
            Opcode::Binary => return Err("the server sent a binary frame".to_owned()),
            Opcode::Close => {
                self.control(id.index, leg, Opcode::Close, frame.payload.get(..2).unwrap_or_default());
                let code = frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                let reason = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default());
                return Err(code.map_or("closed by the server".to_owned(), |code| {
                    format!("closed by the server with {code} {reason}").trim_end().to_owned()
                }));
            }
        };
        Ok(Some((length, parcel)))
    }

    fn answer<'a>(
        &mut self,
        index: u32,
        leg: usize,
        bytes: &'a [u8],
    ) -> Result<Option<(usize, Parcel<'a>)>, String> {
        let Some(answer) = http::answer(bytes)? else { return Ok(None) };
        let slot = &mut self.slots[index as usize];
        if answer.status.0 == 101 {
            if !answer.accepted {
                return Err("the handshake was answered with a wrong Sec-WebSocket-Accept".to_owned());
            }
            slot.websocket = Some(leg);
            match (self.protocol, &slot.credentials) {
                (Protocol::Upgrade, _) => self.frame(index, leg, "2probe"),
                (Protocol::Ws, Some(credentials)) => {
                    let text = self.protocol.authenticate(credentials);
                    self.frame(index, leg, &text);
                }
                // Socket.IO's server speaks first.
                _ => {}
            }
            return Ok(Some((answer.length, Parcel::Nothing)));
        }
        if answer.status.0 != 200 {
            let text: String = String::from_utf8_lossy(answer.body).chars().take(200).collect();
            let (code, reason) = answer.status;
            return Err(format!("answered with {code} {reason} {text}").trim_end().to_owned());
        }
        let Some(polling) = &mut slot.polling else {
            return Err("the handshake was answered with 200".to_owned());
        };
        if leg == 1 {
            polling.posting = false;
            if slot.state == State::Leaving && polling.outbox.is_empty() {
                return Err("left".to_owned());
            }
            self.post(index);
            return Ok(Some((answer.length, Parcel::Nothing)));
        }
        polling.getting = false;
        Ok(Some((answer.length, Parcel::Packets(answer.body))))
    }

    /// All packets of a poll have been handed on: polls again, or ends the change to a WebSocket.
    pub(super) fn polled(&mut self, id: SocketId) {
        let slot = &self.slots[id.index as usize];
        if slot.generation == id.generation
            && let Some(polling) = &slot.polling
        {
            if polling.probed { self.upgraded(id.index) } else { self.get(id.index) }
        }
    }

    /// Engine.IO's greeting: now the client may authenticate.
    pub(super) fn greeted(&mut self, id: SocketId, greeting: &str) -> Result<(), String> {
        let slot = &mut self.slots[id.index as usize];
        let Some(credentials) = &slot.credentials else { return Err("greeted twice".to_owned()) };
        let text = self.protocol.authenticate(credentials);
        if let Some(polling) = &mut slot.polling {
            let sid = packet::session(greeting).ok_or("greeted without a session id")?;
            polling.path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        }
        self.send(id, &text);
        Ok(())
    }

    /// The server has admitted the user. `None` if it had done so before.
    pub(super) fn admitted(&mut self, id: SocketId, connected: &str) -> Option<Admission> {
        let slot = &mut self.slots[id.index as usize];
        let credentials = slot.credentials.take()?;
        slot.state = State::Open;
        if self.protocol == Protocol::Upgrade
            && let Some(polling) = &mut slot.polling
        {
            polling.upgrading = true;
            self.post(id.index);
        }
        Some(packet::admission(connected, credentials.resume.as_ref()))
    }

    /// The server answers on the WebSocket that is to take over.
    pub(super) fn probed(&mut self, id: SocketId) {
        if let Some(polling) = &mut self.slots[id.index as usize].polling {
            polling.probed = true;
            if !polling.getting {
                self.upgraded(id.index);
            }
        }
    }

    fn upgraded(&mut self, index: u32) {
        self.frame(index, 1, "5");
        let slot = &mut self.slots[index as usize];
        slot.legs[0] = None;
        let Some(polling) = slot.polling.take() else { return };
        for packet in polling.outbox.split(char::from(SEPARATOR)).filter(|packet| !packet.is_empty()) {
            self.frame(index, 1, packet);
        }
    }

    fn get(&mut self, index: u32) {
        if let Some(polling) = &mut self.slots[index as usize].polling {
            polling.getting = true;
            self.request(index, 0, Request::Get);
        }
    }

    /// Sends what is to be sent, or begins the change to a WebSocket, once the second leg is free.
    fn post(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let Some(polling) = &mut slot.polling else { return };
        if polling.posting || slot.websocket.is_some() || (polling.outbox.is_empty() && !polling.upgrading) {
            return;
        }
        if slot.legs[1].is_none() {
            match Leg::open(&self.target, self.opened_ever, &self.registry, token(index, 1)) {
                Ok(leg) => slot.legs[1] = Some(leg),
                // The next packet tries again; meanwhile the server ends who gives no sign of life.
                Err(_) => return,
            }
        }
        polling.posting = true;
        if polling.outbox.is_empty() {
            self.request(index, 1, Request::Upgrade);
        } else {
            let outbox = std::mem::take(&mut polling.outbox);
            self.request(index, 1, Request::Post(&outbox));
        }
    }

    /// Writes an HTTP request to a leg.
    fn request(&mut self, index: u32, leg: usize, request: Request<'_>) {
        let Self { slots, target, protocol, text, .. } = self;
        let slot = &mut slots[index as usize];
        text.clear();
        match (request, &slot.polling) {
            (Request::Upgrade, None) if *protocol == Protocol::Ws => http::upgrade(text, target, "/ws"),
            (Request::Upgrade, None) => http::upgrade(text, target, "/socket.io/?EIO=4&transport=websocket"),
            (Request::Upgrade, Some(polling)) => {
                let path = polling.path.replace("transport=polling", "transport=websocket");
                http::upgrade(text, target, &path);
            }
            (Request::Get, Some(polling)) => http::get(text, target, &polling.path),
            (Request::Post(body), Some(polling)) => http::post(text, target, &polling.path, body),
            (Request::Get | Request::Post(_), None) => return,
        }
        if let Some(leg) = &mut slot.legs[leg] {
            leg.write(text.as_bytes());
        }
    }

    fn frame(&mut self, index: u32, leg: usize, packet: &str) {
        self.control(index, leg, Opcode::Text, packet.as_bytes());
    }

    fn control(&mut self, index: u32, leg: usize, opcode: Opcode, payload: &[u8]) {
        self.frame.clear();
        self.encoder.encode(&mut self.frame, opcode, payload);
        if let Some(leg) = &mut self.slots[index as usize].legs[leg] {
            leg.write(&self.frame);
        }
    }
}

/// What the kernel's readiness is told under.
const fn token(index: u32, leg: usize) -> Token {
    Token(index as usize * 2 + leg)
}

/// Which connection and leg a readiness is of.
pub(super) const fn address(token: Token) -> (u32, usize) {
    ((token.0 / 2) as u32, token.0 % 2)
}
