use super::samples::{labelled, report, reports, set};
use super::*;
use serde_json::{Value, json};

const P50: &str = "/latencies/0/p50";
const P99: &str = "/latencies/0/p99";
const ACHIEVED: &str = "/rates/achieved";

/// Compares these values of one figure; all others are the same in all runs.
fn of(pointer: &str, a: &[f64], b: &[f64]) -> Comparison {
    compare(&set(&reports(pointer, a)), &set(&reports(pointer, b)), Options::default()).unwrap()
}

fn metric<'a>(comparison: &'a Comparison, name: &str) -> &'a Metric {
    comparison.metrics.iter().find(|metric| metric.name == name).unwrap()
}

fn failed(verdict: &str) -> Value {
    report(&[("/passed", json!(false)), ("/verdict", json!(verdict))])
}

#[test]
fn identical_sets_are_the_same() {
    let values = [8.1, 7.9, 8.4, 8.0, 12.5];
    let comparison = of(P99, &values, &values);
    assert_eq!((comparison.verdict, comparison.regressed()), (Verdict::Same, false));
    let names: Vec<&str> = comparison.metrics.iter().map(|metric| metric.name.as_str()).collect();
    let latencies = ["delivery p50", "delivery p90", "delivery p99", "delivery p99.9", "delivery max"];
    assert_eq!(names[..5], latencies);
    assert_eq!(names[5..], ["achieved rate", "delivery rate", "linkup mean cores", "linkup peak memory"]);
    for metric in &comparison.metrics {
        assert_eq!(
            (metric.verdict, metric.p, metric.difference),
            (Verdict::Same, 1.0, 0.0),
            "{}",
            metric.name
        );
    }
    let judged: Vec<&str> =
        comparison.metrics.iter().filter(|metric| metric.judged).map(|metric| metric.name.as_str()).collect();
    assert_eq!(judged, ["delivery p50", "delivery p90", "delivery p99", "achieved rate"]);
}

#[test]
fn a_tenth_and_twenty_milliseconds_more_are_found() {
    let a = [200.0, 203.0, 198.0, 206.0, 199.0];
    let comparison = of(P99, &a, &a.map(|value| value * 1.1));
    let p99 = metric(&comparison, "delivery p99");
    assert!((p99.difference - 20.0).abs() < 1e-9 && (p99.relative.unwrap() - 0.1).abs() < 1e-9, "{p99:?}");
    let interval = p99.interval.unwrap();
    assert!(interval[0] > 0.0 && interval[0] < 20.0 && interval[1] > 20.0, "{interval:?}");
    assert_eq!((p99.verdict, comparison.regressed()), (Verdict::Regression, true));
    // And the other way round.
    let comparison = of(P99, &a.map(|value| value * 1.1), &a);
    assert_eq!(metric(&comparison, "delivery p99").verdict, Verdict::Improvement);
    assert_eq!((comparison.verdict, comparison.regressed()), (Verdict::Improvement, false));
}

#[test]
fn what_is_below_the_minimum_effect_is_the_same() {
    // A fifth, but one millisecond.
    let a = [5.0, 5.1, 4.9, 5.2, 5.05];
    let comparison = of(P50, &a, &a.map(|value| value + 1.0));
    let p50 = metric(&comparison, "delivery p50");
    assert!(p50.p < 0.05);
    assert_eq!((p50.verdict, comparison.verdict), (Verdict::Same, Verdict::Same));
    // Five milliseconds, but half a hundredth.
    let a = [1000.0, 1001.0, 999.0, 1002.0, 998.0];
    assert_eq!(of(P50, &a, &a.map(|value| value + 5.0)).verdict, Verdict::Same);
    // Both count only from the minimum that was asked for.
    let (a, b) = (reports(P50, &a), reports(P50, &a.map(|value| value + 5.0)));
    let options = Options { min_effect_ms: 4.0, min_effect_percent: 0.4 };
    assert!(compare(&set(&a), &set(&b), options).unwrap().regressed());
    let options = Options { min_effect_ms: 6.0, min_effect_percent: 0.4 };
    assert!(!compare(&set(&a), &set(&b), options).unwrap().regressed());
}

#[test]
fn runs_that_overlap_are_the_same_however_far_their_medians_are_apart() {
    let comparison = of(P99, &[100.0, 110.0, 120.0, 500.0, 510.0], &[105.0, 115.0, 400.0, 505.0, 515.0]);
    let p99 = metric(&comparison, "delivery p99");
    assert!(p99.difference > 200.0 && p99.p > 0.05);
    assert_eq!(comparison.verdict, Verdict::Same);
}

#[test]
fn three_runs_a_side_are_too_few_and_four_are_not() {
    let (a, b) = ([10.0, 11.0, 12.0, 13.0], [100.0, 110.0, 120.0, 130.0]);
    let comparison = of(P99, &a[..3], &b[..3]);
    assert_eq!((comparison.verdict, comparison.regressed()), (Verdict::Undecided, false));
    assert_eq!(metric(&comparison, "delivery p99").verdict, Verdict::Undecided);
    assert!(comparison.to_text().ends_with("Undecided: too few runs to tell.\n"));
    // Also where all runs of a side are equal.
    assert_eq!(of(P99, &[10.0; 3], &[100.0; 3]).verdict, Verdict::Undecided);
    assert!(of(P99, &a, &b).regressed());
    let single = of(P99, &a[..1], &b[..1]);
    assert_eq!((single.verdict, metric(&single, "delivery p99").interval), (Verdict::Undecided, None));
}

