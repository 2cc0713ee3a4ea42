//! Which gateway holds which users, and the numbering of what is sent to each.

use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use protocol::Id;
use protocol::bus::GATEWAY_TIMEOUT_SECS;
use rustc_hash::{FxHashMap, FxHashSet};

/// The gateways that are known, and the users they registered.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    gateways: FxHashMap<Id, Gateway>,
    /// The reverse: almost always one gateway per user.
    users: FxHashMap<Id, Vec<Id>>,
}

#[derive(Debug)]
struct Gateway {
    users: FxHashSet<Id>,
    counter: u64,
    /// The number of its last request.
    request: u64,
    heard: Instant,
}

impl Registry {
    /// Notes that the gateway lives. True if it was not known: it may think that users are registered here who
    /// are not.
    pub(crate) fn heard(&mut self, gateway: Id, now: Instant) -> bool {
        match self.gateways.entry(gateway) {
            Entry::Occupied(mut known) => {
                known.get_mut().heard = now;
                false
            }
            Entry::Vacant(vacant) => {
                vacant.insert(Gateway { users: FxHashSet::default(), counter: 0, request: 0, heard: now });
                true
            }
        }
    }

    /// Notes the number of a request. False if it does not follow the one before: others were lost.
    pub(crate) fn requested(&mut self, gateway: Id, request: u64) -> bool {
        let Some(known) = self.gateways.get_mut(&gateway) else { return false };
        request == std::mem::replace(&mut known.request, request) + 1
    }

    /// Whether a gateway has made a request, the one of this number, that never arrived. True once.
    pub(crate) fn lost_request(&mut self, gateway: Id, request: u64) -> bool {
        let Some(known) = self.gateways.get_mut(&gateway) else { return false };
        request != std::mem::replace(&mut known.request, request)
    }

    /// The number of the next delivery to a gateway; `None` if it is not known.
    pub(crate) fn next_counter(&mut self, gateway: Id) -> Option<u64> {
        let gateway = self.gateways.get_mut(&gateway)?;
        gateway.counter += 1;
        Some(gateway.counter)
    }

    /// Registers users of a known gateway.
    pub(crate) fn register(&mut self, gateway: Id, users: impl IntoIterator<Item = Id>) {
        let Some(known) = self.gateways.get_mut(&gateway) else { return };
        for user in users {
            if known.users.insert(user) {
                self.users.entry(user).or_default().push(gateway);
            }
        }
    }

    /// Forgets users of a gateway.
    pub(crate) fn unregister(&mut self, gateway: Id, users: &[Id]) {
        let Some(known) = self.gateways.get_mut(&gateway) else { return };
        for user in users {
            if known.users.remove(user) {
                detach(&mut self.users, *user, gateway);
            }
        }
    }

    /// Forgets all users of a gateway, but not its numbering.
    pub(crate) fn clear(&mut self, gateway: Id) {
        if let Some(known) = self.gateways.get_mut(&gateway) {
            for user in known.users.drain() {
                detach(&mut self.users, user, gateway);
            }
        }
    }

    /// Forgets a gateway.
    pub(crate) fn remove(&mut self, gateway: Id) {
        self.clear(gateway);
        self.gateways.remove(&gateway);
    }

    /// Forgets the gateways that have been silent for too long, and returns them.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Id> {
        let silence = Duration::from_secs(GATEWAY_TIMEOUT_SECS);
        let silent = |gateway: &Gateway| now.saturating_duration_since(gateway.heard) > silence;
        let gone: Vec<Id> = self.gateways.iter().filter(|(_, g)| silent(g)).map(|(id, _)| *id).collect();
        gone.iter().for_each(|gateway| self.remove(*gateway));
        gone
    }

    /// The gateways that hold sockets of a user.
    pub(crate) fn holders(&self, user: Id) -> &[Id] {
        self.users.get(&user).map_or(&[], Vec::as_slice)
    }

    /// Whether this gateway is known.
    pub(crate) fn knows(&self, gateway: Id) -> bool {
        self.gateways.contains_key(&gateway)
    }

    /// Every known gateway.
    pub(crate) fn gateways(&self) -> Vec<Id> {
        self.gateways.keys().copied().collect()
    }

    /// How many users are registered.
    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }
}

fn detach(users: &mut FxHashMap<Id, Vec<Id>>, user: Id, gateway: Id) {
    if let Entry::Occupied(mut holders) = users.entry(user) {
        holders.get_mut().retain(|holder| *holder != gateway);
        if holders.get().is_empty() {
            holders.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_belong_to_the_gateways_that_registered_them() {
        let (mut registry, now) = (Registry::default(), Instant::now());
        let (a, b, user, other) = (Id::mint(), Id::mint(), Id::mint(), Id::mint());
        assert!(registry.heard(a, now) && registry.heard(b, now));
        assert!(!registry.heard(a, now));
        registry.register(a, [user, other, user]);
        registry.register(b, [user]);
        assert_eq!(registry.holders(user), [a, b]);
        registry.unregister(a, &[user]);
        assert_eq!(registry.holders(user), [b]);
        registry.remove(b);
        assert_eq!(registry.holders(user), []);
        assert_eq!(registry.holders(other), [a]);
        assert!(registry.knows(a) && !registry.knows(b));
        registry.clear(a);
        assert_eq!(registry.users(), 0);
        assert_eq!(registry.gateways(), [a]);
    }

    #[test]
    fn lost_requests_are_noticed_once() {
        let (mut registry, now) = (Registry::default(), Instant::now());
        let gateway = Id::mint();
        assert!(!registry.requested(gateway, 1), "not known");
        registry.heard(gateway, now);
        assert!(registry.requested(gateway, 1) && registry.requested(gateway, 2));
        assert!(!registry.lost_request(gateway, 2));
        assert!(registry.lost_request(gateway, 3));
        assert!(!registry.lost_request(gateway, 3));
        assert!(registry.requested(gateway, 4));
        assert!(!registry.requested(gateway, 6));
        assert!(registry.requested(gateway, 7));
    }

    #[test]
    fn counters_run_per_gateway_and_silent_gateways_are_forgotten() {
        let (mut registry, now) = (Registry::default(), Instant::now());
        let gateway = Id::mint();
        assert_eq!(registry.next_counter(gateway), None);
        registry.heard(gateway, now);
        assert_eq!([registry.next_counter(gateway), registry.next_counter(gateway)], [Some(1), Some(2)]);
        assert!(registry.expire(now).is_empty());
        let later = now + Duration::from_secs(GATEWAY_TIMEOUT_SECS + 1);
        assert_eq!(registry.expire(later), [gateway]);
        assert!(registry.heard(gateway, later));
        assert_eq!(registry.next_counter(gateway), Some(1));
    }
}
