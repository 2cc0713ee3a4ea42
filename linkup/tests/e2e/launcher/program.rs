//! The `linkup` program as a user starts it, and what it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::support::eventually;
use crate::support::process::{self, Process};

/// Draining included, though there is nothing to drain.
const STOP: Duration = Duration::from_secs(30);
/// How long a start may try before it gives up with an error.
const REFUSAL: Duration = Duration::from_secs(60);

/// Whichever ports are free.
const FREE_PORTS: &[(&str, &str)] = &[("PORT", "0"), ("ADMIN_PORT", "0")];

/// Starts the program on `data_dir` with free ports.
pub(super) fn linkup(data_dir: &Path, arguments: &[&str]) -> Process {
    linkup_with(data_dir, arguments, &[])
}

/// Starts the program on `data_dir` with free ports and these settings.
pub(super) fn linkup_with(data_dir: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Process {
    let arguments = [&["--data-dir", data_dir.to_str().unwrap()], arguments].concat();
    Process::linkup(&arguments, &[FREE_PORTS, settings].concat())
}

/// What the program says when it cannot start with these settings. Fails if it can.
pub(super) async fn refusal(data_dir: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let arguments = [&["--data-dir", data_dir.to_str().unwrap()], arguments].concat();
    let settings = [FREE_PORTS, settings].concat();
    let mut command = process::linkup(&arguments, &settings);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(REFUSAL, command.output()).await.expect("it should have given up").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

/// A running launcher.
pub(super) struct Launcher {
    process: Process,
    /// Where it says it is, as `host:port`.
    pub(super) address: String,
    data_dir: PathBuf,
}

impl Launcher {
    /// Starts the program on `data_dir` and waits until it says that it is ready.
    pub(super) async fn start(data_dir: &Path) -> Self {
        let mut process = linkup(data_dir, &[]);
        let address = process.line("LinkUp is ready: http://").await;
        Self { process, address, data_dir: data_dir.to_owned() }
    }

    /// Sends it a signal.
    pub(super) async fn signal(&self, name: &str) {
        signal(name, self.process_in("launcher.lock")).await;
    }

    /// Waits for a line that it says.
    pub(super) async fn says(&mut self, text: &str) {
        self.process.line(text).await;
    }

    /// Waits for its end; its exit status, unless a signal ended it.
    pub(super) async fn ended(mut self) -> Option<i32> {
        self.process.ended(STOP).await.code()
    }

    /// The process id of its `mongod`.
    pub(super) fn mongod(&self) -> u32 {
        self.process_in("mongo/mongod.lock")
    }

    fn process_in(&self, file: &str) -> u32 {
        fs::read_to_string(self.data_dir.join(file)).unwrap().trim().parse().unwrap()
    }
}

/// Sends a signal to a process.
pub(super) async fn signal(name: &str, process: u32) {
    let kill = format!("kill -{name} {process}");
    assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
}

/// Whether a process of this id exists.
pub(super) fn exists(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

/// Waits until there is no process of this id.
pub(super) async fn gone(process: u32) {
    eventually("the end of the process", STOP, async || (!exists(process)).then_some(())).await;
}

/// Makes `folder` a `PATH` with these programs and no others.
pub(super) fn path_with<'a>(folder: &'a Path, programs: &[&str]) -> &'a str {
    let path = std::env::var_os("PATH").unwrap();
    for program in programs {
        let found =
            std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
        let found = found.unwrap_or_else(|| panic!("{program} is not on PATH"));
        std::os::unix::fs::symlink(found, folder.join(program)).unwrap();
    }
    folder.to_str().unwrap()
}
