//! Who may begin a connection: pages of our origins, and no address too often or too many times at once.
//!
//! Who connects from this machine is not limited by address: a proxy here that nobody named in
//! [`TRUSTED_PROXIES`](crate::config::TRUSTED_PROXIES) would have all its clients' limits together. Where it is named,
//! whom it speaks for is limited, whatever address that is: clients may have a say in that.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Request, Response};
use protocol::ErrorCode;
use rustc_hash::FxHashMap;
use service::client_address::{TrustedProxies, throttle_key};
use service::throttle::Throttle;

use crate::config::Limits;
use crate::http::{self, Origins, client_address};
use crate::metrics::{Metrics, Policy};
use crate::transport::Body;

/// When somebody with too many connections is to come back: one of them may have ended by then.
const COME_BACK: Duration = Duration::from_secs(10);

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Gate {
    origins: Origins,
    trusted: TrustedProxies,
    handshakes: Throttle<IpAddr>,
    addresses: Arc<Addresses>,
    per_address: usize,
    metrics: Arc<Metrics>,
}

/// A connection's place among those of its address, given back when it is dropped. Nothing for an address without
/// limits.
#[derive(Debug)]
pub(crate) struct Permit {
    _place: Option<Arc<Place>>,
}

/// The places of one address: as many as there are clones.
#[derive(Debug)]
struct Place {
    address: IpAddr,
    addresses: Weak<Addresses>,
}

/// The addresses with connections.
#[derive(Debug, Default)]
struct Addresses(Mutex<FxHashMap<IpAddr, Weak<Place>>>);

impl Addresses {
    fn lock(&self) -> MutexGuard<'_, FxHashMap<IpAddr, Weak<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more place of this address; `None` if `most` are taken.
    fn place(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Arc<Place>> {
        let mut places = self.lock();
        let place = places.get(&address).and_then(Weak::upgrade);
        let place = place.unwrap_or_else(|| {
            let place = Arc::new(Place { address, addresses: Arc::downgrade(self) });
            places.insert(address, Arc::downgrade(&place));
            place
        });
        // Only here are there more, under the lock; there may be fewer at any time.
        let fits = Arc::strong_count(&place) <= most;
        // A place may be the last now, and the end of the last takes the lock.
        drop(places);
        fits.then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(addresses) = self.addresses.upgrade() else { return };
        let mut places = addresses.lock();
        // Another connection may have begun with a place of its own meanwhile.
        if places.get(&self.address).is_some_and(|place| place.strong_count() == 0) {
            places.remove(&self.address);
        }
    }
}

impl Gate {
    pub(crate) fn new(
        origins: Origins,
        trusted: TrustedProxies,
        limits: &Limits,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            origins,
            trusted,
            handshakes: Throttle::new(limits.handshake_rate_per_address),
            addresses: Arc::default(),
            per_address: limits.connections_per_address,
            metrics,
        }
    }

    /// Whether the connection that `request` asks for may be made.
    #[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
    pub(crate) fn allow<B>(&self, request: &Request<B>) -> Result<Permit, Response<Body>> {
        let headers = request.headers();
        let peer = request.extensions().get::<SocketAddr>().map(SocketAddr::ip);
        // Every request has a peer.
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let by_proxy = self.trusted.trusts(peer);
        if !self.origins.admit(headers, by_proxy) {
            self.metrics.refused(Policy::Origin);
            return Err(http::error(ErrorCode::Forbidden, "Origin not allowed"));
        }
        if peer.to_canonical().is_loopback() && !by_proxy {
            return Ok(Permit { _place: None });
        }
        let client = throttle_key(client_address(headers, peer, &self.trusted));
        if let Err(wait) = self.handshakes.check(&client) {
            self.metrics.refused(Policy::HandshakeRate);
            return Err(too_many("Too many connections in a short time, please try again later", wait));
        }
        let place = self.addresses.place(client, self.per_address).ok_or_else(|| {
            self.metrics.refused(Policy::AddressConnections);
            too_many("Too many connections from this address", COME_BACK)
        })?;
        Ok(Permit { _place: Some(place) })
    }
}

