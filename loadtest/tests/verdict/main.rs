//! Whether the verdict can fail: each run here is against a server that breaks one promise, once, on purpose.

// Clippy's exemption for tests does not reach the helpers around them.
#![allow(clippy::unwrap_used)]

mod fake;

use std::process::{Command, Stdio};
use std::time::Duration;

use fake::{CAPACITY, Fake, Fault, STALL};
use loadtest::cli::{Cli, Output};
use loadtest::console::Console;
use loadtest::error::Error;
use loadtest::interrupt::Interrupt;
use loadtest::plan::Plan;
use loadtest::recorder::Latency;
use loadtest::report::Report;
use loadtest::{find_max, run};

use clap::Parser;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

const USERS: usize = 10;

/// What a command line asks for.
fn planned(line: &str, fake: &Fake, seed: Option<&NamedTempFile>) -> Result<(Plan, Output), Error> {
    let fixed = format!("loadtest {line} --url {}", fake.url());
    let mut arguments: Vec<String> = fixed.split_whitespace().map(str::to_owned).collect();
    if let Some(seed) = seed {
        arguments.extend(["--seed".to_owned(), seed.path().display().to_string()]);
    }
    Cli::parse_from(arguments).command.plan().expect("a run")
}

fn chat(fake: &Fake, seed: Option<&NamedTempFile>, more: &str) -> Plan {
    planned(&format!("chat --users {USERS} --rate 250 --settle 4s {more}"), fake, seed).unwrap().0
}

async fn report(plan: &Plan) -> Result<Report, Error> {
    run::run(plan, &mut Console::quiet(), &Interrupt::default()).await.map(|ran| ran.report)
}

