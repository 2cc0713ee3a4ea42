//! The folder of a run: what programs read, and what people do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use super::{COLUMNS, Cell, Report};
use crate::error::Error;
use crate::recorder::Latency;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const WORDS: &str = include_str!("words.js");
const PLOTS: &str = include_str!("plots.js");
const TABLES: &str = include_str!("tables.js");
const SCRIPT: &str = include_str!("page.js");
const UPLOT: &str = include_str!("../../assets/uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("../../assets/uplot/uPlot.min.css");

/// The folder of a run that began at a time: `under/SCENARIO-TIME`, and a number behind it where there is one already.
///
/// # Errors
///
/// When it cannot be made.
pub fn folder(under: &Path, report: &Report) -> Result<PathBuf, Error> {
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    let time: String =
        report.started_at.chars().filter(|c| c.is_ascii_digit() || *c == 'T').take(15).collect();
    let name: String = report.scenario.chars().map(kept).collect::<String>() + "-" + &time;
    let failed =
        |path: &Path, error: &io::Error| Error::Output { path: path.to_owned(), problem: error.to_string() };
    fs::create_dir_all(under).map_err(|error| failed(under, &error))?;
    let mut path = under.join(&name);
    for number in 2.. {
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                path = under.join(format!("{name}-{number}"))
            }
            Err(error) => return Err(failed(&path, &error)),
            Ok(()) => break,
        }
    }
    Ok(path)
}

/// Writes everything into a folder that is there. Returns the path of the page.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(
    folder: &Path,
    report: &Report,
    histograms: &[(Latency, Histogram<u64>)],
) -> Result<PathBuf, Error> {
    let put = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        let written = fs::write(&path, content);
        written.map_err(|error| Error::Output { path, problem: error.to_string() })
    };
    put("report.json", &json(report, true))?;
    put("series.csv", csv(report).as_bytes())?;
    put("junit.xml", junit(report).as_bytes())?;
    put("latency.hlog", &log(report, histograms))?;
    put("report.html", page(report).as_bytes())?;
    Ok(folder.join("report.html"))
}

fn json(report: &Report, pretty: bool) -> Vec<u8> {
    let written = if pretty { serde_json::to_vec_pretty(report) } else { serde_json::to_vec(report) };
    // Invariant: plain structs of numbers and texts always serialise.
    written.expect("a report is JSON")
}

/// A histogram as `report.json` and `latency.hlog` have it.
#[must_use]
pub fn encoded(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    // Invariant: writing to memory does not fail.
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).expect("a histogram in memory");
    STANDARD.encode(bytes)
}

fn log(report: &Report, histograms: &[(Latency, Histogram<u64>)]) -> Vec<u8> {
    let (mut log, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let phase = |name| Duration::from_secs_f64(report.phases.get(name).copied().unwrap_or_default());
    let start = phase("connectS") + phase("warmupS");
    let comment = format!("LinkUp loadtest, scenario {}, microseconds", report.scenario);
    // Invariant: writing to memory does not fail.
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment(&comment)
        .with_base_time(SystemTime::now())
        .with_max_value_divisor(1_000.0)
        .begin_log_with(&mut log, &mut serializer)
        .expect("a log in memory");
    for (latency, histogram) in histograms {
        // A tag is a name of letters only, and writing to memory does not fail.
        let written =
            writer.write_histogram(histogram, start, phase("measuredS"), Tag::new(latency.as_str()));
        debug_assert!(written.is_ok(), "a histogram in memory");
    }
    log
}

fn csv(report: &Report) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    for row in &report.series.rows {
        let cells = row.iter().map(|cell| match cell {
            Cell::Count(count) => count.to_string(),
            Cell::Number(number) => number.to_string(),
            Cell::Name(name) => (*name).to_owned(),
            Cell::Nothing => String::new(),
        });
        text.push_str(&cells.collect::<Vec<_>>().join(","));
        text.push('\n');
    }
    text
}

fn junit(report: &Report) -> String {
    let failures = report.checks.iter().filter(|check| !check.passed).count();
    let seconds: f64 = report.phases.values().sum();
    let (suite, tests) = (escaped(&format!("loadtest {}", report.scenario)), report.checks.len());
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{suite}\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"0\" skipped=\"0\" time=\"{seconds:.3}\" timestamp=\"{}\">\n",
        escaped(&report.started_at)
    );
    for check in &report.checks {
        let name = escaped(&format!("{} at most {}", check.name, check.limit));
        text.push_str(&format!("<testcase classname=\"loadtest.{}\" name=\"{name}\" time=\"0\"", check.kind));
        if check.passed {
            text.push_str("/>\n");
        } else {
            let (message, body) = (escaped(&check.words()), escaped(&check.examples.join("\n")));
            text.push_str(&format!("><failure message=\"{message}\">{body}</failure></testcase>\n"));
        }
    }
    text + "</testsuite>\n</testsuites>\n"
}

/// Text inside HTML or XML. What XML cannot hold at all is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

fn page(report: &Report) -> String {
    // The page draws from what is in the report; the histograms are for programs.
    let shown = Report { histograms: std::collections::BTreeMap::new(), ..report.clone() };
    let data = String::from_utf8_lossy(&json(&shown, false)).replace('<', "\\u003c");
    let title = escaped(&format!("Load test: {} ({})", report.scenario, report.verdict));
    let style = format!("{UPLOT_STYLE}\n{STYLE}");
    let script = format!("{WORDS}\n{PLOTS}\n{TABLES}\n{SCRIPT}");
    let parts =
        [("title", &*title), ("style", &style), ("uplot", UPLOT), ("script", &script), ("data", &data)];
    let mut page =
        String::with_capacity(PAGE.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>());
    // In one pass: a placeholder in what is filled in stays what it is.
    let mut rest = PAGE;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, after)| Some((before, after.split_once("}}")?)))
    {
        page.push_str(before);
        page.push_str(parts.iter().find(|(known, _)| *known == name).map_or("", |(_, part)| part));
        rest = after;
    }
    page + rest
}
