//! What gateways tell about who is connected, and gateways that fall silent.

use std::time::{Duration, Instant};

use protocol::Id;
use protocol::command::{HEARTBEAT_INTERVAL_SECS, Heartbeat};
use store::Store;
use store::presence::{Delta, Told};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::answer::Failure;
use crate::metrics::Metrics;

/// After trouble with the database no gateway is taken for dead for this long: several heartbeats, and the pauses
/// between attempts.
const CONVALESCENCE: Duration = Duration::from_secs(3 * HEARTBEAT_INTERVAL_SECS);

/// Takes in the deltas of a batch, all at once: three commands. An answer for each, in their order.
pub(crate) async fn tell(store: &Store, metrics: &Metrics, deltas: &[Delta]) -> Vec<Result<(), Failure>> {
    if deltas.is_empty() {
        return Vec::new();
    }
    metrics.presence.record(deltas.len() as f64);
    match store.tell_presence(deltas).await {
        Ok(Told { refused, transitions }) => {
            metrics.transitions.increment(transitions);
            let mut told = vec![Ok(()); deltas.len()];
            if !refused.is_empty() {
                error!(count = refused.len(), "changes of presence were refused by the database");
            }
            for place in refused {
                if let Some(one) = told.get_mut(place) {
                    // Not a fault, after which a gateway would try again, and have others wait for it.
                    *one = Err(Failure::conflict("What this user is cannot be stored"));
                }
            }
            told
        }
        Err(error) => vec![Err(Failure::from(error)); deltas.len()],
    }
}

/// Notes that a gateway lives: one command.
pub(crate) async fn beat(store: &Store, gateway: Id) -> Result<Heartbeat, Failure> {
    Ok(Heartbeat { epoch: store.beat(gateway).await? })
}

/// Has the users of gateways that fell silent be offline, again and again until `shutdown`. Every api node does:
/// whoever comes first does what there is to do, and one that is stopped, or dies, leaves the rest to the others.
pub(crate) async fn sweep(
    store: &Store,
    metrics: &Metrics,
    interval: Duration,
    shutdown: &CancellationToken,
) {
    let sweeping = async {
        let mut trouble = None;
        loop {
            tokio::time::sleep(jittered(interval)).await;
            // While the database was away nobody could be heard of: whoever lives has to have the time to say so.
            if store.ping().await.is_err() {
                trouble = Some(Instant::now());
            }
            if trouble.is_some_and(|trouble| trouble.elapsed() < CONVALESCENCE) {
                continue;
            }
            match store.sweep_gateways().await {
                Ok(swept) => {
                    metrics.swept.increment(swept.gateways);
                    metrics.transitions.increment(swept.transitions);
                    if swept.gateways > 0 {
                        info!(gateways = swept.gateways, users = swept.transitions, "gateways fell silent");
                    }
                }
                Err(error) if error.is_unavailable() => debug!(%error, "gateways will be looked at later"),
                Err(error) => warn!(%error, "gateways that fell silent could not be swept"),
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = sweeping => {}
    }
}

/// A time around `interval`, so that nodes that were started together do not all look at the same moment.
pub(crate) fn jittered(interval: Duration) -> Duration {
    // The last bytes of an identifier count up from where chance began.
    let [.., last] = Id::mint().bytes();
    interval.mul_f64(0.8 + 0.4 * f64::from(last) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_are_about_an_interval_apart() {
        let times: Vec<Duration> = (0..256).map(|_| jittered(Duration::from_secs(10))).collect();
        assert!(times.iter().all(|time| (8.0..=12.0).contains(&time.as_secs_f64())), "{times:?}");
        assert!(times.iter().any(|time| *time != times[0]));
    }
}
