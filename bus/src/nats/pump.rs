//! From a subscription to a receiver: decoding, back-pressure, notices of loss.
//!
//! A pump ends when its receiver is dropped, when it is aborted (a later attachment), or when the connection is
//! closed for good. While its receiver is full it waits, the subscription fills, and the library drops at last.

use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use protocol::bus::{Delivery, Uplink};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::{consume_budget, unconstrained};

use super::signals::Losses;
use crate::Incoming;
use crate::metrics::Metrics;

/// Decodes what gateways say and hands it on.
pub(super) async fn uplinks(mut subscriber: Subscriber, sender: mpsc::Sender<Uplink>, metrics: Metrics) {
    loop {
        let message = tokio::select! {
            message = subscriber.next() => message,
            () = sender.closed() => None,
        };
        let Some(message) = message else { return };
        let Some(uplink) = decode(&message.payload, &metrics) else { continue };
        metrics.received.uplinks.increment(1);
        if sender.send(uplink).await.is_err() {
            return;
        }
    }
}

/// Decodes deliveries and hands them on, with [`Incoming::Reconnected`] where some may be missing.
pub(super) async fn deliveries(
    mut subscriber: Subscriber,
    mut losses: Losses,
    sender: mpsc::Sender<Incoming>,
    metrics: Metrics,
) {
    while let Some(next) = next(&mut subscriber, &mut losses, &sender).await {
        // Looked at after each message, too, so that the notice precedes whatever the new connection brings:
        // the event that reports a connection may come later than its first message.
        if losses.reconnected() && sender.send(Incoming::Reconnected).await.is_err() {
            return;
        }
        let Some(incoming) = next.incoming(&metrics) else { continue };
        if sender.send(incoming).await.is_err() {
            return;
        }
    }
}

/// Why a pump goes round.
enum Next {
    /// The connection was made anew, perhaps.
    Look,
    /// The backlog is handed on, and behind it the library dropped messages.
    Dropped,
    /// A message has come.
    Message(Message),
}

impl Next {
    fn incoming(&self, metrics: &Metrics) -> Option<Incoming> {
        match self {
            Self::Look => None,
            Self::Dropped => Some(Incoming::Reconnected),
            Self::Message(message) => {
                let delivery: Delivery = decode(&message.payload, metrics)?;
                metrics.received.delivery(message.payload.len());
                Some(Incoming::Delivery(delivery))
            }
        }
    }
}

/// `None` when the pump is to end.
///
/// Drops are reported only once the backlog is handed on: that is where they happened, and a gateway that is
/// told of each of them while it is behind would ask for replay upon replay and never catch up. Until then the
/// counters of the deliveries themselves tell what is missing.
async fn next(
    subscriber: &mut Subscriber,
    losses: &mut Losses,
    sender: &mpsc::Sender<Incoming>,
) -> Option<Next> {
    // Yields now and then, as does handing on; malformed messages are not handed on.
    consume_budget().await;
    // Outside of that budget, for a used-up one would look like an empty subscription.
    if let Some(message) = unconstrained(subscriber.next()).now_or_never() {
        return message.map(Next::Message);
    }
    if losses.dropped() {
        return Some(Next::Dropped);
    }
    tokio::select! {
        message = subscriber.next() => message.map(Next::Message),
        () = losses.changed() => Some(Next::Look),
        () = sender.closed() => None,
    }
}

/// Decodes a message, or counts it as malformed.
fn decode<T: DeserializeOwned>(payload: &Bytes, metrics: &Metrics) -> Option<T> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => return Some(value),
        Ok((_, rest)) => skip(payload.len(), &format_args!("{} bytes too many", rest.len()), metrics),
        Err(error) => skip(payload.len(), &error, metrics),
    }
    None
}

fn skip(bytes: usize, reason: &dyn std::fmt::Display, metrics: &Metrics) {
    // Whoever may publish on the subject can send any number of these; the log is not to grow with them.
    if metrics.malformed().is_power_of_two() {
        tracing::warn!(bytes, %reason, "a malformed message on the bus is skipped (logged ever more rarely)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Id;
    use service::metrics::Registry;

    #[test]
    fn what_is_not_exactly_one_message_is_skipped() {
        let metrics = Metrics::new(&Registry::new());
        let uplink = Uplink::Alive { gateway: Id::mint(), request: 0 };
        let mut bytes = postcard::to_stdvec(&uplink).unwrap();
        assert_eq!(decode(&Bytes::from(bytes.clone()), &metrics), Some(uplink));

        bytes.push(0);
        assert_eq!(decode::<Uplink>(&Bytes::from(bytes.clone()), &metrics), None, "too long");
        bytes.truncate(5);
        assert_eq!(decode::<Uplink>(&Bytes::from(bytes), &metrics), None, "too short");
        assert_eq!(decode::<Uplink>(&Bytes::from_static(&[99]), &metrics), None, "no such variant");
        // A length of 2^63 promises more than there is, and must not be allocated.
        let vast = [0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 127];
        assert_eq!(decode::<Delivery>(&Bytes::copy_from_slice(&vast), &metrics), None, "a vast length");
    }
}
