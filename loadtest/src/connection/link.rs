//! The writing half of a connection, which never waits.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::tcp::OwnedWriteHalf;
use tokio::runtime::Handle;

use crate::dialect::Protocol;
use crate::wire::{self, Opcode};

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
    pub(super) fn new(stream: OwnedWriteHalf) -> Arc<Self> {
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

    /// Ends the connection in good order, so that the server does not have to find out. What it still sends is for the
    /// reader.
    pub fn end(self: &Arc<Self>, protocol: Protocol) {
        if protocol == Protocol::SocketIo {
            self.send_text("41");
        }
        self.send(Opcode::Close, &1_000_u16.to_be_bytes());
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;

    use super::*;

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
