//! Measures what it costs a server to send events to a thousand connections.

use std::time::{Duration, Instant};

use loadtest::process::Observed;

use super::Failure;
use super::crowd::{Crowd, Tally};
use super::feed::{Feed, pour};

/// How long everything may take to arrive once the last event was put in.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of events at one rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fanout {
    /// Events a second.
    pub(crate) rate: u32,
    /// How many deliveries a second were achieved: less than asked for where the server falls behind.
    pub(crate) deliveries: f64,
    /// CPU of the server for each, in microseconds.
    pub(crate) cost: f64,
    pub(crate) tally: Tally,
}

impl Fanout {
    /// One line of JSON.
    pub(crate) fn json(&self) -> String {
        let Self { deliveries, cost, tally: Tally { wrong, p50, p99, .. }, .. } = self;
        let [p50, p99] = [p50, p99].map(|time| time.as_secs_f64() * 1e3);
        format!(
            r#"{{"deliveries_per_second":{deliveries:.0},"cpu_us_per_delivery":{cost:.4},"p50_ms":{p50:.3},"p99_ms":{p99:.3},"wrong":{wrong}}}"#
        )
    }
}

/// Sends events to a crowd at each of these rates, for as long as `measured` after a quarter of that to warm up.
pub(crate) async fn measure(
    feed: &mut impl Feed,
    crowd: &Crowd,
    observed: Observed,
    (rates, measured, epoch): (&[u32], Duration, Instant),
) -> Result<Vec<Fanout>, Failure> {
    let (mut next, mut results) = (0, Vec::new());
    for &rate in rates {
        let events = |time: Duration| (f64::from(rate) * time.as_secs_f64()).ceil() as u64;
        let warm_up = events(measured / 4);
        pour(feed, next, warm_up, rate, epoch).await?;
        next += warm_up;
        crowd.everybody_has(next, PATIENCE).await;
        let (from, cpu, start) = (next, observed.cpu_seconds()?, Instant::now());
        next += events(measured);
        pour(feed, from, next - from, rate, epoch).await?;
        crowd.everybody_has(next, PATIENCE).await;
        let (took, used) = (start.elapsed().as_secs_f64(), observed.cpu_seconds()? - cpu);
        let tally = crowd.tally(from, next);
        let deliveries = tally.received as f64;
        results.push(Fanout {
            rate,
            deliveries: deliveries / took,
            cost: used * 1e6 / deliveries.max(1.0),
            tally,
        });
    }
    Ok(results)
}
