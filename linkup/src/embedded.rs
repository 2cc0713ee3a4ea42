//! Everything in one process: MongoDB beside it, api, streamer and gateway inside.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use bus::{Bus, InProcess, Nats};
use gateway::config::API_URLS;
use service::admin;
use service::config::Env;
use service::health::Health;
use service::monitoring::Monitoring;
use service::shutdown::Shutdown;
use store::Store;
use store::bson::{Document, doc};
use store::lease::LEASES;
use store::status::Status;
use tokio::net::TcpListener;
use tracing::warn;

use crate::console::{print, say};
use crate::data_dir::DataDir;
use crate::database::{self, MONGODB_URI, OwnMongod};
use crate::error::LaunchError;
use crate::parts::Parts;
use crate::probe::config::PROBE_URL;
use crate::probe::{self, ProbeMetrics};
use crate::secret::{self, JWT_SECRET, Secret};
use crate::settings::{self, Addresses, GATEWAY, NATS_URL};

/// How long the parts may take to begin to serve once MongoDB is there.
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// How often it is said what is still missing.
const WAITING_INTERVAL: Duration = Duration::from_secs(10);
const READY_INTERVAL: Duration = Duration::from_millis(5);

/// What it takes to start, read and checked before anything is started.
struct Settings {
    addresses: Addresses,
    mongodb_uri: Option<String>,
    cache_gb: f64,
    nats_url: Option<String>,
    /// Whether metrics are turned off.
    silent: bool,
    api: api::Config,
    streamer: streamer::Config,
    gateway: gateway::Config,
    /// Where somebody asks for it.
    probe: Option<probe::Config>,
}

/// Open ports.
struct Listeners {
    public: TcpListener,
    admin: TcpListener,
    api: TcpListener,
}

/// Everything that runs.
struct Running {
    parts: Parts,
    stores: Vec<Store>,
    mongod: Option<OwnMongod>,
    /// Let go last, when nothing uses the directory any more.
    _dir: Option<DataDir>,
}

/// Runs everything until `shutdown`, with settings from `env`.
///
/// # Errors
///
/// When something cannot be started, or ends by itself; the error says what to do.
pub async fn run(data_dir: &Path, env: Env, shutdown: Shutdown) -> Result<(), LaunchError> {
    let mut running = tokio::select! {
        // Whatever was under way ends by being dropped: npm is killed, and mongod ends with its pipe.
        () = shutdown.cancelled() => return Ok(()),
        started = start(data_dir, env) => started?,
    };
    let ended = running.until(&shutdown).await;
    if let Err(error) = &ended {
        say(&format!("Stopping everything: {error}"));
    }
    let stopped = running.stop().await;
    ended.and(stopped)
}

