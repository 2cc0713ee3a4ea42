//! `loadtest`: see [`loadtest::cli`].

use std::process::ExitCode;

use clap::Parser;
use loadtest::cli::{Cli, Scenario};
use loadtest::interrupt::Interrupt;
use loadtest::report::Progress;
use loadtest::{Error, chat, find_max, idle};
use serde::Serialize;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the scenario, prints its results, and tells whether the verdict is good.
async fn run(cli: Cli) -> Result<bool, Error> {
    let interrupt = Interrupt::on_signals().map_err(Error::Signals)?;
    match cli.scenario {
        Scenario::Chat(options) if options.find_max => {
            let report = find_max::run(&options, Progress::new(options.json), &interrupt).await?;
            print(&report);
            Ok(report.passed())
        }
        Scenario::Chat(options) => {
            let report = chat::run(&options, Progress::new(options.json), &interrupt).await?;
            print(&report);
            Ok(report.passed())
        }
        Scenario::Idle(options) => {
            let report = idle::run(&options, Progress::new(options.json), &interrupt).await?;
            print(&report);
            Ok(report.passed())
        }
    }
}

fn print(report: &impl Serialize) {
    match serde_json::to_string(report) {
        Ok(line) => println!("{line}"),
        // Plain structs of numbers and texts always serialise.
        Err(error) => eprintln!("loadtest: the results cannot be printed: {error}"),
    }
}
