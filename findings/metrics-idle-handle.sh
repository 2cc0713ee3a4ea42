#!/bin/sh
# After an idle timeout a kept metric handle counts into nothing, for ever.
#
# Packages:  metrics 0.24.6, metrics-exporter-prometheus 0.18.3, metrics-util 0.20.4 (crates)
#
# Behaviour: with `idle_timeout`, a render drops what was idle for longer. A handle made before goes on accepting
#            increments without an error, but they are shown nowhere, however many follow. Only a *new* handle of the
#            same name brings the series back, from zero, while the old handle stays dead beside it.
#
# Expected:  the documentation of `idle_timeout` says that the metric is absent "until the metric is emitted again",
#            and keeping handles is how `metrics` is meant to be used on hot paths.
#
# Seen:      at first                              kept 1
#            idle, then 3 more by the kept handle  (absent)
#            one by a new handle                   kept 1
#            5 more by the kept handle             kept 1
#
# Needs cargo (or the command in $CARGO). Exits 1 when the behaviour has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "metrics_idle_handle"
version = "0.0.0"
edition = "2021"

[dependencies]
metrics = "=0.24.6"
metrics-exporter-prometheus = { version = "=0.18.3", default-features = false }
metrics-util = "=0.20.4"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use std::{thread, time::{Duration, Instant}};

const IDLE: Duration = Duration::from_secs(1);

fn kept(shown: &PrometheusHandle) -> Option<u64> {
    let text = shown.render();
    text.lines().find_map(|line| line.strip_prefix("kept ")).map(|value| value.parse().expect("a count"))
}

fn main() {
    let recorder =
        PrometheusBuilder::new().idle_timeout(MetricKindMask::COUNTER, Some(IDLE)).build_recorder();
    let shown = recorder.handle();
    let handle = || metrics::with_local_recorder(&recorder, || metrics::counter!("kept"));

    let first = handle();
    first.increment(1);
    let mut seen = vec![("at first", kept(&shown))];
    let deadline = Instant::now() + 10 * IDLE;
    while kept(&shown).is_some() {
        assert!(Instant::now() < deadline, "the idle metric stays");
        thread::sleep(IDLE / 10);
    }
    first.increment(3);
    seen.push(("idle, then 3 more by the kept handle", kept(&shown)));
    handle().increment(1);
    seen.push(("one by a new handle", kept(&shown)));
    first.increment(5);
    seen.push(("5 more by the kept handle", kept(&shown)));
    for (when, value) in &seen {
        println!("{when:<37} {}", value.map_or("(absent)".to_owned(), |value| format!("kept {value}")));
    }
    let values: Vec<_> = seen.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [Some(1), None, Some(1), Some(1)], "the kept handle counts again");
}
RUST
${CARGO:-cargo} run --quiet
