//! The report of what came of a run.

use std::collections::BTreeMap;

use super::Phases;
use super::series::Series;
use crate::judge::Judged;
use crate::ledger::Fault;
use crate::plan::{Action, Flavor, Plan};
use crate::recorder::{Count, Latency, Recorded, add, histogram};
use crate::report::Series as Table;
use crate::report::{
    COLUMNS, Cell, Check, Harness, Measured, Percentiles, Report, Row, Stage, Target, files, format, host,
    parameters, rounded,
};
use crate::service_level::{Reached, ServiceLevel};

/// A harness that starts this late (p99, in milliseconds) measures itself as well.
const LATE_MS: f64 = 50.0;
/// So much of what was due may be left out: a share.
const SKIPPED: f64 = 0.001;

/// Everything that is known of a run.
pub(super) struct Ran<'a> {
    pub(super) plan: &'a Plan,
    pub(super) started_at: String,
    pub(super) phases: Phases,
    pub(super) workers: usize,
    pub(super) interrupted: bool,
    pub(super) judged: Judged,
    pub(super) looked_for: u64,
    pub(super) recorded: Vec<Recorded>,
    pub(super) told: Vec<(Option<String>, Option<String>)>,
    pub(super) stages: Vec<Stage>,
    pub(super) memory: Option<f64>,
    pub(super) harness_bytes: u64,
}

