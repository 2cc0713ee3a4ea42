//! The settings.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;
use protocol::probe::Name;
use protocol::token::{MIN_SECRET_BYTES, Tokens};
use service::config::Env;
use service::shared::Secrets;

/// The public address that people use, such as `https://chat.example.org`: through the balancer.
pub const PROBE_URL: &str = "PROBE_URL";
/// How long after the beginning of an exchange the next one begins.
pub const PROBE_INTERVAL: &str = "PROBE_INTERVAL";
/// Default of [`PROBE_INTERVAL`].
pub const DEFAULT_PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a message may take to arrive, and how long it may take to connect.
pub const PROBE_TIMEOUT: &str = "PROBE_TIMEOUT";
/// Default of [`PROBE_TIMEOUT`].
pub const DEFAULT_PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Whose accounts are used: probes of different names have nothing in common.
pub const PROBE_NAME: &str = "PROBE_NAME";

/// The settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// See [`PROBE_URL`].
    pub target: Target,
    /// See [`PROBE_INTERVAL`].
    pub interval: Duration,
    /// See [`PROBE_TIMEOUT`].
    pub timeout: Duration,
    /// See [`PROBE_NAME`].
    pub name: Name,
    /// Signs the request for the accounts.
    pub tokens: Tokens,
}

impl Config {
    /// The defaults, with this address and secret.
    #[must_use]
    pub fn new(target: Target, tokens: Tokens) -> Self {
        Self {
            target,
            interval: DEFAULT_PROBE_INTERVAL,
            timeout: DEFAULT_PROBE_TIMEOUT,
            name: Name::default(),
            tokens,
        }
    }

    /// Reads the settings; mistakes are remembered in `env`, and so is a missing [`PROBE_URL`].
    #[must_use]
    pub fn from_env(env: &mut Env) -> Self {
        if env.text(PROBE_URL).is_none() {
            env.refuse(PROBE_URL, "is required here: the address that people use, through the balancer");
        }
        let secrets = Secrets::from_env(env, MIN_SECRET_BYTES);
        let config = Self {
            target: env.parse(PROBE_URL, Target::default()),
            interval: env.duration(PROBE_INTERVAL, DEFAULT_PROBE_INTERVAL),
            timeout: env.duration(PROBE_TIMEOUT, DEFAULT_PROBE_TIMEOUT),
            name: env.parse(PROBE_NAME, Name::default()),
            tokens: Tokens::new(secrets.current.as_bytes()),
        };
        for (name, duration) in [(PROBE_INTERVAL, config.interval), (PROBE_TIMEOUT, config.timeout)] {
            if duration.is_zero() {
                env.refuse(name, "must be more than 0s");
            }
        }
        config
    }
}

/// An address of the form `https://host` or `https://host:port`, or with `http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is `https`.
    pub(super) is_secure: bool,
    /// As it is looked up, without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// As it stands in the address.
    pub(super) authority: String,
}

/// A text that is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be of the form https://chat.example.org, without a path")]
pub struct NoTarget;

impl Target {
    /// What it begins with, given the name of the plain protocol: `http`, or `ws`.
    pub(super) fn address(&self, protocol: &str) -> String {
        format!("{protocol}{}://{}", if self.is_secure { "s" } else { "" }, self.authority)
    }
}

impl Default for Target {
    /// Where a gateway listens on this machine.
    fn default() -> Self {
        let (host, port) = ("127.0.0.1".to_owned(), 5000);
        Self { is_secure: false, authority: format!("{host}:{port}"), host, port }
    }
}

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let uri: Uri = text.parse().map_err(|_| NoTarget)?;
        let authority = uri.authority().ok_or(NoTarget)?;
        let (is_secure, default_port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(NoTarget),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(default_port);
        let target = Self { is_secure, host, port, authority: authority.as_str().to_owned() };
        // Whatever else there was (a path, a query, a fragment) is not in what the parts make up.
        let is_all = target.address("http") == text.strip_suffix('/').unwrap_or(text);
        let is_plain = !target.host.is_empty() && !target.authority.contains('@');
        if is_all && is_plain { Ok(target) } else { Err(NoTarget) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address("http"))
    }
}

#[cfg(test)]
mod tests {
    use service::shared::JWT_SECRET;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Config, Vec<String>) {
        let mut env = Env::from_pairs([(JWT_SECRET.to_owned(), "x".repeat(MIN_SECRET_BYTES))]);
        pairs.iter().for_each(|(name, value)| env.set(name, *value));
        let config = Config::from_env(&mut env);
        let mistakes = env.finish().err().map_or_else(Vec::new, |errors| errors.0);
        (config, mistakes.into_iter().map(|mistake| mistake.name).collect())
    }

    #[test]
    fn settings_have_defaults_and_can_be_set() {
        let (config, refused) = read(&[(PROBE_URL, "https://chat.example.org/")]);
        assert_eq!(refused, [""; 0]);
        assert_eq!((config.interval.as_secs(), config.timeout.as_secs()), (10, 5));
        assert_eq!((config.name.as_str(), config.target.port), ("default", 443));
        let (config, refused) = read(&[
            (PROBE_URL, "http://[::1]:5000"),
            (PROBE_INTERVAL, "1m"),
            (PROBE_TIMEOUT, "250ms"),
            (PROBE_NAME, "EU-1"),
        ]);
        assert_eq!(refused, [""; 0]);
        assert_eq!((config.interval.as_secs(), config.timeout.as_millis()), (60, 250));
        assert_eq!((config.name.as_str(), config.target.host.as_str()), ("EU-1", "::1"));
        assert_eq!(config.target.address("ws"), "ws://[::1]:5000");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert_eq!(read(&[]).1, [PROBE_URL]);
        for (name, value) in [
            (PROBE_URL, "chat.example.org"),
            (PROBE_URL, "wss://chat.example.org"),
            (PROBE_URL, "https://"),
            (PROBE_URL, "https://chat.example.org/chat"),
            (PROBE_URL, "https://chat.example.org//"),
            (PROBE_URL, "https://chat.example.org?a"),
            (PROBE_URL, "https://me:secret@chat.example.org"),
            (PROBE_INTERVAL, "0s"),
            (PROBE_TIMEOUT, "0s"),
            (PROBE_TIMEOUT, "5"),
            (PROBE_NAME, "a b"),
            (PROBE_NAME, "a123456789a123456789a123456789abc"),
            (JWT_SECRET, "short"),
        ] {
            let mut pairs = vec![(PROBE_URL, "https://chat.example.org")];
            pairs.push((name, value));
            assert_eq!(read(&pairs).1, [name], "{value}");
        }
    }
}
