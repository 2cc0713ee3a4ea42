//! What streamer and gateways say to each other.
//!
//! A gateway *registers* the users whose sockets it holds; the streamer sends each event once to each
//! gateway that holds a recipient. Whatever the streamer sends to one gateway is numbered, so that a gateway
//! notices what a lossy bus dropped and registers its users again from the last clock it saw.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Clock, Id};

/// An event with its place in the order and the users it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Its place in the total order.
    pub clock: Clock,
    /// Users of the addressed gateway who are to get it, and no others.
    pub recipients: Vec<Id>,
    /// The event, encoded once ([`crate::event::encode`]).
    pub event: Bytes,
}

/// From a gateway to the streamer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Uplink {
    /// The gateway lives. Sent every [`ALIVE_INTERVAL_SECS`]. A streamer
    /// that does not know the gateway yet answers with [`Downlink::Beat`].
    Alive {
        /// Who speaks.
        gateway: Id,
        /// The number of its last [`Uplink::Register`], so that the streamer notices one that the bus lost.
        request: u64,
    },
    /// From now on the gateway is to get the events of these users. Answered by [`Downlink::Registered`].
    Register {
        /// Who speaks.
        gateway: Id,
        /// 1, 2, 3 … per gateway: tells the answer to this request from others', and that one was lost.
        request: u64,
        /// True: these users replace all that the gateway had registered (after a gap or a new term).
        reset: bool,
        /// The users.
        users: Vec<Id>,
        /// Replay what these users would have got after this clock, up to where the answer says.
        from: Option<Clock>,
    },
    /// The gateway no longer holds a socket of these users.
    Unregister {
        /// Who speaks.
        gateway: Id,
        /// The users.
        users: Vec<Id>,
    },
    /// The gateway stops: forget it.
    Leave {
        /// Who speaks.
        gateway: Id,
    },
}

/// From the streamer to one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The streamer's lease term. Deliveries of a lower term than one already seen are ignored.
    pub term: u64,
    /// 1, 2, 3 … per gateway and term.
    pub counter: u64,
    /// What is delivered.
    pub body: Downlink,
}

/// The contents of a [`Delivery`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Downlink {
    /// Events, in clock order.
    Events(Vec<Envelope>),
    /// Events that were missed, in clock order, as asked for by the request of this number.
    Replay {
        /// [`Uplink::Register::request`].
        request: u64,
        /// What was missed.
        events: Vec<Envelope>,
    },
    /// The users of the request are registered: they get every event after `live_from`, and whatever the
    /// replay asked for came before this.
    Registered {
        /// [`Uplink::Register::request`].
        request: u64,
        /// Everything after this clock will be delivered.
        live_from: Clock,
        /// False: the log does not reach back to where the replay should have begun, so events may be missing
        /// and the sockets of these users must be closed, for their clients to catch up over REST.
        complete: bool,
    },
    /// Nothing new. Sent every [`BEAT_INTERVAL_MILLIS`] to each gateway, so that a lost last delivery is
    /// noticed, and at once to a gateway that the streamer does not know yet.
    Beat {
        /// Everything up to this clock has been delivered. It moves on while nothing happens, so that a
        /// gateway's last clock does not fall out of the replay window of a quiet system.
        position: Clock,
    },
}

/// How often a gateway says that it lives, in seconds.
pub const ALIVE_INTERVAL_SECS: u64 = 1;
/// After how many silent seconds the streamer forgets a gateway.
pub const GATEWAY_TIMEOUT_SECS: u64 = 30;
/// How often the streamer speaks to each gateway at the least, in milliseconds.
pub const BEAT_INTERVAL_MILLIS: u64 = 500;

impl Uplink {
    /// The gateway that speaks.
    #[must_use]
    pub const fn gateway(&self) -> Id {
        match self {
            Self::Alive { gateway, .. }
            | Self::Register { gateway, .. }
            | Self::Unregister { gateway, .. }
            | Self::Leave { gateway } => *gateway,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_survives_the_wire_format() {
        let delivery = Delivery {
            term: 3,
            counter: 9,
            body: Downlink::Events(vec![Envelope {
                clock: Clock { time: 1 << 40, change: 2, event: 1 },
                recipients: vec![Id::mint(), Id::mint()],
                event: Bytes::from_static(b"[\"message:new\",{}]"),
            }]),
        };
        let packed = postcard::to_stdvec(&delivery).unwrap();
        assert_eq!(postcard::from_bytes::<Delivery>(&packed).unwrap(), delivery);
    }
}
