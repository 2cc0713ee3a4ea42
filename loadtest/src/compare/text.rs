//! The table for a terminal.

use super::format;
use super::{Comparison, Metric, Side};

/// A line is no longer than this.
const WIDTH: usize = 120;
const NAME: usize = 27;

pub(super) fn table(comparison: &Comparison) -> String {
    let mut lines = vec![
        format!("Scenario {}", comparison.scenario),
        format!("A  {}: {}", comparison.a.label, format::runs(&comparison.a)),
        format!("B  {}: {}", comparison.b.label, format::runs(&comparison.b)),
        String::new(),
        row(["", "A", "B", "B less A", "", "p", "95 % interval", "verdict"]),
        "These decide:".to_owned(),
        row([
            "failed runs",
            &format::failed(&comparison.a),
            &format::failed(&comparison.b),
            "",
            "",
            "",
            "",
            format::verdict(comparison.failed_runs),
        ]),
    ];
    lines.extend(comparison.metrics.iter().filter(|metric| metric.judged).map(row_of));
    let mut others = comparison.metrics.iter().filter(|metric| !metric.judged).peekable();
    if others.peek().is_some() {
        lines.push("These do not decide:".to_owned());
        lines.extend(others.map(row_of));
    }
    lines.push(String::new());
    lines.push(format!(
        "Medians over the runs. What counts: p < 0.05 and more than {}.",
        format::minimum_effect(comparison.options)
    ));
    for (name, side) in [("A", &comparison.a), ("B", &comparison.b)] {
        lines.extend(failures(name, side));
    }
    lines.extend(comparison.notes.iter().map(|note| format!("Note: {note}")));
    lines.push(format::headline(comparison));
    let mut text = String::new();
    for line in lines {
        for part in wrapped(&printable(&line)) {
            text.push_str(part.trim_end());
            text.push('\n');
        }
    }
    text
}

fn failures(name: &str, side: &Side) -> Vec<String> {
    side.failed.iter().map(|failed| format!("Failed in {name}: {}: {}", failed.run, failed.verdict)).collect()
}

fn row_of(metric: &Metric) -> String {
    row([
        &metric.name,
        &format::number(metric.unit, metric.a.summary.median),
        &format::number(metric.unit, metric.b.summary.median),
        &format::difference(metric.unit, metric.difference),
        &format::relative(metric.relative),
        &format::probability(metric.p),
        &format::interval(metric.unit, metric.interval),
        format::verdict(metric.verdict),
    ])
}

fn row([name, a, b, difference, relative, p, interval, verdict]: [&str; 8]) -> String {
    let name = shortened(name);
    format!("{name:<NAME$} {a:>11} {b:>11} {difference:>12} {relative:>9} {p:>6} {interval:>25}  {verdict}")
}

/// From the middle: figures of one process differ at the end.
fn shortened(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME {
        return name.to_owned();
    }
    let half = NAME / 2;
    name.chars().take(half).chain(['…']).chain(name.chars().skip(length - half)).collect()
}

/// Labels, verdicts and names of processes come from elsewhere: nothing in them may steer the terminal.
fn printable(line: &str) -> String {
    line.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// Breaks what is too long after a space, or anywhere if there is none.
fn wrapped(line: &str) -> Vec<String> {
    let mut rest: Vec<char> = line.chars().collect();
    let mut parts = Vec::new();
    while rest.len() > WIDTH {
        let space = rest[..WIDTH].iter().rposition(|character| *character == ' ').filter(|space| *space > 2);
        let after = rest.split_off(space.map_or(WIDTH, |space| space + 1));
        parts.push(rest.iter().collect());
        rest = "  ".chars().chain(after).collect();
    }
    parts.push(rest.iter().collect());
    parts
}

#[cfg(test)]
mod tests {
    use super::super::samples::{labelled, report, reports};
    use super::super::{Options, compare};
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_is_aligned_and_says_what_decides() {
        let a = labelled("main", &reports("/latencies/0/p99", &[200.0, 203.0, 198.0, 201.0, 199.0]));
        let b = labelled("branch", &reports("/latencies/0/p99", &[225.0, 222.0, 224.0, 221.0, 223.0]));
        let text = compare(&a, &b, Options::default()).unwrap().to_text();
        let line = |start: &str| {
            text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"))
        };
        let p99 = line("delivery p99 ");
        for part in [" 200 ms ", " 223 ms ", " +23.0 ms ", " +11.5 % ", " 0.008 ", "  regression"] {
            assert!(p99.contains(part), "{part} is not in {p99}");
        }
        let verdicts = line("    ").find("verdict");
        assert_eq!(p99.find("regression").map(|at| p99[..at].chars().count()), verdicts);
        assert!(text.find("These decide") < text.find("delivery p99 "));
        assert!(text.find("delivery p99 ") < text.find("These do not decide"));
        assert!(text.find("These do not decide") < text.find("delivery p99.9"));
        assert!(text.find("These do not decide") < text.find("linkup peak memory"));
        assert!(text.ends_with("Regression: B is worse in delivery p99 (+23.0 ms, +11.5 %).\n"), "{text}");
    }

    #[test]
    fn no_line_is_too_long_and_none_steers_the_terminal() {
        let long = "a process\u{1b}[2J with a long name ".repeat(9);
        let runs = [report(&[
            ("/resources/1/name", json!(long)),
            ("/passed", json!(false)),
            ("/verdict", json!("lost".repeat(99))),
            ("/latencies/0/max", json!(9_999_999.0)),
            ("/resources/1/residentBytes", json!([0, 99_999_999_999_u64])),
        ])];
        let passed = report(&[("/resources/1/name", json!(long))]);
        let (a, b) = (labelled("\u{1b}[31m\r\n", &[passed]), labelled(&"wide ".repeat(99), &runs));
        let text = compare(&a, &b, Options::default()).unwrap().to_text();
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert!(!text.contains(|character: char| character.is_control() && character != '\n'), "{text}");
        assert!(text.contains("…e  mean cores ") && text.contains("…  peak memory "), "{text}");
        assert!(text.contains("lostlost") && text.contains("Failed in B: run-01:\n"), "{text}");
    }
}
