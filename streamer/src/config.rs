//! The streamer's settings.

use std::time::Duration;

use protocol::token::{MIN_SECRET_BYTES, Tokens};
use protocol::upload::Links;
use service::config::Env;
use service::shared::{self, Secrets};

pub use service::shared::{JWT_SECRET, JWT_SECRET_PREVIOUS, PUBLIC_URL};

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
    /// Signs the addresses of uploads in events.
    pub links: Links,
    /// See [`LEASE_TTL`].
    pub lease_ttl: Duration,
    /// See [`REPLAY_WINDOW`].
    pub replay_window: Duration,
    /// See [`REPLAY_BYTES`].
    pub replay_bytes: usize,
}

impl Config {
    /// The defaults, with these links.
    #[must_use]
    pub fn new(links: Links) -> Self {
        Self {
            links,
            lease_ttl: DEFAULT_LEASE_TTL,
            replay_window: DEFAULT_REPLAY_WINDOW,
            replay_bytes: DEFAULT_REPLAY_BYTES,
        }
    }

    /// Reads the settings; mistakes are remembered in `env`.
    #[must_use]
    pub fn from_env(env: &mut Env) -> Self {
        let Secrets { current, previous } = Secrets::from_env(env, MIN_SECRET_BYTES);
        let tokens = Tokens::new(current.as_bytes()).with_previous(previous);
        let config = Self {
            links: Links::new(tokens, shared::public_url(env)),
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

#[cfg(test)]
mod tests {
    use protocol::{Id, Timestamp, upload};

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        Env::from_pairs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn addresses_of_uploads_are_signed_as_the_api_signs_them() {
        let (secret, now, stored) = ("s".repeat(32), Timestamp::now(), upload::stored(Id::mint()));
        let mut env = env(&[(JWT_SECRET, &secret), (PUBLIC_URL, "https://chat.example.org")]);
        let links = Config::from_env(&mut env).links;
        assert_eq!(env.finish(), Ok(()));
        let of_api = Links::new(Tokens::new(secret.as_bytes()), Some("https://chat.example.org".to_owned()));
        assert_eq!(links.shown(&stored, now), of_api.shown(&stored, now));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let mut env = env(&[
            (JWT_SECRET_PREVIOUS, "short"),
            (PUBLIC_URL, "chat.example.org"),
            (LEASE_TTL, "100ms"),
            (REPLAY_WINDOW, "5m"),
        ]);
        let _ = Config::from_env(&mut env);
        let mistakes = env.finish().unwrap_err().0;
        let names: Vec<&str> = mistakes.iter().map(|mistake| mistake.name.as_str()).collect();
        assert_eq!(names, [JWT_SECRET, JWT_SECRET_PREVIOUS, PUBLIC_URL, LEASE_TTL, REPLAY_WINDOW]);
    }
}
