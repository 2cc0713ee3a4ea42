//! What the client library reports about the connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_nats::{Event, Statistics};
use tokio::sync::watch;

use crate::metrics::Metrics;

/// Counts connections and drops, and wakes whoever waits for either to change.
pub(super) struct Signals {
    metrics: Metrics,
    statistics: OnceLock<Arc<Statistics>>,
    connected: AtomicBool,
    drops: AtomicU64,
    wake: watch::Sender<()>,
}

impl Signals {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            statistics: OnceLock::new(),
            connected: AtomicBool::new(false),
            drops: AtomicU64::new(0),
            wake: watch::Sender::default(),
        }
    }

    /// Takes the connection's own statistics as the source of [`Self::connections`]. The library raises that
    /// number before it reads a byte of a new connection, whereas events come late and may be discarded.
    pub(super) fn watch(&self, statistics: Arc<Statistics>) {
        // Called once; a second call would bring the same statistics.
        let _ = self.statistics.set(statistics);
    }

    /// How many connections have been made so far. Nothing can arrive over a connection that is not counted.
    pub(super) fn connections(&self) -> u64 {
        self.statistics.get().map_or(0, |statistics| statistics.connects.load(Ordering::Acquire))
    }

    /// Takes note of an event.
    pub(super) fn take(&self, event: &Event) {
        match event {
            Event::Connected => {
                if self.connected.swap(true, Ordering::Relaxed) {
                    self.metrics.reconnects.increment(1);
                    tracing::info!("connected to NATS again");
                }
            }
            Event::Disconnected => tracing::warn!("the connection to NATS is lost"),
            Event::SlowConsumer(_) => {
                self.metrics.slow_consumer_drops.increment(1);
                self.drops.fetch_add(1, Ordering::Release);
            }
            Event::ServerError(error) => tracing::warn!(%error, "NATS reports an error"),
            Event::ClientError(error) => tracing::debug!(%error, "NATS cannot be reached yet"),
            Event::LameDuckMode => tracing::info!("the NATS server is about to stop"),
            Event::Draining | Event::Closed => {}
        }
        self.wake.send_replace(());
    }

    /// What is lost from now on.
    pub(super) fn subscribe(self: &Arc<Self>) -> Losses {
        Losses {
            connections: self.connections(),
            drops: self.drops.load(Ordering::Acquire),
            changes: self.changes(),
            signals: self.clone(),
        }
    }

    /// Resolves after every event.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.wake.subscribe()
    }
}

/// One subscription's view of the signals: what changed since it last looked.
pub(super) struct Losses {
    signals: Arc<Signals>,
    connections: u64,
    drops: u64,
    changes: watch::Receiver<()>,
}

impl Losses {
    /// Whether the connection was made anew since the last call.
    pub(super) fn reconnected(&mut self) -> bool {
        let now = self.signals.connections();
        std::mem::replace(&mut self.connections, now) != now
    }

    /// Whether the library dropped messages of this process since the last call.
    pub(super) fn dropped(&mut self) -> bool {
        let now = self.signals.drops.load(Ordering::Acquire);
        std::mem::replace(&mut self.drops, now) != now
    }

    /// Waits until one of the two may have changed. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // Invariant: `signals` holds the sender, so this is never reached; if it were, nothing would ever
            // change again.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_seen_once() {
        let signals = Arc::new(Signals::new(Metrics::new(&service::metrics::Registry::new())));
        let statistics = Arc::new(Statistics::default());
        signals.watch(statistics.clone());
        statistics.connects.store(1, Ordering::Release);
        signals.take(&Event::Connected);

        let mut losses = signals.subscribe();
        assert!(!losses.reconnected() && !losses.dropped(), "nothing happened since");

        statistics.connects.store(2, Ordering::Release);
        signals.take(&Event::SlowConsumer(7));
        losses.changed().await;
        assert!(losses.reconnected() && losses.dropped());
        assert!(!losses.reconnected() && !losses.dropped(), "seen already");
    }
}
