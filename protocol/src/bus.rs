//! What streamer and gateways say to each other.
//!
//! A gateway *registers* the users whose sockets it holds; the streamer sends each event once to each
//! gateway that holds a recipient. Whatever the streamer sends to one gateway is numbered, so that a gateway
//! notices what a lossy bus dropped and registers its users again from the last clock it saw.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Clock, Id, UnixMicros};

/// Something with its place in the order and the users it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Its place in the total order.
    pub clock: Clock,
    /// Users of the addressed gateway whom it is for, and no others.
    pub recipients: Vec<Id>,
    /// What it is.
    pub content: Content,
    /// Of a new message: when the first server received it.
    pub received: Option<UnixMicros>,
}

/// What is in an [`Envelope`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// An event for the recipients' sockets, encoded once ([`crate::event::encode`]).
    Event(Bytes),
    /// For the gateway itself: all sessions of the recipients were ended. Their sockets whose token is of an earlier
    /// generation ([`crate::token::Claims::generation`]) are to be turned away, pending ones too.
    SessionsEnded {
        /// The generation of tokens that are good from now on.
        generation: i64,
    },
    /// For the gateway itself: the recipients' accounts are gone, and all their sockets are to be turned away.
    UserGone,
}

/// A user whose events a gateway asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registrant {
    /// Who.
    pub user: Id,
    /// Replay what they would have got after this clock, up to where the answer says.
    pub from: Option<Clock>,
}

/// That somebody is typing, or has stopped. Not stored, not replayed, without a clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typing {
    /// Who.
    pub user: Id,
    /// Where.
    pub conversation: Id,
    /// Whether they are typing now.
    pub is_typing: bool,
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
        users: Vec<Registrant>,
    },
    /// The gateway no longer holds a socket of these users.
    Unregister {
        /// Who speaks.
        gateway: Id,
        /// The users.
        users: Vec<Id>,
    },
    /// A user of this gateway is typing, or has stopped. The streamer passes it on to the other participants, if the
    /// user is one. Sent again every [`TYPING_REFRESH_SECS`] while it goes on.
    Typing {
        /// Who speaks.
        gateway: Id,
        /// Who types, and where.
        typing: Typing,
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
    /// When it was handed to the bus.
    pub sent: UnixMicros,
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
        /// Users of the request for whom the log does not reach back to where their replay should have begun: events
        /// may be missing, and their clients must catch up over REST.
        incomplete: Vec<Id>,
    },
    /// Somebody is typing, or has stopped. The gateway takes it for stopped by itself when it is not told again within
    /// [`TYPING_TIMEOUT_SECS`].
    Typing {
        /// Who and where.
        typing: Typing,
        /// Users of the addressed gateway who are to be told.
        recipients: Vec<Id>,
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

/// How often a gateway repeats that somebody is still typing, in seconds.
pub const TYPING_REFRESH_SECS: u64 = 10;
/// After how many seconds without a repetition somebody is no longer typing: their gateway, the streamer or the bus has
/// gone.
pub const TYPING_TIMEOUT_SECS: u64 = 25;

impl Uplink {
    /// The gateway that speaks.
    #[must_use]
    pub const fn gateway(&self) -> Id {
        match self {
            Self::Alive { gateway, .. }
            | Self::Register { gateway, .. }
            | Self::Unregister { gateway, .. }
            | Self::Typing { gateway, .. }
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
            sent: UnixMicros::from_micros(1_796_000_000_000_000),
            body: Downlink::Events(vec![Envelope {
                clock: Clock { time: 1 << 40, change: 2, event: 1 },
                recipients: vec![Id::mint(), Id::mint()],
                content: Content::Event(Bytes::from_static(b"[\"message:new\",{}]")),
                received: Some(UnixMicros::from_micros(1_795_999_999_999_000)),
            }]),
        };
        let packed = postcard::to_stdvec(&delivery).unwrap();
        assert_eq!(postcard::from_bytes::<Delivery>(&packed).unwrap(), delivery);
    }
}
