//! The api's settings.

use std::time::Duration;

use protocol::token::{MIN_SECRET_BYTES, Tokens};
use service::config::Env;

/// The secret that signs tokens, shared with the gateways.
pub const JWT_SECRET: &str = "JWT_SECRET";
/// How long a user's token is good for.
pub const JWT_TTL: &str = "JWT_TTL";
/// Default of [`JWT_TTL`].
pub const DEFAULT_JWT_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a message may wait for MongoDB before its sender is told that it is unavailable.
pub const COMMIT_TIMEOUT: &str = "COMMIT_TIMEOUT";
/// Default of [`COMMIT_TIMEOUT`]: longer than an election of a new primary takes.
pub const DEFAULT_COMMIT_TIMEOUT: Duration = Duration::from_secs(15);
/// [`COMMIT_TIMEOUT`] must be shorter than this, which is how long a gateway waits for the answer to a batch. Otherwise
/// it would give the batch up and send it again while its messages still wait here.
pub const COMMIT_TIMEOUT_LIMIT: Duration = Duration::from_secs(20);
/// How long requests that are under way may take to finish when the api stops.
pub const DRAIN_TIMEOUT: &str = "DRAIN_TIMEOUT";
/// Default of [`DRAIN_TIMEOUT`]: longer than [`DEFAULT_COMMIT_TIMEOUT`].
pub const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The api's settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Signs and verifies tokens.
    pub tokens: Tokens,
    /// See [`JWT_TTL`].
    pub jwt_ttl: Duration,
    /// See [`COMMIT_TIMEOUT`].
    pub commit_timeout: Duration,
    /// See [`DRAIN_TIMEOUT`].
    pub drain_timeout: Duration,
    /// How long a connection may take to send the head of its next request, idleness before it included. Much longer
    /// than clients keep idle connections (gateways 5 seconds), or one would be closed just as it is used again.
    pub head_timeout: Duration,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// The conversations' view of their last message is written at most once in this time.
    pub view_interval: Duration,
}

impl Config {
    /// The defaults, with this secret.
    #[must_use]
    pub fn new(tokens: Tokens) -> Self {
        Self {
            tokens,
            jwt_ttl: DEFAULT_JWT_TTL,
            commit_timeout: DEFAULT_COMMIT_TIMEOUT,
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            head_timeout: Duration::from_secs(120),
            body_timeout: Duration::from_secs(10),
            view_interval: Duration::from_secs(1),
        }
    }

    /// Reads the settings; mistakes are remembered in `env`.
    #[must_use]
    pub fn from_env(env: &mut Env) -> Self {
        let secret = env.text(JWT_SECRET).unwrap_or_default();
        if secret.len() < MIN_SECRET_BYTES {
            env.refuse(JWT_SECRET, format!("must have at least {MIN_SECRET_BYTES} characters"));
        }
        let config = Self {
            jwt_ttl: env.duration(JWT_TTL, DEFAULT_JWT_TTL),
            commit_timeout: env.duration(COMMIT_TIMEOUT, DEFAULT_COMMIT_TIMEOUT),
            drain_timeout: env.duration(DRAIN_TIMEOUT, DEFAULT_DRAIN_TIMEOUT),
            ..Self::new(Tokens::new(secret.as_bytes()))
        };
        if config.jwt_ttl < Duration::from_secs(1) {
            env.refuse(JWT_TTL, "must be at least 1s");
        }
        if config.commit_timeout.is_zero() || config.commit_timeout >= COMMIT_TIMEOUT_LIMIT {
            env.refuse(COMMIT_TIMEOUT, "must be more than 0s and less than 20s");
        }
        if config.drain_timeout.is_zero() {
            env.refuse(DRAIN_TIMEOUT, "must be more than 0s");
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused_and_durations_are_read() {
        let pairs = [(JWT_SECRET, "short"), (JWT_TTL, "2h")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let mut env = Env::from_pairs(pairs);
        assert_eq!(Config::from_env(&mut env).jwt_ttl, Duration::from_secs(7200));
        let mistakes = env.finish().unwrap_err().0;
        assert_eq!(mistakes.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), [JWT_SECRET]);
    }

    #[test]
    fn durations_that_cannot_work_are_refused() {
        let secret = "x".repeat(MIN_SECRET_BYTES);
        let refused = |name: &str, value: &str| {
            let pairs = [(JWT_SECRET, secret.as_str()), (name, value)];
            let mut env = Env::from_pairs(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
            let _ = Config::from_env(&mut env);
            env.finish().is_err()
        };
        for (name, value) in [
            (JWT_TTL, "0s"),
            (COMMIT_TIMEOUT, "0s"),
            (COMMIT_TIMEOUT, "20s"),
            (COMMIT_TIMEOUT, "1m"),
            (DRAIN_TIMEOUT, "0s"),
        ] {
            assert!(refused(name, value), "{name}={value}");
        }
        assert!(!refused(COMMIT_TIMEOUT, "19s") && !refused(DRAIN_TIMEOUT, "1s"));
    }
}
