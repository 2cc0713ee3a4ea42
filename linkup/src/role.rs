//! One part alone in its process, with MongoDB and the bus elsewhere.

use std::time::Duration;

use bus::{Nats, NatsOptions};
use service::admin;
use service::config::Env;
use service::health::Check;
use service::metrics::Registry;
use service::monitoring::Monitoring;
use service::shutdown::Shutdown;
use store::Store;
use store::status::Status;
use tokio::net::TcpListener;
use tracing::warn;

use crate::console::print;
use crate::database::{self, MONGODB_URI};
use crate::embedded::{run_gateway, until_ready};
use crate::error::LaunchError;
use crate::parts::Parts;
use crate::probe::{self, ProbeMetrics};
use crate::secret;
use crate::settings::{self, API, Addresses, GATEWAY, NATS_URL, PROBE, STREAMER};

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

/// Runs the probe until `shutdown`.
///
/// # Errors
///
/// When it cannot be started, or ends by itself; the error says what to do.
pub async fn probe(env: Env, shutdown: Shutdown) -> Result<(), LaunchError> {
    run(start_probe(env), &shutdown).await
}

/// How often it is looked whether the parts have begun.
const BEGIN_INTERVAL: Duration = Duration::from_millis(5);

/// A role whose parts were started, and may not be ready yet.
struct Role {
    parts: Parts,
    monitoring: Monitoring,
    /// How many parts have to serve before it is ready.
    serving: usize,
    /// The checks of what was waited for. They hold once the parts' own are there.
    waited: Vec<Check>,
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
        let health = &self.monitoring.health;
        let begun = async {
            while health.count("serving") < self.serving {
                tokio::time::sleep(BEGIN_INTERVAL).await;
            }
        };
        tokio::select! {
            () = begun => {}
            name = self.parts.ended() => return Err(LaunchError::PartEnded(name)),
        }
        self.waited.drain(..).for_each(|check| check.pass());
        until_ready(&mut self.parts, &self.monitoring.health, self.serving).await?;
        print(&self.banner);
        Err(LaunchError::PartEnded(self.parts.ended().await))
    }
}

async fn start_api(mut env: Env) -> Result<Role, LaunchError> {
    let addresses = Addresses::read(&mut env, API);
    let uri = required(&mut env, MONGODB_URI, "the replica set, such as mongodb://host:27017/linkup");
    secret::require(&mut env);
    let config = api::Config::from_env(&mut env);
    let silent = settings::are_metrics_off(&mut env);
    settings::finish(env)?;
    let port = settings::reserve("the api", addresses.public)?;
    let admin = settings::listen_admin(addresses.admin).await?;
    let (mut parts, monitoring) = (Parts::default(), Monitoring::of_process("api", silent));
    let (check, status) = (monitoring.health.check("mongodb"), Status::new(&monitoring.registry));
    start_admin(&mut parts, admin, &monitoring);
    let store =
        database::connect_when_reachable(&uri, "linkup-api", ("api", &check), &monitoring.registry).await?;
    database::watch(&mut parts, &store, &status);
    let listener = port.listen()?;
    let banner = format!("linkup api is ready on {}", settings::reachable(listener.local_addr()?));
    let watched = monitoring.clone();
    parts.start("api", |shutdown| api::run(listener, store.clone(), config, watched, shutdown));
    Ok(Role { parts, monitoring, serving: 1, waited: vec![check], store: Some(store), banner })
}

