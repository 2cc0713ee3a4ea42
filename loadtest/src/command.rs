//! Carrying out the command line.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{Command, CompareOptions, Output};
use crate::compare::{self, RunSet, compare};
use crate::console::Console;
use crate::error::Error;
use crate::find_max;
use crate::interrupt::Interrupt;
use crate::plan::Plan;
use crate::report::{Report, files};
use crate::run::{self, Ran};

/// Does what the command line says, and tells whether the verdict is good.
///
/// # Errors
///
/// When it cannot be done.
pub async fn run(command: Command) -> Result<bool, Error> {
    if let Command::Compare(options) = &command {
        return compared(options);
    }
    let Some(planned) = command.plan() else { return Ok(true) };
    let (plan, output) = planned?;
    let interrupt = Interrupt::on_signals().map_err(Error::Signals)?;
    carry_out(&plan, &output, &interrupt).await.map(|(passed, _)| passed)
}

/// Runs a plan, or looks for the most of it, and leaves the results. Whether the verdict is good, and where the results
/// are.
///
/// # Errors
///
/// When the run cannot take place, or its results cannot be written.
pub async fn carry_out(
    plan: &Plan,
    output: &Output,
    interrupt: &Interrupt,
) -> Result<(bool, Option<std::path::PathBuf>), Error> {
    let mut console = Console::new(output.json);
    let (ran, passed, search) = if output.find_max {
        let (searched, ran) = find_max::run(plan, output.search(), &mut console, interrupt).await?;
        (ran, searched.passed(), Some(json!(searched)))
    } else {
        let ran = run::run(plan, &mut console, interrupt).await?;
        let passed = ran.report.passed;
        (Some(ran), passed, None)
    };
    let Some(Ran { mut report, histograms }) = ran else {
        // A search that was interrupted before its first run.
        console.say(format_args!("{}", search.map_or(Value::Null, |search| search["verdict"].clone())));
        return Ok((false, None));
    };
    if let Some(search) = search {
        report.passed = passed;
        report.verdict = search["verdict"].as_str().unwrap_or_default().to_owned();
        report.search = Some(search);
    }
    if output.json {
        println!("{}", line(&report));
    } else {
        summarise(&report, &mut console);
    }
    let folder = match output.folder() {
        Some(under) => {
            let folder = files::folder(&under, &report)?;
            let page = files::write(&folder, &report, &histograms)?;
            console.say(format_args!("report: {}", page.display()));
            Some(folder)
        }
        None => None,
    };
    Ok((passed, folder))
}

/// The report on one line, without what is for pictures.
fn line(report: &Report) -> Value {
    let mut value = json!(report);
    if let Value::Object(members) = &mut value {
        for name in ["series", "resources", "histograms", "host"] {
            members.remove(name);
        }
        if let Some(Value::Array(latencies)) = members.get_mut("latencies") {
            for latency in latencies.iter_mut().filter_map(Value::as_object_mut) {
                latency.remove("byPercentile");
            }
        }
    }
    value
}

fn summarise(report: &Report, console: &mut Console) {
    for latency in &report.latencies {
        let p = latency.corrected;
        console.say(format_args!(
            "{:>16}: p50 {:.1}, p90 {:.1}, p99 {:.1}, p99.9 {:.1}, max {:.1} ms ({} of them)",
            latency.name, p.p50, p.p90, p.p99, p.p999, p.max, p.count
        ));
    }
    if let Some(bytes) = report.memory_per_connection_bytes {
        console.say(format_args!("{bytes:.0} bytes of resident memory per connection"));
    }
    let rates = &report.rates;
    if rates["offered"] > 0.0 {
        console.say(format_args!(
            "{:.0} messages/s acknowledged of {:.0} asked for, {:.0} arrivals/s; the harness used {:.2} cores and was \
             {:.1} ms late (p99)",
            rates["achieved"], rates["offered"], rates["deliveries"], report.harness.cores, report.harness.late_ms.p99
        ));
    }
    console.say(format_args!("{}", report.verdict));
}

fn compared(options: &CompareOptions) -> Result<bool, Error> {
    let usage = |error: compare::Error| Error::Usage(error.to_string());
    let read = |path: &Path| RunSet::read(path, path.display().to_string()).map_err(usage);
    let (a, b) = (read(&options.a)?, read(&options.b)?);
    let least = compare::Options {
        min_effect_ms: options.min_effect_ms,
        min_effect_percent: options.min_effect_percent,
    };
    let comparison = compare(&a, &b, least).map_err(usage)?;
    if options.json {
        println!("{}", json!(comparison));
    } else {
        print!("{}", comparison.to_text());
    }
    if let Some(path) = &options.html {
        std::fs::write(path, comparison.to_html())
            .map_err(|error| Error::Output { path: path.clone(), problem: error.to_string() })?;
    }
    Ok(!comparison.regressed())
}
