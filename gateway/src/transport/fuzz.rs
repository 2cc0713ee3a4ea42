//! A door for the fuzzers: what clients write, without sockets.
//!
//! Everything here panics where something does not hold that must.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::{io, mem};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde::de::IgnoredAny;
use service::metrics::Registry;
use tokio::io::{AsyncRead, ReadBuf};

use super::agent::Agent;
use super::conn::Conn;
use super::fault::Fault;
use super::frame::Wire;
use super::link::Link;
use super::polling::{self, Received};
use super::reader::{Ending, burst};
use super::wheel::Shared;
use super::{Application, Body, ClientEvent, Config, Message, Socket, body};

/// Small, so that it is often met.
const MAX_PAYLOAD: usize = 1_000;

/// Nothing is ever written here, so the limit of what waits must not be met.
static SHARED: LazyLock<Arc<Shared>> = LazyLock::new(|| {
    let config = Config { max_payload: MAX_PAYLOAD, outbound_limit: usize::MAX / 2, ..Config::default() };
    Arc::new(Shared::new(config, &Registry::new()))
});

/// An application that checks and writes down what it is told.
#[derive(Default)]
struct Recorder {
    told: Mutex<Vec<String>>,
    sessions: Mutex<u32>,
}

impl Recorder {
    fn tell(&self, what: String) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

impl Application for Recorder {
    type Session = ();
    type Permit = ();

    const ATTACHMENTS: usize = 10;

    fn namespace(&self, name: &str) -> bool {
        matches!(name, "/" | "/custom")
    }

    fn allow<B>(&self, _: &Request<B>) -> Result<(), Response<Body>> {
        Ok(())
    }

    async fn http(self: Arc<Self>, _: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        Response::new(body(""))
    }

    fn connect(self: &Arc<Self>, socket: &Socket, auth: &str) {
        assert!(is_json(auth) && auth.starts_with('{'), "{auth}");
        *self.sessions.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        match auth.len() % 3 {
            0 => socket.refuse("no"),
            _ => assert!(socket.accept()),
        }
        self.tell(format!("connect {auth}"));
    }

    fn event(self: &Arc<Self>, _: &Socket, (): &(), event: ClientEvent<'_>) {
        let ClientEvent { name, payload, args, attachments, ack } = event;
        assert!(is_json(payload) && is_json(&format!("[{args}]")), "{payload} {args}");
        assert!(attachments.len() <= Self::ATTACHMENTS);
        assert!(args.len() + attachments.iter().map(Bytes::len).sum::<usize>() <= MAX_PAYLOAD);
        self.tell(format!("event {name} {payload} {args} {ack:?} {attachments:?}"));
    }

    fn acknowledged(self: &Arc<Self>, _: &Socket, (): &(), id: u64, args: &str) {
        assert!(is_json(&format!("[{args}]")), "{args}");
        self.tell(format!("acknowledged {id} {args}"));
    }

    fn message(self: &Arc<Self>, _: &Socket, (): &(), message: Message<'_>) {
        self.tell(format!("message {message:?}"));
    }

    fn disconnect(self: &Arc<Self>, _: &Socket, (): ()) {
        *self.sessions.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.tell("disconnect".to_owned());
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// What came of it: what the application was told, and the close code.
type Outcome = (Vec<String>, Option<u16>);

fn with(wire: Wire, run: impl FnOnce(&Link<Recorder>) -> Option<u16>) -> Outcome {
    let app = Arc::new(Recorder::default());
    let link = Link::new(Conn::new(wire, Arc::clone(&SHARED)), Arc::clone(&app), (), Agent::NONE);
    link.begin();
    let code = run(&link);
    drop(link);
    assert_eq!(*app.sessions.lock().unwrap_or_else(PoisonError::into_inner), 0, "every session ends");
    let told = mem::take(&mut *app.told.lock().unwrap_or_else(PoisonError::into_inner));
    (told, code)
}

fn code(result: Result<(), Fault<'_>>) -> Option<u16> {
    result.err().map(|fault| fault.code)
}

/// Reads bytes as what a polling client posts, on Socket.IO and Engine.IO, and as a message of `/ws`.
pub fn packets(data: &[u8]) {
    // As requests and messages are, before anybody looks at them.
    let Ok(text) = std::str::from_utf8(&data[..data.len().min(MAX_PAYLOAD)]) else { return };
    for wire in [Wire::SocketIo, Wire::Engine] {
        with(wire, |link| code(post(link, text)));
    }
    with(Wire::Plain, |link| {
        let greeting = link.plain_message(r#"["user:connect"]"#);
        code(greeting.and_then(|()| text.split('\x1e').try_for_each(|message| link.plain_message(message))))
    });
}

fn post(link: &Link<Recorder>, text: &str) -> Result<(), Fault<'static>> {
    let mut rest = Some(text);
    while let Some(payload) = rest {
        let (packet, next) = polling::next(payload).ok_or(Fault::protocol("bad payload"))?;
        link.settle(link.conn.enter().1);
        match packet {
            Received::Text(text) => link.engine_packet(text)?,
            Received::Binary(data) => link.engine_binary(&data)?,
        }
        assert!(next.is_none_or(|next| next > 0), "no packet is read twice");
        rest = next.map(|next| &payload[next..]);
    }
    Ok(())
}

/// Reads bytes as the frames of a WebSocket: the first byte says on which protocol, the second how they are cut into
/// pieces on the way, which must make no difference.
pub fn frames(data: &[u8]) {
    let [wire, size, stream @ ..] = data else { return };
    let wire = [Wire::Raw, Wire::SocketIo, Wire::Engine, Wire::Plain][usize::from(wire % 4)];
    let whole = with(wire, |link| read(link, stream, stream.len()));
    let pieces = with(wire, |link| read(link, stream, usize::from(*size).max(1)));
    assert_eq!(whole, pieces, "however it arrives");
}

fn read(link: &Link<Recorder>, stream: &[u8], size: usize) -> Option<u16> {
    let mut stream = Pieces { stream, size, pause: false };
    let mut message = None;
    loop {
        let mut burst = pin!(burst(&mut stream, link, &mut message, Bytes::new()));
        let mut context = Context::from_waker(Waker::noop());
        let result = loop {
            if let Poll::Ready(result) = burst.as_mut().poll(&mut context) {
                break result;
            }
        };
        link.settle(link.conn.enter().1);
        match result {
            Ok(()) => {}
            Err(Ending::Close(fault)) => return Some(fault.code),
            Err(Ending::Lost) => return None,
        }
    }
}

/// Bytes that arrive in pieces, with nothing to read in between, and then the end.
struct Pieces<'a> {
    stream: &'a [u8],
    size: usize,
    pause: bool,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.pause = !self.pause;
        if self.pause {
            return Poll::Pending;
        }
        let length = self.size.min(self.stream.len()).min(buffer.remaining());
        let (piece, rest) = self.stream.split_at(length);
        buffer.put_slice(piece);
        self.stream = rest;
        Poll::Ready(Ok(()))
    }
}
