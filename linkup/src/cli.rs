//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// What the help says about settings, which all come from the environment.
const SETTINGS: &str = "\
Settings come from the environment; the most important:
  MONGODB_URI      use this replica set (default: find, fetch and start one)
  JWT_SECRET       signs tokens, at least 32 bytes (default: made once, kept in the data directory)
  PORT             the public port (default 5000, api 5002; 0 takes any free one)
  LISTEN_ADDR      the address to listen on (default 0.0.0.0, api 127.0.0.1)
  ADMIN_PORT       /metrics, /livez and /readyz (default 5001, api 5003, streamer 5004, probe 5005)
  ADMIN_ADDR       the address for those (default 127.0.0.1)
  NATS_URL         the bus between processes (default: none is needed in one process)
  API_URLS         for `linkup gateway`: the api processes, separated by commas
  PROBE_URL        the public address, through the balancer; set for the launcher, it probes as well
  LINKUP_CACHE_DIR where a fetched MongoDB is kept (default ~/.cache/linkup)
  LOG              what is logged, such as info or debug";

/// Realtime chat on MongoDB change streams. Without a command everything runs in one process.
#[derive(Debug, Parser)]
#[command(name = "linkup", version, after_help = SETTINGS)]
pub struct Cli {
    /// Where MongoDB's data and the generated secret are kept.
    #[arg(long, global = true, value_name = "DIR", default_value = ".linkup")]
    pub data_dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the launcher can do.
#[derive(Debug, Default, Subcommand)]
pub enum Command {
    /// Run everything in one process (the default).
    #[default]
    Run,
    /// Run the REST API alone; needs MONGODB_URI and JWT_SECRET.
    Api,
    /// Run the streamer alone; needs MONGODB_URI, NATS_URL and JWT_SECRET.
    Streamer,
    /// Run the gateway alone; needs NATS_URL, API_URLS and JWT_SECRET.
    Gateway,
    /// Exchange messages through the public address and measure it; needs PROBE_URL and JWT_SECRET.
    Probe,
    /// Write users, conversations and their tokens straight into the database.
    Seed(Seed),
}

/// What `linkup seed` writes.
#[derive(Clone, Debug, Args)]
pub struct Seed {
    /// How many users.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub users: u32,
    /// How many conversations between two of them.
    #[arg(long, value_name = "M")]
    pub conversations: u32,
    /// Where one line of JSON per user goes: userId, email, token, conversations (default: standard output).
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_data_directory_may_stand_on_either_side_of_the_command() {
        let cli = Cli::try_parse_from(["linkup", "seed", "--users", "2", "--conversations", "1"]).unwrap();
        assert_eq!(cli.data_dir, PathBuf::from(".linkup"));
        assert!(matches!(cli.command, Some(Command::Seed(Seed { users: 2, conversations: 1, out: None }))));
        let before = Cli::try_parse_from(["linkup", "--data-dir", "x", "run"]).unwrap();
        let after = Cli::try_parse_from(["linkup", "run", "--data-dir", "x"]).unwrap();
        assert_eq!(before.data_dir, after.data_dir);
        assert!(Cli::try_parse_from(["linkup"]).unwrap().command.is_none());
    }
}
