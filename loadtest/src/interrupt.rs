//! Ending a run early, and still in good order.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Exit status of whoever insists, as shells have it for SIGINT.
const INTERRUPTED: i32 = 130;

/// Whether the run is to end early. Clones are the same.
#[derive(Clone, Debug)]
pub struct Interrupt {
    state: watch::Sender<bool>,
}

impl Default for Interrupt {
    fn default() -> Self {
        Self { state: watch::Sender::new(false) }
    }
}

impl Interrupt {
    /// Raised by SIGINT and SIGTERM. A second one ends the process at once. Must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// When signals cannot be listened for.
    pub fn on_signals() -> std::io::Result<Self> {
        let (mut interrupted, mut terminated) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let interrupt = Self::default();
        let raised = interrupt.clone();
        tokio::spawn(async move {
            either(&mut interrupted, &mut terminated).await;
            raised.raise();
            either(&mut interrupted, &mut terminated).await;
            std::process::exit(INTERRUPTED);
        });
        Ok(interrupt)
    }

    /// Ends the run early.
    pub fn raise(&self) {
        self.state.send_replace(true);
    }

    /// Whether it was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        *self.state.borrow()
    }

    /// Returns once it is raised.
    pub async fn raised(&self) {
        // The sender lives as long as this, so waiting cannot fail.
        drop(self.state.subscribe().wait_for(|raised| *raised).await);
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_raised_once_and_for_all() {
        let interrupt = Interrupt::default();
        assert!(!interrupt.is_raised());
        let waiting = tokio::spawn({
            let interrupt = interrupt.clone();
            async move { interrupt.raised().await }
        });
        interrupt.raise();
        waiting.await.unwrap();
        interrupt.raised().await;
        assert!(interrupt.is_raised());
    }
}
