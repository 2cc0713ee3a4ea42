//! Whether the verdict can fail: each run here is against a server that breaks one promise, once, on purpose.

// Clippy's exemption for tests does not reach the helpers around them.
#![allow(clippy::unwrap_used)]

mod fake;

use std::process::{Command, Stdio};
use std::time::Duration;

use fake::{CAPACITY, Fake, Fault, STALL};
use loadtest::chat::{self, ChatReport};
use loadtest::cli::{ChatOptions, Cli, IdleOptions, Scenario};
use loadtest::interrupt::Interrupt;
use loadtest::report::Progress;
use loadtest::{Error, find_max, idle};

use clap::Parser;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

const USERS: usize = 10;

fn quiet() -> Progress {
    Progress::new(true)
}

fn chat_options(fake: &Fake, seed: Option<&NamedTempFile>, more: &str) -> ChatOptions {
    let url = fake.url();
    let fixed = format!("loadtest chat --url {url} --users {USERS} --rate 250 --settle 15s");
    let mut arguments: Vec<String> =
        fixed.split(' ').chain(more.split_whitespace()).map(str::to_owned).collect();
    if let Some(seed) = seed {
        arguments.extend(["--seed".to_owned(), seed.path().display().to_string()]);
    }
    match Cli::parse_from(arguments).scenario {
        Scenario::Chat(options) => options,
        Scenario::Idle(_) => unreachable!("chat was asked for"),
    }
}

fn idle_options(fake: &Fake, seed: &NamedTempFile, protocol: &str, connections: usize) -> IdleOptions {
    let url = fake.url();
    let options = format!(
        "loadtest idle --url {url} --connections {connections} --hold 1s --protocol {protocol} --seed"
    );
    let seed = seed.path().display().to_string();
    match Cli::parse_from(options.split(' ').map(str::to_owned).chain([seed])).scenario {
        Scenario::Idle(options) => options,
        Scenario::Chat(_) => unreachable!("idle was asked for"),
    }
}

