//! A raw WebSocket client that can also misbehave.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing in these tests takes that long unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

pub(crate) const SOCKET_IO: &str = "/socket.io/?EIO=4&transport=websocket";

/// The bytes of a handshake for that path, with further header lines.
pub(crate) fn handshake(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// The bytes of a frame as clients send it.
pub(crate) fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![u8::from(fin) << 7 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects and sends a handshake, with `early` right behind it in the same write.
    pub(crate) async fn open_with(address: SocketAddr, path: &str, headers: &str, early: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut bytes = handshake(path, headers).into_bytes();
        bytes.extend_from_slice(early);
        stream.write_all(&bytes).await.unwrap();
        let mut client = Self { stream, buffer: Vec::new() };
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(
            head.to_ascii_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
            "{head}"
        );
        client
    }

    /// An Engine.IO transport, its open packet read.
    pub(crate) async fn engine(address: SocketAddr) -> Self {
        let mut client = Self::open_with(address, SOCKET_IO, "", b"").await;
        let open = client.text().await;
        assert!(open.starts_with("0{\"sid\":\""), "{open}");
        client
    }

    /// A connected Socket.IO client.
    pub(crate) async fn socketio(address: SocketAddr) -> Self {
        let mut client = Self::engine(address).await;
        client.send("40{}").await;
        let connected = client.text().await;
        assert!(connected.starts_with("40{\"sid\":\""), "{connected}");
        client
    }

    /// A connected client of `/ws`.
    pub(crate) async fn plain(address: SocketAddr) -> Self {
        let mut client = Self::open_with(address, "/ws", "", b"").await;
        client.send(r#"["user:connect",{}]"#).await;
        let connected = client.text().await;
        assert!(connected.starts_with("[\"connect\",{") && connected.contains("\"sid\":\""), "{connected}");
        client
    }

    async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                return String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap();
            }
            assert!(self.fill().await, "the connection ended within a head");
        }
    }

    /// Reads some bytes; false at the end.
    async fn fill(&mut self) -> bool {
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.buffer)).await.expect("nothing to read");
        read.unwrap() > 0
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_frame(true, TEXT, text.as_bytes()).await;
    }

    pub(crate) async fn send_frame(&mut self, fin: bool, opcode: u8, payload: &[u8]) {
        self.send_bytes(&frame(fin, opcode, payload)).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next frame: opcode and payload.
    pub(crate) async fn next(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some(frame) = self.take_frame() {
                return frame;
            }
            assert!(self.fill().await, "the connection ended without a close frame");
        }
    }

    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (&[first, second], rest) = self.buffer.split_first_chunk::<2>()?;
        assert_eq!(second & 0x80, 0, "servers do not mask");
        assert_eq!(first & 0xf0, 0x80, "frames are whole and without extensions");
        let (header, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => (10, u64::from_be_bytes(*rest.first_chunk()?) as usize),
            length => (2, usize::from(length)),
        };
        let payload = self.buffer.get(header..header + length)?.to_vec();
        self.buffer.drain(..header + length);
        Some((first & 0xf, payload))
    }

    /// The next frame, which is a text.
    pub(crate) async fn text(&mut self) -> String {
        let (opcode, payload) = self.next().await;
        assert_eq!(opcode, TEXT, "{:?}", String::from_utf8_lossy(&payload));
        String::from_utf8(payload).unwrap()
    }

    /// Reads up to the close frame, answers it as a client does, expects the end of the stream, and gives the code
    /// (1005 for none).
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            let (opcode, payload) = self.next().await;
            if opcode != CLOSE {
                continue;
            }
            assert!(std::str::from_utf8(payload.get(2..).unwrap_or_default()).is_ok());
            // The server may have what it wants by now.
            let _ = self.stream.write_all(&frame(true, CLOSE, &payload)).await;
            assert!(!self.fill().await && self.buffer.is_empty(), "bytes after the close frame");
            return payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
        }
    }

    /// Nothing comes, for a moment.
    pub(crate) async fn assert_still_silent(&mut self) {
        let read = timeout(Duration::from_millis(50), self.stream.read_buf(&mut self.buffer)).await;
        assert!(read.is_err() && self.buffer.is_empty(), "something came");
    }

    /// Pings and waits for the answer, to see that the connection is well.
    pub(crate) async fn assert_well(&mut self) {
        self.send_frame(true, PING, b"well?").await;
        assert_eq!(self.next().await, (PONG, b"well?".to_vec()));
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.expect("no end of the answer").unwrap();
    answer
}
