//! The synthetic probe: two users of its own exchange a message now and then through the public address, and operators
//! see how long it took and whether it failed. It answers "can people chat?" when nobody is chatting.
//!
//! It goes the way that people go: the address of the balancer, Socket.IO, a token. Both users stay connected between
//! exchanges, and take turns to send. What went wrong on its own side is told apart from what went wrong on the
//! server's, see [`Outcome`].
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the settings |
//! | [`metrics`] | what operators see |
//! | `outcome` | how an exchange can end |
//! | `dial` | connections to the public address, with TLS where it says so |
//! | `accounts` | the two users, which the api makes |
//! | `packet` | what a server says in Socket.IO |
//! | `socket` | one user's connection |
//! | `exchange` | one exchange after the other |
//! | `drift` | how late the timers of this process are |
//! | `standing` | what is said in the log, once and not for each exchange |

mod accounts;
pub mod config;
mod dial;
mod drift;
mod exchange;
pub mod metrics;
mod outcome;
mod packet;
mod socket;
mod standing;

use service::shutdown::Shutdown;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, info};

pub use config::Config;
pub use metrics::ProbeMetrics;
pub use outcome::Outcome;

use exchange::Prober;
use standing::Standing;

/// Exchanges messages until `shutdown`. Whatever happens, it goes on.
pub async fn run(config: Config, metrics: ProbeMetrics, shutdown: Shutdown) {
    info!(
        url = %config.target, name = %config.name, interval = ?config.interval, timeout = ?config.timeout,
        "exchanging messages"
    );
    let mut ticks = interval(config.interval);
    // What was missed is not made up for: that would be a burst, and measure something else.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut prober, mut standing) = (Prober::new(config, metrics.clone()), Standing::default());
    let probing = async {
        loop {
            ticks.tick().await;
            let result = prober.exchange().await;
            match &result {
                Ok(taken) => metrics.delivered(*taken),
                Err(problem) => metrics.failed(problem.outcome),
            }
            debug!(?result, "an exchange");
            if let Some(news) = standing.note(result.as_ref().err(), Instant::now()) {
                news.log();
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = probing => {}
    }
    prober.hang_up().await;
}
