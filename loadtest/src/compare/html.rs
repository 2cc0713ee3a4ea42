//! The page.

use std::fmt::Write as _;

use super::format;
use super::{Comparison, Metric, Side};

const PAGE: &str = include_str!("page.html");

const HEAD: &str = "<thead><tr><th scope=\"col\">Figure</th><th scope=\"col\">A</th><th scope=\"col\">B</th>\
    <th scope=\"col\">B less A</th><th scope=\"col\"></th><th scope=\"col\">p</th><th scope=\"col\">95 % interval</th>\
    <th scope=\"col\">Runs</th><th scope=\"col\">Verdict</th></tr></thead>";

pub(super) fn page(comparison: &Comparison) -> String {
    let (a, b) = (&comparison.a, &comparison.b);
    let verdict_of_failed = format::verdict(comparison.failed_runs);
    fill(
        PAGE,
        &[
            ("title", escaped(&format!("{} and {} compared", a.label, b.label))),
            ("scenario", escaped(&comparison.scenario)),
            ("verdict", format::verdict(comparison.verdict).to_owned()),
            ("headline", escaped(&format::headline(comparison))),
            ("label_a", escaped(&a.label)),
            ("label_b", escaped(&b.label)),
            ("runs_a", format::runs(a)),
            ("runs_b", format::runs(b)),
            ("failed_a", a.failed.len().to_string()),
            ("failed_b", b.failed.len().to_string()),
            ("share_a", format::failed(a)),
            ("share_b", format::failed(b)),
            ("verdict_of_failed", verdict_of_failed.to_owned()),
            ("failures", list("Failed runs", [failures("A", a), failures("B", b)].concat())),
            ("notes", list("Before you believe it", comparison.notes.clone())),
            ("head", HEAD.to_owned()),
            ("judged", rows(comparison, true)),
            ("others", others(comparison)),
            ("minimum_effect", escaped(&format::minimum_effect(comparison.options))),
        ],
    )
}

/// Puts the values in place of their names in one pass, so that nothing in a value is taken for a name.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, from)) = rest.split_once("{{") {
        filled.push_str(before);
        let (name, after) = from.split_once("}}").expect("each name in the template ends");
        let (_, value) =
            values.iter().find(|(known, _)| *known == name).expect("each name in the template has a value");
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    filled
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn failures(name: &str, side: &Side) -> Vec<String> {
    side.failed.iter().map(|failed| format!("{name}, {}: {}", failed.run, failed.verdict)).collect()
}

/// Nothing if there is nothing to list.
fn list(title: &str, items: Vec<String>) -> String {
    if items.is_empty() {
        return String::new();
    }
    let items: String = items.iter().map(|item| format!("<li>{}</li>", escaped(item))).collect();
    format!("<section><h2>{title}</h2><ul>{items}</ul></section>")
}

fn others(comparison: &Comparison) -> String {
    let rows = rows(comparison, false);
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<section><h2>What is shown and does not decide</h2>\
         <div class=\"wide\"><table>{HEAD}<tbody>{rows}</tbody></table></div></section>"
    )
}

fn rows(comparison: &Comparison, judged: bool) -> String {
    comparison.metrics.iter().filter(|metric| metric.judged == judged).map(row).collect()
}

fn row(metric: &Metric) -> String {
    let cells = [
        format::number(metric.unit, metric.a.summary.median),
        format::number(metric.unit, metric.b.summary.median),
        format::difference(metric.unit, metric.difference),
        format::relative(metric.relative),
        format::probability(metric.p),
        format::interval(metric.unit, metric.interval),
    ];
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
    let verdict = format::verdict(metric.verdict);
    format!(
        "<tr><th scope=\"row\">{}</th>{cells}<td>{}</td><td class=\"{verdict}\">{verdict}</td></tr>\n",
        escaped(&metric.name),
        plot(metric)
    )
}

