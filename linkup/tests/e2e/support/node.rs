//! Scripts in Node.js, with their packages from the npm registry.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;

use tokio::process::Command;

use super::process::Process;

/// The folder of the scripts.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/js")
}

/// Starts a script of [`folder`], whose packages are installed first.
pub(crate) async fn start(script: &str, arguments: &[&str], variables: &[(String, String)]) -> Process {
    install(folder()).await;
    let mut command = Command::new("node");
    command.arg(script).args(arguments).current_dir(folder());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    Process::spawn(script, command)
}

/// Installs exactly what the lock file of `folder` names, unless that was done before.
pub(crate) async fn install(folder: PathBuf) {
    tokio::task::spawn_blocking(move || install_now(&folder)).await.unwrap();
}

fn install_now(folder: &Path) {
    let wanted = fs::read(folder.join("package-lock.json")).unwrap();
    let lock = File::create(std::env::temp_dir().join("linkup-npm-ci.lock")).unwrap();
    // Held until this returns, so that one test at a time installs, in one process or in several.
    lock.lock().unwrap();
    let installed = folder.join("node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return;
    }
    let output = process::Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(folder)
        .stdin(process::Stdio::null())
        .output()
        .unwrap_or_else(|error| {
            panic!("these tests need Node.js with npm, which cannot be started: {error}")
        });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "npm ci in {} failed:\n{said}", folder.display());
    fs::write(installed, wanted).unwrap();
}
