//! A connection that is listened in on: how often a certain text goes through it towards the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Stands between clients and a server, and counts.
pub(crate) struct Tap {
    address: SocketAddr,
    count: Arc<AtomicU64>,
}

impl Tap {
    /// Listens in front of `server` for `text`.
    pub(crate) async fn start(server: SocketAddr, text: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, text, Arc::clone(&counted)));
            }
        });
        Self { address, count }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often the text went through so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

async fn pass(client: TcpStream, server: SocketAddr, text: &'static str, count: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Both connections are dropped, and so closed, as soon as one direction ends.
    tokio::select! {
        _ = copy(from_client, to_server, |bytes| {
            count.fetch_add(occurrences(bytes, text.as_bytes()), Ordering::Relaxed);
        }) => {}
        _ = copy(from_server, to_client, |_| {}) => {}
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut seen: impl FnMut(&[u8]),
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        // A text that is cut in two by the network is not counted; the head of a request comes in one piece.
        seen(&buffer[..length]);
        to.write_all(&buffer[..length]).await?;
    }
}

fn occurrences(bytes: &[u8], text: &[u8]) -> u64 {
    bytes.windows(text.len()).filter(|window| *window == text).count() as u64
}
