//! What is done when its time comes, by the wheel mostly.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use super::super::fault::Fault;
use super::super::frame::Item;
use super::super::pulse::Plan;
use super::super::wheel::{Millis, NEVER};
use super::{Conn, Phase, State, wake};

impl Conn {
    /// Closes the transport at a point in time, unless that is moved.
    pub(in super::super) fn expire_at(self: &Arc<Self>, id: u64, at: Option<Instant>) {
        let mut state = self.lock();
        if state.clients.find(id).is_some() {
            let at = at.map_or(NEVER, |at| self.shared.millis(at));
            state.pulse.expires(at);
            self.plan(&mut state, at);
        }
    }

    /// The wheel comes by.
    pub(in super::super) fn visit(self: &Arc<Self>, now: Millis) {
        let mut state = self.lock();
        // Otherwise this was planned before something turned out to be due earlier, and that visit planned anew.
        if now >= state.planned {
            state.planned = NEVER;
            self.look_after(state, now);
        }
    }

    /// Does what is due now, without waiting for the wheel.
    pub(in super::super) fn look(self: &Arc<Self>) {
        self.look_after(self.lock(), self.shared.now());
    }

    /// The server stops, and the wheel has forgotten what was planned.
    pub(in super::super) fn shut_down(self: &Arc<Self>) {
        let mut state = self.lock();
        state.planned = NEVER;
        match state.phase {
            Phase::Open => self.begin_close(state, Fault::SHUTDOWN),
            Phase::Closing | Phase::Dead => self.look_after(state, self.shared.now()),
        }
    }

    /// Looks after the heartbeat and everything else that takes too long, and plans the next visit.
    fn look_after(self: &Arc<Self>, mut state: MutexGuard<'_, State>, now: Millis) {
        match state.phase {
            Phase::Dead => {}
            Phase::Closing if now < state.close_by => {
                let close_by = state.close_by;
                self.plan(&mut state, close_by);
            }
            Phase::Closing => {
                state.phase = Phase::Dead;
                wake(state);
            }
            Phase::Open => {
                let seen = self.seen.load(Ordering::Relaxed);
                match state.pulse.check(now, seen, &self.shared.config) {
                    Plan::Wait(next) => self.plan(&mut state, next),
                    Plan::Ping(next) => {
                        state.pulse.pinged(self.shared.micros());
                        self.plan(&mut state, next);
                        self.enqueue(state, Item::ping(self.wire), &[]);
                    }
                    Plan::Close(fault) => self.begin_close(state, fault),
                }
            }
        }
    }

    /// Sees to it that the wheel comes by when something is due, or earlier.
    pub(super) fn plan(self: &Arc<Self>, state: &mut State, due: Millis) {
        let wheel = &self.shared.wheel;
        let due = due.min(wheel.reach(self.shared.now()));
        if wheel.is_earlier(due, state.planned) {
            // It may come up earlier than is asked for, and must not be taken for a leftover then.
            state.planned = due.min(wheel.insert(Arc::downgrade(self), due));
        }
    }
}
