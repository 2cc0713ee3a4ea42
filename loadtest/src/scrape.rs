//! Where messages wait in a LinkUp, as its `/metrics` tells.

use std::collections::BTreeMap;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::report::{Stage, rounded};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The histogram of a message's stages (docs/metrics.md).
const NAME: &str = "linkup_message_stage_seconds";

/// Of each stage: buckets by their upper bound, as text so that they can be told apart, and the sum.
#[derive(Clone, Debug, Default, PartialEq)]
struct Buckets {
    counts: Vec<(f64, f64)>,
    sum: f64,
}

/// What the processes tell of the stages, added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages(BTreeMap<String, Buckets>);

/// Asks these admin addresses (`http://host:port`). One that does not answer adds nothing.
pub async fn stages(addresses: &[String]) -> Stages {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut stages = Stages::default();
    for address in addresses {
        let Ok(uri) = format!("{}/metrics", address.trim_end_matches('/')).parse() else { continue };
        let text = async { Some(client.get(uri).await.ok()?.into_body().collect().await.ok()?.to_bytes()) };
        if let Ok(Some(text)) = timeout(PATIENCE, text).await {
            stages.add(&String::from_utf8_lossy(&text));
        }
    }
    stages
}

/// What happened between two times, by stage. Nothing where nothing was told.
#[must_use]
pub fn between(before: &Stages, after: &Stages) -> Vec<Stage> {
    let stages = after.0.iter().filter_map(|(name, after)| {
        let none = Buckets::default();
        let before = before.0.get(name).unwrap_or(&none);
        let earlier =
            |bound: f64| before.counts.iter().find(|(known, _)| *known == bound).map_or(0.0, |(_, n)| *n);
        let counts: Vec<_> =
            after.counts.iter().map(|(bound, n)| (*bound, (n - earlier(*bound)).max(0.0))).collect();
        let count = counts.last().map_or(0.0, |(_, count)| *count);
        (count > 0.0).then(|| Stage {
            name: name.clone(),
            count: count as u64,
            mean: rounded((after.sum - before.sum) / count * 1_000.0, 3),
            p50: rounded(quantile(&counts, 0.5) * 1_000.0, 3),
            p99: rounded(quantile(&counts, 0.99) * 1_000.0, 3),
        })
    });
    stages.collect()
}

/// Within a bucket values are taken to be spread evenly; beyond the last bound nothing is known.
fn quantile(counts: &[(f64, f64)], quantile: f64) -> f64 {
    let rank = counts.last().map_or(0.0, |(_, count)| *count) * quantile;
    let (mut low, mut below) = (0.0, 0.0);
    for &(bound, count) in counts {
        if count >= rank {
            if bound.is_infinite() || count <= below {
                return low;
            }
            return low + (bound - low) * (rank - below) / (count - below);
        }
        (low, below) = (bound, count);
    }
    low
}

impl Stages {
    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let Some((kind, rest)) = line.strip_prefix(NAME).and_then(|rest| rest.split_once('{')) else {
                continue;
            };
            let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
            let label = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\""))?;
                rest.split_once('"').map(|(value, _)| value)
            };
            let (Some(stage), Ok(value)) = (label("stage"), value.trim().parse::<f64>()) else { continue };
            let buckets = self.0.entry(stage.to_owned()).or_default();
            match (kind, label("le").and_then(|bound| bound.parse::<f64>().ok())) {
                ("_sum", _) => buckets.sum += value,
                ("_bucket", Some(bound)) => {
                    match buckets.counts.iter_mut().find(|(known, _)| *known == bound) {
                        Some((_, count)) => *count += value,
                        None => {
                            let place = buckets.counts.partition_point(|(known, _)| *known < bound);
                            buckets.counts.insert(place, (bound, value));
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(counts: [u32; 3], sum: f64) -> String {
        let [a, b, c] = counts;
        format!(
            "# TYPE {NAME} histogram\n{NAME}_bucket{{stage=\"commit\",le=\"0.01\"}} {a}\n\
             {NAME}_bucket{{stage=\"commit\",le=\"0.1\"}} {b}\n{NAME}_bucket{{stage=\"commit\",le=\"+Inf\"}} {c}\n\
             {NAME}_sum{{stage=\"commit\"}} {sum}\n{NAME}_count{{stage=\"commit\"}} {c}\nother 1\n"
        )
    }

    #[test]
    fn stages_are_what_happened_between_two_times_in_all_processes() {
        let (mut before, mut after) = (Stages::default(), Stages::default());
        before.add(&told([10, 10, 10], 0.05));
        after.add(&told([60, 110, 110], 5.0));
        after.add(&told([0, 0, 0], 0.05));
        let stages = between(&before, &after);
        assert_eq!(stages.len(), 1);
        let Stage { name, count, mean, p50, p99 } = &stages[0];
        assert_eq!((name.as_str(), *count, *mean), ("commit", 100, 50.0));
        assert_eq!((*p50, *p99), (10.0, 98.2));
        assert_eq!(between(&after, &after), []);
        assert_eq!(between(&before, &Stages::default()), []);
    }
}