/// A dot for each run: those of A above those of B, on one scale from the lowest to the highest of all.
fn plot(metric: &Metric) -> String {
    const WIDTH: f64 = 240.0;
    const MARGIN: f64 = 8.0;
    let [low_a, high_a] = metric.a.summary.spread;
    let [low_b, high_b] = metric.b.summary.spread;
    let (low, high) = (low_a.min(low_b), high_a.max(high_b));
    let x = |value: f64| {
        // All runs alike: in the middle.
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        MARGIN + share * (WIDTH - 2.0 * MARGIN)
    };
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} 52\" role=\"img\" aria-label=\"{}\">", escaped(&metric.name));
    for (class, y, side) in [("a", 9, &metric.a), ("b", 27, &metric.b)] {
        // Writing into a string cannot fail.
        let _ = write!(svg, "<line x1=\"0\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/>");
        let median = x(side.summary.median) - 1.0;
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{median:.1}\" y=\"{}\" width=\"2\" height=\"16\"/>",
            y - 8
        );
        for value in &side.values {
            let title = escaped(&format::number(metric.unit, *value));
            let _ = write!(
                svg,
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{y}\" r=\"4\"><title>{title}</title></circle>",
                x(*value)
            );
        }
    }
    let _ = write!(svg, "<text x=\"0\" y=\"48\">{}</text>", escaped(&format::number(metric.unit, low)));
    if high > low {
        let high = escaped(&format::number(metric.unit, high));
        let _ = write!(svg, "<text x=\"{WIDTH}\" y=\"48\" text-anchor=\"end\">{high}</text>");
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::super::samples::{labelled, report, reports};
    use super::super::{Options, compare};
    use serde_json::json;

    const SCRIPT: &str = "<script>alert(\"1\")</script>&'{{judged}}";

    #[test]
    fn nothing_from_elsewhere_is_markup() {
        let run = report(&[
            ("/passed", json!(false)),
            ("/verdict", json!(SCRIPT)),
            ("/scenario", json!(SCRIPT)),
            ("/resources/1/name", json!(SCRIPT)),
            ("/latencies/0/name", json!(SCRIPT)),
        ]);
        let runs = vec![run; 2];
        let page = compare(&labelled(SCRIPT, &runs), &labelled(SCRIPT, &runs), Options::default())
            .unwrap()
            .to_html();
        assert!(!page.contains("<script") && !page.contains("alert(\""), "{page}");
        let escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;{{judged}}";
        // In the title (twice, of both labels), for each label, the scenario, each failed run, and the name of each
        // figure (five of the latency, two of the process) in its row and its plot.
        assert_eq!(page.matches(escaped).count(), 4 + 2 + 1 + 4 + 14, "{page}");
    }

    #[test]
    fn the_page_needs_nothing_and_shows_each_run() {
        let a = labelled("main", &reports("/latencies/0/p99", &[200.0, 203.0, 198.0, 201.0, 199.0]));
        let b = labelled("branch", &reports("/latencies/0/p99", &[225.0, 222.0, 224.0, 221.0, 223.0]));
        let page = compare(&a, &b, Options::default()).unwrap().to_html();
        assert!(!page.contains("{{") && !page.contains("}}"), "{page}");
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        let start = page.find("<th scope=\"row\">delivery p99</th>").unwrap();
        let row = &page[start..start + page[start..].find("</tr>").unwrap()];
        assert_eq!(row.matches("<circle class=\"a\"").count(), 5, "{row}");
        assert_eq!(row.matches("<circle class=\"b\"").count(), 5, "{row}");
        // The lowest of all runs and the highest are at the ends of the scale.
        assert!(row.contains("cx=\"8.0\"") && row.contains("cx=\"232.0\""), "{row}");
        assert!(row.contains("<td class=\"regression\">regression</td>"), "{row}");
        assert!(page.contains("<section class=\"headline regression\">"), "{page}");
        assert!(page.find("What decides") < page.find("What is shown and does not decide"));
        assert!(!page.contains("Failed runs"), "{page}");
    }

    #[test]
    fn numbers_of_runs_that_are_all_alike_are_in_the_middle() {
        let set = labelled("set", &reports("/latencies/0/p99", &[5.0; 4]));
        let page = compare(&set, &set, Options::default()).unwrap().to_html();
        assert!(page.contains("cx=\"120.0\"") && !page.contains("NaN"), "{page}");
    }
}
