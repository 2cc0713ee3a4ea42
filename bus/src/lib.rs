//! The transport between streamer and gateways: one trait, [`Bus`], and two implementations.
//!
//! [`InProcess`] hands values over inside one process, with back-pressure, and loses nothing. [`Nats`] carries
//! them between hosts and may lose some: the numbering of deliveries ([`protocol::bus::Delivery::counter`])
//! shows that to the gateway. What is said is defined in [`protocol::bus`]; this crate only carries it.
//!
//! | module | holds |
//! |---|---|
//! | [`in_process`] | [`InProcess`]: bounded channels, for all parts in one process |
//! | [`nats`] | [`Nats`]: the same over a NATS server |
//! | [`size`] | how large a delivery becomes on the wire, so that the streamer can split in time |
//! | [`error`] | [`BusError`] |
//!
//! Metrics are `linkup_bus_*`, in the registry that a bus is made with.

pub mod error;
pub mod in_process;
mod metrics;
pub mod nats;
pub mod size;

use std::future::Future;

use protocol::Id;
use protocol::bus::{Delivery, Uplink};
use tokio::sync::{mpsc, watch};

pub use error::BusError;
pub use in_process::InProcess;
pub use nats::{Nats, NatsOptions};

/// A handle on the transport between streamer and gateways. Clones are handles on the same transport.
pub trait Bus: Clone + Send + Sync + 'static {
    /// What the streamer publishes with.
    type Publisher: Publisher;
    /// What a gateway speaks to the streamer with.
    type Uplinks: UplinkSender;

    /// Whether the bus itself (the server, not just the socket to it) answers; right within two seconds. Always true in
    /// one process.
    fn connected(&self) -> watch::Receiver<bool>;

    /// Attaches the streamer's side: it publishes to gateways and receives what gateways say.
    ///
    /// Attaching again replaces the earlier attachment of this handle and its clones: the earlier receiver
    /// ends. Several processes may each attach over NATS; all of them receive every uplink.
    ///
    /// # Errors
    /// [`BusError`] if the bus does not answer in time.
    fn attach_streamer(
        &self,
    ) -> impl Future<Output = Result<(Self::Publisher, mpsc::Receiver<Uplink>), BusError>> + Send;

    /// Attaches a gateway. When this returns, deliveries published to `gateway` arrive on the receiver.
    ///
    /// Attaching the same gateway again replaces the earlier attachment: the earlier receiver ends. Dropping
    /// the receiver detaches. The task that drains the receiver must not wait for [`UplinkSender::send`]
    /// without draining it: streamer and gateway could otherwise wait for each other.
    ///
    /// # Errors
    /// [`BusError`] if the bus does not answer in time.
    fn attach_gateway(
        &self,
        gateway: Id,
    ) -> impl Future<Output = Result<(Self::Uplinks, mpsc::Receiver<Incoming>), BusError>> + Send;
}

/// The streamer's end of the bus.
pub trait Publisher: Send + 'static {
    /// Hands a delivery to one gateway. The order per gateway is kept; the delivery may still be lost by the
    /// bus, which the next one's counter shows. A gateway that is gone, or never was, is not an error. Waits
    /// while the gateway or the bus is behind.
    ///
    /// # Errors
    /// [`BusError::TooLarge`] if the delivery is more than [`Self::max_delivery_bytes`] when encoded (nothing
    /// was sent), [`BusError::Timeout`] if the bus did not take it in time (it was not sent).
    fn publish(
        &mut self,
        gateway: Id,
        delivery: &Delivery,
    ) -> impl Future<Output = Result<(), BusError>> + Send;

    /// Waits until the bus itself (the server, not just the socket to it) has taken everything published so
    /// far.
    ///
    /// # Errors
    /// [`BusError::Interrupted`] if the connection was lost and is back: what was published since the last
    /// confirmation may be missing, which the gateways notice by the counter and by
    /// [`Incoming::Reconnected`]; the next call starts afresh. [`BusError::Timeout`] if the bus does not
    /// answer: whether it took what was published stays unknown, and the next call asks for all of it again.
    fn confirm(&mut self) -> impl Future<Output = Result<(), BusError>> + Send;

    /// The largest encoded delivery, in bytes, that [`Self::publish`] takes. It may change while the bus
    /// reconnects, to another server for instance. [`size`] tells what a delivery comes to.
    fn max_delivery_bytes(&self) -> usize;
}

/// A gateway's end of the bus.
pub trait UplinkSender: Clone + Send + Sync + 'static {
    /// Sends to whichever streamer is attached; lost if none is, for gateways repeat themselves
    /// ([`Uplink::Alive`]). Uplinks of one sender arrive in order.
    ///
    /// # Errors
    /// [`BusError::TooLarge`] if the bus takes no message as large as this one when encoded (each user of a
    /// registration comes to 12 bytes), [`BusError::Timeout`] if it could not be handed over in time.
    fn send(&self, uplink: Uplink) -> impl Future<Output = Result<(), BusError>> + Send;
}

/// What a gateway receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The streamer says something.
    Delivery(Delivery),
    /// Deliveries may be missing: the connection to the bus was lost and is back, or the bus dropped some
    /// because this gateway did not keep up. Comes before whatever is delivered over the new connection.
    Reconnected,
}
