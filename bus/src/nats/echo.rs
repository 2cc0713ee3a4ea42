//! Round trips through the server.
//!
//! The client library's own `flush` only empties its buffer into the socket. A message to a subject of one's
//! own comes back when the server has read everything that was sent before it on the same connection.

use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use protocol::Id;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Link;
use crate::BusError;

/// A subject that only its owner publishes and listens to.
pub(super) struct Echo {
    link: Link,
    subject: String,
    subscriber: Subscriber,
    changes: watch::Receiver<()>,
    /// The number of the last question. An earlier, abandoned one may still be answered late.
    asked: u64,
}

impl Echo {
    pub(super) async fn new(link: Link) -> Result<Self, BusError> {
        let subject = format!("{}.echo.{}", link.prefix, Id::mint());
        let changes = link.signals.changes();
        let subscriber = link.subscribe(subject.clone()).await?;
        Ok(Self { link, subject, subscriber, changes, asked: 0 })
    }

    /// Waits until the server has processed what was sent before, whichever connection that was over. After a
    /// reconnect the library repeats subscriptions first, so for those that is enough.
    pub(super) async fn settle(&mut self) -> Result<(), BusError> {
        loop {
            match self.round_trip(self.link.signals.connections()).await {
                Err(BusError::Interrupted) => {}
                outcome => return outcome,
            }
        }
    }

    /// Waits until the server has processed everything that was sent over the connection of this number
    /// (see [`super::signals::Signals::connections`]).
    ///
    /// # Errors
    /// [`BusError::Interrupted`] as soon as there is a later connection, [`BusError::Timeout`] if there is no
    /// answer.
    pub(super) async fn round_trip(&mut self, connection: u64) -> Result<(), BusError> {
        let patience = self.link.patience;
        timeout(patience, self.answered(connection)).await.unwrap_or(Err(BusError::Timeout(patience)))
    }

    async fn answered(&mut self, connection: u64) -> Result<(), BusError> {
        if self.link.signals.connections() != connection {
            return Err(BusError::Interrupted);
        }
        self.asked += 1;
        let question = Bytes::copy_from_slice(&self.asked.to_be_bytes());
        self.link.send(self.subject.clone(), question).await?;
        loop {
            let answered = tokio::select! {
                answer = self.subscriber.next() => self.is_last(&answer.ok_or(BusError::Closed)?),
                changed = self.changes.changed() => changed.is_err(),
            };
            if self.link.signals.connections() != connection {
                return Err(BusError::Interrupted);
            }
            if answered {
                return Ok(());
            }
        }
    }

    fn is_last(&self, answer: &Message) -> bool {
        answer.payload.as_ref() == self.asked.to_be_bytes()
    }
}
