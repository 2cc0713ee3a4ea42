//! The load harness against the real system: every shipped profile, and what a run leaves for people to look at.

use std::path::{Path, PathBuf};
use std::time::Duration;

use loadtest::cli::Output;
use loadtest::command::carry_out;
use loadtest::console::Console;
use loadtest::interrupt::Interrupt;
use loadtest::plan::{Scenario, Settings};
use loadtest::profile::Profile;
use loadtest::run;

use crate::browser::{chromium, pictures};
use crate::support::node;
use crate::support::stack::Stack;

/// So few people register in a moment.
const USERS: usize = 10;
/// So much of a profile's rates is asked of those.
const SHARE: f64 = 0.05;
const PATIENCE: Duration = Duration::from_secs(120);

fn brief(stack: &Stack) -> Settings {
    Settings {
        url: Some(stack.base()),
        users: Some(USERS),
        warmup: Some(Duration::from_millis(500)),
        ramp: Some(Duration::from_millis(200)),
        duration: Some(Duration::from_secs(2)),
        away: Some(Duration::from_millis(100)),
        ..Settings::default()
    }
}

/// That nothing is lost is what counts here, and not how fast a busy machine is.
fn without_limits(mut profile: Profile) -> Profile {
    profile.settings.slo = None;
    profile
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shipped_profile_runs_and_proves_that_nothing_was_lost() {
    let stack = Stack::start().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../loadtest/profiles");
    let profiles: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(profiles.len() >= 4, "{profiles:?}");
    for path in profiles {
        let mut profile = without_limits(Profile::read(&path).unwrap());
        if let Some(rates) = &mut profile.settings.rates {
            rates.0.values_mut().for_each(|rate| *rate *= SHARE);
        }
        let settings = brief(&stack).over(profile.settings);
        let plan = settings.plan(profile.scenario, Some(profile.name)).unwrap();
        let ran = run::run(&plan, &mut Console::quiet(), &Interrupt::default()).await.unwrap();
        let report = ran.report;
        let wrong: Vec<_> =
            report.checks.iter().filter(|check| check.kind == "correctness" && !check.passed).collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", path.display());
        assert_eq!(report.counts["connects"], USERS as u64, "{}", path.display());
        if plan.has_messages() {
            assert!(report.counts["delivered"] > 0 && report.counts["lookedFor"] > 0, "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_protocol_delivers_everything_and_recovers_what_was_cut() {
    let stack = Stack::start().await;
    for protocol in ["socketio", "polling", "upgrade", "ws"] {
        let protocol = clap::ValueEnum::from_str(protocol, false).unwrap();
        let settings = Settings { protocol: Some(protocol), rate: Some(5.0), ..brief(&stack) };
        let plan = settings.plan(Scenario::Reconnect, None).unwrap();
        let report = run::run(&plan, &mut Console::quiet(), &Interrupt::default()).await.unwrap().report;
        let wrong: Vec<_> =
            report.checks.iter().filter(|check| check.kind == "correctness" && !check.passed).collect();
        assert!(wrong.is_empty(), "{protocol:?}: {wrong:?}");
        assert!(report.counts["reconnects"] > 0, "{protocol:?}");
        assert_eq!(report.counts["recovered"], report.counts["reconnects"], "{protocol:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_of_a_run_is_drawn_in_a_browser_without_a_network() {
    let (stack, browser) = tokio::join!(Stack::start(), chromium());
    let folder = tempfile::tempdir().unwrap();
    let plan = Settings { rate: Some(50.0), duration: Some(Duration::from_secs(4)), ..brief(&stack) };
    let plan = plan.plan(Scenario::Day, None).unwrap();
    let output = Output { out: Some(folder.path().to_owned()), json: true, ..Output::default() };
    let (_, run) = carry_out(&plan, &output, &Interrupt::default()).await.unwrap();
    let run = run.unwrap();
    for file in ["report.json", "series.csv", "junit.xml", "latency.hlog", "report.html"] {
        assert!(run.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    let page = run.join("report.html");
    let script = node::start("report.mjs", &[page.to_str().unwrap(), &pictures()], &browser).await;
    let output = script.success(PATIENCE).await;
    assert!(output.contains("all checks passed"), "{output}");
}
