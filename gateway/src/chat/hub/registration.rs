//! Who gets events: what the streamer is asked for, and what it answers.

use std::time::Instant;

use protocol::bus::{Registrant, Uplink};
use protocol::code::close;
use protocol::{Clock, Id};
use rustc_hash::FxHashSet;
use tracing::{info, warn};

use super::Hub;
use super::members::Member;
use crate::metrics::Gap;

/// The most users in one request. Each takes up to 45 bytes, and a bus takes a megabyte.
const USERS_PER_REQUEST: usize = 12_000;

impl Hub {
    /// Tells the streamer who came and who left. Leaving goes first: a user who left and came back within one
    /// flush must end up registered.
    pub(super) fn flush(&mut self) {
        self.metrics.hub.users.set(self.users.len() as f64);
        let joining = std::mem::take(&mut self.joining);
        let leaving = std::mem::take(&mut self.leaving);
        if !self.link.is_known() || self.link.due().is_some() {
            // Everybody is registered with the first word from a streamer, or with the resync that is due.
            return;
        }
        for users in leaving.chunks(USERS_PER_REQUEST) {
            self.send(Uplink::Unregister { gateway: self.gateway, users: users.to_vec() });
        }
        let mut registrants = Vec::new();
        let mut known = FxHashSet::default();
        for user in joining {
            let Some(entry) = self.users.get(&user) else { continue };
            // Only sockets for which no request is under way: others have their replay already, or are live.
            if entry.members.iter().any(|member| member.is_to_be_registered()) && known.insert(user) {
                let from = entry.owed_from(Clock::ZERO, |member| member.is_to_be_registered());
                registrants.push(Registrant { user, from });
            }
        }
        self.register(&registrants, false);
    }

    /// Asks for the events of these users, for those of their sockets that need it. With `resync`, they replace
    /// whatever was registered, and sockets that come back are not among them.
    fn register(&mut self, registrants: &[Registrant], resync: bool) {
        let now = Instant::now();
        let mut reset = resync;
        let mut parts = registrants.chunks(USERS_PER_REQUEST).collect::<Vec<_>>();
        if resync && parts.is_empty() {
            // A gateway without users still has to make itself known.
            parts.push(&[]);
        }
        for part in parts {
            let users = part.iter().map(|registrant| registrant.user).collect();
            let request = self.link.request(users, resync, now);
            for registrant in part {
                let Some(entry) = self.users.get_mut(&registrant.user) else { continue };
                let is_meant =
                    |member: &&mut Member| member.is_to_be_registered() && !(resync && member.is_resuming());
                entry.members.iter_mut().filter(is_meant).for_each(|member| member.request = request);
            }
            self.send(Uplink::Register { gateway: self.gateway, request, reset, users: part.to_vec() });
            reset = false;
        }
    }

    /// Notes that something was missed: until everybody is registered again, events reach nobody.
    pub(super) fn interrupt(&mut self, gap: Gap) {
        if !self.link.is_known() || !self.link.interrupt(Instant::now()) {
            return;
        }
        self.metrics.hub.gap(gap);
        info!(reason = gap.label(), users = self.users.len(), "all users have to be registered again");
        for entry in self.users.values_mut() {
            entry.members.iter_mut().for_each(|member| member.interrupt());
        }
    }

    /// Registers everybody again. Each user is replayed to from where the socket that is furthest back stands.
    ///
    /// Sockets that come back are registered by requests of their own, behind that: what one of them missed may be too
    /// long ago, and then nobody else is to suffer.
    pub(super) fn resync(&mut self) {
        let certain = self.link.begin_resync().unwrap_or(Clock::ZERO);
        self.metrics.hub.resyncs.increment(1);
        self.joining.clear();
        self.leaving.clear();
        let mut registrants = Vec::with_capacity(self.users.len());
        for (&user, entry) in &self.users {
            if entry.members.iter().any(|member| !member.is_resuming()) {
                let from = entry.owed_from(certain, |member| !member.is_resuming());
                registrants.push(Registrant { user, from });
            }
            if entry.members.iter().any(Member::is_resuming) {
                self.joining.push(user);
            }
        }
        self.register(&registrants, true);
        self.flush();
    }

    /// A request is answered: its sockets are live, and those whom the api vouched for are admitted.
    pub(super) fn registered(&mut self, request: u64, live_from: Clock, incomplete: &[Id]) {
        let Some(users) = self.link.answered(request, live_from) else { return };
        let incomplete: FxHashSet<Id> = incomplete.iter().copied().collect();
        let mut turned_out = 0;
        for user in users {
            let Some(entry) = self.users.get_mut(&user) else { continue };
            let is_complete = !incomplete.contains(&user);
            let mut lost = Vec::new();
            // The user may have left and come back: then a later request is to make the socket live.
            for member in entry.members.iter_mut().filter(|member| member.request == request) {
                if !member.registered(live_from, is_complete, &self.metrics.hub) {
                    lost.push(member.socket.id());
                }
            }
            turned_out += lost.len();
            for socket in lost {
                self.remove(user, socket, |socket| socket.close(close::TRY_AGAIN, "events may be missing"));
            }
            self.admit(user);
        }
        if turned_out > 0 {
            warn!(sockets = turned_out, "events may be missing; closed, so that their clients catch up");
        }
    }
}
