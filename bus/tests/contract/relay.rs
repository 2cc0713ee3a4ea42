//! A connection whose far end can be made to stop reading, as behind an overloaded host.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes connections on to a server. While it is held it takes what clients write and keeps it to itself.
pub(super) struct Relay {
    port: u16,
    held: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Listens on a free port of 127.0.0.1, in front of the server at `port`.
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let held = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, SocketAddr::from(([127, 0, 0, 1], port)), held.subscribe()));
        Self { port: own, held, _tasks: tasks }
    }

    /// Where clients connect to.
    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// From now on nothing that clients write reaches the server.
    pub(super) fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Passes on what was kept, and everything after it.
    pub(super) fn release(&self) {
        self.held.send_replace(false);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, held: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (from_client, mut to_client) = client.into_split();
        let (mut from_server, to_server) = TcpStream::connect(server).await.unwrap().into_split();
        connections.spawn(forward(from_client, to_server, held.clone()));
        connections.spawn(async move { drop(copy(&mut from_server, &mut to_client).await) });
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut held: watch::Receiver<bool>) {
    let mut kept = Vec::new();
    loop {
        tokio::select! {
            read = from.read_buf(&mut kept) => if !matches!(read, Ok(1..)) { return },
            there = async { held.wait_for(|held| !held).await.is_ok() }, if !kept.is_empty() => {
                if !there || to.write_all(&std::mem::take(&mut kept)).await.is_err() {
                    return;
                }
            }
        }
    }
}
