//! What goes to gateways: numbered, in order, no delivery larger than the bus takes.

use std::sync::Arc;
use std::time::Instant;

use bus::{BusError, Publisher, size};
use protocol::bus::{Delivery, Downlink, Envelope, Registrant, Typing};
use protocol::{Clock, Id, UnixMicros};
use rustc_hash::FxHashMap;
use tracing::{debug, warn};

use crate::health::Vitals;
use crate::log::{Addressed, ReplayLog};
use crate::metrics::{DeliveryKind, Metrics};
use crate::registry::Registry;
use crate::replay::Asked;

/// The most envelopes in one delivery: enough to spare the bus, little enough for a gateway to start on.
const MAX_ENVELOPES: usize = 256;
/// The most bytes in one delivery, where the bus takes more: a NATS client counts what it buffers in messages,
/// so small ones bound its memory. An event that is larger is never published, whatever carries it: it would close the
/// connections of all who are told as too slow.
const MAX_DELIVERY_BYTES: usize = 256 << 10;
/// After looking at so many events for a replay, others get their turn of the processor.
const TURN: usize = 4_096;

/// The registry, and the bus behind it.
pub(crate) struct Outbox<P> {
    pub(crate) registry: Registry,
    publisher: P,
    term: u64,
    pending: FxHashMap<Id, Vec<Envelope>>,
    metrics: Arc<Metrics>,
    /// One turn may be many deliveries, each of which waits for a bus that is away.
    vitals: Vitals,
}

/// A gateway's request to register users.
pub(crate) struct Registration {
    pub(crate) gateway: Id,
    pub(crate) request: u64,
    pub(crate) reset: bool,
    pub(crate) users: Vec<Registrant>,
}

impl<P: Publisher> Outbox<P> {
    pub(crate) fn new(publisher: P, term: u64, metrics: Arc<Metrics>, vitals: Vitals) -> Self {
        Self {
            registry: Registry::default(),
            publisher,
            term,
            pending: FxHashMap::default(),
            metrics,
            vitals,
        }
    }

