//! The bus over NATS, for parts on several hosts.
//!
//! Subjects: `<prefix>.2.gateway.<id>` to one gateway, `<prefix>.2.streamer` to the streamers, and
//! `<prefix>.2.echo.<id>` for round trips (2 is the version of what is said), so that an account needs rights on
//! `<prefix>.>` only. Messages are `postcard`. Plain NATS, no JetStream: deliveries are numbered and the streamer can
//! replay them, so a second log would only cost.
//!
//! | module | holds |
//! |---|---|
//! | `address` | reading the URL, keeping credentials apart from it |
//! | `signals` | what the client library reports: reconnects and drops |
//! | `echo` | round trips through the server |
//! | `connected` | whether the server answers |
//! | `pump` | from a subscription to a receiver: decoding, back-pressure, notices of loss |

mod address;
mod connected;
mod echo;
mod pump;
mod signals;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use protocol::Id;
use protocol::bus::{Delivery, Uplink};
use serde::Serialize;
use service::metrics::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::metrics::Metrics;
use crate::{Bus, BusError, Incoming, Publisher, UplinkSender, size};
use address::Servers;
use echo::Echo;
use signals::Signals;

/// Part of every subject. It changes with what is said: processes that do not understand each other do not hear each
/// other either, so that nothing counts as delivered which nobody could read.
const WIRE_VERSION: &str = "2";
/// How long one server may take to accept a connection.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(3);
/// How long connecting may take in all: names are resolved, and several servers may be tried.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after a connection that could not be made before the next attempt.
const DIAL_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between attempts to reconnect.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// Silence after which the server is asked whether it lives. The third such question without an answer
/// counts as a loss, so a dead link is noticed within some ten seconds.
const PING_INTERVAL: Duration = Duration::from_secs(3);
/// Messages that may wait between the socket and a pump. Several seconds of full load: beyond it the
/// library drops, and the gateway must ask for a replay, which costs everybody more than this memory.
const SUBSCRIPTION: usize = 8192;
/// Messages that may wait between a publisher and the socket. Few, because they may each be large and they
/// pile up while the connection is down.
const COMMANDS: usize = 256;
/// Decoded deliveries that may wait for the gateway's own task.
const DELIVERIES: usize = 512;
/// Decoded uplinks that may wait for the streamer's own task.
const UPLINKS: usize = 1024;

/// How to connect to NATS.
#[derive(Clone)]
pub struct NatsOptions {
    url: String,
    prefix: String,
    name: String,
    patience: Duration,
}

impl NatsOptions {
    /// The server, or several of one cluster separated by commas: `nats://host:4222`, `tls://host:4222`, with
    /// `user:password@` or `token@` before the host where the server asks for that.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "linkup".to_owned(),
            name: "linkup".to_owned(),
            patience: Duration::from_secs(5),
        }
    }

    /// What the subjects begin with (default `linkup`), so that several installations can share a server.
    /// Letters, digits, `-` and `_`, in parts separated by dots.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What the server shows as the name of this connection (default `linkup`).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How long to wait for the server wherever an answer or room is awaited (default 5 s).
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, prefix, name, patience } = self;
        f.debug_struct("NatsOptions")
            .field("prefix", prefix)
            .field("name", name)
            .field("patience", patience)
            .finish_non_exhaustive()
    }
}

/// The bus over one connection to NATS. Clones share the connection, which is made anew by itself, for ever,
/// whenever it is lost.
#[derive(Clone)]
pub struct Nats {
    link: Link,
    attached: Arc<Mutex<Attached>>,
    connected: watch::Receiver<bool>,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("prefix", &self.link.prefix).finish_non_exhaustive()
    }
}

/// The pumps of this handle and its clones.
#[derive(Default)]
struct Attached {
    streamer: Option<AbortHandle>,
    gateways: HashMap<Id, AbortHandle>,
}

/// What publisher, uplinks and pumps need of the connection.
#[derive(Clone)]
struct Link {
    client: Client,
    signals: Arc<Signals>,
    prefix: Arc<str>,
    patience: Duration,
    metrics: Metrics,
}

impl Nats {
    /// Connects with the default options.
    ///
    /// # Errors
    /// See [`Self::connect_with`].
    pub async fn connect(url: &str, registry: &Registry) -> Result<Self, BusError> {
        Self::connect_with(NatsOptions::new(url), registry).await
    }

    /// Connects.
    ///
    /// # Errors
    /// [`BusError::Config`] if the URL or the prefix cannot be used, [`BusError::Unreachable`] if no server
    /// accepts the connection within ten seconds.
    pub async fn connect_with(options: NatsOptions, registry: &Registry) -> Result<Self, BusError> {
        Self::dial(&options, Metrics::new(registry), connected::export(registry)).await
    }