/// 250 messages, 50 of them warm-up, with the fault at the hundredth.
async fn run(fault: Fault, protocol: &str) -> ChatReport {
    let fake = Fake::start(fault).await;
    let seed = fake.seed(USERS).await;
    let options =
        chat_options(&fake, Some(&seed), &format!("--duration 800ms --warmup 200ms --protocol {protocol}"));
    chat::run(&options, quiet(), &Interrupt::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faithful_server_passes_in_both_protocols() {
    for protocol in ["socketio", "ws"] {
        let report = run(Fault::None, protocol).await;
        assert_eq!(report.verdict, "ok", "{protocol}");
        let tally = report.tally;
        assert_eq!((tally.sent, tally.acked, tally.delivered), (250, 250, 250));
        assert_eq!(report.measured, 200, "the warm-up is not measured");
        assert!(report.achieved_rate > 0.0 && report.achieved_rate <= 250.0, "{}", report.achieved_rate);
        assert!(report.latency_ms.p50 > 0.0 && report.latency_ms.p50 <= report.latency_ms.max);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_promise_fails() {
    let mut runs = JoinSet::new();
    for (fault, verdict) in [
        (Fault::Lose, "failed: 1 lost, 1 missing in seq"),
        (Fault::LoseEcho, "failed: 1 lost on the way to their sender, 1 missing in seq"),
        (Fault::Double, "failed: 2 duplicated"),
        (Fault::StoreTwice, "failed: 2 duplicated"),
        (Fault::Swap, "failed: 2 reordered"),
        (Fault::SkipSeq, "failed: 2 missing in seq"),
        (Fault::Contradict, "failed: 1 with another seq than acknowledged"),
        (Fault::Refuse, "failed: 1 failed"),
        (Fault::Silence, "failed: 1 unanswered"),
        (Fault::Garbage, "failed: 1 protocol errors"),
        (Fault::Leak, "failed: 1 misdelivered"),
    ] {
        for protocol in ["socketio", "ws"] {
            runs.spawn(async move { (fault, protocol, verdict, run(fault, protocol).await) });
        }
    }
    while let Some(ended) = runs.join_next().await {
        let (fault, protocol, verdict, report) = ended.unwrap();
        assert_eq!(report.verdict, verdict, "{fault:?} over {protocol}");
        assert!(!report.passed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_tells_its_reason_and_is_not_counted_as_acknowledged() {
    let report = run(Fault::Refuse, "socketio").await;
    assert_eq!(report.first_failure.as_deref(), Some("try again"));
    assert_eq!((report.tally.sent, report.tally.acked, report.tally.failed), (250, 249, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_fails_and_tells_how_it_ended() {
    let report = run(Fault::HangUp, "socketio").await;
    assert_eq!(report.tally.disconnects, 1);
    assert!(report.verdict.contains("1 disconnects") && report.verdict.contains("unanswered"), "{report:?}");
    let how = report.first_disconnect.unwrap();
    assert!(how.ends_with("closed by the server with 1001 enough"), "{how}");
}

/// The proof against coordinated omission: a closed loop would find one slow message, or one per user.
#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_charged_to_every_message_that_was_due_meanwhile() {
    let fake = Fake::start(Fault::Stall).await;
    let seed = fake.seed(USERS).await;
    let report = chat::run(
        &chat_options(&fake, Some(&seed), "--duration 2s --warmup 0s"),
        quiet(),
        &Interrupt::default(),
    )
    .await
    .unwrap();
    assert_eq!(report.verdict, "ok");
    // Of 500 messages 100 were due in the 400 ms: a fifth, waiting for anything from 400 ms down to nothing.
    let stall = STALL.as_secs_f64() * 1_000.0;
    assert!(report.latency_ms.max >= stall - 10.0, "{:?}", report.latency_ms);
    assert!(report.latency_ms.p90 >= stall / 2.0 - 20.0, "{:?}", report.latency_ms);
    assert!(report.ack_ms.p90 >= stall / 2.0 - 20.0, "{:?}", report.ack_ms);
    assert!(report.late_schedule_ms.p50 < stall / 2.0, "the harness went on sending: {report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_seed_file_people_are_registered() {
    let fake = Fake::start(Fault::None).await;
    let report =
        chat::run(&chat_options(&fake, None, "--duration 400ms --warmup 0s"), quiet(), &Interrupt::default())
            .await
            .unwrap();
    assert_eq!((report.verdict.as_str(), report.tally.delivered), ("ok", 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_give_signs_of_life() {
    let fake = Fake::start(Fault::None).await;
    let seed = fake.seed(4).await;
    for protocol in ["socketio", "ws"] {
        let before = fake.pongs();
        let report = idle::run(&idle_options(&fake, &seed, protocol, 100), quiet(), &Interrupt::default())
            .await
            .unwrap();
        assert_eq!(report.verdict, "ok");
        assert!(report.pings_answered >= 100, "{report:?}");
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
    let options = IdleOptions { pid: bystander.id(), ..idle_options(&fake, &seed, "socketio", 10) };
    let cost = idle::run(&options, quiet(), &Interrupt::default()).await.unwrap().cost.unwrap();
    assert!(cost.rss_before_bytes > 0 && cost.rss_after_bytes == cost.rss_before_bytes, "{cost:?}");
    assert_eq!((cost.bytes_per_connection, cost.idle_cpu_percent), (0.0, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_take_place_is_an_error() {
    let fake = Fake::start(Fault::None).await;
    let seed = fake.seed(USERS).await;
    // Tokens that the server refuses.
    let lines = std::fs::read_to_string(seed.path()).unwrap().replace("\"token\":\"", "\"token\":\"x");
    std::fs::write(seed.path(), lines).unwrap();
    let error =
        chat::run(&chat_options(&fake, Some(&seed), ""), quiet(), &Interrupt::default()).await.unwrap_err();
    assert!(error.to_string().contains("refused: Authentication error"), "{error}");

    let too_many = idle_options(&fake, &seed, "ws", 10_000_001);
    assert!(matches!(idle::run(&too_many, quiet(), &Interrupt::default()).await, Err(Error::Usage(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_prints_one_line_and_exits_by_the_verdict() {
    for (fault, code, verdict) in
        [(Fault::None, 0, "ok"), (Fault::Lose, 1, "failed: 1 lost, 1 missing in seq")]
    {
        let fake = Fake::start(fault).await;
        let seed = fake.seed(USERS).await;
        let (url, seed) = (fake.url(), seed.path().to_owned());
        let output = tokio::task::spawn_blocking(move || {
            Command::new(env!("CARGO_BIN_EXE_loadtest"))
                .args(["chat", "--url", &url, "--users", "10", "--rate", "250", "--json"])
                .args(["--duration", "800ms", "--warmup", "200ms", "--settle", "15s", "--seed"])
                .arg(seed)
                .output()
                .unwrap()
        })
        .await
        .unwrap();
        assert_eq!(output.status.code(), Some(code));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["verdict"], verdict);
        assert_eq!(line["scenario"], "chat");
        assert!(line["latency_ms"]["p99"].is_number() && line["late_schedule_ms"]["p99"].is_number());
        assert!(output.stderr.is_empty(), "--json keeps quiet");
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
        (Fault::Refuse, "errors=0.1%", "failed: 0.400 % errors, over 0.1 %"),
        (Fault::Refuse, "p99=10s", "failed: 1 failed"),
        (Fault::Lose, "lost=1", "ok"),
        (Fault::Lose, "lost=0", "failed: 1 lost, over 0"),
        (Fault::Double, "lost=9,errors=9%", "failed: 2 duplicated"),
        (Fault::None, "p50=0s", "over 0 ms"),
    ] {
        let fake = Fake::start(fault).await;
        let seed = fake.seed(USERS).await;
        let more = format!("--duration 800ms --warmup 200ms --protocol ws --slo {slo}");
        let options = chat_options(&fake, Some(&seed), &more);
        let report = chat::run(&options, quiet(), &Interrupt::default()).await.unwrap();
        assert!(report.verdict.ends_with(verdict), "{fault:?} with {slo}: {}", report.verdict);
        assert_eq!(report.broken.is_empty(), report.passed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_rate_that_a_server_holds_is_found() {
    // A machine that is busy with other tests may hold up the harness itself, which is then said.
    for _ in 0..3 {
        let fake = Fake::start(Fault::Capacity).await;
        let seed = fake.seed(USERS).await;
        let more = "--find-max --duration 1s --warmup 100ms --rest 0s --precision 0.1 --slo p99=100ms";
        let options = ChatOptions { rate: 100.0, ..chat_options(&fake, Some(&seed), more) };
        let report = find_max::run(&options, quiet(), &Interrupt::default()).await.unwrap();
        let is_disturbed = report.max_rate < CAPACITY * 0.3;
        if report.verdict.contains("the harness was the bottleneck") || is_disturbed {
            continue;
        }
        assert_eq!(report.verdict, "ok");
        // What is above its capacity for a second waits for a tenth of one.
        assert!(report.max_rate <= CAPACITY * 1.2, "{report:?}");
        assert!(report.held.is_some_and(|held| held.runs > 3 && held.p99_ms[1] <= 100.0), "{report:?}");
        assert!(report.trials.iter().any(|trial| trial.broken.iter().any(|why| why.starts_with("p99 "))));
        return;
    }
    panic!("the machine was always too busy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_interrupted_reports_what_was_until_then_and_leaves_nobody_online() {
    for protocol in ["socketio", "ws"] {
        let fake = Fake::start(Fault::None).await;
        let seed = fake.seed(USERS).await;
        let options =
            chat_options(&fake, Some(&seed), &format!("--duration 1h --warmup 0s --protocol {protocol}"));
        let interrupt = Interrupt::default();
        let run = async { chat::run(&options, quiet(), &interrupt).await.unwrap() };
        let raise = async {
            fake.messages(50).await;
            interrupt.raise();
        };
        let (report, ()) = tokio::join!(run, raise);
        assert!(report.interrupted && report.verdict.starts_with("failed: interrupted, "), "{report:?}");
        assert!(report.verdict.ends_with(" not sent"), "{report:?}");
        let (tally, rate) = (report.tally, report.achieved_rate);
        assert!(report.duration_s < 60.0 && rate > 50.0 && rate < 500.0, "{report:?}");
        assert!(tally.sent >= 50 && tally.sent < 10_000, "{tally:?}");
        assert_eq!((tally.acked, tally.delivered, tally.disconnects), (tally.sent, tally.sent, 0));
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
            .args(["--connections", "2"].iter().filter(|_| scenario[0] == "idle"))
            .args(["--url", "http://192.0.2.1:5000"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("192.0.2.1 is not an address of this machine"), "{text}");
    }
}