async fn start_streamer(mut env: Env) -> Result<Role, LaunchError> {
    let addresses = Addresses::read(&mut env, STREAMER);
    let uri = required(&mut env, MONGODB_URI, "the replica set, such as mongodb://host:27017/linkup");
    let nats_url = required(&mut env, NATS_URL, "the bus, such as nats://host:4222");
    secret::require(&mut env);
    let config = streamer::Config::from_env(&mut env);
    let silent = settings::are_metrics_off(&mut env);
    settings::finish(env)?;
    let admin = settings::listen_admin(addresses.admin).await?;
    let (mut parts, monitoring) = (Parts::default(), Monitoring::of_process("streamer", silent));
    let (mongodb, connected) = (monitoring.health.check("mongodb"), monitoring.health.check("bus"));
    let status = Status::new(&monitoring.registry);
    start_admin(&mut parts, admin, &monitoring);
    let (bus, store) = tokio::try_join!(
        connect_bus(nats_url, &monitoring.registry, &connected),
        database::connect_when_reachable(
            &uri,
            "linkup-streamer",
            ("streamer", &mongodb),
            &monitoring.registry
        ),
    )?;
    database::watch(&mut parts, &store, &status);
    let watched = monitoring.clone();
    parts.start("streamer", |shutdown| streamer::run(store.clone(), status, bus, config, watched, shutdown));
    Ok(Role {
        parts,
        monitoring,
        serving: 1,
        waited: vec![mongodb, connected],
        store: Some(store),
        banner: "linkup streamer is ready".to_owned(),
    })
}

async fn start_gateway(mut env: Env) -> Result<Role, LaunchError> {
    let addresses = Addresses::read(&mut env, GATEWAY);
    let nats_url = required(&mut env, NATS_URL, "the bus, such as nats://host:4222");
    secret::require(&mut env);
    let config = gateway::Config::from_env(&mut env);
    let silent = settings::are_metrics_off(&mut env);
    settings::finish(env)?;
    let port = settings::reserve("the gateway", addresses.public)?;
    let admin = settings::listen_admin(addresses.admin).await?;
    let (mut parts, monitoring) = (Parts::default(), Monitoring::of_process("gateway", silent));
    let connected = monitoring.health.check("bus");
    start_admin(&mut parts, admin, &monitoring);
    let bus = connect_bus(nats_url, &monitoring.registry, &connected).await?;
    let listener = port.listen()?;
    let banner = format!("linkup gateway is ready on {}", settings::reachable(listener.local_addr()?));
    let watched = monitoring.clone();
    parts.start("gateway", |shutdown| run_gateway(listener, bus, config, watched, shutdown));
    Ok(Role { parts, monitoring, serving: 1, waited: vec![connected], store: None, banner })
}

async fn start_probe(mut env: Env) -> Result<Role, LaunchError> {
    let addresses = Addresses::read(&mut env, PROBE);
    secret::require(&mut env);
    let config = probe::Config::from_env(&mut env);
    let silent = settings::are_metrics_off(&mut env);
    settings::finish(env)?;
    let admin = settings::listen_admin(addresses.admin).await?;
    let (mut parts, monitoring) = (Parts::default(), Monitoring::of_process("probe", silent));
    start_admin(&mut parts, admin, &monitoring);
    let metrics = ProbeMetrics::new(&monitoring.registry);
    parts.start("probe", |shutdown| probe::run(config, metrics, shutdown));
    Ok(Role {
        parts,
        monitoring,
        serving: 0,
        waited: Vec::new(),
        store: None,
        banner: "linkup probe is ready".to_owned(),
    })
}

/// Connects to the bus, however long it cannot be reached; `check` says so meanwhile.
async fn connect_bus(url: String, registry: &Registry, check: &Check) -> Result<Nats, LaunchError> {
    let connecting = Nats::connect_when_reachable(NatsOptions::new(url), registry, |error| {
        check.fail("it cannot be reached");
        warn!(%error, "waiting for the bus; check that nats-server runs there and that NATS_URL is right");
    });
    Ok(connecting.await?)
}

/// A setting that a role cannot do without; what is wrong is remembered in `env`.
fn required(env: &mut Env, name: &str, what: &str) -> String {
    env.text(name).unwrap_or_else(|| {
        env.refuse(name, format!("is required here: the address of {what}"));
        String::new()
    })
}

fn start_admin(parts: &mut Parts, listener: TcpListener, monitoring: &Monitoring) {
    let address = listener.local_addr();
    if let Ok(address) = address {
        tracing::info!(%address, "the admin endpoint answers /metrics, /livez and /readyz");
    }
    parts.start("admin endpoint", |shutdown| admin::run(listener, monitoring.clone(), shutdown));
}
