//! The text exposition format, version 0.0.4, for metrics that render themselves.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::LabelPair;
use super::atomic::Reading;
use super::buckets::SECONDS;

/// What an answer with metrics says of itself.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics that are being rendered. Series of one metric stand together, whoever adds them.
#[derive(Debug, Default)]
pub struct Exposition {
    families: BTreeMap<&'static str, Family>,
}

#[derive(Debug)]
struct Family {
    kind: &'static str,
    help: &'static str,
    lines: String,
}

impl Exposition {
    /// Adds a counter's series.
    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: &[LabelPair], value: f64) {
        let family = self.family(name, "counter", help);
        line(&mut family.lines, name, "", labels, None, value);
    }

    /// Adds a gauge's series.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: &[LabelPair], value: f64) {
        let family = self.family(name, "gauge", help);
        line(&mut family.lines, name, "", labels, None, value);
    }

    /// Adds a histogram's series, with the bounds [`SECONDS`].
    pub fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[LabelPair],
        reading: &Reading,
    ) {
        let lines = &mut self.family(name, "histogram", help).lines;
        let bounds = SECONDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(reading.cumulative) {
            line(lines, name, "_bucket", labels, Some(&bound), count as f64);
        }
        line(lines, name, "_sum", labels, None, reading.sum);
        line(lines, name, "_count", labels, None, reading.cumulative[SECONDS.len()] as f64);
    }

    fn family(&mut self, name: &'static str, kind: &'static str, help: &'static str) -> &mut Family {
        self.families.entry(name).or_insert_with(|| Family { kind, help, lines: String::new() })
    }

    /// Appends everything to `text`.
    pub fn write(self, text: &mut String) {
        for (name, Family { kind, help, lines }) in self.families {
            // Writing to a string cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
        }
    }
}

fn line(lines: &mut String, name: &str, suffix: &str, labels: &[LabelPair], bound: Option<&str>, value: f64) {
    lines.push_str(name);
    lines.push_str(suffix);
    let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
    for (n, (label, value)) in all.enumerate() {
        lines.push(if n == 0 { '{' } else { ',' });
        let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = write!(lines, "{label}=\"{value}\"");
    }
    if !labels.is_empty() || bound.is_some() {
        lines.push('}');
    }
    let _ = writeln!(lines, " {value}");
}

/// The value of the first series in `text` with this name and these labels, and perhaps others. For tests.
#[must_use]
pub fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (given, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let is_there = |(label, value): &(&str, &str)| {
            let pair = format!("{label}=\"{value}\"");
            given.split(',').any(|given| given == pair)
        };
        labels.iter().all(is_there).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_metric_stand_together() {
        let mut own = Exposition::default();
        own.gauge("b", "Bees", &[("kind", "a\"b")], 1.0);
        own.counter("a_total", "As", &[], 0.5);
        own.gauge("b", "Bees", &[("kind", "c"), ("x", "y")], 2.0);
        let mut text = String::new();
        own.write(&mut text);
        let expected = "# HELP a_total As\n# TYPE a_total counter\na_total 0.5\n# HELP b Bees\n# TYPE b gauge\n\
                        b{kind=\"a\\\"b\"} 1\nb{kind=\"c\",x=\"y\"} 2\n";
        assert_eq!(text, expected);
        assert_eq!(value(&text, "b", &[("x", "y")]), Some(2.0));
        assert_eq!(value(&text, "a_total", &[]), Some(0.5));
        assert_eq!(value(&text, "b", &[("x", "z")]), None);
    }
}