/// 250 messages, 50 of them warm-up, with the fault at the hundredth.
async fn run_with(fault: Fault, protocol: &str) -> Report {
    let fake = Fake::start(fault).await;
    let seed = fake.seed(USERS).await;
    let more = format!("--duration 800ms --warmup 200ms --protocol {protocol}");
    report(&chat(&fake, Some(&seed), &more)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faithful_server_passes_in_both_protocols() {
    for protocol in ["socketio", "ws"] {
        let report = run_with(Fault::None, protocol).await;
        assert_eq!(report.verdict, "ok", "{protocol}");
        let count = |name: &str| report.counts[name];
        assert_eq!((count("sent"), count("acknowledged"), count("lookedFor")), (250, 250, 250));
        assert_eq!((count("expected"), count("delivered")), (500, 500), "at the sender's own socket as well");
        let delivery = report.latency(Latency::Delivery);
        assert_eq!(delivery.count, 200, "the warm-up is not measured");
        assert_eq!(report.rates["achieved"], 250.0);
        assert!(delivery.p50 > 0.0 && delivery.p50 <= delivery.max);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_promise_fails() {
    let mut runs = JoinSet::new();
    for (fault, verdict) in [
        (Fault::Lose, "failed: 1 lost"),
        (Fault::LoseEcho, "failed: 1 lost"),
        (Fault::Double, "failed: 2 duplicated"),
        (Fault::StoreTwice, "failed: 2 duplicated"),
        (Fault::Swap, "failed: 2 reordered"),
        (Fault::SkipSeq, "failed: 1 missing in seq"),
        // One was acknowledged as the number of the next: that one never came, and the next is not what it said.
        (
            Fault::Contradict,
            "failed: 1 with another seq than acknowledged, 1 acknowledged but absent from REST",
        ),
        (Fault::Forget, "failed: 1 acknowledged but absent from REST"),
        (Fault::Refuse, "failed: 1 failed"),
        (Fault::Silence, "failed: 1 unanswered"),
        (Fault::Garbage, "failed: 1 protocol errors"),
        (Fault::Leak, "failed: 1 misdelivered"),
    ] {
        for protocol in ["socketio", "ws"] {
            runs.spawn(async move { (fault, protocol, verdict, run_with(fault, protocol).await) });
        }
    }
    while let Some(ended) = runs.join_next().await {
        let (fault, protocol, verdict, report) = ended.unwrap();
        assert_eq!(report.verdict, verdict, "{fault:?} over {protocol}");
        assert!(!report.passed);
        let broken = report.checks.iter().find(|check| !check.passed).unwrap();
        assert!(!broken.examples.is_empty(), "{fault:?} is named: {broken:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_tells_its_reason_and_is_not_counted_as_acknowledged() {
    let report = run_with(Fault::Refuse, "socketio").await;
    assert_eq!(report.first_failure.as_deref(), Some("try again"));
    let count = |name: &str| report.counts[name];
    assert_eq!((count("sent"), count("acknowledged"), count("failed")), (250, 249, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_fails_and_tells_how_it_ended() {
    let report = run_with(Fault::HangUp, "socketio").await;
    assert_eq!(report.counts["disconnects"], 1);
    assert!(report.verdict.contains("1 disconnects"), "{}", report.verdict);
    let how = report.first_disconnect.unwrap();
    assert!(how.ends_with("closed by the server with 1001 enough"), "{how}");
}

/// The proof against coordinated omission: a closed loop would find one slow message, or one per user.
#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_charged_to_every_message_that_was_due_meanwhile() {
    let fake = Fake::start(Fault::Stall).await;
    let seed = fake.seed(USERS).await;
    let report = report(&chat(&fake, Some(&seed), "--duration 2s --warmup 0s")).await.unwrap();
    assert_eq!(report.verdict, "ok");
    // Of 500 messages 100 were due in the 400 ms: a fifth, waiting for anything from 400 ms down to nothing.
    let stall = STALL.as_secs_f64() * 1_000.0;
    for latency in [Latency::Delivery, Latency::Acknowledgement] {
        let latency = report.latency(latency);
        assert!(latency.max >= stall - 10.0 && latency.p90 >= stall / 2.0 - 20.0, "{latency:?}");
    }
    assert!(report.harness.late_ms.p50 < stall / 2.0, "the harness went on sending: {:?}", report.harness);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_seed_file_people_are_registered() {
    let fake = Fake::start(Fault::None).await;
    let report = report(&chat(&fake, None, "--duration 400ms --warmup 0s")).await.unwrap();
    assert_eq!((report.verdict.as_str(), report.counts["delivered"]), ("ok", 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_give_signs_of_life() {
    let fake = Fake::start(Fault::None).await;
    let seed = fake.seed(4).await;
    for protocol in ["socketio", "ws"] {
        let before = fake.pongs();
        let line = format!("idle --users 100 --duration 1s --warmup 0s --protocol {protocol}");
        let report = report(&planned(&line, &fake, Some(&seed)).unwrap().0).await.unwrap();
        assert_eq!((report.verdict.as_str(), report.counts["connects"]), ("ok", 100));
        assert!(fake.pongs() - before >= 100, "{}", fake.pongs());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn the_cost_of_idle_connections_is_that_of_the_observed_process() {
    let fake = Fake::start(Fault::None).await;
    let seed = fake.seed(4).await;
    // A process that has nothing to do with it, so that nothing is what the connections cost.
    let bystander = tokio::process::Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
    let pid = bystander.id().unwrap();
    let line = format!("idle --users 10 --duration 2s --warmup 0s --pid bystander={pid}");
    let report = report(&planned(&line, &fake, Some(&seed)).unwrap().0).await.unwrap();
    assert_eq!(report.memory_per_connection_bytes, Some(0.0));
    let names: Vec<_> = report.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["loadtest", "bystander"]);
    assert!(report.resources[1].resident_bytes.iter().flatten().any(|bytes| *bytes > 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_take_place_is_an_error() {
    let fake = Fake::start(Fault::None).await;
    let seed = fake.seed(USERS).await;
    // Tokens that the server refuses.
    let lines = std::fs::read_to_string(seed.path()).unwrap().replace("\"token\":\"", "\"token\":\"x");
    std::fs::write(seed.path(), lines).unwrap();
    let error = report(&chat(&fake, Some(&seed), "")).await.unwrap_err();
    assert!(error.to_string().contains("refused: Authentication error"), "{error}");
    let too_many = planned("idle --users 10000001", &fake, Some(&seed));
    assert!(matches!(too_many, Err(Error::Usage(_))));
}

/// The program, over a server with this fault; its exit status, its line of results, and what it said besides.
async fn program(fault: Fault, more: &str) -> (Option<i32>, serde_json::Value, String) {
    let fake = Fake::start(fault).await;
    let seed = fake.seed(USERS).await;
    let (url, seed) = (fake.url(), seed.path().to_owned());
    let more: Vec<String> = more.split_whitespace().map(str::to_owned).collect();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(["chat", "--url", &url, "--users", "10", "--rate", "250", "--json", "--no-files"])
            .args(["--duration", "800ms", "--warmup", "200ms", "--settle", "4s", "--seed"])
            .arg(seed)
            .args(more)
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let line = serde_json::from_str(&text).unwrap();
    (output.status.code(), line, String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_prints_one_line_and_exits_by_the_verdict() {
    for (fault, code, verdict) in [(Fault::None, 0, "ok"), (Fault::Lose, 1, "failed: 1 lost")] {
        let (status, line, said) = program(fault, "").await;
        assert_eq!(status, Some(code));
        assert_eq!((&line["verdict"], &line["scenario"]), (&verdict.into(), &"chat".into()));
        assert!(line["latencies"][0]["p99"].is_number() && line["harness"]["lateMs"]["p99"].is_number());
        assert!(said.is_empty(), "--json keeps quiet: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_are_judged_as_one() {
    for (fault, verdict) in
        [(Fault::None, "ok"), (Fault::Lose, "failed: 1 lost"), (Fault::Leak, "failed: 1 misdelivered")]
    {
        let (_, line, said) = program(fault, "--workers 3").await;
        assert_eq!(line["verdict"], verdict, "{said}");
        assert_eq!((&line["harness"]["workers"], &line["counts"]["sent"]), (&3.into(), &250.into()));
    }
}

#[test]
fn the_program_tells_what_keeps_it_from_running() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["chat", "--url", "http://127.0.0.1:1", "--users", "2"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("POST /api/auth/register") && text.contains("refused"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_level_decides_where_it_speaks_and_nowhere_else() {
    for (fault, slo, verdict) in [
        (Fault::Refuse, "errors=1%", "ok"),
        (Fault::Refuse, "errors=0.1%", "failed: errors 0.400 %, over 0.1 %"),
        (Fault::Refuse, "p99=10s", "failed: 1 failed"),
        (Fault::Lose, "lost=1", "ok"),
        (Fault::Lose, "lost=0", "failed: lost 1, over 0"),
        (Fault::Double, "lost=9,errors=9%", "failed: 2 duplicated"),
        (Fault::None, "p50=0s", "over 0 ms"),
    ] {
        let fake = Fake::start(fault).await;
        let seed = fake.seed(USERS).await;
        let more = format!("--duration 800ms --warmup 200ms --protocol ws --slo {slo}");
        let report = report(&chat(&fake, Some(&seed), &more)).await.unwrap();
        assert!(report.verdict.ends_with(verdict), "{fault:?} with {slo}: {}", report.verdict);
        assert_eq!(report.broken().is_empty(), report.passed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_rate_that_a_server_holds_is_found() {
    // A machine that is busy with other tests may hold up the harness itself, which is then said.
    for _ in 0..3 {
        let fake = Fake::start(Fault::Capacity).await;
        let seed = fake.seed(USERS).await;
        let line = format!(
            "chat --users {USERS} --rate 100 --find-max --duration 1s --warmup 100ms --rest 0s --precision 0.1 --slo p99=100ms"
        );
        let (plan, output) = planned(&line, &fake, Some(&seed)).unwrap();
        let interrupt = Interrupt::default();
        let searched = find_max::run(&plan, output.search(), &mut Console::quiet(), &interrupt).await;
        let (searched, ran) = searched.unwrap();
        let is_disturbed = searched.found < CAPACITY * 0.3;
        if searched.verdict.contains("the harness was the bottleneck") || is_disturbed {
            continue;
        }
        assert_eq!(searched.verdict, "ok");
        // What is above its capacity for a second waits for a tenth of one.
        assert!(searched.found <= CAPACITY * 1.2, "{searched:?}");
        assert!(searched.p99_spread.is_some_and(|spread| spread[1] <= 100.0), "{searched:?}");
        assert!(searched.trials.iter().any(|trial| trial.broken.iter().any(|why| why.starts_with("p99 "))));
        assert!(ran.is_some_and(|ran| ran.report.passed), "the report is of a run that held");
        return;
    }
    panic!("the machine was always too busy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_interrupted_reports_what_was_until_then_and_leaves_nobody_online() {
    for protocol in ["socketio", "ws"] {
        let fake = Fake::start(Fault::None).await;
        let seed = fake.seed(USERS).await;
        let plan = chat(&fake, Some(&seed), &format!("--duration 1h --warmup 0s --protocol {protocol}"));
        let interrupt = Interrupt::default();
        let run = async { run::run(&plan, &mut Console::quiet(), &interrupt).await.unwrap().report };
        let raise = async {
            fake.messages(50).await;
            interrupt.raise();
        };
        let (report, ()) = tokio::join!(run, raise);
        assert!(report.interrupted && !report.passed, "{report:?}");
        assert_eq!(report.verdict, "failed: interrupted");
        let count = |name: &str| report.counts[name];
        assert!(report.phases["measuredS"] < 60.0, "{report:?}");
        assert!(count("sent") >= 50 && count("sent") < 10_000, "{report:?}");
        assert_eq!((count("acknowledged"), count("delivered")), (count("sent"), 2 * count("sent")));
        assert_eq!(fake.left(), USERS, "everybody said that they leave");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_ends_in_good_order_when_it_is_told_to() {
    let fake = Fake::start(Fault::None).await;
    let seed = fake.seed(USERS).await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args([
        "chat",
        "--url",
        &fake.url(),
        "--users",
        "10",
        "--rate",
        "250",
        "--duration",
        "1h",
        "--json",
        "--no-files",
    ]);
    command.arg("--seed").arg(seed.path()).stdout(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().unwrap();
    fake.messages(50).await;
    let interrupt = format!("kill -INT {}", child.id().unwrap());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output());
    let output = ended.await.expect("it should have ended").unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["interrupted"], true, "{line}");
    assert_eq!(fake.left(), USERS);
}

#[test]
fn a_server_elsewhere_is_not_put_under_load_by_mistake() {
    for scenario in [&["chat", "--users", "2"][..], &["idle", "--seed", "nowhere.jsonl"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(scenario)
            .args(["--url", "http://192.0.2.1:5000"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("192.0.2.1 is not an address of this machine"), "{text}");
    }
}
