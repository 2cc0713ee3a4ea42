//! The launcher's program.

use std::process::ExitCode;

use clap::Parser as _;
use linkup::cli::{Cli, Command};
use linkup::console::say;
use linkup::error::LaunchError;
use linkup::{embedded, role, seed};
use service::config::Env;
use service::shutdown::{Shutdown, on_signal};
use service::telemetry;

/// A fifth of the processor time went into the system's allocator; this one takes half of that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("linkup: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), LaunchError> {
    telemetry::init().map_err(LaunchError::Logging)?;
    let env = Env::process();
    let command = cli.command.unwrap_or_default();
    if let Command::Seed(seed) = command {
        // A signal ends it at once: nothing it does needs an orderly end.
        return seed::run(&seed, &cli.data_dir, env).await;
    }
    let shutdown = Shutdown::new();
    on_signal(shutdown.clone())?;
    match command {
        Command::Api => role::api(env, shutdown).await,
        Command::Streamer => role::streamer(env, shutdown).await,
        Command::Gateway => role::gateway(env, shutdown).await,
        Command::Probe => role::probe(env, shutdown).await,
        Command::Run | Command::Seed(_) => embedded::run(&cli.data_dir, env, shutdown).await,
    }
}
