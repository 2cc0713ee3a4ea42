//! The task of one connection: a single loop that reads, writes and sleeps.
//!
//! It is polled when bytes arrive, when the socket takes bytes again, or when the shared state
//! ([`super::conn`]) wakes it. Reading and writing are both advanced on each poll; neither is ever cancelled
//! for the other's sake.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;

use super::Application;
use super::conn::{Conn, Phase};
use super::link::Link;
use super::reader::{Ending, listen};
use super::writer::{Flush, Writer};

/// Drives a connection to its end. `early` are bytes that came with the handshake; `writer` has what is to be sent
/// first.
pub(super) async fn drive<A: Application>(
    mut stream: TcpStream,
    link: Link<A>,
    early: Bytes,
    mut writer: Writer,
) {
    let (reading, mut writing) = stream.split();
    let conn = &link.conn;
    {
        let mut listening = pin!(listen(reading, &link, early));
        poll_fn(|context| {
            loop {
                let (phase, present) = conn.enter();
                link.settle(present);
                if phase != Phase::Open {
                    return Poll::Ready(());
                }
                match listening.as_mut().poll(context) {
                    Poll::Ready(Ending::Close(fault)) => conn.close(fault),
                    Poll::Ready(Ending::Lost) => conn.lost(),
                    Poll::Pending => match writer.flush(context, &mut writing, conn) {
                        Ok(Flush::Attention) => continue,
                        Ok(Flush::Done | Flush::Blocked) => return Poll::Pending,
                        Err(_) => conn.lost(),
                    },
                }
            }
        })
        .await;
    }
    link.end();
    let mut farewell = Farewell::default();
    poll_fn(|context| farewell.poll(context, &mut writer, &mut writing, conn)).await;
}

/// The end of a connection that is closed in good order: what is left is written, our close frame last, then
/// our side is shut, and the peer is listened to until it shuts its own. Closing a socket that
/// still has something to read would reset it, and the peer might never see the close frame. The wheel ends
/// this for peers that take too long.
#[derive(Default)]
struct Farewell {
    shut: bool,
    heard_out: bool,
}

impl Farewell {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        writer: &mut Writer,
        writing: &mut WriteHalf<'_>,
        conn: &Arc<Conn>,
    ) -> Poll<()> {
        loop {
            if conn.enter().0 == Phase::Dead {
                return Poll::Ready(());
            }
            if !self.heard_out {
                self.heard_out = hear_out(context, writing.as_ref()).is_ready();
            }
            // Also after all is written: that is how the task learns of the wheel's patience ending.
            match writer.flush(context, writing, conn) {
                Ok(Flush::Attention) => continue,
                Ok(Flush::Blocked) => return Poll::Pending,
                Ok(Flush::Done) if self.shut => {}
                Ok(Flush::Done) => match Pin::new(&mut *writing).poll_shutdown(context) {
                    Poll::Ready(Ok(())) => self.shut = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                },
                Err(_) => return Poll::Ready(()),
            }
            return if self.heard_out { Poll::Ready(()) } else { Poll::Pending };
        }
    }
}

/// Reads and forgets until the peer has nothing more to say.
pub(super) fn hear_out(context: &mut Context<'_>, stream: &TcpStream) -> Poll<()> {
    let mut scratch = [0; 4096];
    loop {
        if ready!(stream.poll_read_ready(context)).is_err() {
            return Poll::Ready(());
        }
        match stream.try_read(&mut scratch) {
            Ok(0) => return Poll::Ready(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Poll::Ready(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use hyper::body::Incoming;
    use hyper::{Request, Response};
    use service::metrics::Registry;
    use tokio::net::TcpListener;

    use super::super::agent::Agent;
    use super::super::frame::Wire;
    use super::super::wheel::Shared;
    use super::super::{Body, ClientEvent, Config, Socket, body};
    use super::*;

    struct Nothing;

    impl Application for Nothing {
        type Session = Arc<()>;
        type Permit = ();
        fn allow<B>(&self, _: &Request<B>) -> Result<(), Response<Body>> {
            Ok(())
        }
        async fn http(self: Arc<Self>, _: Request<Incoming>, _: SocketAddr) -> Response<Body> {
            Response::new(body(""))
        }
        fn connect(self: &Arc<Self>, _: &Socket, _: &str) -> Arc<()> {
            Arc::new(())
        }
        fn event(self: &Arc<Self>, _: &Socket, _: &Arc<()>, _: ClientEvent<'_>) {}
        fn disconnect(self: &Arc<Self>, _: &Socket, _: Arc<()>) {}
    }

    #[tokio::test]
    async fn the_task_of_a_connection_is_small() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let shared = Arc::new(Shared::new(Config::default(), &Registry::new()));
        let conn = Conn::new(Wire::SocketIo, shared);
        let link = Link::new(conn, Arc::new(Nothing), (), Agent::NONE);
        let driving = drive(stream, link, Bytes::new(), Writer::default());
        let size = size_of_val(&driving);
        println!("{size} bytes");
        assert!(size <= 640, "{size} bytes");
    }
}
