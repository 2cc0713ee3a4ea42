//! Numbers and findings in words, for the table and for the page.

use super::metrics::Unit;
use super::{Comparison, Metric, Options, Side, Verdict};

/// Beyond this a change in percent is no longer written out.
const MOST_PERCENT: f64 = 9999.0;

const BYTES: [(f64, &str); 4] =
    [(1024.0 * 1024.0 * 1024.0, " GiB"), (1024.0 * 1024.0, " MiB"), (1024.0, " KiB"), (1.0, " B")];

/// How numbers of one size are written.
#[derive(Clone, Copy)]
struct Scale {
    divisor: f64,
    decimals: usize,
    suffix: &'static str,
}

impl Scale {
    /// For numbers up to `largest`.
    fn of(unit: Unit, largest: f64) -> Self {
        let largest = largest.abs();
        let (divisor, suffix) = match unit {
            Unit::Milliseconds => (1.0, " ms"),
            Unit::PerSecond => (1.0, "/s"),
            Unit::Cores => (1.0, " cores"),
            Unit::Bytes => BYTES.into_iter().find(|(size, _)| largest >= *size).unwrap_or((1.0, " B")),
        };
        let decimals = match largest / divisor {
            whole if suffix == " B" && whole.fract() == 0.0 => 0,
            small if small < 10.0 => 2,
            middle if middle < 100.0 => 1,
            _ => 0,
        };
        Self { divisor, decimals, suffix }
    }

    fn number(self, value: f64) -> String {
        grouped(&format!("{:.*}", self.decimals, value / self.divisor))
    }

    fn signed(self, value: f64) -> String {
        with_sign(&grouped(&format!("{:+.*}", self.decimals, value / self.divisor)))
    }
}

/// With a comma between thousands.
fn grouped(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let mut grouped = String::with_capacity(number.len() + whole / 3);
    for (index, character) in number.char_indices() {
        let left = whole.saturating_sub(index);
        if left > 0 && left % 3 == 0 && grouped.ends_with(|before: char| before.is_ascii_digit()) {
            grouped.push(',');
        }
        grouped.push(character);
    }
    grouped
}

/// Zero has none.
fn with_sign(number: &str) -> String {
    let is_zero = !number.contains(|character: char| ('1'..='9').contains(&character));
    if is_zero { number.trim_start_matches(['+', '-']).to_owned() } else { number.to_owned() }
}

pub(super) fn number(unit: Unit, value: f64) -> String {
    let scale = Scale::of(unit, value);
    scale.number(value) + scale.suffix
}

pub(super) fn difference(unit: Unit, value: f64) -> String {
    let scale = Scale::of(unit, value);
    scale.signed(value) + scale.suffix
}

pub(super) fn relative(share: Option<f64>) -> String {
    match share.map(|share| share * 100.0) {
        None => "-".to_owned(),
        Some(percent) if percent > MOST_PERCENT => format!("> {MOST_PERCENT:.0} %"),
        Some(percent) if percent.abs() < 100.0 => with_sign(&format!("{percent:+.1}")) + " %",
        Some(percent) => format!("{percent:+.0} %"),
    }
}

pub(super) fn probability(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

pub(super) fn interval(unit: Unit, interval: Option<[f64; 2]>) -> String {
    interval.map_or_else(
        || "-".to_owned(),
        |[low, high]| {
            let scale = Scale::of(unit, low.abs().max(high.abs()));
            format!("{} … {}{}", scale.signed(low), scale.signed(high), scale.suffix)
        },
    )
}

pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Regression => "regression",
        Verdict::Improvement => "improvement",
        Verdict::Same => "same",
        Verdict::Undecided => "undecided",
    }
}

pub(super) fn runs(side: &Side) -> String {
    format!("{} {}", side.runs, if side.runs == 1 { "run" } else { "runs" })
}

pub(super) fn failed(side: &Side) -> String {
    format!("{} of {}", side.failed.len(), side.runs)
}

