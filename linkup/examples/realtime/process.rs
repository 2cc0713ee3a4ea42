//! The servers that are measured, each a process of its own.

use std::path::PathBuf;
use std::process::Stdio;

use loadtest::engine::target::Target;
use loadtest::process::Observed;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::Failure;
use super::role::ROLE;

/// What a server says when it listens, before its address; the streamer, which does not listen, says it without one.
pub(crate) const READY: &str = " is ready";

/// The allocator asks for memory in huge pages of 2 MB where the system lets it, and resident memory then grows in
/// steps of that size, by which a thousand connections would look several times as large as they are.
const NO_HUGE_PAGES: (&str, &str) = ("MIMALLOC_ALLOW_THP", "0");

/// A running server. It ends when this is dropped, and also when this process ends in any other way.
pub(crate) struct Server {
    child: Child,
    input: ChildStdin,
    address: String,
    /// Its memory and CPU.
    pub(crate) observed: Observed,
}

impl Server {
    /// Starts this program again as something else, and waits until it is ready. These settings come before those of
    /// this program's own environment.
    pub(crate) async fn start(role: &str, settings: &[(&str, &str)]) -> Result<Self, Failure> {
        let program: PathBuf = std::env::current_exe()?;
        let mut child = Command::new(program)
            .args([ROLE, role])
            .envs(settings.iter().copied().chain([NO_HUGE_PAGES]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or("a server ended at once")?;
        let input = child.stdin.take().ok_or("no input of a server")?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output of a server")?).lines();
        let address = loop {
            let line = lines.next_line().await?;
            let line = line.ok_or_else(|| format!("{role} ended before it was ready"))?;
            if let Some((_, rest)) = line.split_once(READY) {
                break rest.trim_start_matches(" on ").to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, input, address, observed: Observed::new(pid) })
    }

    /// `http://host:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where clients connect to.
    pub(crate) async fn target(&self) -> Result<Target, Failure> {
        Ok(Target::resolve(&self.url()).await?)
    }

    /// Gives it a line to read.
    pub(crate) async fn tell(&mut self, line: &str) -> Result<(), Failure> {
        self.input.write_all(line.as_bytes()).await?;
        self.input.write_all(b"\n").await?;
        Ok(self.input.flush().await?)
    }

    /// Ends it at once: its connections are not worth an orderly end.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }
}
