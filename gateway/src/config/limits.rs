//! How much one client may do.

use std::time::Duration;

use service::config::Env;
use service::throttle::Rate;

/// How often connections may be begun from one address (of IPv6: one network of 64 bits).
pub const HANDSHAKE_RATE_PER_ADDRESS: &str = "HANDSHAKE_RATE_PER_ADDRESS";
/// Default of [`HANDSHAKE_RATE_PER_ADDRESS`]: an office behind one address comes back at once after a cut.
pub const DEFAULT_HANDSHAKE_RATE_PER_ADDRESS: Rate = Rate { count: 200, per: TEN_SECONDS };
/// How many connections one address may have at once.
pub const CONNECTIONS_PER_ADDRESS: &str = "CONNECTIONS_PER_ADDRESS";
/// Default of [`CONNECTIONS_PER_ADDRESS`].
pub const DEFAULT_CONNECTIONS_PER_ADDRESS: usize = 1_000;
/// How many connections one user may have at once.
pub const CONNECTIONS_PER_USER: &str = "CONNECTIONS_PER_USER";
/// Default of [`CONNECTIONS_PER_USER`]: the frontend specification's page has two in every tab.
pub const DEFAULT_CONNECTIONS_PER_USER: usize = 32;
/// How many commands may come over one connection.
pub const COMMAND_RATE_PER_CONNECTION: &str = "COMMAND_RATE_PER_CONNECTION";
/// Default of [`COMMAND_RATE_PER_CONNECTION`]: the frontend specification's page says what was read of a conversation
/// again whenever it is drawn, which is hundreds of commands in a moment.
pub const DEFAULT_COMMAND_RATE_PER_CONNECTION: Rate = Rate { count: 500, per: TEN_SECONDS };
/// How many commands may come from one user, over all connections.
pub const COMMAND_RATE_PER_USER: &str = "COMMAND_RATE_PER_USER";
/// Default of [`COMMAND_RATE_PER_USER`].
pub const DEFAULT_COMMAND_RATE_PER_USER: Rate = Rate { count: 1_000, per: TEN_SECONDS };

const TEN_SECONDS: Duration = Duration::from_secs(10);

/// How much one client may do. Each gateway counts for itself. [`Limits::default`] holds the documented constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`HANDSHAKE_RATE_PER_ADDRESS`].
    pub handshake_rate_per_address: Rate,
    /// See [`CONNECTIONS_PER_ADDRESS`].
    pub connections_per_address: usize,
    /// See [`CONNECTIONS_PER_USER`].
    pub connections_per_user: usize,
    /// See [`COMMAND_RATE_PER_CONNECTION`].
    pub command_rate_per_connection: Rate,
    /// See [`COMMAND_RATE_PER_USER`].
    pub command_rate_per_user: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_rate_per_address: DEFAULT_HANDSHAKE_RATE_PER_ADDRESS,
            connections_per_address: DEFAULT_CONNECTIONS_PER_ADDRESS,
            connections_per_user: DEFAULT_CONNECTIONS_PER_USER,
            command_rate_per_connection: DEFAULT_COMMAND_RATE_PER_CONNECTION,
            command_rate_per_user: DEFAULT_COMMAND_RATE_PER_USER,
        }
    }
}

impl Limits {
    pub(super) fn from_env(env: &mut Env) -> Self {
        let mut at_least_one = |name, default| {
            let count = env.parse(name, default);
            if count == 0 {
                env.refuse(name, "must be at least 1 (for as good as no limit choose a large one)");
            }
            count
        };
        Self {
            connections_per_address: at_least_one(CONNECTIONS_PER_ADDRESS, DEFAULT_CONNECTIONS_PER_ADDRESS),
            connections_per_user: at_least_one(CONNECTIONS_PER_USER, DEFAULT_CONNECTIONS_PER_USER),
            handshake_rate_per_address: env
                .parse(HANDSHAKE_RATE_PER_ADDRESS, DEFAULT_HANDSHAKE_RATE_PER_ADDRESS),
            command_rate_per_connection: env
                .parse(COMMAND_RATE_PER_CONNECTION, DEFAULT_COMMAND_RATE_PER_CONNECTION),
            command_rate_per_user: env.parse(COMMAND_RATE_PER_USER, DEFAULT_COMMAND_RATE_PER_USER),
        }
    }
}
