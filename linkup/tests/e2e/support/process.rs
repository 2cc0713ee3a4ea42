//! Programs as processes of their own: started, watched, ended in every way there is.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::eventually;

/// How long a start may take: a fetched MongoDB, a crash before that it recovers from, a busy machine.
const START: Duration = Duration::from_secs(120);
/// How long a program that was told to end may take to do so.
const END: Duration = Duration::from_secs(60);
/// The settings of our programs. They get those that a test gives them and none of this process's environment; the
/// rest of it stays, since it may hold the way to the registries.
pub(crate) const SETTINGS: [&str; 48] = [
    "ADMIN_ADDR",
    "ADMIN_PORT",
    "API_URLS",
    "AUTH_RATE_PER_ACCOUNT",
    "AUTH_RATE_PER_ADDRESS",
    "CHANGE_RATE_PER_USER",
    "CLIENT_URL",
    "COMMAND_RATE_PER_CONNECTION",
    "COMMAND_RATE_PER_USER",
    "COMMAND_TIMEOUT",
    "COMMIT_TIMEOUT",
    "CONNECTIONS_PER_ADDRESS",
    "CONNECTIONS_PER_USER",
    "CONNECT_TIMEOUT",
    "DRAIN_TIMEOUT",
    "GATEWAY_URL",
    "HANDSHAKE_RATE_PER_ADDRESS",
    "HEADER_TIMEOUT",
    "INVITE_RATE_PER_USER",
    "JWT_SECRET",
    "JWT_SECRET_PREVIOUS",
    "JWT_TTL",
    "LINKUP_MONGOD_CACHE_GB",
    "LISTEN_ADDR",
    "MESSAGE_MAX_BYTES",
    "METRICS",
    "MONGODB_URI",
    "NATS_URL",
    "OUTBOUND_MAX_BYTES",
    "PING_INTERVAL",
    "PING_TIMEOUT",
    "PORT",
    "POST_TIMEOUT",
    "PRESENCE_GRACE",
    "PROBE_INTERVAL",
    "PROBE_NAME",
    "PROBE_TIMEOUT",
    "PROBE_URL",
    "PUBLIC_URL",
    "REPLAY_BYTES",
    "REPLAY_WINDOW",
    "STREAMER_LEASE_TTL",
    "TRUSTED_PROXIES",
    "UPGRADE_TIMEOUT",
    "UPLOAD_MAX_BYTES",
    "UPLOAD_RATE_PER_USER",
    "UPLOAD_TIMEOUT",
    "WRITE_TIMEOUT",
];

/// `linkup` with these arguments and settings, and no others.
pub(crate) fn linkup(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linkup"));
    command.args(arguments);
    for setting in SETTINGS {
        command.env_remove(setting);
    }
    command.envs(settings.iter().copied());
    command
}

/// A running program. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `linkup` with these arguments and settings, and no others.
    pub(crate) fn linkup(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::spawn(&format!("linkup {}", arguments.join(" ")), linkup(arguments, settings))
    }

    /// Starts any program.
    pub(crate) fn spawn(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let output = Arc::<Mutex<Vec<String>>>::default();
        let readers = vec![
            tokio::spawn(collect(child.stdout.take().unwrap(), Arc::clone(&output))),
            tokio::spawn(collect(child.stderr.take().unwrap(), Arc::clone(&output))),
        ];
        Self { name: name.to_owned(), child, output, readers }
    }

    /// Waits for a line of output that contains `text`, and returns what comes after it in that line.
    pub(crate) async fn line(&mut self, text: &str) -> String {
        let what = format!("{} says “{text}”", self.name);
        let said =
            |output: &[String]| output.iter().find_map(|line| Some(line.split_once(text)?.1.to_owned()));
        let found = eventually(&what, START, async || {
            let found = said(&self.output.lock().unwrap());
            let ended = found.is_none() && self.child.try_wait().unwrap().is_some();
            if found.is_some() || ended { Some(found) } else { None }
        });
        match found.await {
            Some(rest) => rest,
            None => {
                // The last lines may still be on their way.
                self.drained().await;
                let output = self.output();
                said(&self.output.lock().unwrap()).unwrap_or_else(|| panic!("{what}: ended before\n{output}"))
            }
        }
    }

    /// Everything it has written so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Ends it as a crash would, and waits for that.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let id = self.child.id().expect("it still runs").to_string();
        // The shell has it built in; the program of this name is not on every machine.
        let told = Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().await.unwrap();
        assert!(told.success(), "{} cannot be told to end", self.name);
        self.ended(END).await
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, patience: Duration) -> ExitStatus {
        match timeout(patience, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("{} does not end\n{}", self.name, self.output()),
        }
    }

    /// Waits for its end, which must be a success. Its output is shown if it is not.
    pub(crate) async fn success(mut self, patience: Duration) -> String {
        let status = self.ended(patience).await;
        self.drained().await;
        assert!(status.success(), "{}: {status}\n{}", self.name, self.output());
        self.output()
    }

    async fn drained(&mut self) {
        for reader in self.readers.drain(..) {
            // A grandchild may hold the pipe open; what matters has been read by then.
            drop(timeout(Duration::from_secs(5), reader).await);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let status = self.child.try_wait();
            eprintln!("{} ({status:?}) had written:\n{}", self.name, self.output());
        }
    }
}

async fn collect(from: impl AsyncRead + Unpin, output: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        output.lock().unwrap().push(line);
    }
}
