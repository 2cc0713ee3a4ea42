//! The command line.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use store::conversation::MAX_PARTICIPANTS;
use store::friend::MAX_FRIENDS;

use crate::seed::shape::FEWEST_IN_GROUP;

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

/// How many participants a group can have.
const GROUP_SIZES: RangeInclusive<i64> = FEWEST_IN_GROUP as i64..=MAX_PARTICIPANTS as i64;
/// The most messages of a conversation on average: ten times as many still have a millisecond each to themselves.
const MAX_HISTORY: i64 = 1_000_000;

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
    /// Write users, what is between them, and their tokens straight into the database.
    Seed(Seed),
}

/// What `linkup seed` writes.
#[derive(Clone, Debug, Args)]
pub struct Seed {
    /// How many users.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub users: u32,
    /// How many conversations between two of them.
    #[arg(long, value_name = "M", required_unless_present = "groups")]
    pub conversations: Option<u32>,
    /// How many groups; with --skew few large and many small ones.
    #[arg(long, value_name = "G", requires = "group_size", value_parser = clap::value_parser!(u32).range(1..))]
    pub groups: Option<u32>,
    /// How many participants each group has, with --skew the largest one.
    #[arg(long, value_name = "S", requires = "groups", value_parser = clap::value_parser!(u32).range(GROUP_SIZES))]
    pub group_size: Option<u32>,
    /// How many friends each user has, on average.
    #[arg(long, value_name = "F", value_parser = clap::value_parser!(u32).range(1..=MAX_FRIENDS as i64))]
    pub friends: Option<u32>,
    /// How many messages each conversation has, on average; with --skew at most ten times as many.
    #[arg(long, value_name = "H", value_parser = clap::value_parser!(u32).range(1..=MAX_HISTORY))]
    pub history: Option<u32>,
    /// Unevenly: some users are in many conversations and have many friends, and many in few, by Zipf's law.
    #[arg(long)]
    pub skew: bool,
    /// What the draws begin with: the same number makes the same shape.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub random: u64,
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
        let Some(Command::Seed(seed)) = cli.command else { panic!("{cli:?}") };
        assert_eq!((seed.users, seed.conversations, seed.skew, seed.random), (2, Some(1), false, 1));
        assert_eq!(
            (seed.groups, seed.group_size, seed.friends, seed.history, seed.out),
            (None, None, None, None, None)
        );
        let before = Cli::try_parse_from(["linkup", "--data-dir", "x", "run"]).unwrap();
        let after = Cli::try_parse_from(["linkup", "run", "--data-dir", "x"]).unwrap();
        assert_eq!(before.data_dir, after.data_dir);
        assert!(Cli::try_parse_from(["linkup"]).unwrap().command.is_none());
    }

    #[test]
    fn what_a_seed_cannot_be_is_refused_and_the_option_is_named() {
        let refused = |arguments: &str| {
            let seed = ["linkup", "seed", "--users", "9"].into_iter();
            Cli::try_parse_from(seed.chain(arguments.split(' '))).unwrap_err().to_string()
        };
        for (arguments, named) in [
            ("--skew", "--conversations"),
            ("--groups 2", "--group-size"),
            ("--conversations 0 --group-size 3", "--groups"),
            ("--groups 0 --group-size 3", "--groups"),
            ("--groups 1 --group-size 2", "2 is not in 3..=1000"),
            ("--groups 1 --group-size 1001", "--group-size"),
            ("--conversations 0 --friends 2001", "2001 is not in 1..=2000"),
            ("--conversations 1 --history 0", "--history"),
        ] {
            let said = refused(arguments);
            assert!(said.contains(named), "{arguments}: {said}");
        }
    }
}
