//! The task of one polling session.
//!
//! It is what [`drive`](super::super::drive) is for a WebSocket: woken by requests and by the connection's shared
//! state, it gives what clients post to the [`Link`] and what is queued to the poll that waits.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use protocol::code::close;
use tokio::sync::oneshot;

use super::super::Application;
use super::super::conn::{Conn, Phase, Progress, Supply};
use super::super::fault::Fault;
use super::super::frame::{Item, Polled};
use super::super::link::Link;
use super::super::metrics::Why;
use super::desk::{CLOSE, Desk, Handover, NOOP, Posted, Request};
use super::payload::{self, Received};
use super::{Seat, Session};

/// After so many packets in a row, other tasks get their turn.
const PACKETS_PER_TURN: u32 = 64;

/// How a session's task ends.
enum Ending<A: Application> {
    Closed,
    /// With what is to be sent first.
    Upgraded(oneshot::Sender<Handover<A>>, VecDeque<Item>),
}

/// Attends to a session until it is over, or goes on over a WebSocket.
pub(super) async fn attend<A: Application>(seat: Seat<A>, link: Link<A>) {
    let session = &*seat.session;
    link.begin();
    let mut work = Work { post: None, left: false };
    match poll_fn(|context| work.advance(context, session, &link)).await {
        Ending::Closed => {
            link.end();
            let left = work.left;
            drop(work);
            part(session, &link.conn, left).await;
        }
        Ending::Upgraded(taker, batch) => {
            seat.upgrade();
            // If the WebSocket is gone meanwhile, the link comes back, and with it the end of the connection.
            let _ = taker.send((link, batch));
        }
    }
}

/// What a session's task is at.
struct Work {
    post: Option<Post>,
    /// The client closed the transport.
    left: bool,
}

/// A post that is being worked through.
struct Post {
    body: String,
    position: usize,
    reply: oneshot::Sender<bool>,
}

impl Work {
    fn advance<A: Application>(
        &mut self,
        context: &mut Context<'_>,
        session: &Session<A>,
        link: &Link<A>,
    ) -> Poll<Ending<A>> {
        let conn = &link.conn;
        let mut turn = PACKETS_PER_TURN;
        loop {
            let (phase, present) = conn.enter();
            link.settle(present);
            if phase != Phase::Open {
                // The client did nothing wrong. What it still says is thrown away.
                self.post.take().map(|post| post.reply.send(true));
                return Poll::Ready(Ending::Closed);
            }
            if let Some(post) = self.post.take() {
                if turn == 0 {
                    self.post = Some(post);
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                turn -= 1;
                self.receive(post, link);
                continue;
            }
            let mut desk = session.desk();
            let taker = match desk.request(context) {
                Some(Request::Posted(Posted { body, reply })) => {
                    self.post = Some(Post { body, position: 0, reply });
                    continue;
                }
                Some(Request::Upgrade(taker)) => Some(taker),
                None => None,
            };
            if let Some(taker) = taker {
                let progress = std::mem::take(&mut desk.progress);
                conn.supply(&mut desk.batch, false, progress, context);
                return Poll::Ready(Ending::Upgraded(taker, desk.hand_over()));
            }
            let asleep = deliver(&mut desk, conn, context);
            if asleep {
                return Poll::Pending;
            }
        }
    }

    /// Takes one packet of a post.
    fn receive<A: Application>(&mut self, mut post: Post, link: &Link<A>) {
        let fault = match self.packet(&mut post, link) {
            Ok(true) => {
                self.post = Some(post);
                return;
            }
            Ok(false) => None,
            Err(fault) => Some(fault),
        };
        self.left = fault.is_some_and(|fault| fault.why == Why::Client);
        if let Some(fault) = fault {
            link.conn.close(fault);
        }
        // Whoever posted may be gone.
        let _ = post.reply.send(fault.is_none() || self.left);
    }

    /// True if there is another one.
    fn packet<A: Application>(&self, post: &mut Post, link: &Link<A>) -> Result<bool, Fault<'static>> {
        let rest = post.body.get(post.position..).unwrap_or_default();
        let Some((packet, next)) = payload::next(rest) else { return Err(Fault::protocol("bad payload")) };
        link.conn.shared.metrics.frames_received.increment(1);
        link.conn.touch();
        match packet {
            Received::Text(text) => link.engine_packet(text)?,
            Received::Binary(data) => link.engine_binary(&data)?,
        }
        post.position += next.unwrap_or_default();
        Ok(next.is_some())
    }
}

/// Lays out what is to be sent for the poll that waits, or for the next one. False if the task must look around again.
fn deliver<A: Application>(desk: &mut Desk<A>, conn: &Arc<Conn>, context: &Context<'_>) -> bool {
    let progress = std::mem::take(&mut desk.progress);
    match conn.supply(&mut desk.batch, false, progress, context) {
        Supply::Attention => false,
        Supply::Idle => {
            desk.rest();
            true
        }
        Supply::Work => {
            if desk.has_poll() {
                append_rest(conn, &mut desk.batch, context);
            }
            // After a look at the phase: if the end is among what was taken, that is not for this poll.
            let asleep = !conn.block(context);
            if asleep {
                desk.serve();
            }
            asleep
        }
    }
}

/// Puts everything that is queued behind what was taken already.
fn append_rest(conn: &Conn, batch: &mut VecDeque<Item>, context: &Context<'_>) {
    let mut rest = VecDeque::new();
    conn.supply(&mut rest, false, Progress::default(), context);
    batch.append(&mut rest);
}

/// The end of a session: what is queued goes to the poll that waits, with the end behind it. Where the server is the
/// one that ends it, and no poll waits, the next one may fetch that, until the wheel's patience ends.
async fn part<A: Application>(session: &Session<A>, conn: &Arc<Conn>, left: bool) {
    let last = if left { NOOP } else { CLOSE };
    let mut told = false;
    poll_fn(|context| {
        let (phase, _) = conn.enter();
        let mut desk = session.desk();
        if let Some(Request::Posted(posted)) = desk.request(context) {
            let _ = posted.reply.send(true);
        }
        if desk.is_shut() || phase == Phase::Dead {
            return Poll::Ready(());
        }
        let progress = std::mem::take(&mut desk.progress);
        conn.supply(&mut desk.batch, false, progress, context);
        append_rest(conn, &mut desk.batch, context);
        if left {
            desk.batch.clear();
        }
        match end_of(&desk.batch) {
            _ if told => {}
            // Whether a poll comes a moment before the time is up or a moment after: the session is unknown then.
            Some(close::TIMEOUT) => {
                desk.shut();
                return Poll::Ready(());
            }
            code if code.is_some_and(is_fault) || conn.shared.stopping.load(Ordering::SeqCst) => {
                desk.end(last);
                return Poll::Ready(());
            }
            _ => {}
        }
        if !told {
            told = true;
            desk.finish(last);
        }
        desk.serve();
        if conn.block(context) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

/// The code of the close frame that ends a queue.
fn end_of(batch: &VecDeque<Item>) -> Option<u16> {
    let item = batch.back().filter(|item| item.packet() == Some(Polled::Close))?;
    item.parts()[1].first_chunk().map(|code| u16::from_be_bytes(*code))
}

/// Whether a connection is closed because of something that its client did wrong: then there is no session to it any
/// more, as with the stock server.
fn is_fault(code: u16) -> bool {
    matches!(code, close::PROTOCOL_ERROR | close::UNSUPPORTED | close::INVALID_TEXT | close::TOO_LARGE)
}
