//! A client that polls, one request per TCP connection.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::{Client, DEADLINE};

/// A whole HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The body of a 200.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.body
    }

    /// The number of Engine.IO's error.
    pub(crate) fn error(self) -> u64 {
        assert_eq!(self.status, 400, "{self:?}");
        let error: Value = serde_json::from_str(&self.body).unwrap();
        error["code"].as_u64().unwrap_or_else(|| panic!("{error}"))
    }
}

/// Writes a request, and gives the connection on which the answer comes.
pub(crate) async fn begin(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut bytes =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes).await.unwrap();
    stream
}

/// Reads an answer to its end.
pub(crate) async fn finish(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("no end of the answer").unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer but {text:?}"));
    let status = head["HTTP/1.1 ".len()..][..3].parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// Sends a request, and reads the answer.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Answer {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    finish(begin(address, method, path, &format!("{headers}{length}"), body).await).await
}

pub(crate) struct Poller {
    pub(crate) address: SocketAddr,
    /// What follows the address, session included, up to the transport.
    pub(crate) path: String,
    pub(crate) sid: String,
}

impl Poller {
    /// Opens a session.
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Self {
        let open = send(address, "GET", &format!("{path}?EIO=4&transport=polling"), "", b"").await.ok();
        let open: Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        let sid = open["sid"].as_str().unwrap().to_owned();
        Self { address, path: format!("{path}?EIO=4&sid={sid}"), sid }
    }

    /// A connected Socket.IO client.
    pub(crate) async fn socketio(address: SocketAddr) -> Self {
        let poller = Self::open(address, "/socket.io/").await;
        assert_eq!(poller.post("40{}").await.ok(), "ok");
        let connected = poller.poll().await.ok();
        assert!(connected.starts_with("40{\"sid\":\""), "{connected}");
        poller
    }

    /// The path of polls and posts.
    pub(crate) fn polling(&self) -> String {
        format!("{}&transport=polling&t=abc", self.path)
    }

    pub(crate) async fn poll(&self) -> Answer {
        send(self.address, "GET", &self.polling(), "", b"").await
    }

    /// A poll that goes on by itself.
    pub(crate) fn polled(&self) -> JoinHandle<Answer> {
        let (address, path) = (self.address, self.polling());
        tokio::spawn(async move { send(address, "GET", &path, "", b"").await })
    }

    pub(crate) async fn post(&self, payload: impl AsRef<[u8]>) -> Answer {
        let payload = payload.as_ref();
        let length = format!("Content-Length: {}\r\n", payload.len());
        finish(begin(self.address, "POST", &self.polling(), &length, payload).await).await
    }

    /// A WebSocket for the session, with bytes right behind the handshake.
    pub(crate) async fn websocket(&self, early: &[u8]) -> Client {
        Client::open_with(self.address, &format!("{}&transport=websocket", self.path), "", early).await
    }

    /// There is no such session any more.
    pub(crate) async fn assert_unknown(&self) {
        assert_eq!(self.poll().await.error(), 1);
        assert_eq!(self.post("3").await.error(), 1);
    }
}

/// The packets of a payload.
pub(crate) fn packets(payload: &str) -> Vec<&str> {
    payload.split('\u{1e}').collect()
}
