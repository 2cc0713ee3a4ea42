//! What goes to gateways: numbered, in order, no delivery larger than the bus takes.

use std::time::Instant;

use bus::{BusError, Publisher, size};
use protocol::bus::{Content, Delivery, Downlink, Envelope, Registrant};
use protocol::{Clock, Id};
use rustc_hash::{FxHashMap, FxHashSet};
use tracing::{debug, warn};

use crate::log::{Addressed, ReplayLog};
use crate::metrics::METRICS;
use crate::registry::Registry;

/// The most envelopes in one delivery: enough to spare the bus, little enough for a gateway to start on.
const MAX_ENVELOPES: usize = 256;
/// The most bytes in one delivery, where the bus takes more: a NATS client counts what it buffers in messages,
/// so small ones bound its memory.
const MAX_DELIVERY_BYTES: usize = 256 << 10;

/// The registry, and the bus behind it.
pub(crate) struct Outbox<P> {
    pub(crate) registry: Registry,
    publisher: P,
    term: u64,
    pending: FxHashMap<Id, Vec<Envelope>>,
}

/// A gateway's request to register users.
pub(crate) struct Registration {
    pub(crate) gateway: Id,
    pub(crate) request: u64,
    pub(crate) reset: bool,
    pub(crate) users: Vec<Registrant>,
}

impl<P: Publisher> Outbox<P> {
    pub(crate) fn new(publisher: P, term: u64) -> Self {
        Self { registry: Registry::default(), publisher, term, pending: FxHashMap::default() }
    }

    /// Queues an event for every gateway that holds a recipient, once each and with just those recipients.
    pub(crate) fn queue(&mut self, event: &Addressed) {
        for user in &*event.recipients {
            for gateway in self.registry.holders(*user) {
                let envelopes = self.pending.entry(*gateway).or_default();
                match envelopes.last_mut() {
                    Some(last) if last.clock == event.clock => last.recipients.push(*user),
                    _ => envelopes.push(envelope(event, vec![*user])),
                }
            }
        }
    }

    /// Publishes what was queued.
    pub(crate) async fn flush(&mut self) -> Result<(), BusError> {
        let pending: Vec<_> = self.pending.iter_mut().map(|(id, list)| (*id, std::mem::take(list))).collect();
        for (gateway, envelopes) in pending {
            self.send_all(gateway, envelopes, Downlink::Events).await?;
        }
        // Gateways come and go; the lists of those that are gone are not kept.
        let registry = &self.registry;
        self.pending.retain(|gateway, _| registry.knows(*gateway));
        Ok(())
    }

    /// Registers users and answers, after replaying what was asked for. A gateway that is not known and does
    /// not start afresh is told that it must: its other users are not registered here. So is one whose last
    /// request was lost.
    pub(crate) async fn register(
        &mut self,
        registration: Registration,
        log: &ReplayLog,
        live_from: Clock,
    ) -> Result<(), BusError> {
        let Registration { gateway, request, reset, users: registrants } = registration;
        let from = registrants.iter().filter_map(|registrant| registrant.from).min();
        let users: Vec<Id> = registrants.iter().map(|registrant| registrant.user).collect();
        let unknown = self.registry.heard(gateway, Instant::now());
        let in_order = self.registry.requested(gateway, request);
        if !reset && unknown {
            return self.send(gateway, Downlink::Beat { position: live_from }).await;
        }
        if !reset && !in_order {
            return self.recall(gateway, live_from).await;
        }
        if reset {
            self.registry.clear(gateway);
        }
        self.registry.register(gateway, &users);
        let complete = match from {
            Some(from) => self.replay(gateway, request, log, from, &users.into_iter().collect()).await?,
            None => true,
        };
        let incomplete = if complete { Vec::new() } else { registrants.iter().map(|r| r.user).collect() };
        self.send(gateway, Downlink::Registered { request, live_from, incomplete }).await
    }

    /// Sends what `users` missed after `from`; false if the log does not reach back that far. A part at a time:
    /// all at once could be many times the log's own size.
    async fn replay(
        &mut self,
        gateway: Id,
        request: u64,
        log: &ReplayLog,
        mut from: Clock,
        users: &FxHashSet<Id>,
    ) -> Result<bool, BusError> {
        loop {
            let Some(missed) = log.after(from) else { return Ok(false) };
            let part: Vec<Envelope> =
                missed.filter_map(|event| for_users(event, users)).take(MAX_ENVELOPES).collect();
            let Some(last) = part.last() else { return Ok(true) };
            from = last.clock;
            METRICS.replayed.inc_by(part.len() as u64);
            self.send_all(gateway, part, |events| Downlink::Replay { request, events }).await?;
        }
    }