async fn start(data_dir: &Path, mut env: Env) -> Result<Running, LaunchError> {
    // The ports come first: that one is taken is better told before a hundred megabytes are fetched.
    let api = settings::listen("the api", SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    env.set(API_URLS, format!("http://{}", api.local_addr()?));
    let dir = if env.text(MONGODB_URI).is_some() { None } else { Some(DataDir::open(data_dir)?) };
    if let Some(dir) = &dir
        && env.text(JWT_SECRET).is_none()
    {
        env.set(JWT_SECRET, Secret::kept(dir)?.expose());
    }
    let settings = Settings::read(env)?;
    let listeners = Listeners {
        public: settings::listen("LinkUp", settings.addresses.public).await?,
        admin: settings::listen_admin(settings.addresses.admin).await?,
        api,
    };
    let mongod = match &dir {
        Some(dir) => Some(OwnMongod::start(dir, settings.cache_gb).await?),
        None => None,
    };
    // Without a directory there is a URI, and the other way round.
    let uri =
        settings.mongodb_uri.clone().or_else(|| mongod.as_ref().map(OwnMongod::uri)).unwrap_or_default();
    let monitoring = Monitoring::of_process("all", settings.silent);
    let registry = &monitoring.registry;
    let stores = [
        database::connect(&uri, "linkup-api", "api", registry).await?,
        database::connect(&uri, "linkup-streamer", "streamer", registry).await?,
    ];
    stores[0].prepare().await?;
    if mongod.is_some() {
        free_lease(&stores[0]).await?;
    }
    let banner = banner(&listeners, mongod.as_ref(), settings.nats_url.is_some())?;
    let parts = match settings.nats_url.clone() {
        Some(url) => {
            let bus = Nats::connect(&url, registry).await?;
            start_parts(bus, settings, &stores, listeners, &monitoring).await?
        }
        None => start_parts(InProcess::new(registry), settings, &stores, listeners, &monitoring).await?,
    };
    banner.iter().for_each(|line| print(line));
    Ok(Running { parts, stores: stores.into(), mongod, _dir: dir })
}

impl Settings {
    fn read(mut env: Env) -> Result<Self, LaunchError> {
        secret::require(&mut env);
        let settings = Self {
            addresses: Addresses::read(&mut env, GATEWAY),
            mongodb_uri: env.text(MONGODB_URI),
            cache_gb: database::cache_gb(&mut env),
            nats_url: env.text(NATS_URL),
            silent: settings::are_metrics_off(&mut env),
            api: api::Config::from_env(&mut env),
            streamer: streamer::Config::from_env(&mut env),
            gateway: gateway::Config::from_env(&mut env),
            probe: env.text(PROBE_URL).is_some().then(|| probe::Config::from_env(&mut env)),
        };
        settings::finish(env)?;
        Ok(settings)
    }
}

/// Starts the parts and waits until all are ready.
async fn start_parts<B: Bus>(
    bus: B,
    settings: Settings,
    [api_store, streamer_store]: &[Store; 2],
    listeners: Listeners,
    monitoring: &Monitoring,
) -> Result<Parts, LaunchError> {
    let (mut parts, watched) = (Parts::default(), || monitoring.clone());
    // Each relies on those before it: the gateway drains while it still has somebody to pass its commands on
    // to, and the operators' endpoint tells about all to the end.
    parts.start("admin endpoint", |shutdown| admin::run(listeners.admin, watched(), shutdown));
    let (streamer_bus, status) = (bus.clone(), Status::new(&monitoring.registry));
    database::watch(&mut parts, streamer_store, &status);
    parts.start("streamer", |shutdown| {
        streamer::run(streamer_store.clone(), status, streamer_bus, settings.streamer, watched(), shutdown)
    });
    parts.start("api", |shutdown| {
        api::run(listeners.api, api_store.clone(), settings.api, watched(), shutdown)
    });
    // A gateway that finds no streamer tries again only a second later.
    until_ready(&mut parts, &monitoring.health, 2).await?;
    parts.start("gateway", |shutdown| {
        run_gateway(listeners.public, bus, settings.gateway, watched(), shutdown)
    });
    until_ready(&mut parts, &monitoring.health, 3).await?;
    if let Some(config) = settings.probe {
        let metrics = ProbeMetrics::new(&monitoring.registry);
        parts.start("probe", |shutdown| probe::run(config, metrics, shutdown));
    }
    Ok(parts)
}

/// Runs the gateway, and tells why if it cannot be started.
pub(crate) fn run_gateway<B: Bus>(
    listener: TcpListener,
    bus: B,
    config: gateway::Config,
    monitoring: Monitoring,
    shutdown: Shutdown,
) -> impl Future<Output = ()> + Send {
    let running = gateway::run(listener, bus, config, monitoring, shutdown);
    async move {
        if let Err(error) = running.await {
            tracing::error!(%error, "the gateway could not be started");
        }
    }
}

/// Waits until so many parts serve, and then until all is well, however long that takes: what is away may be away for
/// long, and a process that gave up would only be started again. A part that was just started has no checks yet.
pub(crate) async fn until_ready(
    parts: &mut Parts,
    health: &Health,
    serving: usize,
) -> Result<(), LaunchError> {
    let started = Instant::now();
    let served = || health.count("serving") >= serving && health.holds("serving");
    let ready = async {
        while !served() {
            if started.elapsed() > READY_DEADLINE {
                let seconds = started.elapsed().as_secs();
                return Err(LaunchError::NotReady { seconds, missing: failing(health) });
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
        let mut told = Instant::now();
        while !health.is_ready() {
            if told.elapsed() > WAITING_INTERVAL {
                told = Instant::now();
                warn!(missing = failing(health), "not ready yet");
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
        Ok(())
    };
    tokio::select! {
        ready = ready => ready,
        name = parts.ended() => Err(LaunchError::PartEnded(name)),
    }
}

/// The checks that fail, and why, for people.
fn failing(health: &Health) -> String {
    let failing = health.failing().into_iter().map(|(name, reason)| format!("{name} ({reason})"));
    failing.collect::<Vec<_>>().join(", ")
}

/// Frees the lease that a killed launcher's streamer may have left. Nobody holds it: this `mongod` was started a
/// moment ago, by the only process that uses its data. Waiting for it to run out would take seconds.
async fn free_lease(store: &Store) -> Result<(), LaunchError> {
    let leases = store.database().collection::<Document>(LEASES);
    store::bounded(leases.update_many(doc! {}, doc! { "$unset": { "expiresAt": "" } })).await?;
    Ok(())
}

/// What runs where. The last line is what scripts wait for.
fn banner(listeners: &Listeners, mongod: Option<&OwnMongod>, nats: bool) -> Result<Vec<String>, LaunchError> {
    let public = listeners.public.local_addr()?;
    let admin = settings::reachable(listeners.admin.local_addr()?);
    let mongodb = mongod.map_or_else(|| format!("the one of {MONGODB_URI}"), OwnMongod::describe);
    let bus = if nats { "over NATS" } else { "in this process" };
    Ok(vec![
        format!("LinkUp {}", env!("CARGO_PKG_VERSION")),
        format!("  MongoDB   {mongodb}"),
        format!("  api       {} (behind the gateway)", listeners.api.local_addr()?),
        format!("  streamer  in this process, its bus {bus}"),
        format!("  gateway   {public}: the page, /api, /socket.io and /ws"),
        format!("  admin     http://{admin}/metrics, /livez and /readyz"),
        "Ctrl-C stops everything.".to_owned(),
        format!("LinkUp is ready: http://{}", settings::reachable(public)),
    ])
}

impl Running {
    /// Waits until it is time to stop.
    async fn until(&mut self, shutdown: &Shutdown) -> Result<(), LaunchError> {
        let mongod = &mut self.mongod;
        let died = async {
            match mongod {
                Some(mongod) => mongod.died().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            died = died => Err(died.into()),
            name = self.parts.ended() => Err(LaunchError::PartEnded(name)),
        }
    }

    /// Stops everything: the parts in their order, then `mongod`.
    async fn stop(self) -> Result<(), LaunchError> {
        self.parts.stop().await;
        for store in self.stores {
            database::close(store).await;
        }
        match self.mongod {
            Some(mongod) => Ok(mongod.stop().await?),
            None => Ok(()),
        }
    }
}
