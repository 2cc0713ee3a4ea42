//! Where the requests of a polling session and its task meet.
//!
//! | module | holds |
//! |---|---|
//! | `claim` | a WebSocket that comes for the session |

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::super::Application;
use super::super::conn::Progress;
use super::super::fault::Fault;
use super::super::frame::Item;
use super::super::link::Link;
use super::super::metrics::Why;
use super::super::wheel::Shared;
use super::{Session, payload};

mod claim;

pub(in super::super) use claim::Claim;

/// A poll that the client gave up, and with it, as the stock client does, the session.
const BROKE_OFF: Fault<'static> =
    Fault::new(protocol::code::close::PROTOCOL_ERROR, "poll broke off", Why::Lost);

/// What a WebSocket goes on with: the client, and what is to be sent to it first.
pub(in super::super) type Handover<A> = (Link<A>, VecDeque<Item>);

pub(super) struct Desk<A: Application> {
    /// How to wake the session's task.
    task: Option<Waker>,
    /// The session takes no more requests.
    shut: bool,
    poll: Option<Waiting>,
    /// A post is on its way, or being worked through.
    posting: bool,
    posted: Option<Posted>,
    /// What is to be sent, and what was taken of it since the task looked.
    pub(super) batch: VecDeque<Item>,
    pub(super) progress: Progress,
    /// The last packet, to be sent after `batch`.
    last: Option<&'static str>,
    /// A WebSocket is there that the session may go on over.
    claimed: bool,
    /// It gets through, so polls must not wait any longer.
    released: bool,
    /// How to wake it.
    claimant: Option<Waker>,
    /// It is to be given the session.
    taker: Option<oneshot::Sender<Handover<A>>>,
}

/// A poll that waits.
struct Waiting {
    waker: Option<Waker>,
    /// It was there before a WebSocket came for the session.
    early: bool,
    /// The task has put together what there is.
    ready: bool,
    /// An answer that no longer depends on the session.
    answer: Option<Bytes>,
}

/// What a post carries.
pub(super) struct Posted {
    pub(super) body: String,
    /// Whether it was well-formed.
    pub(super) reply: oneshot::Sender<bool>,
}

/// What the task finds on its desk.
pub(super) enum Request<A: Application> {
    Posted(Posted),
    Upgrade(oneshot::Sender<Handover<A>>),
}

impl<A: Application> Desk<A> {
    pub(super) fn new() -> Self {
        Self {
            task: None,
            shut: false,
            poll: None,
            posting: false,
            posted: None,
            batch: VecDeque::new(),
            progress: Progress::default(),
            last: None,
            claimed: false,
            released: false,
            claimant: None,
            taker: None,
        }
    }

    /// What is to be done next; posts first, as they came before the WebSocket was given the session.
    pub(super) fn request(&mut self, context: &Context<'_>) -> Option<Request<A>> {
        keep(&mut self.task, context);
        match self.posted.take() {
            Some(posted) => Some(Request::Posted(posted)),
            None => self.taker.take().map(Request::Upgrade),
        }
    }

    pub(super) fn has_poll(&self) -> bool {
        self.poll.is_some()
    }

    /// The waiting poll may take what is there.
    pub(super) fn serve(&mut self) {
        if let Some(poll) = &mut self.poll {
            poll.ready = true;
            wake(&mut poll.waker);
        }
    }

    /// There is nothing for the waiting poll. It does not wait any longer if a WebSocket is to be upgraded to: the
    /// client only goes on when its poll is answered.
    pub(super) fn rest(&mut self) {
        if self.released
            && let Some(poll) = &mut self.poll
        {
            poll.answer = Some(Bytes::from_static(NOOP.as_bytes()));
            wake(&mut poll.waker);
        }
    }

    /// The session ends in good order: `last` is for the waiting poll, or for the next one.
    pub(super) fn finish(&mut self, last: &'static str) {
        self.last = Some(last);
        self.serve();
    }

    /// Whether requests come too late.
    fn is_closed(&self) -> bool {
        self.shut || self.taker.is_some()
    }

    /// Whether nothing is left to be said.
    pub(super) fn is_shut(&self) -> bool {
        self.shut
    }

    /// The session is over. A poll that waits takes what is there, with this packet behind it, and nobody else
    /// anything.
    pub(super) fn end(&mut self, last: &'static str) {
        if let Some(poll) = &mut self.poll {
            let mut answer = Vec::new();
            self.batch.drain(..).for_each(|item| payload::append(&mut answer, &item));
            payload::append_text(&mut answer, last);
            poll.answer = Some(answer.into());
        }
        self.shut();
    }

    /// The session goes on over a WebSocket, with what is returned. A poll that came since the WebSocket did is
    /// answered like all that come from now on.
    pub(super) fn hand_over(&mut self) -> VecDeque<Item> {
        let batch = mem::take(&mut self.batch);
        if let Some(poll) = &mut self.poll
            && poll.early
        {
            poll.answer = Some(Bytes::from_static(NOOP.as_bytes()));
        }
        self.shut();
        batch
    }

    /// The session is over, for whatever reason.
    pub(super) fn shut(&mut self) {
        self.shut = true;
        self.batch = VecDeque::new();
        self.posted = None;
        self.taker = None;
        wake(&mut self.claimant);
        if let Some(poll) = &mut self.poll {
            wake(&mut poll.waker);
        }
    }