    /// Speaks to every gateway, so that each notices if it missed the last delivery.
    pub(crate) async fn beat(&mut self, position: Clock) -> Result<(), BusError> {
        for gateway in self.registry.gateways() {
            self.send(gateway, Downlink::Beat { position }).await?;
        }
        Ok(())
    }

    /// Notes that a gateway lives and how many requests it made. Speaks to it if it is news, or if a request was
    /// lost.
    pub(crate) async fn alive(&mut self, gateway: Id, request: u64, position: Clock) -> Result<(), BusError> {
        if self.registry.heard(gateway, Instant::now()) {
            self.registry.requested(gateway, request);
            self.send(gateway, Downlink::Beat { position }).await
        } else if self.registry.lost_request(gateway, request) {
            self.recall(gateway, position).await
        } else {
            Ok(())
        }
    }

    /// Makes a gateway register its users again, by a gap in the numbers.
    async fn recall(&mut self, gateway: Id, position: Clock) -> Result<(), BusError> {
        debug!(%gateway, "a request of a gateway was lost");
        self.registry.next_counter(gateway);
        self.send(gateway, Downlink::Beat { position }).await
    }

    /// Waits until the bus has everything that was published.
    pub(crate) async fn confirm(&mut self) -> Result<(), BusError> {
        self.publisher.confirm().await
    }

    /// Sends envelopes in as few deliveries as the bus takes.
    async fn send_all(
        &mut self,
        gateway: Id,
        envelopes: Vec<Envelope>,
        body: impl Fn(Vec<Envelope>) -> Downlink,
    ) -> Result<(), BusError> {
        let bus_bytes = self.publisher.max_delivery_bytes();
        let max_bytes = bus_bytes.min(MAX_DELIVERY_BYTES);
        let (mut part, mut bytes) = (Vec::new(), size::DELIVERY_OVERHEAD);
        for envelope in envelopes {
            let more = size::envelope_bytes(&envelope);
            if size::DELIVERY_OVERHEAD + more > bus_bytes {
                // It cannot be carried at all. Were it tried, the gateway would see a gap and ask for it again and
                // again; so it is given up, and its number with it is not used.
                METRICS.malformed.inc();
                warn!(%gateway, bytes = more, "an event was skipped: it is larger than the bus takes");
                continue;
            }
            if !part.is_empty() && (part.len() == MAX_ENVELOPES || bytes + more > max_bytes) {
                self.send(gateway, body(std::mem::take(&mut part))).await?;
                bytes = size::DELIVERY_OVERHEAD;
            }
            bytes += more;
            part.push(envelope);
        }
        if part.is_empty() { Ok(()) } else { self.send(gateway, body(part)).await }
    }

    async fn send(&mut self, gateway: Id, body: Downlink) -> Result<(), BusError> {
        let Some(counter) = self.registry.next_counter(gateway) else { return Ok(()) };
        METRICS.deliveries.inc();
        let delivery = Delivery { term: self.term, counter, body };
        match self.publisher.publish(gateway, &delivery).await {
            // The number is used up, so the gateway sees a gap and asks again from its last clock. Stopping
            // here would hold up every other gateway as well.
            Err(error @ (BusError::TooLarge { .. } | BusError::Timeout { .. })) => {
                debug!(%gateway, %error, "a delivery was lost");
                Ok(())
            }
            result => result,
        }
    }
}

fn envelope(event: &Addressed, recipients: Vec<Id>) -> Envelope {
    Envelope { clock: event.clock, recipients, content: Content::Event(event.event.clone()) }
}

/// The event for those of `users` who are to get it, if there are any.
fn for_users(event: &Addressed, users: &FxHashSet<Id>) -> Option<Envelope> {
    let recipients: Vec<Id> = event.recipients.iter().copied().filter(|user| users.contains(user)).collect();
    if recipients.is_empty() { None } else { Some(envelope(event, recipients)) }
}
