//! What a client that comes back is given at once, however much that is for one connection: the backlog. What all
//! connections have of it together is limited, and so is how long one may take to read its own.

use std::sync::{Arc, PoisonError};

use super::super::Admission;
use super::super::fault::Fault;
use super::super::frame::{Item, To};
use super::super::pulse::BACKLOG_TIMEOUT;
use super::super::socket::Admitted;
use super::super::wheel::Shared;
use super::clients::Standing;
use super::{Conn, State};

impl Conn {
    /// Lets a client in and queues what it missed, if there is room for that; otherwise does nothing.
    pub(in super::super) fn admit_with<'a>(
        self: &Arc<Self>,
        id: u64,
        admission: Admission<'_>,
        missed: impl FnOnce(To<'_>) -> Vec<(Item, &'a [Item])>,
    ) -> Admitted {
        let mut state = self.lock();
        let (connected, missed) = match state.clients.find(id) {
            Some((Standing::Asked, namespace)) => {
                let to = self.to(namespace);
                (Some(Item::connected(to, admission)), missed(to))
            }
            Some((_, namespace)) if !self.asks() => (None, missed(self.to(namespace))),
            _ => return Admitted::Gone,
        };
        let items = || missed.iter().flat_map(|(item, rest)| std::iter::once(item).chain(*rest));
        let cost: usize = items().map(Item::cost).sum();
        if cost > 0 {
            // What waits already is written before that, so it is a part of it.
            let ahead = state.charged + connected.as_ref().map_or(0, Item::cost);
            if !self.shared.reserve(ahead + cost - state.backlog) {
                return Admitted::NoRoom;
            }
            state.backlog = ahead + cost;
            let now = self.shared.now();
            state.pulse.behind(now);
            self.plan(&mut state, now + BACKLOG_TIMEOUT);
        }
        state.clients.admit(id);
        state.pulse.connected();
        if connected.is_some_and(|item| !state.charge(item, &self.shared.config)) {
            self.begin_close(state, Fault::SLOW);
            return Admitted::Yes;
        }
        state.charged += cost;
        state.queue.extend(items().cloned());
        self.rouse(state);
        Admitted::Yes
    }
}

impl State {
    /// So much was written.
    pub(super) fn written(&mut self, cost: usize, shared: &Shared) {
        self.charged = self.charged.saturating_sub(cost);
        let left = self.backlog.saturating_sub(cost);
        self.keep_backlog(left, shared);
    }

    /// Gives back what it no longer has of the backlog.
    pub(super) fn keep_backlog(&mut self, left: usize, shared: &Shared) {
        // Nearly nobody has one, and what all share is not to be touched at each write.
        if left < self.backlog {
            shared.release(self.backlog - left);
            self.backlog = left;
            if left == 0 {
                self.pulse.caught_up();
            }
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.keep_backlog(0, &self.shared);
    }
}