#[test]
fn less_throughput_is_worse() {
    let a = [2500.0, 2499.0, 2498.0, 2500.0, 2499.5];
    let comparison = of(ACHIEVED, &a, &a.map(|value| value * 0.9));
    assert_eq!(metric(&comparison, "achieved rate").verdict, Verdict::Regression);
    assert!(comparison.regressed());
    assert_eq!(of(ACHIEVED, &a, &a.map(|value| value * 1.1)).verdict, Verdict::Improvement);
    assert_eq!(of(ACHIEVED, &a, &a.map(|value| value * 0.995)).verdict, Verdict::Same);
    let comparison = of(ACHIEVED, &[100.0; 5], &[0.0; 5]);
    assert!(comparison.regressed() && metric(&comparison, "achieved rate").relative == Some(-1.0));
}

#[test]
fn what_does_not_decide_is_shown_and_does_not_decide() {
    for (pointer, name) in [
        ("/latencies/0/max", "delivery max"),
        ("/latencies/0/p999", "delivery p99.9"),
        ("/rates/deliveries", "delivery rate"),
        ("/resources/1/cores/1", "linkup mean cores"),
        ("/resources/1/residentBytes/1", "linkup peak memory"),
        ("/memoryPerConnectionBytes", "memory per connection"),
    ] {
        let (low, high) = ([1e8, 1.1e8, 1.2e8, 1.3e8], [2e8, 2.1e8, 2.2e8, 2.3e8]);
        let (a, b) = if name == "delivery rate" { (high, low) } else { (low, high) };
        let comparison = of(pointer, &a, &b);
        assert_eq!(metric(&comparison, name).verdict, Verdict::Regression, "{name}");
        assert_eq!(comparison.verdict, Verdict::Same, "{name}");
    }
}

#[test]
fn a_first_failed_run_is_a_regression() {
    let passed = || vec![report(&[]); 4];
    let with_failed = || [vec![failed("failed: 3 lost")], passed()].concat();
    let comparison =
        compare(&set(&[passed(), passed()].concat()), &set(&with_failed()), Options::default()).unwrap();
    assert_eq!((comparison.failed_runs, comparison.regressed()), (Verdict::Regression, true));
    assert_eq!(
        comparison.b.failed,
        [FailedRun { run: "run-01".to_owned(), verdict: "failed: 3 lost".to_owned() }]
    );
    let text = comparison.to_text();
    assert!(text.contains("Failed in B: run-01: failed: 3 lost\n"), "{text}");
    assert!(text.ends_with("Regression: B is worse in failed runs (1 of 5, in A 0 of 8).\n"), "{text}");
    // However few there are.
    let single = compare(&set(&[report(&[])]), &set(&[failed("failed")]), Options::default()).unwrap();
    assert!(single.regressed());
    let repaired = compare(&set(&with_failed()), &set(&passed()), Options::default()).unwrap();
    assert_eq!((repaired.failed_runs, repaired.verdict), (Verdict::Improvement, Verdict::Improvement));
}

#[test]
fn failed_runs_on_both_sides_are_compared() {
    let runs = |failures: usize, passes: usize| {
        set(&[vec![failed("failed"); failures], vec![report(&[]); passes]].concat())
    };
    let of = |a: &RunSet, b: &RunSet| compare(a, b, Options::default()).unwrap().failed_runs;
    assert_eq!(of(&runs(1, 4), &runs(2, 3)), Verdict::Same);
    assert_eq!(of(&runs(1, 4), &runs(5, 0)), Verdict::Regression);
    assert_eq!(of(&runs(5, 0), &runs(1, 4)), Verdict::Improvement);
    assert_eq!(of(&runs(1, 1), &runs(2, 0)), Verdict::Undecided);
    assert_eq!(of(&runs(2, 2), &runs(2, 2)), Verdict::Same);
}

#[test]
fn sets_of_other_loads_are_refused() {
    let other = labelled("other", &[report(&[("/parameters/users", json!(10))])]);
    let error = compare(&set(&[report(&[])]), &other, Options::default()).unwrap_err();
    assert!(matches!(&error, Error::Mixed { parameter, .. } if parameter == "users"), "{error}");
}

#[test]
fn sets_that_share_no_figure_that_decides_are_undecided() {
    let nothing = [("/latencies", json!([])), ("/rates/achieved", json!(0))];
    let runs = set(&vec![report(&nothing); 5]);
    let comparison = compare(&runs, &runs, Options::default()).unwrap();
    assert_eq!(comparison.verdict, Verdict::Undecided);
    assert!(comparison.to_text().ends_with("Undecided: nothing that decides is in both sets.\n"));
}

#[test]
fn it_is_told_to_programs_too() {
    let a = [200.0, 203.0, 198.0, 206.0, 199.0];
    let told = serde_json::to_value(of(P99, &a, &a.map(|value| value * 1.1))).unwrap();
    assert_eq!(told["verdict"], "regression");
    assert_eq!(told["failedRuns"], "same");
    assert_eq!(told["options"], json!({ "minEffectMs": 2.0, "minEffectPercent": 1.0 }));
    assert_eq!((&told["a"]["label"], &told["a"]["runs"]), (&json!("set"), &json!(5)));
    let p99 = &told["metrics"][2];
    assert_eq!(
        (&p99["name"], &p99["unit"], &p99["better"]),
        (&json!("delivery p99"), &json!("milliseconds"), &json!("lower"))
    );
    assert_eq!(
        (&p99["a"]["values"], &p99["a"]["median"], &p99["a"]["spread"]),
        (&json!(a), &json!(200.0), &json!([198.0, 206.0]))
    );
    assert_eq!(p99["verdict"], "regression");
}
