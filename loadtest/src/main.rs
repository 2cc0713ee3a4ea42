//! `loadtest`: see [`loadtest::cli`].

use std::process::ExitCode;

use clap::Parser;
use loadtest::cli::{Cli, Command};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Worker => match loadtest::crew::worker::run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("loadtest worker: {error}");
                ExitCode::from(2)
            }
        },
        command => match loadtest::command::run(command).await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(1),
            Err(error) => {
                eprintln!("loadtest: {error}");
                ExitCode::from(2)
            }
        },
    }
}
