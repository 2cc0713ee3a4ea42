//! One authenticated connection: handshake, writing from anywhere, reading in one task.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::Error;
use crate::dialect::{Incoming, Protocol};
use crate::wire::{self, Decoder, Frame, Opcode, WireError};

/// How long opening and authenticating a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer to a handshake, in bytes.
const MAX_HANDSHAKE: usize = 16 << 10;
/// The example of RFC 6455, section 1.3, with the answer that belongs to it. The key only guards against
/// caches, and with a constant one the answer can be checked without a hash.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// From how many loopback addresses connections come. Linux slows down where one pair of addresses uses up
/// more than half of the ephemeral ports, which begins at about 14,000 connections.
const LOOPBACK_SOURCES: usize = 16;

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The network.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The handshake was answered with something else than 101.
    #[error("the handshake was answered with: {0}")]
    Handshake(String),
    /// The server refused the token.
    #[error("refused: {0}")]
    Refused(String),
    /// The server broke the WebSocket protocol.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The server closed the connection before it was authenticated.
    #[error("closed by the server before it was authenticated")]
    Closed,
    /// It took too long.
    #[error("not open and authenticated within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
}

/// The server under test.
#[derive(Clone, Debug)]
pub struct Target {
    authority: Arc<str>,
    address: SocketAddr,
}

impl Target {
    /// Reads `http://host[:port]` and looks the host up.
    ///
    /// # Errors
    ///
    /// When it is no such address, or the host is unknown.
    pub async fn resolve(url: &str) -> Result<Self, Error> {
        let problem = |problem: String| Error::Url { url: url.to_owned(), problem };
        let uri: Uri = url.parse().map_err(|error| problem(format!("{error}")))?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(problem("expected http://host:port (TLS is not supported)".to_owned()));
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(problem("expected an address without a path".to_owned()));
        }
        let host = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
        let addresses: Vec<_> = lookup_host(host).await.map_err(|e| problem(e.to_string()))?.collect();
        // `localhost` is both ::1 and 127.0.0.1, and only the latter has neighbours to spread over.
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
        let address = *address.ok_or_else(|| problem("the host has no address".to_owned()))?;
        Ok(Self { authority: authority.as_str().into(), address })
    }

    /// `http://host:port`, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Where the connection `number` comes from, if that is to be chosen.
    fn source(&self, number: usize) -> Option<SocketAddr> {
        // Other systems give the loopback interface one address only.
        let spread = cfg!(target_os = "linux") && self.address.is_ipv4() && self.address.ip().is_loopback();
        let last = (1 + number % LOOPBACK_SOURCES) as u8;
        spread.then(|| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)))
    }

    async fn connect(&self, number: usize) -> io::Result<TcpStream> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_nodelay(true)?;
        if let Some(source) = self.source(number) {
            socket.bind(source)?;
        }
        socket.connect(self.address).await
    }
}

/// The writing half, shared by whoever has something to send. Frames leave in the order of the calls.
#[derive(Debug)]
pub struct Link {
    stream: OwnedWriteHalf,
    backlog: Mutex<Backlog>,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Backlog {
    bytes: Vec<u8>,
    flushing: bool,
}

impl Link {
    fn new(stream: OwnedWriteHalf) -> Arc<Self> {
        Arc::new(Self { stream, backlog: Mutex::default(), runtime: Handle::current() })
    }

    /// Sends a frame without waiting. May be called from any thread. What the kernel does not take at once is
    /// written as soon as it does: the schedule never waits for a slow server. A connection that is
    /// gone swallows the frame; its reader tells that it is gone.
    pub fn send(self: &Arc<Self>, opcode: Opcode, payload: &[u8]) {
        let mut backlog = self.backlog();
        let done = backlog.bytes.len();
        wire::encode(&mut backlog.bytes, opcode, payload);
        if backlog.flushing {
            return;
        }
        debug_assert_eq!(done, 0, "a backlog without a flusher");
        match self.flush(&mut backlog) {
            Ok(()) if backlog.bytes.is_empty() => {}
            Ok(()) => {
                backlog.flushing = true;
                self.runtime.spawn(Arc::clone(self).drain());
            }
            Err(_) => backlog.bytes.clear(),
        }
    }

