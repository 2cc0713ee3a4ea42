//! The harness's own metrics, in Prometheus' text format, while a run goes on (docs/metrics.md).
//!
//! Written here and not by an exporter: the values come once a second from histograms that are kept anyway, and an
//! exporter would want every delivery by itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::ledger::{Fault, Faults};
use crate::plan::{Action, Plan};
use crate::process::Observed;
use crate::recorder::{Count, Latency, Second, Step, Steps, Values};

/// The upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const PHASES: [&str; 5] = ["connect", "warmup", "measure", "settle", "verify"];
const FAULTS: [(Fault, &str); 8] = [
    (Fault::Duplicated, "duplicated"),
    (Fault::Reordered, "reordered"),
    (Fault::Misdelivered, "misdelivered"),
    (Fault::Contradicted, "contradicted"),
    (Fault::Lost, "lost"),
    (Fault::Absent, "absent"),
    (Fault::Disconnected, "disconnected"),
    (Fault::ProtocolError, "protocol_error"),
];

/// Some times, by bucket.
#[derive(Clone, Debug, Default)]
struct Buckets {
    counts: [u64; BOUNDS.len() + 1],
    sum_us: u64,
}

#[derive(Debug, Default)]
struct State {
    actions: BTreeMap<Action, Steps>,
    deliveries: u64,
    faults: BTreeMap<Fault, u64>,
    latencies: BTreeMap<Latency, Buckets>,
    late: Buckets,
    connections: u64,
    offered: BTreeMap<Action, f64>,
    asked: BTreeMap<Action, f64>,
    phase: usize,
}

/// What is shown. Clones are the same.
#[derive(Clone, Debug)]
pub struct Exposition(Arc<Mutex<State>>);