impl Ran<'_> {
    pub(super) fn report(self, series: Series) -> super::Ran {
        let plan = self.plan;
        let (mut counts, mut late) = (BTreeMap::new(), histogram());
        let mut both = BTreeMap::new();
        for recorded in &self.recorded {
            for (count, value) in &recorded.counts {
                *counts.entry(*count).or_insert(0) += value;
            }
            for (latency, (corrected, uncorrected)) in &recorded.latencies {
                let (one, other) = both.entry(*latency).or_insert_with(|| (histogram(), histogram()));
                add(one, corrected);
                add(other, uncorrected);
            }
            add(&mut late, &recorded.late);
        }
        let count = |count: Count| counts.get(&count).copied().unwrap_or_default();
        let measured_s = self.phases.measured.as_secs_f64();
        let per_second =
            |count: u64, seconds: f64| if seconds > 0.0 { rounded(count as f64 / seconds, 1) } else { 0.0 };
        let late = Percentiles::of(&late);
        let cpu_per_event = series.cpu_per_event();
        let (rows, resources) = series.finish();
        let due =
            count(Count::Sent) + count(Count::Requests) + count(Count::Reconnects) + count(Count::Skipped);
        let skipped = count(Count::Skipped);
        let skipped_share = if due == 0 { 0.0 } else { skipped as f64 / due as f64 };
        let bottleneck = late.p99 > LATE_MS || skipped_share > SKIPPED;
        let cores = mean_cores(&rows, resources.first().map_or(&[], |resource| &resource.cores));
        let latencies: Vec<Measured> =
            both.iter().map(|(latency, (one, other))| Measured::of(*latency, one, other)).collect();
        let delivery = both.get(&Latency::Delivery).map(|(one, _)| Percentiles::of(one)).unwrap_or_default();
        let faults = &self.judged.faults;
        let reached = Reached {
            p50: delivery.p50,
            p90: delivery.p90,
            p99: delivery.p99,
            p999: delivery.p999,
            started: due - skipped,
            errors: faults.count(Fault::Failed) + faults.count(Fault::Unanswered),
            lost: faults.count(Fault::Lost),
        };
        let mut checks = self.service_level(&reached);
        checks.extend(self.correctness());
        checks.push(Check {
            kind: "harness",
            name: "bottleneck".to_owned(),
            limit: format!("p99 lateness {LATE_MS} ms, {} % skipped", SKIPPED * 100.0),
            measured: format!("{:.1} ms, {:.2} %", late.p99, skipped_share * 100.0),
            passed: !bottleneck,
            examples: Vec::new(),
        });
        self.completeness(&count, &mut checks);
        let mut broken: Vec<String> = checks.iter().filter(|check| !check.passed).map(Check::words).collect();
        if self.interrupted {
            broken.insert(0, "interrupted".to_owned());
        }
        let mut all = BTreeMap::from([
            ("sent", count(Count::Sent)),
            ("acknowledged", count(Count::Acknowledged)),
            ("expected", count(Count::Expected)),
            ("delivered", count(Count::Delivered)),
            ("skipped", skipped),
            ("connects", count(Count::Connects)),
            ("connectsFailed", count(Count::ConnectsFailed)),
            ("reconnects", count(Count::Reconnects)),
            ("recovered", count(Count::Recovered)),
            ("caughtUp", count(Count::CaughtUp)),
            ("typing", count(Count::Typing)),
            ("requests", count(Count::Requests)),
            ("requestsFailed", count(Count::RequestsFailed)),
            ("foreign", count(Count::Foreign)),
            ("otherEvents", count(Count::OtherEvents)),
            ("lookedFor", self.looked_for),
        ]);
        all.extend(Fault::ALL.map(|fault| (name(fault), faults.count(fault))));
        let offered = plan.rate(Action::Send) + plan.rate(Action::Post);
        let Phases { connect, warmup, settle, verify, .. } = self.phases;
        let connect_s = connect.as_secs_f64();
        let (mut failure, mut disconnect) = (None, None);
        for (one, other) in self.told {
            failure = failure.or(one);
            disconnect = disconnect.or(other);
        }
        let report = Report {
            format: format(),
            program: host::Program::this(),
            host: host::Host::this(),
            started_at: self.started_at,
            scenario: plan.scenario.clone(),
            target: Target { url: plan.url.clone(), protocol: plan.protocol.as_str(), flavor: plan.flavor },
            parameters: parameters(plan),
            phases: BTreeMap::from([
                ("connectS", rounded(connect_s, 3)),
                ("warmupS", rounded(warmup.as_secs_f64(), 3)),
                ("measuredS", rounded(measured_s, 3)),
                ("settleS", rounded(settle.as_secs_f64(), 3)),
                ("verifyS", rounded(verify.as_secs_f64(), 3)),
            ]),
            interrupted: self.interrupted,
            passed: broken.is_empty(),
            verdict: if broken.is_empty() {
                "ok".to_owned()
            } else {
                format!("failed: {}", broken.join(", "))
            },
            checks,
            counts: all,
            rates: BTreeMap::from([
                ("offered", offered),
                ("achieved", per_second(count(Count::MeasuredAcknowledged), measured_s)),
                ("deliveries", per_second(count(Count::MeasuredDelivered), measured_s)),
                ("connects", per_second(count(Count::Connects), connect_s)),
            ]),
            latencies,
            series: Table { interval_s: 1.0, columns: COLUMNS, rows },
            resources,
            stages: self.stages,
            memory_per_connection_bytes: self.memory.map(|bytes| rounded(bytes, 0)),
            harness: Harness {
                cores: rounded(cores, 3),
                resident_bytes: self.harness_bytes,
                cpu_per_event_us: cpu_per_event.map(|cost| rounded(cost, 3)),
                floor_cpu_per_event_us: None,
                late_ms: late,
                skipped,
                workers: self.workers,
                bottleneck,
            },
            search: None,
            first_failure: failure,
            first_disconnect: disconnect,
            histograms: both
                .iter()
                .map(|(latency, (one, _))| (latency.as_str(), files::encoded(one)))
                .collect(),
        };
        let histograms = both.into_iter().map(|(latency, (one, _))| (latency, one)).collect();
        super::Ran { report, histograms }
    }

    fn service_level(&self, reached: &Reached) -> Vec<Check> {
        let held = self.plan.slo.as_ref().map(|slo| slo.check(reached)).unwrap_or_default();
        held.into_iter()
            .map(|held| Check {
                kind: "slo",
                name: held.name.to_owned(),
                limit: held.limit,
                measured: held.reached,
                passed: held.holds,
                examples: Vec::new(),
            })
            .collect()
    }

    /// Each fault that there could be. Errors and losses are none where a service level says how many there may be.
    fn correctness(&self) -> Vec<Check> {
        let (errors, losses) = self.plan.slo.as_ref().map_or((false, false), ServiceLevel::allows);
        let faults = &self.judged.faults;
        let checks = Fault::ALL.into_iter().filter(|fault| {
            let messages = !matches!(fault, Fault::Disconnected | Fault::ProtocolError | Fault::Failed);
            let has_seq = self.plan.flavor == Flavor::Linkup || *fault != Fault::SkippedSeq;
            (self.plan.has_messages() || !messages)
                && has_seq
                && (self.plan.verify || *fault != Fault::Absent)
        });
        checks
            .map(|fault| {
                let found = faults.count(fault);
                let allowed = match fault {
                    Fault::Failed | Fault::Unanswered => errors,
                    Fault::Lost => losses,
                    _ => false,
                };
                Check {
                    kind: "correctness",
                    name: fault.words().to_owned(),
                    limit: if allowed { "as the service level says".to_owned() } else { "0".to_owned() },
                    measured: found.to_string(),
                    passed: allowed || found == 0,
                    examples: faults.examples(fault).to_vec(),
                }
            })
            .collect()
    }

    /// A run that proves nothing must not pass.
    fn completeness(&self, count: &impl Fn(Count) -> u64, checks: &mut Vec<Check>) {
        let mut failed = |name: &str, measured: u64| {
            checks.push(Check {
                kind: "correctness",
                name: name.to_owned(),
                limit: "0".to_owned(),
                measured: measured.to_string(),
                passed: false,
                examples: Vec::new(),
            });
        };
        if count(Count::ConnectsFailed) > 0 {
            failed("connections that could not be opened", count(Count::ConnectsFailed));
        }
        let tried = count(Count::Sent)
            + count(Count::Requests)
            + count(Count::RequestsFailed)
            + count(Count::Reconnects);
        let silent = !self.plan.rates.0.is_empty() && tried + count(Count::Typing) == 0;
        if silent || (self.plan.has_messages() && count(Count::Acknowledged) == 0) {
            failed("empty run", 1);
        }
    }
}

const fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Lost => "lost",
        Fault::Duplicated => "duplicated",
        Fault::Reordered => "reordered",
        Fault::Misdelivered => "misdelivered",
        Fault::Contradicted => "contradicted",
        Fault::Absent => "absent",
        Fault::SkippedSeq => "skippedSeq",
        Fault::Failed => "failed",
        Fault::Unanswered => "unanswered",
        Fault::Disconnected => "disconnects",
        Fault::ProtocolError => "protocolErrors",
    }
}

/// The mean over the measured rows.
fn mean_cores(rows: &[Row], cores: &[Option<f64>]) -> f64 {
    let measured = rows.iter().zip(cores).filter(|(row, _)| row[1] == Cell::Name("measure"));
    let (mut sum, mut count) = (0.0, 0_u32);
    for cores in measured.filter_map(|(_, cores)| *cores) {
        sum += cores;
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}
