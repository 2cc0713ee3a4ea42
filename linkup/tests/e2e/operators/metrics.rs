//! Metrics: documented, all there from the start, and no more with a thousand users than with none.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use loadtest::exposition::Exposition;
use loadtest::plan::{Scenario, Settings};
use serde_json::json;

use crate::support::crowd::{conversations, crowd};
use crate::support::nats_server::NatsServer;
use crate::support::process::Process;
use crate::support::rest::Rest;
use crate::support::socket::Dialect;
use crate::support::stack::Stack;
use crate::support::{SECRET, SOON, eventually, mongo_uri};

const METRICS: &str = include_str!("../../../../docs/metrics.md");

/// A metric: its type, and the names of its labels.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// What the documentation says: every row that begins with a metric's name.
fn documented() -> Metrics {
    let rows =
        METRICS.lines().filter(|line| line.starts_with("| `linkup_") || line.starts_with("| `process_"));
    let metric = |row: &str| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let labels = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), labels))
    };
    rows.map(metric).collect()
}

/// What a process exports, by the text that it answers.
fn exported(text: &str) -> Metrics {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut metrics: Metrics =
        types.map(|(name, kind)| (name.to_owned(), (kind.to_owned(), BTreeSet::new()))).collect();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let base = base.filter(|base| metrics.get(*base).is_some_and(|(kind, _)| kind == "histogram"));
        let entry = metrics.get_mut(base.unwrap_or(name)).unwrap_or_else(|| panic!("no type: {line}"));
        let labels = labels.trim_end_matches('}').split("\",").filter_map(|pair| pair.split_once("=\""));
        entry.1.extend(labels.map(|(label, _)| label.to_owned()).filter(|label| label != "le"));
    }
    metrics
}

/// All series, without their values.
fn series(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

async fn scrape(admin: &str) -> String {
    let reply = Rest::new(admin).get("/metrics").await;
    assert!(reply.status.is_success());
    String::from_utf8(reply.bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_documented_with_its_type_and_labels_and_every_documented_one_is_there() {
    let (nats, mongo) = (NatsServer::start().await, mongo_uri().await);
    let url = nats.url();
    let mut settings = vec![
        ("MONGODB_URI", mongo.as_str()),
        ("NATS_URL", &url),
        ("JWT_SECRET", SECRET),
        ("PORT", "0"),
        ("ADMIN_PORT", "0"),
    ];
    let mut api = Process::linkup(&["api"], &settings);
    let api_url = format!("http://{}", api.line("linkup api is ready on ").await);
    settings.push(("API_URLS", &api_url));
    let mut gateway = Process::linkup(&["gateway"], &settings);
    let mut streamer = Process::linkup(&["streamer"], &settings);
    let public = format!("http://{}", gateway.line("linkup gateway is ready on ").await);
    settings.push(("PROBE_URL", &public));
    let mut probe = Process::linkup(&["probe"], &settings);
    let mut all = Metrics::new();
    for process in [&mut api, &mut gateway, &mut streamer, &mut probe] {
        let line = process.line("the admin endpoint answers").await;
        let admin = line.split("address=").nth(1).unwrap();
        let text = scrape(&format!("http://{admin}")).await;
        for (name, (kind, labels)) in exported(&text) {
            let known = all.entry(name.clone()).or_insert_with(|| (kind.clone(), BTreeSet::new()));
            assert_eq!(known.0, kind, "{name}");
            known.1.extend(labels);
        }
    }
    // The load harness is none of the roles, and documented beside them.
    let plan = Settings::default().plan(Scenario::Chat, None).unwrap();
    all.extend(exported(&Exposition::new(&plan).render()));
    let documented = documented();
    let names = |metrics: &Metrics| metrics.keys().cloned().collect::<BTreeSet<_>>();
    let (there, told) = (names(&all), names(&documented));
    assert_eq!(there.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "not documented");
    assert_eq!(
        told.difference(&there).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "documented, and not there"
    );
    for (name, metric) in all {
        assert_eq!(metric, documented[&name], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_users_bring_no_series_and_what_they_do_is_counted() {
    const USERS: usize = 1_000;
    let stack = Stack::start().await;
    let registries = [
        stack.gateway_monitoring(0).registry.clone(),
        stack.api_monitoring(0).registry.clone(),
        stack.streamer_monitoring(0).registry.clone(),
    ];
    let text = || registries.iter().map(|registry| registry.render()).collect::<Vec<_>>();
    let before: Vec<_> = text().iter().map(|text| series(text)).collect();

    let people = crowd(stack.store(), &stack.base(), USERS).await;
    let talks = conversations(stack.store(), people.chunks(2)).await;
    let base = stack.base();
    let mut sockets = Vec::new();
    for group in people.chunks(100) {
        let dialect = if sockets.len() % 200 == 0 { Dialect::SocketIo } else { Dialect::Plain };
        sockets.extend(join_all(group.iter().map(|person| person.connect(&base, dialect))).await);
    }
    for (pair, talk) in sockets.chunks(2).zip(&talks) {
        pair[0].emit("message:send", &json!({ "conversationId": talk, "content": "hello" }));
        pair[0].emit("no:such:event", &json!({ "whoever": talk }));
    }
    eventually("everybody has a message", SOON, async || {
        let all = sockets.chunks(2).zip(&talks).all(|(pair, talk)| pair[1].messages(talk).len() == 1);
        all.then_some(())
    })
    .await;
    let rest = &people[0].rest;
    for path in ["/api/nothing", "/api/users/0123456789abcdef01234567", "/api/users?search=x", "/%00/../x"] {
        rest.get(path).await;
    }
    let after = text();
    for (before, after) in before.iter().zip(&after) {
        let now = series(after);
        let grown: Vec<_> = now.difference(before).collect();
        assert!(grown.is_empty(), "{grown:?}");
    }
    let value = |n: usize, name: &str, labels: &[(&str, &str)]| registries[n].value(name, labels).unwrap();
    let sends = [("command", "send"), ("result", "ok")];
    let pairs = (USERS / 2) as f64;
    assert_eq!(value(0, "linkup_gateway_users", &[]), USERS as f64);
    assert_eq!(value(0, "linkup_gateway_commands_total", &sends), pairs);
    assert_eq!(
        value(0, "linkup_gateway_commands_total", &[("command", "unknown"), ("result", "rejected")]),
        pairs
    );
    assert_eq!(value(1, "linkup_api_messages_committed_total", &[]), pairs);
    assert_eq!(value(2, "linkup_streamer_events_total", &[("event", "message:new")]), pairs);
    // Both of each pair get it, the sender's own socket too.
    assert_eq!(value(0, "linkup_gateway_events_total", &[("event", "message:new")]), 2.0 * pairs);
    assert_eq!(value(0, "linkup_message_delivery_seconds_count", &[]), 2.0 * pairs);
    let stages =
        [(0, "gateway_queue", pairs), (1, "api_queue", pairs), (1, "commit", pairs), (2, "stream", pairs)];
    for (n, stage, count) in stages {
        assert_eq!(value(n, "linkup_message_stage_seconds_count", &[("stage", stage)]), count, "{stage}");
    }
    assert_eq!(value(0, "linkup_message_stage_seconds_count", &[("stage", "socket")]), 2.0 * pairs);
    assert!(value(0, "linkup_message_stage_seconds_count", &[("stage", "bus")]) >= 1.0);
}