    /// Connects as soon as a server accepts the connection, however long that takes. `failed` gets the error of every
    /// attempt that failed.
    ///
    /// # Errors
    /// [`BusError::Config`] if the URL or the prefix cannot be used.
    pub async fn connect_when_reachable(
        options: NatsOptions,
        registry: &Registry,
        mut failed: impl FnMut(&BusError),
    ) -> Result<Self, BusError> {
        let (metrics, metric) = (Metrics::new(registry), connected::export(registry));
        loop {
            match Self::dial(&options, metrics.clone(), Arc::clone(&metric)).await {
                Err(error @ BusError::Unreachable { .. }) => failed(&error),
                ended => return ended,
            }
            sleep(DIAL_PAUSE).await;
        }
    }

    async fn dial(
        options: &NatsOptions,
        metrics: Metrics,
        metric: Arc<AtomicBool>,
    ) -> Result<Self, BusError> {
        check_prefix(&options.prefix)?;
        let servers = Servers::parse(&options.url)?;
        let signals = Arc::new(Signals::new(metrics.clone()));
        let reported = signals.clone();
        let connecting = servers
            .authenticate(ConnectOptions::new())
            .name(&options.name)
            .connection_timeout(HANDSHAKE_PATIENCE)
            .max_reconnects(None)
            .ping_interval(PING_INTERVAL)
            .subscription_capacity(SUBSCRIPTION)
            .client_capacity(COMMANDS)
            .reconnect_delay_callback(pause)
            .event_callback(move |event| {
                reported.take(&event);
                std::future::ready(())
            })
            .connect(servers.addresses());
        let unreachable = |reason: String| BusError::Unreachable { servers: servers.to_string(), reason };
        let client = timeout(CONNECT_PATIENCE, connecting)
            .await
            .map_err(|_| unreachable(format!("no answer within {CONNECT_PATIENCE:?}")))?
            .map_err(|error| unreachable(error.to_string()))?;
        signals.watch(client.statistics());
        tracing::info!(%servers, max_payload = client.max_payload(), "connected to NATS");
        let prefix = format!("{}.{WIRE_VERSION}", options.prefix).into();
        let link = Link { client, signals, prefix, patience: options.patience, metrics };
        let (told, connected) = watch::channel(true);
        metric.store(true, Ordering::Relaxed);
        tokio::spawn(connected::watch(link.clone(), told, metric));
        Ok(Self { link, attached: Arc::default(), connected })
    }

    fn attached(&self) -> std::sync::MutexGuard<'_, Attached> {
        // Never held across an await, and a panic of a holder leaves nothing half-done.
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Immediately at first, then longer and longer. Every client of a restarted server comes back within a second
/// or so, and one that stays away is not hammered.
fn pause(attempt: usize) -> Duration {
    match u32::try_from(attempt).unwrap_or(u32::MAX) {
        0 | 1 => Duration::ZERO,
        attempt => RECONNECT_PAUSE.min(Duration::from_millis(20) * 2_u32.pow(attempt.min(10) - 2)),
    }
}

/// The prefix becomes part of subjects, where dots separate, and blanks, `*` and `>` mean something else.
fn check_prefix(prefix: &str) -> Result<(), BusError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let part = |part: &str| !part.is_empty() && part.chars().all(plain);
    if prefix.split('.').all(part) {
        return Ok(());
    }
    Err(BusError::Config(format!(
        "the subject prefix {prefix:?} must consist of letters, digits, '-' and '_', in parts separated by dots"
    )))
}

impl Link {
    fn streamer_subject(&self) -> String {
        format!("{}.streamer", self.prefix)
    }

    fn gateway_subject(&self, gateway: Id) -> String {
        format!("{}.gateway.{gateway}", self.prefix)
    }

    /// Encodes a message that is expected to take about this many bytes, unless the server would refuse it:
    /// it answers an oversized message by closing the connection.
    fn encode(&self, message: &impl Serialize, expected: usize) -> Result<Bytes, BusError> {
        let encoded = postcard::to_extend(message, Vec::with_capacity(expected))?;
        let (bytes, limit) = (encoded.len(), self.client.max_payload());
        if bytes > limit {
            return Err(self.failed(BusError::TooLarge { bytes, limit }));
        }
        Ok(encoded.into())
    }

    /// Hands a message to the connection. It waits there while the connection is down, and this waits, with
    /// bounded patience, once too many do.
    async fn send(&self, subject: String, payload: Bytes) -> Result<(), BusError> {
        match timeout(self.patience, self.client.publish(subject, payload)).await {
            Ok(Ok(())) => Ok(()),
            // Sizes and subjects were checked before, so the connection's task has ended.
            Ok(Err(_)) => Err(BusError::Closed),
            Err(_) => Err(self.failed(BusError::Timeout(self.patience))),
        }
    }

    fn failed(&self, error: BusError) -> BusError {
        self.metrics.failed(&error);
        error
    }

    async fn subscribe(&self, subject: String) -> Result<async_nats::Subscriber, BusError> {
        match timeout(self.patience, self.client.subscribe(subject)).await {
            Ok(Ok(subscriber)) => Ok(subscriber),
            Ok(Err(_)) => Err(BusError::Closed),
            Err(_) => Err(BusError::Timeout(self.patience)),
        }
    }
}