    /// Queues an event for every gateway that holds a recipient, once each and with just those recipients. `received`
    /// says when a new message came to the first server.
    pub(crate) fn queue(&mut self, event: &Addressed, received: Option<UnixMicros>) {
        for user in &*event.recipients {
            for gateway in self.registry.holders(*user) {
                let envelopes = self.pending.entry(*gateway).or_default();
                match envelopes.last_mut() {
                    Some(last) if last.clock == event.clock => last.recipients.push(*user),
                    _ => envelopes.push(Envelope { received, ..event.envelope(vec![*user]) }),
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

    /// Tells the gateways that hold one of `others` that somebody is typing.
    pub(crate) async fn tell_typing(&mut self, typing: Typing, others: &[Id]) -> Result<(), BusError> {
        let mut holders: FxHashMap<Id, Vec<Id>> = FxHashMap::default();
        for user in others {
            for gateway in self.registry.holders(*user) {
                holders.entry(*gateway).or_default().push(*user);
            }
        }
        self.metrics.typing_passed.increment(1);
        for (gateway, recipients) in holders {
            self.send(gateway, Downlink::Typing { typing: typing.clone(), recipients }).await?;
        }
        Ok(())
    }

    /// Registers users and answers, after replaying what was asked for. A gateway that is not known and does
    /// not start afresh is told that it must: its other users are not registered here. So is one whose last
    /// request was lost.
    pub(crate) async fn register(
        &mut self,
        registration: Registration,
        log: &mut ReplayLog,
        live_from: Clock,
    ) -> Result<(), BusError> {
        let Registration { gateway, request, reset, users: registrants } = registration;
        let unknown = self.registry.heard(gateway, Instant::now());
        let in_order = self.registry.requested(gateway, request);
        if !reset && unknown {
            return self.send(gateway, Downlink::Beat { position: live_from }).await;
        }
        if !reset && !in_order {
            return self.recall(gateway, live_from).await;
        }
        if reset {
            self.metrics.resyncs.increment(1);
            self.registry.clear(gateway);
        } else {
            self.metrics.joins.increment(1);
        }
        self.registry.register(gateway, registrants.iter().map(|registrant| registrant.user));
        let (asked, incomplete) = Asked::new(&registrants, log);
        self.metrics.incomplete.increment(incomplete.len() as u64);
        self.replay(gateway, request, log, asked).await?;
        self.send(gateway, Downlink::Registered { request, live_from, incomplete }).await
    }

    /// Sends what was missed. A part at a time: all at once could be many times the log's own size. Nothing else is
    /// sent to the gateway in between, so that it stays in order.
    async fn replay(
        &mut self,
        gateway: Id,
        request: u64,
        log: &ReplayLog,
        mut asked: Asked,
    ) -> Result<(), BusError> {
        let replay = |events| Downlink::Replay { request, events };
        let endings = asked.endings(log);
        self.metrics.replayed.increment(endings.len() as u64);
        self.send_all(gateway, endings, replay).await?;
        let Some(from) = asked.from() else { return Ok(()) };
        let mut part = Vec::new();
        for (n, event) in log.after(from).enumerate() {
            part.extend(asked.pick(event));
            if part.len() == MAX_ENVELOPES {
                self.metrics.replayed.increment(part.len() as u64);
                self.send_all(gateway, std::mem::take(&mut part), replay).await?;
            }
            if n % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        self.metrics.replayed.increment(part.len() as u64);
        self.send_all(gateway, part, replay).await
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
        self.metrics.recalls.increment(1);
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
        let max_bytes = self.publisher.max_delivery_bytes().min(MAX_DELIVERY_BYTES);
        let (mut part, mut bytes) = (Vec::new(), size::DELIVERY_OVERHEAD);
        for envelope in envelopes {
            let more = size::envelope_bytes(&envelope);
            if size::DELIVERY_OVERHEAD + more > max_bytes {
                // Where the bus is the limit, it cannot be carried at all. Were it tried, the gateway would see a gap
                // and ask for it again and again; so it is given up, and its number with it is not used.
                self.metrics.skipped.increment(1);
                warn!(%gateway, bytes = more, "an event was skipped: it is too large");
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
        self.metrics.delivery(kind(&body));
        self.vitals.beat();
        let delivery = Delivery { term: self.term, counter, sent: UnixMicros::now(), body };
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

fn kind(body: &Downlink) -> DeliveryKind {
    match body {
        Downlink::Events(_) => DeliveryKind::Events,
        Downlink::Replay { .. } => DeliveryKind::Replay,
        Downlink::Registered { .. } => DeliveryKind::Registered,
        Downlink::Typing { .. } => DeliveryKind::Typing,
        Downlink::Beat { .. } => DeliveryKind::Beat,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use protocol::bus::Content;
    use service::health::Health;

    use super::*;

    /// Keeps what was published.
    #[derive(Clone, Default)]
    struct Published(Arc<Mutex<Vec<(Id, Delivery)>>>);

    impl Publisher for Published {
        async fn publish(&mut self, gateway: Id, delivery: &Delivery) -> Result<(), BusError> {
            self.0.lock().unwrap().push((gateway, delivery.clone()));
            Ok(())
        }

        async fn confirm(&mut self) -> Result<(), BusError> {
            Ok(())
        }

        fn max_delivery_bytes(&self) -> usize {
            1 << 20
        }
    }

    impl Published {
        /// What came since the last call, in order.
        fn take(&self) -> Vec<(Id, Downlink)> {
            let published = std::mem::take(&mut *self.0.lock().unwrap());
            published.into_iter().map(|(gateway, delivery)| (gateway, delivery.body)).collect()
        }
    }

    fn at(seconds: u64) -> Clock {
        Clock { time: seconds << 32, change: 0, event: 0 }
    }

    fn people<const N: usize>() -> [Id; N] {
        std::array::from_fn(|n| Id::from_bytes([n as u8 + 1; 12]))
    }

    fn reset(gateway: Id, users: Vec<Registrant>) -> Registration {
        Registration { gateway, request: 1, reset: true, users }
    }

    #[tokio::test]
    async fn what_was_missed_comes_in_order_and_before_the_answer() {
        let [gateway, ada, bob, late] = people();
        let published = Published::default();
        let mut outbox =
            Outbox::new(published.clone(), 1, Metrics::unseen(), Vitals::new(&Health::default()));
        let mut log = ReplayLog::new(at(9), Duration::from_secs(1_000), 1 << 20);
        let all: Arc<[Id]> = [ada, bob].into();
        let said = || Content::Event(bytes::Bytes::from_static(b"[]"));
        let ended = Content::SessionsEnded { generation: 2 };
        log.push(Addressed { clock: at(10), recipients: [ada].into(), content: ended });
        for seconds in 11..611 {
            log.push(Addressed { clock: at(seconds), recipients: Arc::clone(&all), content: said() });
        }
        let asks = |user, from: Option<u64>| Registrant { user, from: from.map(at) };
        let users = vec![asks(ada, None), asks(bob, Some(10)), asks(late, Some(3))];
        outbox.register(reset(gateway, users), &mut log, at(700)).await.unwrap();
        let mut published = published.take();
        let (_, answer) = published.pop().unwrap();
        let expected = Downlink::Registered { request: 1, live_from: at(700), incomplete: vec![late] };
        assert_eq!(answer, expected);
        assert!(published.len() > 3, "in parts");
        let told = published.into_iter().flat_map(|(_, body)| match body {
            Downlink::Replay { request: 1, events } => events,
            other => panic!("{other:?}"),
        });
        let told: Vec<(u64, Vec<Id>)> =
            told.map(|envelope| (envelope.clock.time >> 32, envelope.recipients)).collect();
        let expected = [(10, vec![ada])].into_iter().chain((11..611).map(|seconds| (seconds, vec![bob])));
        assert_eq!(told, expected.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_event_that_is_too_large_is_never_published_and_those_around_it_are() {
        let [gateway, ada] = people();
        let published = Published::default();
        let mut outbox =
            Outbox::new(published.clone(), 1, Metrics::unseen(), Vitals::new(&Health::default()));
        let mut log = ReplayLog::new(at(9), Duration::from_secs(60), 1 << 20);
        let users = vec![Registrant { user: ada, from: None }];
        outbox.register(reset(gateway, users), &mut log, at(10)).await.unwrap();
        published.take();
        for (seconds, bytes) in [(11, 10), (12, MAX_DELIVERY_BYTES), (13, MAX_DELIVERY_BYTES - 1_024)] {
            let content = Content::Event(vec![b' '; bytes].into());
            outbox.queue(&Addressed { clock: at(seconds), recipients: [ada].into(), content }, None);
        }
        outbox.flush().await.unwrap();
        let told = published.take().into_iter().flat_map(|(_, body)| match body {
            Downlink::Events(events) => events,
            other => panic!("{other:?}"),
        });
        assert_eq!(told.map(|envelope| envelope.clock).collect::<Vec<_>>(), [at(11), at(13)]);
    }

    #[tokio::test]
    async fn each_gateway_is_told_who_types_for_its_own_users_and_nobody_else() {
        let [one, other, idle, ada, bob, carl, eve] = people();
        let published = Published::default();
        let mut outbox =
            Outbox::new(published.clone(), 1, Metrics::unseen(), Vitals::new(&Health::default()));
        let mut log = ReplayLog::new(at(9), Duration::from_secs(60), 1 << 20);
        for (gateway, users) in [(one, vec![ada, bob]), (other, vec![bob, carl]), (idle, vec![eve])] {
            let users = users.into_iter().map(|user| Registrant { user, from: None }).collect();
            outbox.register(reset(gateway, users), &mut log, at(10)).await.unwrap();
        }
        published.take();
        let typing = Typing { user: ada, conversation: Id::mint(), is_typing: true };
        outbox.tell_typing(typing.clone(), &[bob, carl]).await.unwrap();
        let mut told = published.take();
        told.sort_by_key(|(gateway, _)| *gateway);
        let tells = |recipients| Downlink::Typing { typing: typing.clone(), recipients };
        assert_eq!(told, [(one, tells(vec![bob])), (other, tells(vec![bob, carl]))]);
    }
}
