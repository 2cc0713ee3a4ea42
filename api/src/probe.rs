//! Old messages of probes are removed.

use std::time::Duration;

use protocol::Timestamp;
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::presence::jittered;

/// How long the messages of probes are kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How many batches of messages are removed from one conversation in one go. What is left is there the next time, and
/// other work comes first.
const BATCHES: usize = 100;

/// Removes messages of probes that are a day old, again and again until `shutdown`, and tells `removed` how many. Every
/// api node does: what one has removed the others do not find.
pub(crate) async fn sweep(
    store: &Store,
    interval: Duration,
    removed: impl Fn(u64),
    shutdown: &CancellationToken,
) {
    let sweeping = async {
        loop {
            tokio::time::sleep(jittered(interval)).await;
            match sweep_once(store, &removed).await {
                Ok(()) => {}
                Err(error) if error.is_unavailable() => {
                    debug!(%error, "messages of probes are removed later")
                }
                Err(error) => warn!(%error, "old messages of probes could not be removed"),
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = sweeping => {}
    }
}

async fn sweep_once(store: &Store, removed: impl Fn(u64)) -> Result<(), StoreError> {
    let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    let before = Timestamp::from_millis(Timestamp::now().millis().saturating_sub(kept));
    for conversation in store.probe_conversations().await? {
        for _ in 0..BATCHES {
            match store.remove_probe_messages(conversation, before).await? {
                0 => break,
                some => removed(some),
            }
        }
    }
    Ok(())
}