fn too_many(message: &str, wait: Duration) -> Response<Body> {
    let mut response = http::error(ErrorCode::TooManyRequests, message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    response
}

/// How many seconds to wait, not fewer than are needed.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hyper::StatusCode;
    use hyper::header::ORIGIN;
    use service::client_address::TRUSTED_PROXIES;
    use service::config::Env;
    use service::metrics::Registry;
    use service::throttle::Rate;

    use super::*;

    /// Behind a proxy on this machine.
    fn gate(handshakes: u32, connections: usize) -> Gate {
        trusting("127.0.0.0/8", handshakes, connections)
    }

    fn trusting(proxies: &str, handshakes: u32, connections: usize) -> Gate {
        counted(proxies, handshakes, connections, &Registry::new())
    }

    fn counted(proxies: &str, handshakes: u32, connections: usize, registry: &Registry) -> Gate {
        let mut env = Env::from_pairs([(TRUSTED_PROXIES.to_owned(), proxies.to_owned())]);
        let limits = Limits {
            handshake_rate_per_address: Rate { count: handshakes, per: Duration::from_secs(60 * 60) },
            connections_per_address: connections,
            ..Limits::default()
        };
        let origins = Origins::new(vec![HeaderValue::from_static("http://localhost:3000")]);
        let metrics = Arc::new(Metrics::new(registry));
        Gate::new(origins, TrustedProxies::from_env(&mut env), &limits, metrics)
    }

    fn from(peer: &str, client: &str) -> Request<()> {
        let mut request = Request::get("/ws").header("x-forwarded-for", client).body(()).unwrap();
        request.extensions_mut().insert(SocketAddr::new(peer.parse().unwrap(), 1));
        request
    }

    fn refused(answer: Result<Permit, Response<Body>>) -> (StatusCode, u64) {
        let answer = answer.unwrap_err();
        let wait = answer.headers().get(RETRY_AFTER).map_or("0", |wait| wait.to_str().unwrap());
        (answer.status(), wait.parse().unwrap())
    }

    #[test]
    fn a_place_is_given_back_with_its_permit() {
        let gate = gate(1_000, 2);
        let permits = [(); 2].map(|()| gate.allow(&from("127.0.0.1", "203.0.113.1")).unwrap());
        assert_eq!(
            refused(gate.allow(&from("127.0.0.1", "203.0.113.1"))),
            (StatusCode::TOO_MANY_REQUESTS, 10)
        );
        assert!(gate.allow(&from("127.0.0.1", "203.0.113.2")).is_ok(), "others have their own");
        let [one, other] = permits;
        drop(one);
        let again = gate.allow(&from("127.0.0.1", "203.0.113.1")).unwrap();
        assert!(gate.allow(&from("127.0.0.1", "203.0.113.1")).is_err());
        drop((again, other));
        assert!(gate.addresses.lock().is_empty(), "an address without connections is forgotten");
        assert_eq!(size_of::<Permit>(), 8);
    }

    #[test]
    fn places_are_counted_right_whatever_happens_at_once() {
        let (gate, open) = (gate(1_000_000, 3), AtomicUsize::new(0));
        let count = |permits: &[Option<Permit>]| permits.iter().flatten().count();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let permits = [(); 2].map(|()| gate.allow(&from("203.0.113.1", "")).ok());
                        open.fetch_add(count(&permits), Ordering::SeqCst);
                        assert!(open.load(Ordering::SeqCst) <= 3);
                        open.fetch_sub(count(&permits), Ordering::SeqCst);
                        drop(permits);
                    }
                });
            }
        });
        assert!(gate.addresses.lock().is_empty());
    }

    #[test]
    fn an_address_that_comes_too_often_is_told_when_to_come_back() {
        let registry = Registry::new();
        let gate = counted("127.0.0.0/8", 2, 1_000, &registry);
        for last in [1, 2] {
            drop(gate.allow(&from("2001:db8::1", &last.to_string())).unwrap());
        }
        // The whole network of 64 bits is one client, whatever it says about itself.
        let refusals = || registry.value("linkup_gateway_refused_total", &[("policy", "handshake_rate")]);
        assert_eq!(refusals(), Some(0.0));
        let (status, wait) = refused(gate.allow(&from("2001:db8::2", "198.51.100.1")));
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        assert!((1..=30 * 60).contains(&wait), "{wait}");
        assert!(gate.allow(&from("2001:db8:0:1::1", "")).is_ok());
        assert_eq!(refusals(), Some(1.0));
    }

    #[test]
    fn this_machine_is_not_limited() {
        let gate = trusting("10.0.0.0/8", 1, 1);
        for peer in ["::ffff:127.0.0.1", "::1"] {
            let permits: Vec<_> = (0..9).map(|_| gate.allow(&from(peer, "")).unwrap()).collect();
            assert!(permits.iter().all(|permit| permit._place.is_none()));
        }
    }

    #[test]
    fn nobody_is_of_this_machine_by_saying_so() {
        for proxy in ["127.0.0.1", "10.0.0.1"] {
            let gate = trusting(proxy, 1, 1);
            let _permit = gate.allow(&from(proxy, "127.0.0.1")).unwrap();
            assert!(gate.allow(&from(proxy, "127.0.0.1")).is_err(), "{proxy}");
        }
    }

    #[test]
    fn a_foreign_page_is_refused_before_it_costs_anybody_a_place() {
        let gate = gate(1, 1);
        let mut request = from("203.0.113.1", "");
        request.headers_mut().insert(ORIGIN, HeaderValue::from_static("https://evil.example"));
        for _ in 0..3 {
            assert_eq!(refused(gate.allow(&request)), (StatusCode::FORBIDDEN, 0));
        }
        request.headers_mut().insert(ORIGIN, HeaderValue::from_static("http://localhost:3000"));
        assert!(gate.allow(&request).is_ok());
    }
}
