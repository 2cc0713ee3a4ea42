//! Everything in one process: MongoDB beside it, api, streamer and gateway inside.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use bus::{Bus, InProcess, Nats};
use gateway::config::API_URLS;
use service::admin::{self, Part, Readiness};
use service::config::Env;
use service::shutdown::Shutdown;
use store::Store;
use store::bson::{Document, doc};
use store::lease::LEASES;
use tokio::net::TcpListener;

use crate::console::{print, say};
use crate::data_dir::DataDir;
use crate::database::{self, MONGODB_URI, OwnMongod};
use crate::error::LaunchError;
use crate::parts::Parts;
use crate::secret::{self, JWT_SECRET, Secret};
use crate::settings::{self, Addresses, GATEWAY, NATS_URL};

/// How long the parts may take to become ready once MongoDB is there.
const READY_DEADLINE: Duration = Duration::from_secs(30);
const READY_INTERVAL: Duration = Duration::from_millis(5);

/// What it takes to start, read and checked before anything is started.
struct Settings {
    addresses: Addresses,
    mongodb_uri: Option<String>,
    cache_gb: f64,
    nats_url: Option<String>,
    api: api::Config,
    streamer: streamer::Config,
    gateway: gateway::Config,
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
    let stores =
        [database::connect(&uri, "linkup-api").await?, database::connect(&uri, "linkup-streamer").await?];
    stores[0].prepare().await?;
    if mongod.is_some() {
        free_lease(&stores[0]).await?;
    }
    let banner = banner(&listeners, mongod.as_ref(), settings.nats_url.is_some())?;
    let parts = match settings.nats_url.clone() {
        Some(url) => start_parts(Nats::connect(&url).await?, settings, &stores, listeners).await?,
        None => start_parts(InProcess::new(), settings, &stores, listeners).await?,
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
            api: api::Config::from_env(&mut env),
            streamer: streamer::Config::from_env(&mut env),
            gateway: gateway::Config::from_env(&mut env),
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
) -> Result<Parts, LaunchError> {
    let (mut parts, readiness) = (Parts::default(), Readiness::default());
    // Each relies on those before it: the gateway drains while it still has somebody to pass its commands on
    // to, and the operators' endpoint tells about all to the end.
    parts.start("admin endpoint", |shutdown| admin::run(listeners.admin, readiness.clone(), shutdown));
    let (streamer_bus, ready) = (bus.clone(), readiness.part("streamer"));
    parts.start("streamer", |shutdown| {
        streamer::run(streamer_store.clone(), streamer_bus, settings.streamer, ready, shutdown)
    });
    let ready = readiness.part("api");
    parts.start("api", |shutdown| api::run(listeners.api, api_store.clone(), settings.api, ready, shutdown));
    // A gateway that finds no streamer tries again only a second later.
    until_ready(&mut parts, &readiness).await?;
    let ready = readiness.part("gateway");
    parts.start("gateway", |shutdown| run_gateway(listeners.public, bus, settings.gateway, ready, shutdown));
    until_ready(&mut parts, &readiness).await?;
    Ok(parts)
}

/// Runs the gateway, and tells why if it cannot be started.
pub(crate) async fn run_gateway<B: Bus>(
    listener: TcpListener,
    bus: B,
    config: gateway::Config,
    ready: Part,
    shutdown: Shutdown,
) {
    if let Err(error) = gateway::run(listener, bus, config, ready, shutdown).await {
        tracing::error!(%error, "the gateway could not be started");
    }
}

/// Waits until all parts are ready.
pub(crate) async fn until_ready(parts: &mut Parts, readiness: &Readiness) -> Result<(), LaunchError> {
    let started = Instant::now();
    let ready = async {
        while !readiness.missing().is_empty() {
            tokio::time::sleep(READY_INTERVAL).await;
        }
    };
    tokio::select! {
        ready = tokio::time::timeout(READY_DEADLINE, ready) => ready.map_err(|_| LaunchError::NotReady {
            seconds: started.elapsed().as_secs(),
            missing: readiness.missing().join(", "),
        }),
        name = parts.ended() => Err(LaunchError::PartEnded(name)),
    }
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
