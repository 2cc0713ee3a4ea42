#!/bin/sh
# One large sample moves every quantile of a summary, the median too, and an idle summary shows zeros.
#
# Packages:  metrics 0.24.6, metrics-exporter-prometheus 0.18.3, metrics-util 0.20.4, sketches-ddsketch 0.3.2 (crates)
#
# Behaviour: a histogram without buckets is shown as a summary. After 99,999 samples of 1 ms and one of 30 s, the
#            quantiles 0.5 to 0.999 are all 42.75 ms, though only one sample in 100,000 is larger than 1 ms. The sketch
#            has 32,768 bins at a relative error of 0.0001, which span a factor of about 700. A larger span is made
#            to fit by giving up the *lowest* bins, so that nothing below the maximum / 700 is told apart any more.
#            Once the samples have left the window, the quantiles are 0, not NaN and not absent.
#
# Expected:  the documentation promises "relative-error guarantees, regardless of the absolute range between the
#            smallest and larger values", with less accuracy only "at the lowest quantiles", "typically q=0.05 and
#            below". And an empty summary is NaN in the Go client, which a comparison never meets.
#
# Seen:      before  t{quantile="0.5"} 0.0010000552524828319
#            after   t{quantile="0.5"} 0.04275367956926469
#            after   t{quantile="0.999"} 0.04275367956926469
#            after   t{quantile="1"} 30
#            idle    t{quantile="0.5"} 0
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
name = "metrics_summary_outlier"
version = "0.0.0"
edition = "2021"

[dependencies]
metrics = "=0.24.6"
metrics-exporter-prometheus = { version = "=0.18.3", default-features = false }
metrics-util = "=0.20.4"
sketches-ddsketch = "=0.3.2"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use metrics_exporter_prometheus::PrometheusBuilder;
use std::{thread, time::{Duration, Instant}};

fn quantile(text: &str, q: &str) -> f64 {
    let start = format!("t{{quantile=\"{q}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.expect("the quantile is shown").parse().expect("a number")
}

fn main() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let shown = recorder.handle();
    let times = metrics::with_local_recorder(&recorder, || metrics::histogram!("t"));
    for _ in 0..99_999 {
        times.record(0.001);
    }
    let before = shown.render();
    times.record(30.0);
    let after = shown.render();
    for (when, text) in [("before", &before), ("after", &after)] {
        for line in text.lines().filter(|line| line.starts_with("t{")) {
            println!("{when}\t{line}");
        }
    }
    assert!((quantile(&before, "0.5") - 0.001).abs() < 1e-6);
    for q in ["0.5", "0.9", "0.99", "0.999"] {
        assert!(quantile(&after, q) > 0.04, "the quantile {q} of 1 ms samples is true to the samples");
    }

    // The same with a window of 0.3 s instead of a minute.
    let recorder = PrometheusBuilder::new()
        .set_bucket_duration(Duration::from_millis(100))
        .expect("not zero")
        .build_recorder();
    let shown = recorder.handle();
    let times = metrics::with_local_recorder(&recorder, || metrics::histogram!("t"));
    times.record(0.001);
    assert!(quantile(&shown.render(), "0.5") > 0.0009);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let idle = shown.render();
        if quantile(&idle, "0.5") == 0.0 {
            println!("idle\tt{{quantile=\"0.5\"}} {}", quantile(&idle, "0.5"));
            break;
        }
        assert!(Instant::now() < deadline, "an idle summary shows no zero: {idle}");
        thread::sleep(Duration::from_millis(50));
    }
}
RUST
${CARGO:-cargo} run --quiet
