//! Metrics: one [`Registry`] per started instance, whose handles are made once and passed down.
//!
//! There is no global recorder, so several instances in one process (a test's, for example) do not disturb each
//! other. Every handle is made at start, and with it its series: a counter that appears with its first event hides
//! that event. Labels come from fixed sets.
//!
//! Handles of [`metrics`] cost a virtual call and, for histograms, a clock read and a kept sample. That is fine per
//! batch or request. What happens per delivery or per frame is counted with [`AtomicCounter`] and [`AtomicHistogram`],
//! which are rendered beside the exporter's text.
//!
//! | module | holds |
//! |---|---|
//! | [`buckets`] | the bounds of histograms |
//! | [`atomic`] | counters and histograms for hot paths |
//! | [`labels!`](crate::labels) | a label and the variants of its values |
//! | [`text`] | the exposition format, for what is rendered here |
//! | [`process`] | `process_*` |
//! | [`runtime`] | `linkup_runtime_*` |

pub mod atomic;
pub mod buckets;
mod labels;
pub mod process;
pub mod runtime;
pub mod text;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub use atomic::{AtomicCounter, AtomicHistogram};
pub use metrics::{Counter, Gauge, Histogram};

use text::Exposition;

/// How often samples of histograms are sorted into buckets. Until then each is kept as it is, so without this they
/// would pile up wherever nobody scrapes.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

const METADATA: Metadata<'static> = Metadata::new("linkup", Level::INFO, None);

/// A label and its value. Both come from fixed sets.
pub type LabelPair = (&'static str, &'static str);

type Collector = Box<dyn Fn(&mut Exposition) + Send + Sync>;
type Refresh = Box<dyn Fn() + Send + Sync>;

/// The metrics of one instance. Clones are the same registry.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// What renders itself at each scrape.
    collectors: Mutex<Vec<Collector>>,
    /// What brings gauges up to date before a scrape.
    refreshes: Mutex<Vec<Refresh>>,
    scrape_seconds: Gauge,
    scrape_bytes: Gauge,
    is_silent: bool,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// An empty registry, but for the metrics about the scrape itself.
    #[must_use]
    pub fn new() -> Self {
        Self::build(false)
    }

    /// A registry that counts nothing and shows nothing, whose handles do as little as can be: for finding out what
    /// metrics cost.
    #[must_use]
    pub fn silent() -> Self {
        Self::build(true)
    }

    /// Whether nothing is counted: what is measured only for a metric need not be.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.inner.is_silent
    }

    fn build(is_silent: bool) -> Self {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        let gauge = |name: &'static str, help: &'static str| {
            recorder.describe_gauge(KeyName::from_const_str(name), None, SharedString::const_str(help));
            recorder.register_gauge(&Key::from_static_name(name), &METADATA)
        };
        let scrape_seconds =
            gauge("linkup_scrape_seconds", "Time that the answer to the last scrape took to write");
        let scrape_bytes = gauge("linkup_scrape_bytes", "Size of the answer to the last scrape");
        let (collectors, refreshes) = (Mutex::default(), Mutex::default());
        let inner =
            Inner { recorder, handle, collectors, refreshes, scrape_seconds, scrape_bytes, is_silent };
        Self { inner: Arc::new(inner) }
    }

    /// A counter, which is there as zero from now on. Names end in `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[LabelPair]) -> Counter {
        if self.is_silent() {
            return Counter::noop();
        }
        let recorder = &self.inner.recorder;
        recorder.describe_counter(KeyName::from_const_str(name), None, SharedString::const_str(help));
        recorder.register_counter(&key(name, labels), &METADATA)
    }

    /// One counter for each value of a label, in the order of `values`.
    pub fn counters<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: [&'static str; N],
    ) -> [Counter; N] {
        values.map(|value| self.counter(name, help, &[(label, value)]))
    }

    /// A gauge, which is there as zero from now on.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[LabelPair]) -> Gauge {
        if self.is_silent() {
            return Gauge::noop();
        }
        let recorder = &self.inner.recorder;
        recorder.describe_gauge(KeyName::from_const_str(name), None, SharedString::const_str(help));
        recorder.register_gauge(&key(name, labels), &METADATA)
    }

    /// One gauge for each value of a label, in the order of `values`.
    pub fn gauges<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: [&'static str; N],
    ) -> [Gauge; N] {
        values.map(|value| self.gauge(name, help, &[(label, value)]))
    }

    /// A histogram for what happens per batch or request. Its bounds follow from the end of its name: see [`buckets`].
    pub fn histogram(&self, name: &'static str, help: &'static str, labels: &[LabelPair]) -> Histogram {
        if self.is_silent() {
            return Histogram::noop();
        }
        let recorder = &self.inner.recorder;
        recorder.describe_histogram(KeyName::from_const_str(name), None, SharedString::const_str(help));
        recorder.register_histogram(&key(name, labels), &METADATA)
    }

    /// A counter for hot paths.
    #[must_use]
    pub fn atomic_counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[LabelPair],
    ) -> AtomicCounter {
        if self.is_silent() {
            return AtomicCounter::default();
        }
        let (counter, labels) = (AtomicCounter::new(), labels.to_vec());
        let rendered = counter.clone();
        self.collect(move |text| text.counter(name, help, &labels, rendered.get() as f64));
        counter
    }

    /// A histogram of times for hot paths, with the bounds [`buckets::SECONDS`].
    #[must_use]
    pub fn atomic_histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[LabelPair],
    ) -> AtomicHistogram {
        if self.is_silent() {
            return AtomicHistogram::default();
        }
        let (histogram, labels) = (AtomicHistogram::new(), labels.to_vec());
        let rendered = histogram.clone();
        self.collect(move |text| text.histogram(name, help, &labels, &rendered.read()));
        histogram
    }

    /// Adds something that renders itself at each scrape. Series of one name must come one after the other only where
    /// they come from one collector: [`Exposition`] puts those of several together.
    pub fn collect(&self, collector: impl Fn(&mut Exposition) + Send + Sync + 'static) {
        if self.is_silent() {
            return;
        }
        self.inner.collectors.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(collector));
    }

    /// Adds something that brings gauges up to date before each scrape. It must be quick.
    pub fn before_scrape(&self, refresh: impl Fn() + Send + Sync + 'static) {
        if self.is_silent() {
            return;
        }
        self.inner.refreshes.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(refresh));
    }

    /// Sorts samples into buckets. To be called every [`UPKEEP_INTERVAL`].
    pub fn run_upkeep(&self) {
        self.inner.handle.run_upkeep();
    }

    /// All metrics in the text format. Takes milliseconds: not for an asynchronous thread.
    #[must_use]
    pub fn render(&self) -> String {
        if self.is_silent() {
            return String::new();
        }
        let began = Instant::now();
        let inner = &self.inner;
        for refresh in inner.refreshes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            refresh();
        }
        let mut text = inner.handle.render();
        let mut own = Exposition::default();
        for collector in inner.collectors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            collector(&mut own);
        }
        own.write(&mut text);
        inner.scrape_seconds.set(began.elapsed().as_secs_f64());
        inner.scrape_bytes.set(text.len() as f64);
        text
    }

    /// The value of one series as a scrape would show it; `None` if there is no such series. For tests.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        text::value(&self.render(), name, labels)
    }
}

