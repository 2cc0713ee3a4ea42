//! Who is let in, and who is turned away.

use std::sync::{Arc, MutexGuard};

use protocol::code::close;

use super::super::Admission;
use super::super::fault::Fault;
use super::super::frame::{Item, Wire};
use super::super::metrics::Why;
use super::clients::Standing;
use super::{Conn, State, wake};

impl Conn {
    pub(in super::super) fn admit(self: &Arc<Self>, id: u64, admission: Admission<'_>) -> bool {
        let mut state = self.lock();
        let item = match state.clients.find(id) {
            Some((Standing::Asked, namespace)) => Item::connected(self.to(namespace), admission),
            found => return found.is_some() && !self.asks(),
        };
        state.clients.admit(id);
        state.pulse.connected();
        self.enqueue(state, item, &[]);
        true
    }

    pub(in super::super) fn refuse(self: &Arc<Self>, id: u64, message: &str) {
        let state = self.lock();
        match state.clients.find(id) {
            Some((Standing::Asked, _)) => self.turn_away(state, id, message, self.wire != Wire::SocketIo),
            Some(_) if !self.asks() => self.turn_away(state, id, message, true),
            _ => {}
        }
    }

    /// Turns a client away for good, whether it was admitted or not.
    pub(in super::super) fn dismiss(self: &Arc<Self>, id: u64, message: &str) {
        self.turn_away(self.lock(), id, message, true);
    }

    fn turn_away(self: &Arc<Self>, mut state: MutexGuard<'_, State>, id: u64, message: &str, close: bool) {
        let Some((standing, namespace)) = state.clients.find(id) else { return };
        let to = self.to(namespace);
        let (item, why) = match (standing, self.wire) {
            (Standing::Asked, _) => (Some(Item::refused(to, message)), Why::Refused),
            (_, Wire::SocketIo) => (Some(Item::dismissed(to)), Why::Dismissed),
            _ => (None, Why::Dismissed),
        };
        // Counted like any other frame: a client may ask to be refused for ever.
        if item.is_some_and(|item| !state.charge(item, &self.shared.config)) {
            return self.begin_close(state, Fault::SLOW);
        }
        if close {
            return self.begin_close(state, Fault::new(close::UNAUTHORIZED, message, why));
        }
        self.forget(&mut state, id);
        wake(state);
    }
}
