//! Reports for the tests.

use std::fs;

use serde_json::{Value, json};

use super::runs::RunSet;

/// A report of a run of `chat`, whose members at the given pointers are replaced.
pub(super) fn report(changes: &[(&str, Value)]) -> Value {
    let mut report = json!({
        "format": 1,
        "program": { "version": "0.1.0", "commit": "400d469" },
        "host": { "system": "Linux 6.1.0", "cpu": "AMD EPYC", "cores": 2, "memoryBytes": 25_769_803_776_u64 },
        "startedAt": "2026-12-01T00:48:41.123Z",
        "scenario": "chat",
        "target": { "url": "http://127.0.0.1:5000", "protocol": "socketio", "flavor": "linkup" },
        "parameters": { "users": 1000, "rate": { "send": 2500.0 }, "arrivals": "poisson", "durationS": 20.0,
            "seed": 42 },
        "interrupted": false,
        "passed": true,
        "verdict": "ok",
        "counts": { "sent": 50_000 },
        "rates": { "offered": 2500.0, "achieved": 2499.0, "deliveries": 4998.0, "connects": 5200.0 },
        "latencies": [{ "name": "delivery", "title": "Scheduled send to arrival", "count": 100_000, "mean": 3.1,
            "p50": 3.0, "p90": 4.2, "p99": 8.1, "p999": 14.0, "max": 33.0, "uncorrected": null,
            "byPercentile": [[0.0, 1.2], [100.0, 33.0]] }],
        "series": { "intervalS": 1.0, "columns": ["second", "phase"], "rows": [[0, "connect"], [1, "measure"]] },
        "resources": [
            { "name": "loadtest", "pid": 123, "cores": [0.31, 0.35], "residentBytes": [13_000_000, 14_000_000] },
            { "name": "linkup", "pid": 99, "cores": [0.9, 1.1], "residentBytes": [50_000_000, 51_000_000] },
        ],
        "stages": [],
        "memoryPerConnectionBytes": null,
        "histograms": { "delivery": "HISTFAAA" },
    });
    for (pointer, value) in changes {
        *report.pointer_mut(pointer).unwrap() = value.clone();
    }
    report
}

/// One run for each value of the member at `pointer`; all other members are the same.
pub(super) fn reports(pointer: &str, values: &[f64]) -> Vec<Value> {
    values.iter().map(|value| report(&[(pointer, json!(value))])).collect()
}

/// The set that these make, read from their files.
pub(super) fn set(reports: &[Value]) -> RunSet {
    labelled("set", reports)
}

pub(super) fn labelled(label: &str, reports: &[Value]) -> RunSet {
    let folder = tempfile::tempdir().unwrap();
    for (index, report) in reports.iter().enumerate() {
        let run = folder.path().join(format!("run-{:02}", index + 1));
        fs::create_dir(&run).unwrap();
        fs::write(run.join("report.json"), report.to_string()).unwrap();
    }
    RunSet::read(folder.path(), label).unwrap()
}
