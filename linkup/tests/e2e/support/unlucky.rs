//! A bus that loses things, as NATS may, and more often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bus::{Bus, BusError, Incoming, Publisher, UplinkSender};
use protocol::Id;
use protocol::bus::{Delivery, Uplink};
use tokio::sync::{mpsc, watch};

/// A bus that loses every so-many-th delivery and every so-many-th uplink of the one that it wraps.
#[derive(Clone, Debug)]
pub(crate) struct Unlucky<B> {
    inner: B,
    deliveries: Loss,
    uplinks: Loss,
}

/// Which of many things are lost.
#[derive(Clone, Debug)]
struct Loss {
    every: u64,
    count: Arc<AtomicU64>,
}

impl Loss {
    fn new(every: u64) -> Self {
        Self { every, count: Arc::default() }
    }

    fn strikes(&self) -> bool {
        (self.count.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(self.every)
    }

    fn lost(&self) -> u64 {
        self.count.load(Ordering::Relaxed) / self.every
    }
}

impl<B> Unlucky<B> {
    /// Loses one of every `deliveries` deliveries, and one of every `uplinks` uplinks.
    pub(crate) fn new(inner: B, deliveries: u64, uplinks: u64) -> Self {
        Self { inner, deliveries: Loss::new(deliveries), uplinks: Loss::new(uplinks) }
    }

    /// How many deliveries and uplinks were lost so far.
    pub(crate) fn lost(&self) -> (u64, u64) {
        (self.deliveries.lost(), self.uplinks.lost())
    }
}

impl<B: Bus> Bus for Unlucky<B> {
    type Publisher = UnluckyPublisher<B::Publisher>;
    type Uplinks = UnluckyUplinks<B::Uplinks>;

    fn connected(&self) -> watch::Receiver<bool> {
        self.inner.connected()
    }

    async fn attach_streamer(&self) -> Result<(Self::Publisher, mpsc::Receiver<Uplink>), BusError> {
        let (inner, uplinks) = self.inner.attach_streamer().await?;
        Ok((UnluckyPublisher { inner, loss: self.deliveries.clone() }, uplinks))
    }

    async fn attach_gateway(
        &self,
        gateway: Id,
    ) -> Result<(Self::Uplinks, mpsc::Receiver<Incoming>), BusError> {
        let (inner, incoming) = self.inner.attach_gateway(gateway).await?;
        Ok((UnluckyUplinks { inner, loss: self.uplinks.clone() }, incoming))
    }
}

/// The streamer's end.
pub(crate) struct UnluckyPublisher<P> {
    inner: P,
    loss: Loss,
}

impl<P: Publisher> Publisher for UnluckyPublisher<P> {
    async fn publish(&mut self, gateway: Id, delivery: &Delivery) -> Result<(), BusError> {
        if self.loss.strikes() { Ok(()) } else { self.inner.publish(gateway, delivery).await }
    }

    async fn confirm(&mut self) -> Result<(), BusError> {
        self.inner.confirm().await
    }

    fn max_delivery_bytes(&self) -> usize {
        self.inner.max_delivery_bytes()
    }
}

/// A gateway's end.
#[derive(Clone, Debug)]
pub(crate) struct UnluckyUplinks<U> {
    inner: U,
    loss: Loss,
}

impl<U: UplinkSender> UplinkSender for UnluckyUplinks<U> {
    async fn send(&self, uplink: Uplink) -> Result<(), BusError> {
        if self.loss.strikes() { Ok(()) } else { self.inner.send(uplink).await }
    }
}
