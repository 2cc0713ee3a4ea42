//! How a process stops: one token, cancelled by the first signal; the second signal forces.

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

/// Tells every task to stop. Clones are the same token; children can be cancelled on their own.
pub type Shutdown = tokio_util::sync::CancellationToken;

/// The exit status of a process that was forced to stop: 128 + SIGINT, as shells count.
pub const FORCED_EXIT: i32 = 130;

/// Cancels `shutdown` on the first SIGINT or SIGTERM, which mean the same; the second one ends the process
/// at once with [`FORCED_EXIT`].
///
/// # Errors
///
/// When the handlers cannot be installed.
pub fn on_signal(shutdown: Shutdown) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            }
        };
        let name = next().await;
        info!(signal = name, "stopping; a second signal forces");
        shutdown.cancel();
        let name = next().await;
        warn!(signal = name, "forced to stop");
        std::process::exit(FORCED_EXIT);
    });
    Ok(())
}