impl Bus for Nats {
    type Publisher = NatsPublisher;
    type Uplinks = NatsUplinks;

    fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    async fn attach_streamer(&self) -> Result<(NatsPublisher, mpsc::Receiver<Uplink>), BusError> {
        let subscriber = self.link.subscribe(self.link.streamer_subject()).await?;
        let mut echo = Echo::new(self.link.clone()).await?;
        echo.settle().await?;
        let (sender, receiver) = mpsc::channel(UPLINKS);
        let pump = tokio::spawn(pump::uplinks(subscriber, sender, self.link.metrics.clone())).abort_handle();
        if let Some(earlier) = self.attached().streamer.replace(pump) {
            earlier.abort();
        }
        Ok((NatsPublisher { link: self.link.clone(), echo, unconfirmed: None }, receiver))
    }

    async fn attach_gateway(&self, gateway: Id) -> Result<(NatsUplinks, mpsc::Receiver<Incoming>), BusError> {
        // Taken before subscribing: a reconnect from here on is one that may have cost deliveries.
        let losses = self.link.signals.subscribe();
        let subscriber = self.link.subscribe(self.link.gateway_subject(gateway)).await?;
        Echo::new(self.link.clone()).await?.settle().await?;
        let (sender, receiver) = mpsc::channel(DELIVERIES);
        let pump = tokio::spawn(pump::deliveries(subscriber, losses, sender, self.link.metrics.clone()))
            .abort_handle();
        let mut attached = self.attached();
        attached.gateways.retain(|_, pump| !pump.is_finished());
        if let Some(earlier) = attached.gateways.insert(gateway, pump) {
            earlier.abort();
        }
        Ok((NatsUplinks { link: self.link.clone() }, receiver))
    }
}

/// The streamer's end.
pub struct NatsPublisher {
    link: Link,
    echo: Echo,
    /// Over which connection (the first is 1) the first delivery since the last confirmation was published.
    unconfirmed: Option<u64>,
}

impl fmt::Debug for NatsPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsPublisher").field("prefix", &self.link.prefix).finish_non_exhaustive()
    }
}

impl Publisher for NatsPublisher {
    async fn publish(&mut self, gateway: Id, delivery: &Delivery) -> Result<(), BusError> {
        let payload = self.link.encode(delivery, size::delivery_bytes(delivery))?;
        let bytes = payload.len();
        self.unconfirmed.get_or_insert_with(|| self.link.signals.connections());
        self.link.send(self.link.gateway_subject(gateway), payload).await?;
        self.link.metrics.published.delivery(bytes);
        Ok(())
    }

    async fn confirm(&mut self) -> Result<(), BusError> {
        // An answer over the connection that everything was published over proves that the server has read
        // all of it. An answer over a later one proves nothing about what the earlier one carried.
        let connection = self.unconfirmed.unwrap_or_else(|| self.link.signals.connections());
        let asked = Instant::now();
        let outcome = self.echo.round_trip(connection).await;
        if outcome.is_ok() {
            self.link.metrics.confirm.record(asked.elapsed().as_secs_f64());
        }
        if matches!(outcome, Ok(()) | Err(BusError::Interrupted)) {
            self.unconfirmed = None;
        }
        outcome
    }

    fn max_delivery_bytes(&self) -> usize {
        self.link.client.max_payload()
    }
}

/// A gateway's end.
#[derive(Clone)]
pub struct NatsUplinks {
    link: Link,
}

impl fmt::Debug for NatsUplinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsUplinks").field("prefix", &self.link.prefix).finish_non_exhaustive()
    }
}

impl UplinkSender for NatsUplinks {
    async fn send(&self, uplink: Uplink) -> Result<(), BusError> {
        let payload = self.link.encode(&uplink, 64)?;
        self.link.send(self.link.streamer_subject(), payload).await?;
        self.link.metrics.published.uplinks.increment(1);
        if matches!(uplink, Uplink::Leave { .. }) {
            // A process that says this is about to end, and what it has not written to the socket by then is
            // lost. It is a courtesy, so a failure changes nothing.
            let _ = timeout(self.link.patience, self.link.client.flush()).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(pause(1), Duration::ZERO);
        assert_eq!(pause(2), Duration::from_millis(20));
        assert_eq!(pause(5), Duration::from_millis(160));
        assert_eq!(pause(8), RECONNECT_PAUSE);
        assert_eq!(pause(usize::MAX), RECONNECT_PAUSE);
    }

    #[test]
    fn a_prefix_is_plain_parts() {
        for good in ["linkup", "a.b-c.d_1"] {
            assert!(check_prefix(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", "a..b", "a b", "a.*", "a.>", "ä"] {
            assert!(matches!(check_prefix(bad), Err(BusError::Config(_))), "{bad}");
        }
    }

    #[test]
    fn options_do_not_show_the_url() {
        let shown = format!("{:?}", NatsOptions::new("nats://user:secret@host"));
        assert!(!shown.contains("secret") && shown.contains("linkup"), "{shown}");
    }
}