    /// What the poll gets, if it gets something now; an error if there is no session.
    fn take(&mut self, shared: &Shared) -> Option<Result<Bytes, ()>> {
        let poll = self.poll.as_mut()?;
        if let Some(answer) = poll.answer.take() {
            return Some(Ok(answer));
        }
        if self.shut {
            return Some(Err(()));
        }
        let any = !self.batch.is_empty() || self.last.is_some();
        (poll.ready && any).then(|| Ok(self.fill(shared)))
    }

    /// Takes as many packets as fit into one answer, and at least one.
    fn fill(&mut self, shared: &Shared) -> Bytes {
        let (mut answer, limit) = (Vec::new(), shared.config.max_payload);
        let mut finished = shared.metrics.written();
        while let Some(item) = self.batch.front()
            && (answer.is_empty() || answer.len() + payload::length(item) <= limit)
        {
            payload::append(&mut answer, item);
            finished.add(item);
            self.progress.any = true;
            self.progress.cost += item.cost();
            self.batch.pop_front();
        }
        if self.batch.is_empty() {
            self.batch = VecDeque::new();
            if let Some(last) = self.last.take() {
                payload::append_text(&mut answer, last);
                self.shut = true;
            }
        }
        answer.into()
    }
}

/// The packet that means nothing.
pub(super) const NOOP: &str = "6";

/// The packet that closes the transport.
pub(super) const CLOSE: &str = "1";

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn keep(waker: &mut Option<Waker>, context: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(context.waker()),
        none => *none = Some(context.waker().clone()),
    }
}

/// Why a request is not for this session now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Another one is being answered. That was the end of the session.
    Busy,
    /// There is no session any more.
    Over,
}

/// A poll that waits. Dropped before it is answered, it ends the session.
pub(super) struct Polling<A: Application>(Option<Arc<Session<A>>>);

impl<A: Application> Polling<A> {
    pub(super) fn begin(session: &Arc<Session<A>>) -> Result<Self, Unfit> {
        let mut desk = session.desk();
        if desk.is_closed() {
            return Err(Unfit::Over);
        }
        if desk.poll.is_some() {
            desk.end(CLOSE);
            session.conn.close(Fault::protocol("two polls at a time"));
            return Err(Unfit::Busy);
        }
        desk.poll = Some(Waiting { waker: None, early: !desk.claimed, ready: false, answer: None });
        wake(&mut desk.task);
        Ok(Self(Some(Arc::clone(session))))
    }

    /// Waits for what there is to be sent. What is returned counts as sent.
    pub(super) async fn answer(mut self) -> Result<Bytes, ()> {
        poll_fn(|context| {
            let Some(session) = &self.0 else { return Poll::Ready(Err(())) };
            let mut desk = session.desk();
            match desk.take(&session.conn.shared) {
                Some(answer) => {
                    desk.poll = None;
                    wake(&mut desk.task);
                    drop(desk);
                    self.0 = None;
                    Poll::Ready(answer)
                }
                None => {
                    if let Some(poll) = &mut desk.poll {
                        keep(&mut poll.waker, context);
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<A: Application> Drop for Polling<A> {
    fn drop(&mut self) {
        if let Some(session) = &self.0 {
            let mut desk = session.desk();
            desk.poll = None;
            // Otherwise the connection may be another request's by now, or a WebSocket's.
            if !desk.shut {
                session.conn.close(BROKE_OFF);
            }
        }
    }
}

/// A post from its first byte to its answer. Dropped before it is done, it ends the session: nobody knows which of its
/// packets the client takes for sent.
pub(super) struct Posting<A: Application>(Option<Arc<Session<A>>>);

impl<A: Application> Posting<A> {
    pub(super) fn begin(session: &Arc<Session<A>>) -> Result<Self, Unfit> {
        let mut desk = session.desk();
        if desk.is_closed() {
            return Err(Unfit::Over);
        }
        if mem::replace(&mut desk.posting, true) {
            desk.end(CLOSE);
            session.conn.close(Fault::protocol("two posts at a time"));
            return Err(Unfit::Busy);
        }
        Ok(Self(Some(Arc::clone(session))))
    }

    /// The post cannot be taken, and the session is over.
    pub(super) fn fail(self, fault: Fault<'static>) {
        if let Some(session) = &self.0 {
            let mut desk = session.desk();
            if !desk.shut {
                desk.end(CLOSE);
                session.conn.close(fault);
            }
        }
    }

    /// Hands the packets to the session's task and waits until they are worked through. False if they were malformed;
    /// an error if the session is over.
    pub(super) async fn deliver(mut self, body: String) -> Result<bool, ()> {
        let Some(session) = &self.0 else { return Err(()) };
        let (reply, replied) = oneshot::channel();
        {
            let mut desk = session.desk();
            if desk.shut {
                return Err(());
            }
            desk.posted = Some(Posted { body, reply });
            wake(&mut desk.task);
        }
        let well_formed = replied.await.map_err(drop)?;
        if let Some(session) = self.0.take() {
            session.desk().posting = false;
        }
        Ok(well_formed)
    }
}

impl<A: Application> Drop for Posting<A> {
    fn drop(&mut self) {
        if let Some(session) = &self.0 {
            let mut desk = session.desk();
            desk.posting = false;
            if !desk.shut {
                session.conn.close(Fault::protocol("post broke off"));
            }
        }
    }
}
