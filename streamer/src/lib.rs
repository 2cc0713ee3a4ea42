//! The streamer: turns committed changes into events and addresses them to users.
//!
//! It is the only reader of the database's change stream, however many gateways there are, and it writes
//! nothing but its own lease and resume point. Several may run; one holds the lease, the others stand by.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | settings |
//! | `engine` | the active streamer's loop: read, publish, answer gateways |
//! | `keeper` | keeping the lease |
//! | `change` | one change, read where it lies in the server's reply |
//! | `cache` | participants and names as of the stream's position |
//! | `past` | the database as it was |
//! | `audience` | who is told that somebody came or went |
//! | `receipts` | who is told that somebody has read on |
//! | `addresser` | changes → events with recipients and clocks |
//! | `render` | events as JSON |
//! | `log` | the replay log |
//! | `replay` | what registering users missed |
//! | `typing` | who is told that somebody types |
//! | `registry` | which gateway holds which users |
//! | `outbox` | what goes to gateways: numbered, split, replayed |
//! | `health` | whether the streamer can do its job |
//! | `metrics` | `linkup_streamer_*` |

mod addresser;
mod audience;
mod cache;
mod change;
pub mod config;
mod engine;
mod health;
mod keeper;
mod log;
mod metrics;
mod outbox;
mod past;
mod receipts;
mod registry;
mod render;
mod replay;
mod typing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::Bus;
use protocol::Id;
use service::monitoring::Monitoring;
use service::shutdown::Shutdown;
use store::Store;
use store::lease::{Lease, ResumePoint};
use store::status::Status;
use tracing::{info, warn};

pub use config::Config;

use engine::{Engine, Stopped};
use health::{Checks, Phase, Vitals};
use keeper::Keeper;
use metrics::{LeaseOutcome, Metrics};

/// How long to wait after a failure before trying for the lease again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Runs until `shutdown`: waits for the lease, streams while it is held, and waits again when it is lost.
///
/// Its checks are `mongodb`, `stream` (which holds while another one streams), `bus` and `serving`. They are there, and
/// fail, from the call on, so that nobody takes a streamer for ready that was not polled yet. `status` is what MongoDB
/// says of itself, which somebody else keeps up to date.
pub fn run<B: Bus>(
    store: Store,
    status: Status,
    bus: B,
    config: Config,
    monitoring: Monitoring,
    shutdown: Shutdown,
) -> impl Future<Output = ()> + Send {
    let Monitoring { registry, health } = monitoring;
    let metrics = Arc::new(Metrics::new(&registry, move || status.oplog_window()));
    let (vitals, checks) = (Vitals::new(&health), Checks::new(&health));
    let serving = health.check("serving");
    async move {
        serving.pass();
        tokio::join!(
            lead(&store, &bus, &config, &metrics, &vitals, &shutdown),
            checks.watch(&store, bus.connected(), &vitals, &metrics.lag, &shutdown),
            async {
                shutdown.cancelled().await;
                serving.fail("draining");
            }
        );
    }
}

/// Waits for the lease, streams while it is held, and waits again when it is lost, until `shutdown`.
async fn lead<B: Bus>(
    store: &Store,
    bus: &B,
    config: &Config,
    metrics: &Arc<Metrics>,
    vitals: &Vitals,
    shutdown: &Shutdown,
) {
    let holder = format!("{}-{}", std::process::id(), Id::mint());
    let mut standing_by = false;
    while !shutdown.is_cancelled() {
        vitals.beat();
        let asked = Instant::now();
        let acquired = tokio::select! {
            () = shutdown.cancelled() => break,
            acquired = Lease::acquire(store, &holder, config.lease_ttl) => acquired,
        };
        match acquired {
            Ok(Some((lease, saved))) => {
                metrics.lease(LeaseOutcome::Acquired);
                vitals.enter(Phase::CatchingUp);
                standing_by = false;
                let keeper = Keeper::new(lease, asked, config.lease_ttl, Arc::clone(metrics));
                let stopped = stream(store, bus, config, keeper, saved, (metrics, vitals), shutdown).await;
                vitals.enter(Phase::Unknown);
                if !matches!(stopped, Stopped::Shutdown) {
                    warn!(reason = %stopped, "streaming stopped; trying again");
                    pause(RETRY_PAUSE, shutdown).await;
                }
            }
            Ok(None) => {
                vitals.enter(Phase::StandingBy);
                if !std::mem::replace(&mut standing_by, true) {
                    info!(
                        "another streamer holds the lease; standing by. (Gateways that cannot reach that one over NATS \
                         admit nobody meanwhile.)"
                    );
                }
                pause(config.lease_ttl / 6, shutdown).await;
            }
            Err(error) => {
                metrics.lease(LeaseOutcome::Failed);
                vitals.enter(Phase::Unknown);
                warn!(%error, "the lease could not be asked for; trying again");
                pause(RETRY_PAUSE, shutdown).await;
            }
        }
    }
}

/// Streams while the lease lasts, and gives it back.
async fn stream<B: Bus>(
    store: &Store,
    bus: &B,
    config: &Config,
    keeper: Keeper,
    saved: Option<ResumePoint>,
    (metrics, vitals): (&Arc<Metrics>, &Vitals),
    shutdown: &Shutdown,
) -> Stopped {
    let attached = match bus.attach_streamer().await {
        Ok(attached) => attached,
        Err(error) => {
            keeper.release(None).await;
            return error.into();
        }
    };
    let (keeper, point, stopped) =
        match Engine::start(store.clone(), keeper, saved, attached, config, (metrics, vitals)).await {
            Ok(engine) => {
                vitals.enter(Phase::Streaming);
                engine.run(shutdown).await
            }
            Err((keeper, stopped)) => (keeper, None, stopped),
        };
    metrics.stopped();
    info!(reason = %stopped, "giving the lease back");
    if matches!(&stopped, Stopped::Stream(error) if error.is_history()) {
        metrics.history_losses.increment(1);
        keeper.forget().await;
    }
    keeper.release(point).await;
    stopped
}

async fn pause(duration: Duration, shutdown: &Shutdown) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(duration) => {}
    }
}
