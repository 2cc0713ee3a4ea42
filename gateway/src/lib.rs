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
//! | `metrics` | `linkup_gateway_*` |

mod api_client;
mod chat;
pub mod config;
mod http;
mod metrics;
mod nodes;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, BusError};
use protocol::{Id, peer};
use service::admin::Part;
use service::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::info;

pub use config::Config;

use api_client::ApiClient;
use chat::{Chat, Gate, Rates, hub};
use http::{Cors, Edge, Origins, Proxy};
use nodes::Nodes;

/// How long the hub may take to end after the last connection.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves `listener` until `shutdown`, then closes every connection so that clients reconnect elsewhere, and
/// drains. `ready` is set while connections are accepted.
///
/// # Errors
///
/// When the bus cannot be attached to, or ends.
pub async fn run<B: Bus>(
    listener: TcpListener,
    bus: B,
    config: Config,
    ready: Part,
    shutdown: Shutdown,
) -> Result<(), BusError> {
    let id = Id::mint();
    let (uplinks, incoming) = bus.attach_gateway(id).await?;
    let (commands, queue) = mpsc::unbounded_channel();
    let settings = hub_settings(&config);
    let nodes = Arc::new(Nodes::new(config.api_urls));
    let api = Arc::new(ApiClient::new(Arc::clone(&nodes), config.tokens.clone(), config.command_timeout));
    let mut hub = tokio::spawn(hub::run(id, settings, Arc::clone(&api), queue, uplinks, incoming));
    info!(gateway = %id, "accepting connections");
    let origins = Origins::new(config.client_urls);
    let chat = Arc::new(Chat {
        api,
        hub: commands,
        edge: Edge {
            cors: Cors::new(origins.clone()),
            proxy: Proxy::new(nodes, config.trusted_proxies.clone()),
        },
        gate: Gate::new(origins, config.trusted_proxies, &config.limits),
        rates: Rates::new(&config.limits),
        node: config.gateway_url.and_then(|url| peer::name(&config.tokens, &url)),
        tokens: config.tokens,
    });
    ready.set(true);
    let unready = shutdown.clone().cancelled_owned();
    let serving = transport::run(listener, chat, config.transport, shutdown);
    tokio::pin!(serving);
    let drained = tokio::select! {
        () = &mut serving => true,
        () = unready => false,
        // Without a hub nobody is told anything: better to end, and be started again, than to look alive.
        _ = &mut hub => {
            ready.set(false);
            return Err(BusError::Closed);
        }
    };
    ready.set(false);
    if !drained {
        serving.await;
    }
    // With the application the last sender of commands goes, and the hub ends after a farewell to the streamer.
    // A question to the api that is still open keeps the application; the farewell is only a courtesy.
    drop(tokio::time::timeout(FAREWELL, hub).await);
    Ok(())
}

fn hub_settings(config: &Config) -> hub::Settings {
    hub::Settings {
        tokens: config.tokens.clone(),
        presence_grace: config.presence_grace,
        connections_per_user: config.limits.connections_per_user,
        outbound_limit: config.transport.outbound_limit,
    }
}
