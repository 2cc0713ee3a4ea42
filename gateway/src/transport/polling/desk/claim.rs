//! A WebSocket that comes for a polling session.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::oneshot;

use super::super::super::Application;
use super::super::super::conn::Phase;
use super::super::Session;
use super::{Handover, keep, wake};

/// A WebSocket's right to be the one that a session goes on over.
pub(in super::super::super) struct Claim<A: Application>(Arc<Session<A>>);

impl<A: Application> Claim<A> {
    /// `None` if another WebSocket has it, or the session is over.
    pub(in super::super::super) fn stake(session: &Arc<Session<A>>) -> Option<Self> {
        let mut desk = session.desk();
        if desk.shut || desk.claimed || session.conn.phase() != Phase::Open {
            return None;
        }
        desk.claimed = true;
        Some(Self(Arc::clone(session)))
    }

    /// The WebSocket gets through: polls do not wait any longer.
    pub(in super::super::super) fn release(&self) {
        let mut desk = self.0.desk();
        desk.released = true;
        wake(&mut desk.task);
    }

    /// Waits until the session is over.
    pub(in super::super::super) async fn over(&self) {
        poll_fn(|context| {
            let mut desk = self.0.desk();
            if desk.shut {
                return Poll::Ready(());
            }
            keep(&mut desk.claimant, context);
            Poll::Pending
        })
        .await;
    }

    /// Takes the session over. `None` if it is over.
    pub(in super::super::super) async fn redeem(self) -> Option<Handover<A>> {
        let (taker, taken) = oneshot::channel();
        {
            let mut desk = self.0.desk();
            if desk.shut {
                return None;
            }
            desk.taker = Some(taker);
            wake(&mut desk.task);
        }
        taken.await.ok()
    }
}

impl<A: Application> Drop for Claim<A> {
    fn drop(&mut self) {
        let mut desk = self.0.desk();
        desk.claimed = false;
        desk.released = false;
        desk.claimant = None;
    }
}
