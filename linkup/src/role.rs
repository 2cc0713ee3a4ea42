//! One part alone in its process, with MongoDB and the bus elsewhere.

use bus::Nats;
use service::admin::{self, Readiness};
use service::config::Env;
use service::shutdown::Shutdown;
use store::Store;
use tokio::net::TcpListener;

use crate::console::print;
use crate::database::{self, MONGODB_URI};
use crate::embedded::{run_gateway, until_ready};
use crate::error::LaunchError;
use crate::parts::Parts;
use crate::secret;
use crate::settings::{self, API, Addresses, GATEWAY, NATS_URL, STREAMER};

/// Runs the api until `shutdown`.
///
/// # Errors
///
/// When it cannot be started, or ends by itself; the error says what to do.
pub async fn api(env: Env, shutdown: Shutdown) -> Result<(), LaunchError> {
    run(start_api(env), &shutdown).await
}

/// Runs the streamer until `shutdown`.
///
/// # Errors
///
/// When it cannot be started, or ends by itself; the error says what to do.
pub async fn streamer(env: Env, shutdown: Shutdown) -> Result<(), LaunchError> {
    run(start_streamer(env), &shutdown).await
}

/// Runs the gateway until `shutdown`.
///
/// # Errors
///
/// When it cannot be started, or ends by itself; the error says what to do.
pub async fn gateway(env: Env, shutdown: Shutdown) -> Result<(), LaunchError> {
    run(start_gateway(env), &shutdown).await
}

/// A role whose parts were started, and may not be ready yet.
struct Role {
    parts: Parts,
    readiness: Readiness,
    /// Closed when the parts have ended.
    store: Option<Store>,
    /// What is said when it is ready, for people and for scripts that wait for it.
    banner: String,
}

/// Runs what `start` starts until `shutdown`, or until a part ends by itself.
async fn run(
    start: impl Future<Output = Result<Role, LaunchError>>,
    shutdown: &Shutdown,
) -> Result<(), LaunchError> {
    let mut role = tokio::select! {
        // Nothing runs yet that would need an orderly end.
        () = shutdown.cancelled() => return Ok(()),
        started = start => started?,
    };
    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = role.serve() => ended,
    };
    role.parts.stop().await;
    if let Some(store) = role.store {
        database::close(store).await;
    }
    ended
}

impl Role {
    /// Tells when it is ready, and ends when a part does.
    async fn serve(&mut self) -> Result<(), LaunchError> {
        until_ready(&mut self.parts, &self.readiness).await?;
        print(&self.banner);
        Err(LaunchError::PartEnded(self.parts.ended().await))
    }
}

async fn start_api(mut env: Env) -> Result<Role, LaunchError> {
    let addresses = Addresses::read(&mut env, API);
    let uri = required(&mut env, MONGODB_URI, "the replica set, such as mongodb://host:27017/linkup");
    secret::require(&mut env);
    let config = api::Config::from_env(&mut env);
    settings::finish(env)?;
    let listener = settings::listen("the api", addresses.public).await?;
    let admin = settings::listen_admin(addresses.admin).await?;
    let banner = format!("linkup api is ready on {}", settings::reachable(listener.local_addr()?));
    let store = database::connect(&uri, "linkup-api").await?;
    store.prepare().await?;
    let (mut parts, readiness) = (Parts::default(), Readiness::default());
    let ready = readiness.part("api");
    start_admin(&mut parts, admin, &readiness);
    parts.start("api", |shutdown| api::run(listener, store.clone(), config, ready, shutdown));
    Ok(Role { parts, readiness, store: Some(store), banner })
}

async fn start_streamer(mut env: Env) -> Result<Role, LaunchError> {
    let addresses = Addresses::read(&mut env, STREAMER);
    let uri = required(&mut env, MONGODB_URI, "the replica set, such as mongodb://host:27017/linkup");
    let nats_url = required(&mut env, NATS_URL, "the bus, such as nats://host:4222");
    secret::require(&mut env);
    let config = streamer::Config::from_env(&mut env);
    settings::finish(env)?;
    let admin = settings::listen_admin(addresses.admin).await?;
    let bus = Nats::connect(&nats_url).await?;
    let store = database::connect(&uri, "linkup-streamer").await?;
    store.prepare().await?;
    let (mut parts, readiness) = (Parts::default(), Readiness::default());
    let ready = readiness.part("streamer");
    start_admin(&mut parts, admin, &readiness);
    parts.start("streamer", |shutdown| streamer::run(store.clone(), bus, config, ready, shutdown));
    Ok(Role { parts, readiness, store: Some(store), banner: "linkup streamer is ready".to_owned() })
}

async fn start_gateway(mut env: Env) -> Result<Role, LaunchError> {
    let addresses = Addresses::read(&mut env, GATEWAY);
    let nats_url = required(&mut env, NATS_URL, "the bus, such as nats://host:4222");
    secret::require(&mut env);
    let config = gateway::Config::from_env(&mut env);
    settings::finish(env)?;
    let listener = settings::listen("the gateway", addresses.public).await?;
    let admin = settings::listen_admin(addresses.admin).await?;
    let banner = format!("linkup gateway is ready on {}", settings::reachable(listener.local_addr()?));
    let bus = Nats::connect(&nats_url).await?;
    let (mut parts, readiness) = (Parts::default(), Readiness::default());
    let ready = readiness.part("gateway");
    start_admin(&mut parts, admin, &readiness);
    parts.start("gateway", |shutdown| run_gateway(listener, bus, config, ready, shutdown));
    Ok(Role { parts, readiness, store: None, banner })
}

/// A setting that a role cannot do without; what is wrong is remembered in `env`.
fn required(env: &mut Env, name: &str, what: &str) -> String {
    env.text(name).unwrap_or_else(|| {
        env.refuse(name, format!("is required here: the address of {what}"));
        String::new()
    })
}

fn start_admin(parts: &mut Parts, listener: TcpListener, readiness: &Readiness) {
    let address = listener.local_addr();
    if let Ok(address) = address {
        tracing::info!(%address, "the admin endpoint answers /metrics, /livez and /readyz");
    }
    parts.start("admin endpoint", |shutdown| admin::run(listener, readiness.clone(), shutdown));
}
