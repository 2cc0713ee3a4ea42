//! The edge: it holds connections and nothing that cannot be lost.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | settings |
//! | [`transport`] | HTTP, WebSocket, Engine.IO and Socket.IO; knows nothing of chat |
//! | `chat` | the chat application on top of it: who may connect, what clients send, and what they are sent |
//! | `api_client` | commands to the api, in batches and lanes |
//! | `nodes` | the api nodes, and which of them failed a moment ago |
//! | `http` | the page, the pass-through of `/api/*`, CORS |
//! | `health` | what the gateway cannot do its job without |
//! | `metrics` | `linkup_gateway_*` |

mod api_client;
mod chat;
pub mod config;
mod health;
mod http;
mod metrics;
mod nodes;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, BusError};
use protocol::{Id, peer};
use service::health::{Check, Health};
use service::monitoring::Monitoring;
use service::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

pub use config::Config;

use api_client::ApiClient;
use chat::{Chat, Gate, Rates, hub};
use health::Heard;
use http::{Cors, Edge, Origins, Proxy};
use metrics::Metrics;
use nodes::Nodes;

/// How long the hub may take to end after the last connection.
const FAREWELL: Duration = Duration::from_secs(1);
/// The hub does something every second at the least. One that has not for so long stands still, and only a restart
/// helps.
const HUB_STUCK: Duration = Duration::from_secs(30);

/// Serves `listener` until `shutdown`, then closes every connection so that clients reconnect elsewhere, and drains.
/// `monitoring` has the checks `api`, `bus`, `streamer` and `serving`, of which the last holds while connections are
/// accepted.
///
/// # Errors
///
/// When the bus cannot be attached to, or ends.
pub async fn run<B: Bus>(
    listener: TcpListener,
    bus: B,
    config: Config,
    monitoring: Monitoring,
    shutdown: Shutdown,
) -> Result<(), BusError> {
    let Monitoring { registry, health } = &monitoring;
    // The others first: who waits for this one takes them to be there.
    let checks = Checks::new(health);
    let serving = health.check("serving");
    let metrics = Arc::new(Metrics::new(registry));
    let id = Id::mint();
    let (uplinks, incoming) = bus.attach_gateway(id).await?;
    let (commands, queue) = mpsc::unbounded_channel();
    let settings = hub_settings(&config);
    let nodes = Arc::new(Nodes::new(config.api_urls));
    let api = Arc::new(ApiClient::new(
        Arc::clone(&nodes),
        config.tokens.clone(),
        config.command_timeout,
        Arc::clone(&metrics),
        registry,
    ));
    let watched = hub::Watched {
        metrics: Arc::clone(&metrics),
        heard: Heard::new(),
        heartbeat: health.heartbeat("hub", HUB_STUCK),
    };
    let _watching = checks.watch(&bus, &watched.heard, &api);
    let mut hub = tokio::spawn(hub::run(id, settings, watched, Arc::clone(&api), queue, uplinks, incoming));
    info!(gateway = %id, "accepting connections");
    let origins = Origins::new(config.client_urls);
    let chat = Arc::new(Chat {
        api,
        hub: commands,
        edge: Edge {
            cors: Cors::new(origins.clone()),
            proxy: Proxy::new(nodes, config.trusted_proxies.clone(), Arc::clone(&metrics)),
        },
        gate: Gate::new(origins, config.trusted_proxies, &config.limits, Arc::clone(&metrics)),
        rates: Rates::new(&config.limits, Arc::clone(&metrics)),
        node: config.gateway_url.and_then(|url| peer::name(&config.tokens, &url)),
        tokens: config.tokens,
        metrics,
    });
    let draining = shutdown.clone().cancelled_owned();
    let transport = transport::run(listener, chat, config.transport, registry, shutdown);
    tokio::pin!(transport);
    serving.pass();
    let drained = tokio::select! {
        () = &mut transport => true,
        () = draining => false,
        // Without a hub nobody is told anything: better to end, and be started again, than to look alive.
        _ = &mut hub => {
            serving.fail("the bus has ended");
            return Err(BusError::Closed);
        }
    };
    serving.fail("draining");
    if !drained {
        transport.await;
    }
    // With the application the last sender of commands goes, and the hub ends after a farewell to the streamer.
    // A question to the api that is still open keeps the application; the farewell is only a courtesy.
    drop(tokio::time::timeout(FAREWELL, hub).await);
    Ok(())
}

/// What the gateway cannot do its job without, apart from itself.
struct Checks {
    api: Check,
    bus: Check,
    streamer: Check,
}

impl Checks {
    fn new(health: &Health) -> Self {
        let [api, bus, streamer] = ["api", "bus", "streamer"].map(|name| health.check(name));
        Self { api, bus, streamer }
    }

    /// Keeps them right until the handles are dropped.
    fn watch<B: Bus>(self, bus: &B, heard: &Arc<Heard>, api: &ApiClient) -> [AbortOnDropHandle<()>; 3] {
        [
            tokio::spawn(api.watch(self.api)),
            tokio::spawn(health::watch_bus(self.bus, bus.connected())),
            tokio::spawn(health::watch_streamer(self.streamer, Arc::clone(heard))),
        ]
        .map(AbortOnDropHandle::new)
    }
}

fn hub_settings(config: &Config) -> hub::Settings {
    hub::Settings {
        tokens: config.tokens.clone(),
        presence_grace: config.presence_grace,
        connections_per_user: config.limits.connections_per_user,
        outbound_limit: config.transport.outbound_limit,
    }
}
