//! The streamer's settings.

use std::time::Duration;

use service::config::Env;

/// How long a lease lasts without being renewed: a crashed streamer is replaced after this long.
pub const LEASE_TTL: &str = "STREAMER_LEASE_TTL";
/// Default of [`LEASE_TTL`].
pub const DEFAULT_LEASE_TTL: Duration = Duration::from_secs(3);
/// How far back events are kept for replay.
pub const REPLAY_WINDOW: &str = "REPLAY_WINDOW";
/// Default of [`REPLAY_WINDOW`].
pub const DEFAULT_REPLAY_WINDOW: Duration = Duration::from_secs(120);
/// The most bytes of events that are kept for replay.
pub const REPLAY_BYTES: &str = "REPLAY_BYTES";
/// Default of [`REPLAY_BYTES`].
pub const DEFAULT_REPLAY_BYTES: usize = 64 << 20;

/// The longest replay window: MongoDB keeps snapshots for five minutes by default, and rebuilding the log
/// reads one at the window's start.
pub const MAX_REPLAY_WINDOW: Duration = Duration::from_secs(270);

/// The streamer's settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// See [`LEASE_TTL`].
    pub lease_ttl: Duration,
    /// See [`REPLAY_WINDOW`].
    pub replay_window: Duration,
    /// See [`REPLAY_BYTES`].
    pub replay_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ttl: DEFAULT_LEASE_TTL,
            replay_window: DEFAULT_REPLAY_WINDOW,
            replay_bytes: DEFAULT_REPLAY_BYTES,
        }
    }
}

impl Config {
    /// Reads the settings; mistakes are remembered in `env`.
    #[must_use]
    pub fn from_env(env: &mut Env) -> Self {
        let config = Self {
            lease_ttl: env.duration(LEASE_TTL, DEFAULT_LEASE_TTL),
            replay_window: env.duration(REPLAY_WINDOW, DEFAULT_REPLAY_WINDOW),
            replay_bytes: env.parse(REPLAY_BYTES, DEFAULT_REPLAY_BYTES),
        };
        if config.lease_ttl < Duration::from_millis(500) {
            env.refuse(LEASE_TTL, "must be at least 500ms");
        }
        if config.replay_window.is_zero() {
            env.refuse(REPLAY_WINDOW, "must be more than 0s, or no gap could ever be closed");
        }
        if config.replay_window > MAX_REPLAY_WINDOW {
            env.refuse(REPLAY_WINDOW, "must be at most 270s, since MongoDB keeps snapshots for five minutes");
        }
        config
    }
}