/// Ends serving when it is dropped.
#[derive(Debug)]
pub struct Served(JoinHandle<()>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Exposition {
    /// Of a run that has not begun.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let asked = plan.rates.0.clone();
        Self(Arc::new(Mutex::new(State { asked, ..State::default() })))
    }

    /// A second is over.
    pub fn add(&self, second: &Second) {
        let mut state = self.lock();
        for (action, steps) in &second.actions {
            let all = state.actions.entry(*action).or_default();
            all.iter_mut().zip(steps).for_each(|(all, more)| *all += more);
        }
        state.deliveries += second.counts.get(&Count::Delivered).copied().unwrap_or_default();
        state.faults.clone_from(&second.faults);
        for (latency, took) in &second.latencies {
            state.latencies.entry(*latency).or_default().add(took);
        }
        state.late.add(&second.late);
        state.connections = second.connections;
        let all: f64 = state.asked.values().sum();
        let share = if all > 0.0 { second.offered / all } else { 0.0 };
        state.offered = state.asked.iter().map(|(action, rate)| (*action, rate * share)).collect();
        state.phase = PHASES.iter().position(|phase| *phase == second.phase.as_str()).unwrap_or_default();
    }

    /// The load is over, and every message is looked for.
    pub fn verifying(&self) {
        let mut state = self.lock();
        (state.phase, state.connections) = (PHASES.len() - 1, 0);
    }

    /// The run is judged.
    pub fn judged(&self, faults: &Faults) {
        self.lock().faults = faults.counts();
    }

    /// Serves `GET /metrics` until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub async fn serve(&self, address: SocketAddr) -> Result<Served, Error> {
        let listener = TcpListener::bind(address).await.map_err(|error| Error::Server {
            program: format!("--prometheus {address}"),
            problem: error.to_string(),
        })?;
        let exposition = self.clone();
        Ok(Served(tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                };
                let exposition = exposition.clone();
                tokio::spawn(async move {
                    let answer = service_fn(|request: Request<Incoming>| {
                        std::future::ready(Ok::<_, Infallible>(exposition.answer(request.uri().path())))
                    });
                    // A scraper that goes away is none of our business.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        })))
    }

    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let (status, text) = if path == "/metrics" {
            (StatusCode::OK, self.render())
        } else {
            (StatusCode::NOT_FOUND, "the metrics are at /metrics\n".to_owned())
        };
        let mut response = Response::new(Full::new(text.into()));
        *response.status_mut() = status;
        let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    /// Everything as text.
    #[must_use]
    pub fn render(&self) -> String {
        let state = self.lock();
        let mut text = Text(String::new());
        let steps = |action: Action| state.actions.get(&action).copied().unwrap_or_default();
        text.head("arrivals_total", "counter", "What was due");
        for action in Action::ALL {
            for (step, outcome) in [(Step::Started, "started"), (Step::Skipped, "skipped")] {
                let labels = format!("action=\"{}\",outcome=\"{outcome}\"", action.as_str());
                text.value("arrivals_total", &labels, steps(action)[step as usize] as f64);
            }
        }
        text.head("answers_total", "counter", "What was answered");
        for action in Action::ALL {
            for (step, outcome) in [(Step::Ok, "ok"), (Step::Failed, "failed")] {
                let labels = format!("action=\"{}\",outcome=\"{outcome}\"", action.as_str());
                text.value("answers_total", &labels, steps(action)[step as usize] as f64);
            }
        }
        text.head("deliveries_total", "counter", "Messages that arrived at a socket, each once");
        text.value("deliveries_total", "", state.deliveries as f64);
        text.head("faults_total", "counter", "What must not happen");
        for (fault, name) in FAULTS {
            let count = state.faults.get(&fault).copied().unwrap_or_default();
            text.value("faults_total", &format!("fault=\"{name}\""), count as f64);
        }
        text.head("latency_seconds", "histogram", "From the scheduled time to the end");
        for latency in Latency::ALL {
            let none = Buckets::default();
            let buckets = state.latencies.get(&latency).unwrap_or(&none);
            text.buckets("latency_seconds", &format!("latency=\"{}\",", latency.as_str()), buckets);
        }
        text.head("lateness_seconds", "histogram", "How late the harness began what was due");
        text.buckets("lateness_seconds", "", &state.late);
        text.head("connections", "gauge", "Authenticated connections");
        text.value("connections", "", state.connections as f64);
        text.head("offered_per_second", "gauge", "Arrivals that are asked for now");
        for action in Action::ALL {
            let offered = state.offered.get(&action).copied().unwrap_or_default();
            text.value("offered_per_second", &format!("action=\"{}\"", action.as_str()), offered);
        }
        text.head("phase", "gauge", "1 for the phase that the run is in");
        for (number, phase) in PHASES.iter().enumerate() {
            let inside = if number == state.phase { 1.0 } else { 0.0 };
            text.value("phase", &format!("phase=\"{phase}\""), inside);
        }
        let this = Observed::myself();
        text.head("cpu_seconds_total", "counter", "Processor time of the harness");
        text.value("cpu_seconds_total", "", this.cpu_seconds().unwrap_or_default());
        text.head("resident_memory_bytes", "gauge", "Resident memory of the harness");
        text.value("resident_memory_bytes", "", this.resident_bytes().unwrap_or_default() as f64);
        text.0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Numbers are usable whatever the holder of the lock was doing when it panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buckets {
    fn add(&mut self, values: &Values) {
        for &(microseconds, count) in values {
            let seconds = microseconds as f64 / 1e6;
            self.counts[BOUNDS.partition_point(|bound| *bound < seconds)] += count;
            self.sum_us += microseconds * count;
        }
    }
}

/// The text format. Writing to a String does not fail.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ =
            writeln!(self.0, "# HELP linkup_loadtest_{name} {help}\n# TYPE linkup_loadtest_{name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, value: f64) {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "linkup_loadtest_{name}{labels} {value}");
    }

    /// `labels` end in a comma, if there are any.
    fn buckets(&mut self, name: &str, labels: &str, buckets: &Buckets) {
        let mut sum = 0;
        for (number, count) in buckets.counts.iter().enumerate() {
            sum += count;
            let bound = BOUNDS.get(number).map_or("+Inf".to_owned(), f64::to_string);
            self.value(&format!("{name}_bucket"), &format!("{labels}le=\"{bound}\""), sum as f64);
        }
        let labels = labels.trim_end_matches(',');
        self.value(&format!("{name}_sum"), labels, buckets.sum_us as f64 / 1e6);
        self.value(&format!("{name}_count"), labels, sum as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Scenario, Settings};
    use crate::recorder::Phase;

    #[test]
    fn a_second_shows_and_everything_is_there_from_the_start() {
        let plan = Settings::default().plan(Scenario::Chat, None).unwrap();
        let exposition = Exposition::new(&plan);
        let before = exposition.render();
        exposition.add(&Second {
            phase: Phase::Measure,
            connections: 7,
            offered: 1_250.0,
            counts: BTreeMap::from([(Count::Delivered, 3)]),
            actions: BTreeMap::from([(Action::Send, [4, 1, 2, 0])]),
            latencies: BTreeMap::from([(Latency::Delivery, vec![(400, 1), (2_500, 2), (60_000_000, 1)])]),
            faults: BTreeMap::from([(Fault::Duplicated, 2)]),
            ..Second::default()
        });
        let text = exposition.render();
        for line in [
            "linkup_loadtest_arrivals_total{action=\"send\",outcome=\"started\"} 4",
            "linkup_loadtest_arrivals_total{action=\"send\",outcome=\"skipped\"} 1",
            "linkup_loadtest_answers_total{action=\"send\",outcome=\"ok\"} 2",
            "linkup_loadtest_deliveries_total 3",
            "linkup_loadtest_faults_total{fault=\"duplicated\"} 2",
            "linkup_loadtest_latency_seconds_bucket{latency=\"delivery\",le=\"0.0005\"} 1",
            "linkup_loadtest_latency_seconds_bucket{latency=\"delivery\",le=\"0.0025\"} 3",
            "linkup_loadtest_latency_seconds_bucket{latency=\"delivery\",le=\"30\"} 3",
            "linkup_loadtest_latency_seconds_bucket{latency=\"delivery\",le=\"+Inf\"} 4",
            "linkup_loadtest_latency_seconds_count{latency=\"delivery\"} 4",
            "linkup_loadtest_lateness_seconds_count 0",
            "linkup_loadtest_offered_per_second{action=\"send\"} 1250",
            "linkup_loadtest_phase{phase=\"measure\"} 1",
            "linkup_loadtest_connections 7",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        }
        assert_eq!(before.lines().count(), text.lines().count(), "every series is there from the start");
        exposition.verifying();
        assert!(exposition.render().contains("linkup_loadtest_phase{phase=\"verify\"} 1"));
    }
}