pub(super) fn minimum_effect(options: Options) -> String {
    let Options { min_effect_ms, min_effect_percent } = options;
    format!("{min_effect_percent} %, and for latencies {min_effect_ms} ms besides")
}

/// The outcome in one sentence.
pub(super) fn headline(comparison: &Comparison) -> String {
    match comparison.verdict {
        Verdict::Regression => {
            format!("Regression: B is worse in {}.", found(comparison, Verdict::Regression))
        }
        Verdict::Improvement => {
            format!(
                "Improvement: B is better in {}, and worse in nothing that decides.",
                found(comparison, Verdict::Improvement)
            )
        }
        Verdict::Same => "Same: no difference was shown in anything that decides.".to_owned(),
        Verdict::Undecided if comparison.metrics.iter().any(|metric| metric.judged) => {
            "Undecided: too few runs to tell.".to_owned()
        }
        Verdict::Undecided => "Undecided: nothing that decides is in both sets.".to_owned(),
    }
}

/// What decided so.
fn found(comparison: &Comparison, verdict: Verdict) -> String {
    let metrics = comparison.metrics.iter().filter(|metric| metric.judged && metric.verdict == verdict);
    let mut all: Vec<String> = metrics.map(change).collect();
    if comparison.failed_runs == verdict {
        all.insert(0, format!("failed runs ({}, in A {})", failed(&comparison.b), failed(&comparison.a)));
    }
    all.join(", ")
}

fn change(metric: &Metric) -> String {
    format!("{} ({}, {})", metric.name, difference(metric.unit, metric.difference), relative(metric.relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_so_and_a_unit() {
        for (unit, value, expected) in [
            (Unit::Milliseconds, 3.456, "3.46 ms"),
            (Unit::Milliseconds, 34.56, "34.6 ms"),
            (Unit::Milliseconds, 1_234_567.8, "1,234,568 ms"),
            (Unit::PerSecond, 2499.1, "2,499/s"),
            (Unit::Cores, 0.914, "0.91 cores"),
            (Unit::Bytes, 0.0, "0 B"),
            (Unit::Bytes, 512.0, "512 B"),
            (Unit::Bytes, 1612.5, "1.57 KiB"),
            (Unit::Bytes, 50.0 * 1024.0 * 1024.0, "50.0 MiB"),
            (Unit::Bytes, 3.5 * 1024.0 * 1024.0 * 1024.0, "3.50 GiB"),
        ] {
            assert_eq!(number(unit, value), expected);
        }
    }

    #[test]
    fn differences_have_a_sign_unless_they_are_zero() {
        assert_eq!(difference(Unit::Milliseconds, 20.0), "+20.0 ms");
        assert_eq!(difference(Unit::PerSecond, -1234.0), "-1,234/s");
        assert_eq!(difference(Unit::PerSecond, -123.0), "-123/s");
        assert_eq!(difference(Unit::Milliseconds, -0.001), "0.00 ms");
        assert_eq!(relative(Some(0.1)), "+10.0 %");
        assert_eq!(relative(Some(-0.0)), "0.0 %");
        assert_eq!(relative(Some(12.3)), "+1230 %");
        assert_eq!(relative(Some(1e9)), "> 9999 %");
        assert_eq!(relative(None), "-");
    }

    #[test]
    fn intervals_have_one_unit() {
        assert_eq!(interval(Unit::Milliseconds, Some([-0.1, 30.0])), "-0.1 … +30.0 ms");
        assert_eq!(interval(Unit::Bytes, Some([-512.0, 2048.0])), "-0.50 … +2.00 KiB");
        assert_eq!(interval(Unit::Cores, None), "-");
    }

    #[test]
    fn probabilities_are_not_zero() {
        assert_eq!((probability(0.0285714), probability(1e-9)), ("0.029".to_owned(), "<0.001".to_owned()));
    }
}
