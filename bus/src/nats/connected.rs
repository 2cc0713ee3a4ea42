//! Whether the server answers, asked again and again.
//!
//! The client library notices a silent server after some ten seconds, which is too late for those who ask whether this
//! process can do its job.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use service::metrics::Registry;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Link;
use super::echo::Echo;
use crate::BusError;

/// How often the server is asked.
const INTERVAL: Duration = Duration::from_millis(500);
/// A server that takes longer than this to give an answer is not there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps `told` up to date until nobody listens any more, and `metric` with it.
pub(super) async fn watch(link: Link, told: watch::Sender<bool>, metric: Arc<AtomicBool>) {
    let mut echo = None;
    while !told.is_closed() {
        let answers = match link.client.connection_state() {
            // What is asked while there is no connection would pile up before it.
            State::Pending | State::Disconnected => false,
            State::Connected => {
                timeout(ANSWER_TIMEOUT, ask(&link, &mut echo)).await.is_ok_and(|asked| asked.is_ok())
            }
        };
        metric.store(answers, Ordering::Relaxed);
        told.send_if_modified(|before| std::mem::replace(before, answers) != answers);
        sleep(INTERVAL).await;
    }
}

async fn ask(link: &Link, echo: &mut Option<Echo>) -> Result<(), BusError> {
    let slot = match echo {
        Some(slot) => slot,
        None => echo.insert(Echo::new(link.clone()).await?),
    };
    let asked = slot.round_trip(link.signals.connections()).await;
    if !matches!(asked, Ok(()) | Err(BusError::Interrupted)) {
        // Its subscription may be gone; the next question has a new one.
        *echo = None;
    }
    asked
}

/// Exports `linkup_bus_connected`. Not from a receiver: the registry would keep the connection open for as long as it
/// lives.
pub(super) fn export(registry: &Registry) -> Arc<AtomicBool> {
    let metric = Arc::new(AtomicBool::new(false));
    let connected = Arc::clone(&metric);
    registry.collect(move |text| {
        let help = "1 while the connection to the bus is up; always 1 in one process";
        let value = f64::from(u8::from(connected.load(Ordering::Relaxed)));
        text.gauge("linkup_bus_connected", help, &[], value);
    });
    metric
}