    /// Sends a text frame. See [`Link::send`].
    pub fn send_text(self: &Arc<Self>, text: &str) {
        self.send(Opcode::Text, text.as_bytes());
    }

    /// Writes as much as the kernel takes now.
    fn flush(&self, backlog: &mut Backlog) -> io::Result<()> {
        while !backlog.bytes.is_empty() {
            match self.stream.try_write(&backlog.bytes) {
                Ok(written) => drop(backlog.bytes.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn drain(self: Arc<Self>) {
        loop {
            let ready = self.stream.writable().await;
            let mut backlog = self.backlog();
            let flushed = ready.and_then(|()| self.flush(&mut backlog));
            if flushed.is_err() {
                backlog.bytes.clear();
            }
            if backlog.bytes.is_empty() {
                backlog.flushing = false;
                return;
            }
        }
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An authenticated connection that nobody reads yet.
#[derive(Debug)]
pub struct Connection {
    protocol: Protocol,
    stream: OwnedReadHalf,
    decoder: Decoder,
    link: Arc<Link>,
}

impl Connection {
    /// Opens and authenticates the connection `number` (which chooses the source address).
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, refuses, or takes too long.
    pub async fn open(
        target: &Target,
        number: usize,
        protocol: Protocol,
        token: &str,
    ) -> Result<Self, ConnectError> {
        let opening = async {
            let mut stream = target.connect(number).await?;
            let decoder = handshake(&mut stream, target, protocol).await?;
            let (stream, writer) = stream.into_split();
            let mut connection = Self { protocol, stream, decoder, link: Link::new(writer) };
            connection.authenticate(token).await?;
            Ok(connection)
        };
        timeout(CONNECT_TIMEOUT, opening).await.unwrap_or(Err(ConnectError::Timeout))
    }

    /// The writing half.
    #[must_use]
    pub fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }

    async fn authenticate(&mut self, token: &str) -> Result<(), ConnectError> {
        let Self { protocol, stream, decoder, link } = self;
        let authenticate = protocol.authenticate(token);
        if !protocol.is_greeted() {
            link.send_text(&authenticate);
        }
        loop {
            while let Some(frame) = decoder.frame()? {
                match receive(*protocol, link, &frame) {
                    Received::Text(Incoming::Open) => link.send_text(&authenticate),
                    Received::Text(Incoming::Connected) => return Ok(()),
                    Received::Text(Incoming::Refused(why)) => {
                        return Err(ConnectError::Refused(why.into_owned()));
                    }
                    Received::Closed(_) => return Err(ConnectError::Closed),
                    Received::Text(_) | Received::Nothing => {}
                }
            }
            if stream.read_buf(decoder.space()).await? == 0 {
                return Err(ConnectError::Closed);
            }
        }
    }

    /// Reads until the server closes the connection and says how it ended. Signs of life are given by the
    /// way. Every frame goes to `handler`, with the time at which it was read. To end it from this side, drop
    /// the future.
    pub async fn run(mut self, mut handler: impl FnMut(Incoming<'_>, Instant)) -> String {
        loop {
            let now = Instant::now();
            loop {
                match self.decoder.frame() {
                    Ok(Some(frame)) => match receive(self.protocol, &self.link, &frame) {
                        Received::Text(Incoming::Goodbye) => return "session ended by the server".to_owned(),
                        Received::Text(incoming) => handler(incoming, now),
                        Received::Closed(how) => return how,
                        Received::Nothing => {}
                    },
                    Ok(None) => break,
                    Err(error) => return error.to_string(),
                }
            }
            match self.stream.read_buf(self.decoder.space()).await {
                Ok(0) => return "closed by the server without a close frame".to_owned(),
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
        }
    }
}

enum Received<'a> {
    Text(Incoming<'a>),
    Closed(String),
    Nothing,
}

/// Reads a frame, and answers it where the protocol asks for an answer.
fn receive<'a>(protocol: Protocol, link: &Arc<Link>, frame: &Frame<'a>) -> Received<'a> {
    match frame.opcode {
        Opcode::Text => {
            let incoming =
                std::str::from_utf8(frame.payload).map_or(Incoming::Malformed, |t| protocol.parse(t));
            if incoming == Incoming::Ping {
                link.send_text("3");
            }
            Received::Text(incoming)
        }
        Opcode::Ping => {
            link.send(Opcode::Pong, frame.payload);
            Received::Text(Incoming::Ping)
        }
        Opcode::Close => {
            link.send(Opcode::Close, frame.payload.get(..2).unwrap_or_default());
            let code = frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            let reason = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default());
            Received::Closed(code.map_or("closed by the server".to_owned(), |code| {
                format!("closed by the server with {code} {reason}").trim_end().to_owned()
            }))
        }
        // Events of LinkUp are text; nothing here carries an attachment.
        Opcode::Binary => Received::Text(Incoming::Malformed),
        Opcode::Pong => Received::Nothing,
    }
}

/// Performs the WebSocket handshake. Returns a decoder that holds whatever came behind it.
async fn handshake(
    stream: &mut TcpStream,
    target: &Target,
    protocol: Protocol,
) -> Result<Decoder, ConnectError> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
        protocol.path(),
        target.authority,
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    let end = loop {
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if answer.len() > MAX_HANDSHAKE {
            return Err(ConnectError::Handshake("a head without an end".to_owned()));
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(ConnectError::Closed);
        }
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(ConnectError::Handshake(status.to_owned()));
    }
    if !head.lines().any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT
        })
    }) {
        return Err(ConnectError::Handshake("101 with a wrong Sec-WebSocket-Accept".to_owned()));
    }
    Ok(Decoder::new(&answer[end + 4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_that_cannot_be_used_are_refused() {
        for url in ["https://127.0.0.1:5000", "127.0.0.1:5000", "http://127.0.0.1:5000/api", "http://", ""] {
            assert!(matches!(Target::resolve(url).await, Err(Error::Url { .. })), "{url}");
        }
        let target = Target::resolve("http://127.0.0.1:5000/").await.unwrap();
        assert_eq!(target.base(), "http://127.0.0.1:5000");
        assert!(Target::resolve("http://[::1]:5000").await.unwrap().source(0).is_none());
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn loopback_connections_come_from_many_addresses() {
        let target = Target::resolve("http://127.0.0.1:5000").await.unwrap();
        let mut sources: Vec<_> = (0..1_000).filter_map(|n| target.source(n)).collect();
        sources.sort();
        sources.dedup();
        assert_eq!(sources.len(), LOOPBACK_SOURCES);
    }

    /// A server that does not read must hold up neither the schedule nor the order of the frames.
    #[tokio::test]
    async fn what_the_kernel_does_not_take_follows_later_and_in_order() {
        const FRAMES: usize = 20_000;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let (_reader, writer) = stream.into_split();
        let link = Link::new(writer);
        let payload = |n: usize| format!("{n:08}{}", "x".repeat(1_000));
        for n in 0..FRAMES {
            link.send_text(&payload(n));
        }
        assert!(!link.backlog().bytes.is_empty(), "20 MB are more than the kernel takes");
        for n in 0..FRAMES {
            let mut head = [0; 8];
            server.read_exact(&mut head).await.unwrap();
            let mut body = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            server.read_exact(&mut body).await.unwrap();
            body.iter_mut().zip(head[4..].iter().cycle()).for_each(|(byte, key)| *byte ^= key);
            assert!(body == payload(n).into_bytes(), "frame {n}");
        }
        assert!(link.backlog().bytes.is_empty());
    }
}
