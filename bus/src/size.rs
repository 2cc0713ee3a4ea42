//! What a delivery comes to on the wire. The bus refuses what is too large rather than splitting it, because a
//! delivery's counter and its meaning are the streamer's; with these the streamer splits in time.

use protocol::bus::{Content, Delivery, Downlink, Envelope};

/// The most bytes that a delivery takes beside its envelopes.
pub const DELIVERY_OVERHEAD: usize = 80;

/// The most bytes that the length of a sequence, or any 64-bit number, takes.
const VARINT: usize = 10;

/// The most bytes that this envelope takes in a delivery; the exact number is at most fifty less.
#[must_use]
pub fn envelope_bytes(envelope: &Envelope) -> usize {
    // Clock: one 64-bit and two 32-bit numbers; then lengths and the kind of content; identifiers carry no length.
    let clock = 2 * VARINT;
    let content = match &envelope.content {
        Content::Event(event) => VARINT + event.len(),
        Content::SessionsEnded { .. } => VARINT,
        Content::UserGone => 0,
    };
    let received = 1 + VARINT;
    clock + VARINT + envelope.recipients.len() * 12 + VARINT + content + received
}

/// The most bytes that this delivery takes.
#[must_use]
pub fn delivery_bytes(delivery: &Delivery) -> usize {
    let body = match &delivery.body {
        Downlink::Events(events) | Downlink::Replay { events, .. } => {
            events.iter().map(envelope_bytes).sum::<usize>()
        }
        Downlink::Registered { incomplete: users, .. } | Downlink::Typing { recipients: users, .. } => {
            users.len() * 12
        }
        Downlink::Beat { .. } => 0,
    };
    DELIVERY_OVERHEAD + body
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocol::bus::Typing;
    use protocol::{Clock, Id, UnixMicros};

    #[test]
    fn the_bound_holds_and_is_close() {
        let worst = Clock { time: u64::MAX, change: u32::MAX, event: u32::MAX };
        for (clock, recipients, event) in
            [(worst, 0, 0), (worst, 300, 70_000), (Clock { time: 1, change: 0, event: 0 }, 1, 120)]
        {
            let envelope = Envelope {
                clock,
                recipients: vec![Id::from_bytes([255; 12]); recipients],
                content: Content::Event(Bytes::from(vec![b'x'; event])),
                received: (recipients > 0).then_some(UnixMicros::from_micros(i64::MIN)),
            };
            for count in [0, 1, 200] {
                let events = vec![envelope.clone(); count];
                let bodies =
                    [Downlink::Events(events.clone()), Downlink::Replay { request: u64::MAX, events }];
                for body in bodies {
                    let delivery = Delivery {
                        term: u64::MAX,
                        counter: u64::MAX,
                        sent: UnixMicros::from_micros(i64::MIN),
                        body,
                    };
                    let exact = postcard::to_stdvec(&delivery).unwrap().len();
                    let bound = delivery_bytes(&delivery);
                    assert!(exact <= bound, "{exact} bytes, bound {bound}");
                    assert!(bound <= exact + DELIVERY_OVERHEAD + 50 * count, "{exact} bytes, bound {bound}");
                }
            }
        }
    }

    #[test]
    fn a_delivery_without_envelopes_fits_too() {
        let live_from = Clock { time: u64::MAX, change: u32::MAX, event: u32::MAX };
        let typing = Typing { user: Id::mint(), conversation: Id::mint(), is_typing: true };
        for users in [vec![], vec![Id::mint(); 300]] {
            let bodies = [
                Downlink::Registered { request: u64::MAX, live_from, incomplete: users.clone() },
                Downlink::Typing { typing: typing.clone(), recipients: users },
            ];
            for body in bodies {
                let delivery = Delivery {
                    term: u64::MAX,
                    counter: u64::MAX,
                    sent: UnixMicros::from_micros(i64::MIN),
                    body,
                };
                assert!(postcard::to_stdvec(&delivery).unwrap().len() <= delivery_bytes(&delivery));
            }
        }
    }
}
