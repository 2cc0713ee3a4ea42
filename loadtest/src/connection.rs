//! One authenticated connection: handshake, writing from anywhere, reading in one task.
//!
//! | module | holds |
//! |---|---|
//! | `link` | [`Link`], the writing half |

mod link;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use crate::Error;
use crate::dialect::{Incoming, Protocol};
use crate::wire::{Decoder, Frame, Opcode, WireError};

pub use link::Link;

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

    /// The same, and refuses a server that is not this machine unless it is `owned` by who runs this: a typing error
    /// must not put somebody else's server under load.
    ///
    /// # Errors
    ///
    /// As [`Target::resolve`], and [`Error::NotOwned`].
    pub async fn permitted(url: &str, owned: bool) -> Result<Self, Error> {
        let target = Self::resolve(url).await?;
        let address = target.address.ip().to_canonical();
        if owned || address.is_loopback() || address.is_unspecified() {
            Ok(target)
        } else {
            Err(Error::NotOwned { url: url.to_owned(), address })
        }
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
    pub async fn run(self, mut handler: impl FnMut(Incoming<'_>, Instant)) -> String {
        let (protocol, link) = (self.protocol, self.link());
        self.read(|frame, now| {
            match receive(protocol, &link, &frame) {
                Received::Text(Incoming::Goodbye) => {
                    return ControlFlow::Break("session ended by the server".to_owned());
                }
                Received::Text(incoming) => handler(incoming, now),
                Received::Closed(how) => return ControlFlow::Break(how),
                Received::Nothing => {}
            }
            ControlFlow::Continue(())
        })
        .await
    }

    /// As [`Connection::run`], but hands over the bytes of text frames as they came: for whoever counts more frames
    /// than could be parsed beside the server that sends them.
    pub async fn run_raw(self, mut handler: impl FnMut(&[u8], Instant)) -> String {
        let (protocol, link) = (self.protocol, self.link());
        self.read(|frame, now| {
            if frame.opcode == Opcode::Text && frame.payload != b"2" {
                handler(frame.payload, now);
            } else if let Received::Closed(how) = receive(protocol, &link, &frame) {
                return ControlFlow::Break(how);
            }
            ControlFlow::Continue(())
        })
        .await
    }

    /// Reads frames until the server closes the connection, or `handler` says how it ended.
    async fn read(mut self, mut handler: impl FnMut(Frame<'_>, Instant) -> ControlFlow<String>) -> String {
        loop {
            let now = Instant::now();
            loop {
                match self.decoder.frame() {
                    Ok(Some(frame)) => {
                        if let ControlFlow::Break(how) = handler(frame, now) {
                            return how;
                        }
                    }
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
    async fn a_server_that_is_not_this_machine_has_to_be_ones_own() {
        for url in ["http://192.0.2.1:5000", "http://[2001:db8::1]", "http://[::ffff:192.0.2.1]"] {
            let refused = Target::permitted(url, false).await.unwrap_err();
            assert!(matches!(refused, Error::NotOwned { .. }), "{refused}");
            assert!(refused.to_string().contains("--i-own-this-target"), "{refused}");
            assert!(Target::permitted(url, true).await.is_ok(), "{url}");
        }
        for url in ["http://127.0.0.1:5000", "http://127.8.7.6", "http://[::1]:5000", "http://0.0.0.0:1"] {
            assert!(Target::permitted(url, false).await.is_ok(), "{url}");
        }
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
}
