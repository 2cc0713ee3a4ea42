//! The MongoDB that everything runs on: the one that `MONGODB_URI` names, or our own.

use std::time::{Duration, Instant};

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ServerAddress};
use service::config::Env;
use service::health::Check;
use service::metrics::Registry;
use store::status::Status;
use store::{Store, StoreError};
use tracing::warn;

use crate::console::Console;
use crate::data_dir::{DataDir, PublishedUri};
use crate::error::LaunchError;
use crate::mongod::{self, MIN_CACHE_GB, Mongod, MongodError, Options};
use crate::parts::Parts;

/// The variable with the address of a replica set to use instead of our own.
pub const MONGODB_URI: &str = "MONGODB_URI";
/// The variable with the cache of our own `mongod`, in GB.
pub const CACHE_GB: &str = "LINKUP_MONGOD_CACHE_GB";
/// Default of [`CACHE_GB`]: small, since laptops have other things to do.
pub const DEFAULT_CACHE_GB: f64 = 0.5;

/// How long a MongoDB that does not answer is tried; it may be starting at this very moment.
const CONNECT_DEADLINE: Duration = Duration::from_secs(8);
const CONNECT_PAUSE: Duration = Duration::from_millis(250);
/// How long the closing of connections may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one server may take to tell what it is, once it is known that something is wrong.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(1);

/// A `mongod` of our own, found by other commands through the data directory.
#[derive(Debug)]
pub struct OwnMongod {
    mongod: Mongod,
    version: mongod::Version,
    _published: PublishedUri,
}

impl OwnMongod {
    /// Finds or fetches a `mongod` that can read the data in `dir` and starts it there, showing what goes on.
    ///
    /// # Errors
    ///
    /// When there is none, or it does not run.
    pub async fn start(dir: &DataDir, cache_gb: f64) -> Result<Self, LaunchError> {
        let mut console = Console::default();
        let binary = mongod::locate_for(dir.path(), &mut |progress| console.show(&progress)).await?;
        let options = Options { cache_gb, ..Options::new(dir.path()) };
        let mongod = Mongod::start(&binary, &options).await?;
        let published = dir.publish(&mongod.uri())?;
        Ok(Self { mongod, version: binary.version, _published: published })
    }

    /// Its address.
    #[must_use]
    pub fn uri(&self) -> String {
        self.mongod.uri()
    }

    /// Its version and place, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} on 127.0.0.1:{} (log: {})", self.version, self.mongod.port(), self.mongod.log().display())
    }

    /// Waits until it ends by itself.
    pub async fn died(&mut self) -> MongodError {
        self.mongod.died().await
    }

    /// Stops it, and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub async fn stop(self) -> Result<(), MongodError> {
        self.mongod.stop().await
    }
}

/// Reads [`CACHE_GB`]; what is wrong is remembered in `env`.
pub fn cache_gb(env: &mut Env) -> f64 {
    let cache = env.parse(CACHE_GB, DEFAULT_CACHE_GB);
    // Written this way round so that it refuses "NaN" too.
    if !(MIN_CACHE_GB..=10_000.0).contains(&cache) {
        env.refuse(CACHE_GB, format!("must be a number of GB, {MIN_CACHE_GB} or more"));
    }
    cache
}

