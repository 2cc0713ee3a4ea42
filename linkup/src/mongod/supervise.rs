//! A child that ends when this process ends, however that happens.
//!
//! The system closes a dead process's pipes, and a shell can wait for that: it starts `mongod`, and a second
//! shell reads from a pipe that only this process can write to. When the pipe closes, whether on purpose or
//! because this process is gone, that shell ends `mongod`. No code of ours has to run for it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, ChildStdin, Command};

use super::error::MongodError;
use super::locate::Binary;
use super::platform;

/// Runs its arguments. When its standard input closes it sends SIGTERM to what it runs, and SIGKILL ten
/// seconds later. It ends when the child does, with the child's exit status. Every collection and index is an open
/// file of mongod, and it does not survive running out of them: it gets as many as the system allows.
const SCRIPT: &str = r#"
ulimit -n "$(ulimit -Hn)" 2>/dev/null || :
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
(
    read -r _ <&3
    kill -TERM "$child" 2>/dev/null
    tenths=0
    while [ "$tenths" -lt 100 ] && kill -0 "$child" 2>/dev/null; do
        sleep 0.1
        tenths=$((tenths + 1))
    done
    kill -KILL "$child" 2>/dev/null
) &
watcher=$!
wait "$child"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
"#;

/// What the supervised program and its shells write, and the lock that they hold as long as they live.
pub(super) const OUTPUT: &str = "mongod.stderr";
/// How often it is looked whether a predecessor has ended.
const CLAIM_INTERVAL: Duration = Duration::from_millis(20);

/// The running program and the pipe that keeps it running.
#[derive(Debug)]
pub(super) struct Supervised {
    shell: Child,
    pipe: Option<ChildStdin>,
}

/// Takes the lock of the data folder, waiting for a predecessor that is still ending.
///
/// The lock belongs to the open file, which the shells and `mongod` inherit as their output: it is released
/// when the last of them is gone, and not when this process is.
pub(super) async fn claim(data_dir: &Path, deadline: Duration) -> Result<File, MongodError> {
    let path = data_dir.join(OUTPUT);
    let failed = |source| MongodError::DataDir { path: data_dir.to_owned(), source };
    let output = File::options().create(true).append(true).open(&path).map_err(failed)?;
    let started = Instant::now();
    loop {
        match output.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) if started.elapsed() > deadline => {
                return Err(MongodError::InUse { path: data_dir.to_owned(), waited: deadline });
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(CLAIM_INTERVAL).await,
        }
    }
    // What the run before wrote explains nothing about this one.
    output.set_len(0).map_err(failed)?;
    Ok(output)
}

impl Supervised {
    /// Starts `binary`, which writes to `output` and holds its lock.
    pub(super) fn spawn(binary: &Binary, arguments: &[String], output: File) -> Result<Self, MongodError> {
        let stdout = output.try_clone().map_err(MongodError::Supervisor)?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg("mongod-supervisor").arg(&binary.path).args(arguments);
        // Our environment holds secrets which mongod has no use for.
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some(libraries) = &binary.libraries {
            command.env("LD_LIBRARY_PATH", platform::library_path(libraries));
        }
        // In a group of its own, so that Ctrl-C in a terminal reaches this process only, which then stops
        // things in their order.
        command.process_group(0).stdin(Stdio::piped()).stdout(stdout).stderr(output);
        let mut shell = command.spawn().map_err(MongodError::Supervisor)?;
        // Taken out because waiting for a child closes its input, and that would end it.
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// Begins to end the program.
    pub(super) fn end(&mut self) {
        self.pipe = None;
    }

    /// Waits for the program's end; its exit status, or none when the shell itself was killed. May be
    /// dropped and called again.
    pub(super) async fn wait(&mut self) -> Option<i32> {
        // It cannot fail for a child that is ours and not yet reaped; if it did, the child would be lost anyway.
        self.shell.wait().await.ok().and_then(|status| status.code())
    }
}

#[cfg(test)]
mod tests {

    use super::super::locate::Origin;
    use super::super::platform::Version;
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// A program that writes its process id to its first argument and runs until it is told to end.
    fn program(folder: &Path) -> Binary {
        let path = folder.join("program");
        let body = "#!/bin/sh\ntrap 'exit 7' TERM\necho $$ > \"$1.new\" && mv \"$1.new\" \"$1\"\n\
                    while :; do sleep 0.05; done\n";
        crate::mongod::write_program(&path, body);
        let version = Version { major: 8, minor: 0, patch: 0 };
        Binary { path, libraries: None, version, origin: Origin::Path }
    }

    async fn started(folder: &Path) -> Supervised {
        let output = claim(folder, Duration::ZERO).await.unwrap();
        let pid = folder.join("pid");
        let running =
            Supervised::spawn(&program(folder), &[pid.to_str().unwrap().to_owned()], output).unwrap();
        let deadline = Instant::now() + SOON;
        while !pid.exists() {
            assert!(Instant::now() < deadline, "the program did not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        running
    }

    #[tokio::test]
    async fn it_ends_on_request_with_its_own_status() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = started(folder.path()).await;
        running.end();
        assert_eq!(tokio::time::timeout(SOON, running.wait()).await, Ok(Some(7)));
    }

    #[tokio::test]
    async fn it_keeps_the_folder_until_it_has_ended_and_ends_when_the_pipe_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let running = started(folder.path()).await;
        let refused = claim(folder.path(), Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(refused, MongodError::InUse { .. }), "{refused}");
        drop(running);
        assert!(claim(folder.path(), SOON).await.is_ok());
    }
}
