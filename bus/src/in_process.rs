//! The bus inside one process: bounded channels.
//!
//! Nothing is encoded, nothing is lost while both sides live, and whoever is behind slows the other side down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::Id;
use protocol::bus::{Delivery, Uplink};
use service::metrics::Registry;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::metrics::Metrics;
use crate::{Bus, BusError, Incoming, Publisher, UplinkSender};

/// Deliveries that may wait for a gateway before the streamer waits with them.
const DELIVERIES: usize = 512;
/// Uplinks that may wait for the streamer before gateways wait with them.
const UPLINKS: usize = 1024;
/// How long an uplink waits for room. Bounded, so that a gateway and a streamer that wait for each other part.
const UPLINK_PATIENCE: Duration = Duration::from_secs(5);

/// The in-process bus. Clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct InProcess {
    attached: Arc<Mutex<Attached>>,
    metrics: Metrics,
    connected: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Attached {
    streamer: Option<mpsc::Sender<Uplink>>,
    gateways: HashMap<Id, mpsc::Sender<Incoming>>,
}

/// The streamer's end.
#[derive(Debug)]
pub struct InProcessPublisher(InProcess);

/// A gateway's end.
#[derive(Clone, Debug)]
pub struct InProcessUplinks(InProcess);

impl InProcess {
    /// A bus that nobody is attached to yet.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let help = "1 while the connection to the bus is up; always 1 in one process";
        registry.gauge("linkup_bus_connected", help, &[]).set(1.0);
        Self {
            attached: Arc::default(),
            metrics: Metrics::new(registry),
            connected: watch::Sender::new(true),
        }
    }

    /// What is attached. Never held across an await. A panic of a holder leaves nothing half-done, so
    /// poisoning is no reason to stop.
    fn attached(&self) -> MutexGuard<'_, Attached> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bus for InProcess {
    type Publisher = InProcessPublisher;
    type Uplinks = InProcessUplinks;

    fn connected(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    async fn attach_streamer(&self) -> Result<(InProcessPublisher, mpsc::Receiver<Uplink>), BusError> {
        let (sender, receiver) = mpsc::channel(UPLINKS);
        self.attached().streamer = Some(sender);
        Ok((InProcessPublisher(self.clone()), receiver))
    }

    async fn attach_gateway(
        &self,
        gateway: Id,
    ) -> Result<(InProcessUplinks, mpsc::Receiver<Incoming>), BusError> {
        let (sender, receiver) = mpsc::channel(DELIVERIES);
        self.attached().gateways.insert(gateway, sender);
        Ok((InProcessUplinks(self.clone()), receiver))
    }
}

impl Publisher for InProcessPublisher {
    async fn publish(&mut self, gateway: Id, delivery: &Delivery) -> Result<(), BusError> {
        let Some(sender) = self.0.attached().gateways.get(&gateway).cloned() else { return Ok(()) };
        if sender.send(Incoming::Delivery(delivery.clone())).await.is_ok() {
            self.0.metrics.published.delivery(0);
            self.0.metrics.received.delivery(0);
            return Ok(());
        }
        let mut attached = self.0.attached();
        // The gateway may have attached again while this waited; only the entry that is gone is removed.
        if attached.gateways.get(&gateway).is_some_and(|current| current.same_channel(&sender)) {
            attached.gateways.remove(&gateway);
        }
        Ok(())
    }

    async fn confirm(&mut self) -> Result<(), BusError> {
        // `publish` returned when the gateway's own channel held the delivery: there is nothing in between.
        Ok(())
    }

    fn max_delivery_bytes(&self) -> usize {
        usize::MAX
    }
}

impl UplinkSender for InProcessUplinks {
    async fn send(&self, uplink: Uplink) -> Result<(), BusError> {
        let Some(sender) = self.0.attached().streamer.clone() else { return Ok(()) };
        match timeout(UPLINK_PATIENCE, sender.send(uplink)).await {
            Ok(Ok(())) => {
                self.0.metrics.published.uplinks.increment(1);
                self.0.metrics.received.uplinks.increment(1);
                Ok(())
            }
            // A streamer that has just gone is none: the uplink is lost, and the gateway will repeat itself.
            Ok(Err(_)) => Ok(()),
            Err(_) => {
                let error = BusError::Timeout(UPLINK_PATIENCE);
                self.0.metrics.failed(&error);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use protocol::bus::Downlink;
    use protocol::{Clock, UnixMicros};

    #[tokio::test]
    async fn a_full_gateway_holds_the_publisher_up_until_it_reads_or_goes() {
        let bus = InProcess::new(&Registry::new());
        let gateway = Id::mint();
        let delivery = Delivery {
            term: 1,
            counter: 1,
            sent: UnixMicros::now(),
            body: Downlink::Beat { position: Clock::default() },
        };
        let (mut publisher, _uplinks) = bus.attach_streamer().await.unwrap();
        let (_, mut receiver) = bus.attach_gateway(gateway).await.unwrap();
        for _ in 0..DELIVERIES {
            publisher.publish(gateway, &delivery).await.unwrap();
        }
        let mut full = Box::pin(publisher.publish(gateway, &delivery));
        assert!((&mut full).now_or_never().is_none(), "there is no room");
        receiver.recv().await.unwrap();
        full.await.unwrap();

        let mut full = Box::pin(publisher.publish(gateway, &delivery));
        assert!((&mut full).now_or_never().is_none(), "there is no room again");
        drop(receiver);
        full.await.unwrap();
        assert!(bus.attached().gateways.is_empty(), "a gateway that is gone is forgotten");
    }
}