fn key(name: &'static str, labels: &[LabelPair]) -> Key {
    let labels = labels.iter().map(|&(label, value)| Label::from_static_parts(label, value));
    Key::from_parts(name, labels.collect::<Vec<_>>())
}

#[expect(clippy::expect_used, reason = "the bounds are constants of this crate, and none is empty")]
fn builder() -> PrometheusBuilder {
    const BOUNDS: &str = "bounds are not empty";
    let full = |name: &str| Matcher::Full(name.to_owned());
    let suffix = |end: &str| Matcher::Suffix(end.to_owned());
    PrometheusBuilder::new()
        .with_recommended_naming(false)
        .set_buckets(&buckets::COUNTS)
        .and_then(|b| b.set_buckets_for_metric(suffix("_seconds"), &buckets::SECONDS))
        .and_then(|b| b.set_buckets_for_metric(suffix("_bytes"), &buckets::BYTES))
        .and_then(|b| b.set_buckets_for_metric(full("linkup_api_request_seconds"), &buckets::COARSE_SECONDS))
        .expect(BOUNDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_from_the_start_and_registries_do_not_share_it() {
        let (one, other) = (Registry::new(), Registry::new());
        let [yes, _no] = one.counters("linkup_test_things_total", "Things", "kind", ["yes", "no"]);
        let _silent = one.histogram("linkup_test_seconds", "Times", &[]);
        let sizes = one.histogram("linkup_test_batch_items", "Sizes", &[("batcher", "b")]);
        let fast = one.atomic_histogram("linkup_test_stage_seconds", "Stages", &[("stage", "socket")]);
        yes.increment(2);
        sizes.record(3.0);
        fast.record(Duration::from_micros(700));
        assert_eq!(one.value("linkup_test_things_total", &[("kind", "yes")]), Some(2.0));
        assert_eq!(one.value("linkup_test_things_total", &[("kind", "no")]), Some(0.0));
        assert_eq!(one.value("linkup_test_seconds_count", &[]), Some(0.0), "{}", one.render());
        let at = |le| one.value("linkup_test_batch_items_bucket", &[("batcher", "b"), ("le", le)]);
        assert_eq!((at("2.5"), at("4.5"), at("+Inf")), (Some(0.0), Some(1.0), Some(1.0)));
        let at = |le| one.value("linkup_test_stage_seconds_bucket", &[("stage", "socket"), ("le", le)]);
        assert_eq!((at("0.0005"), at("0.001"), at("+Inf")), (Some(0.0), Some(1.0), Some(1.0)));
        assert_eq!(other.value("linkup_test_things_total", &[("kind", "yes")]), None);
        assert!(one.value("linkup_scrape_bytes", &[]).is_some_and(|bytes| bytes > 100.0));
    }

    #[test]
    fn a_silent_registry_counts_nothing() {
        let registry = Registry::silent();
        registry.counter("linkup_test_total", "Things", &[]).increment(1);
        let (fast, time) = (
            registry.atomic_counter("linkup_test_fast_total", "Things", &[]),
            registry.atomic_histogram("linkup_test_seconds", "Times", &[]),
        );
        fast.increment(3);
        time.record(Duration::from_secs(1));
        assert_eq!((fast.get(), time.read().sum, registry.render()), (0, 0.0, String::new()));
    }

    #[test]
    fn upkeep_keeps_what_was_recorded() {
        let registry = Registry::new();
        let times = registry.histogram("linkup_test_seconds", "Times", &[]);
        (0..1_000).for_each(|_| times.record(0.003));
        registry.run_upkeep();
        times.record(0.003);
        assert_eq!(registry.value("linkup_test_seconds_bucket", &[("le", "0.005")]), Some(1_001.0));
    }
}