/// Connects to the replica set at `uri`, trying for some seconds. `client` names the connections in `linkup_mongodb_*`.
///
/// # Errors
///
/// When it does not answer, or is no replica set; the error says what to do.
pub async fn connect(
    uri: &str,
    app_name: &str,
    client: &'static str,
    registry: &Registry,
) -> Result<Store, LaunchError> {
    let deadline = Instant::now() + CONNECT_DEADLINE;
    loop {
        match Store::connect(uri, app_name, client, registry).await {
            Ok(store) => return Ok(store),
            Err(error @ StoreError::NoAnswer { .. }) => {
                if let Some(explained) = diagnose(uri).await {
                    return Err(explained);
                }
                if Instant::now() >= deadline {
                    return Err(error.into());
                }
                warn!("MongoDB does not answer; trying again");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

/// Connects as [`connect`] does and prepares the schema, however long MongoDB does not answer; `check` says meanwhile
/// what is missing. For a process that others watch: were it to end, it would only be started again.
///
/// # Errors
///
/// When what answers is no replica set, or not the one that the URI names; the error says what to do.
pub async fn connect_when_reachable(
    uri: &str,
    app_name: &str,
    (client, check): (&'static str, &Check),
    registry: &Registry,
) -> Result<Store, LaunchError> {
    let store = loop {
        match connect(uri, app_name, client, registry).await {
            Err(LaunchError::Store(error @ StoreError::NoAnswer { .. })) => {
                check.fail("it does not answer");
                warn!(%error, "waiting for MongoDB");
            }
            ended => break ended?,
        }
    };
    loop {
        check.fail("its schema is being prepared");
        match store.prepare().await {
            // Such as an election meanwhile.
            Err(error) if error.is_unavailable() => {
                check.fail("it does not answer");
                warn!(%error, "waiting for MongoDB");
            }
            Err(error) => return Err(error.into()),
            Ok(()) => return Ok(store),
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

/// Starts to ask MongoDB how it is, once for each process. `status` is made before MongoDB is reached: without its
/// metrics nobody would be told that it is away.
pub fn watch(parts: &mut Parts, store: &Store, status: &Status) {
    let (store, watched) = (store.clone(), status.clone());
    parts.start("watch on MongoDB", |shutdown| async move {
        store::status::watch(&store, &watched, &shutdown).await;
    });
}

/// Closes the connections of `store`. The driver waits for whatever still uses them, and a server that has
/// vanished must not hold up the end of this process.
pub async fn close(store: Store) {
    if tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await.is_err() {
        warn!("the connections to MongoDB could not be closed in time and are cut off");
    }
}

/// Why the driver finds no server it may use though one answers: a URI that names a replica set hides
/// standalone servers and members of other sets from it.
async fn diagnose(uri: &str) -> Option<LaunchError> {
    let options = ClientOptions::parse(uri).await.ok()?;
    let asked = options.repl_set_name.clone()?;
    let hosts = options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    for host in &options.hosts {
        let Some(hello) = hello(&options, host).await else { continue };
        return match hello.get_str("setName") {
            Ok(found) if found == asked => None,
            Ok(found) => Some(LaunchError::OtherSet { hosts, found: found.to_owned(), asked }),
            Err(_) if hello.get_bool("isreplicaset").unwrap_or(false) => {
                Some(LaunchError::NotInitiated { hosts })
            }
            Err(_) => Some(StoreError::NotReplicaSet { hosts }.into()),
        };
    }
    None
}

/// What one server says about itself, whatever set it belongs to.
async fn hello(options: &ClientOptions, host: &ServerAddress) -> Option<Document> {
    let mut options = options.clone();
    options.hosts = vec![host.clone()];
    options.repl_set_name = None;
    options.direct_connection = Some(true);
    options.server_selection_timeout = Some(DIAGNOSIS_TIMEOUT);
    options.connect_timeout = Some(DIAGNOSIS_TIMEOUT);
    let admin = Client::with_options(options).ok()?.database("admin");
    let hello = async { admin.run_command(doc! { "hello": 1 }).await.ok() };
    tokio::time::timeout(2 * DIAGNOSIS_TIMEOUT, hello).await.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(value: &str) -> bool {
        let mut env = Env::from_pairs([(CACHE_GB.to_owned(), value.to_owned())]);
        cache_gb(&mut env);
        env.finish().is_err()
    }

    #[test]
    fn the_cache_is_a_sensible_number() {
        assert!(!refused("0.25") && !refused("2") && !refused(""));
        assert!(refused("0.1") && refused("-1") && refused("NaN") && refused("inf") && refused("much"));
    }
}
