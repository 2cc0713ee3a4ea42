//! Clients that others have written, with their default options: what they do works without a change.
//!
//! The stock client in Node.js is also in [`super::socketio`], and in Chromium, as the plain WebSocket, in
//! [`super::browser`].

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use tokio::process::Command;

use crate::support::people::{Person, register};
use crate::support::process::Process;
use crate::support::stack::{Stack, tokens};
use crate::support::{SECRET, node};

/// The scripts bound themselves; this is in case they cannot.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_client_with_default_options_upgrades_recovers_and_renews_its_token() {
    let stack = Stack::start().await;
    let output = node::start("recovery.mjs", &[&stack.base(), SECRET], &[]).await.success(PATIENCE).await;
    assert!(output.contains("all checks passed"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_socketio_connects_refreshes_sends_receives_and_comes_back() {
    let packages = python_packages().await;
    let scene = Scene::set().await;
    let mut command = Command::new("python3");
    command.arg(tests().join("py/client.py")).env("PYTHONPATH", packages);
    let (short, expiry) = scene.short(Duration::from_secs(10));
    command.args([&scene.base, &short, &expiry, &scene.ada.token, &scene.conversation]);
    scene.play(Process::spawn("client.py", command)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_socketio_connects_sends_receives_comes_back_and_refreshes() {
    let program = rust_program().await;
    let scene = Scene::set().await;
    let mut command = Command::new(program);
    // It can name no newer token when it comes back, so the first one has to be good until then.
    let (short, expiry) = scene.short(Duration::from_secs(25));
    command.args([&scene.base, &short, &expiry, &scene.ada.token, &scene.conversation]);
    scene.play(Process::spawn("rust_socketio", command)).await;
}

/// A conversation in which a foreign client is one of the two.
struct Scene {
    stack: Stack,
    base: String,
    ada: Person,
    bob: Person,
    conversation: String,
}

impl Scene {
    async fn set() -> Self {
        let stack = Stack::start().await;
        let base = stack.base();
        let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
        let conversation = ada.talk_to(&[&bob]).await;
        Self { stack, base, ada, bob, conversation }
    }

    /// A token of Ada's that is good for so long, and the second of the Unix epoch at which it no longer is.
    fn short(&self, lifetime: Duration) -> (String, String) {
        let token = tokens().sign(self.ada.id.parse().unwrap(), 0, lifetime).unwrap();
        let expiry = tokens().verify(&token).unwrap().exp;
        (token, expiry.to_string())
    }

    /// What every client does: it connects, sends and receives; is cut off, and comes back; and receives again.
    /// When it refreshes its token is its own affair.
    async fn play(mut self, mut client: Process) {
        client.line("connected, sent and received").await;
        self.stack.restart_gateway(0).await;
        client.line("came back").await;
        self.bob.say(&self.conversation, "after the cut").await;
        let output = client.success(PATIENCE).await;
        assert!(output.contains("all checks passed"), "{output}");
    }
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Does what must not be done twice at a time, in one process or in several, with a folder for what comes of it.
async fn once(name: &'static str, work: impl FnOnce(&Path) + Send + 'static) -> PathBuf {
    let done = tokio::task::spawn_blocking(move || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.join("lock")).unwrap();
        lock.lock().unwrap();
        work(&folder);
        folder
    });
    done.await.unwrap()
}

fn run(command: &mut process::Command) {
    let what = format!("{command:?}");
    let output = command.stdin(process::Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The folder with the packages that `client.py` needs, exactly those of its list.
async fn python_packages() -> PathBuf {
    let folder = once("python", |folder| {
        let wanted = fs::read(tests().join("py/requirements.txt")).unwrap();
        let installed = folder.join("installed.txt");
        if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
            return;
        }
        let pip = "-m pip install --quiet --disable-pip-version-check --upgrade --no-input";
        run(process::Command::new("python3")
            .args(pip.split(' '))
            .args(["--root-user-action=ignore", "--target"])
            .arg(folder.join("packages"))
            .arg("-r")
            .arg(tests().join("py/requirements.txt")));
        fs::write(installed, wanted).unwrap();
    });
    folder.await.join("packages")
}

/// Builds the client with `rust_socketio`, which is a program of its own.
async fn rust_program() -> PathBuf {
    let folder = once("rust_socketio", |folder| {
        run(process::Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--manifest-path"])
            .arg(tests().join("rust_socketio/Cargo.toml"))
            .arg("--target-dir")
            .arg(folder));
    });
    folder.await.join("debug/linkup-rust-socketio-client")
}
