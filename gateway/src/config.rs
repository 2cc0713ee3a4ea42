//! The gateway's settings.

use std::time::Duration;

use hyper::header::HeaderValue;
use protocol::token::{MIN_SECRET_BYTES, Tokens};
use service::client_address::TrustedProxies;
use service::config::Env;
use service::shared::Secrets;

use crate::transport;

pub use service::client_address::TRUSTED_PROXIES;
pub use service::shared::{JWT_SECRET, JWT_SECRET_PREVIOUS};

/// Origins of the frontends that browsers may call from, separated by commas.
pub const CLIENT_URL: &str = "CLIENT_URL";
/// Default of [`CLIENT_URL`]: where a Next.js frontend runs in development.
pub const DEFAULT_CLIENT_URL: &str = "http://localhost:3000";
/// Addresses of the api nodes, separated by commas: `http://10.0.0.5:5002`.
pub const API_URLS: &str = "API_URLS";
/// How long a command is retried while no api node answers.
pub const COMMAND_TIMEOUT: &str = "COMMAND_TIMEOUT";
/// Default of [`COMMAND_TIMEOUT`].
pub const DEFAULT_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// The gateway's settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Verifies clients' tokens and signs the internal ones.
    pub tokens: Tokens,
    /// See [`CLIENT_URL`].
    pub client_urls: Vec<HeaderValue>,
    /// See [`API_URLS`]: `http://host:port`, without a path.
    pub api_urls: Vec<String>,
    /// See [`COMMAND_TIMEOUT`].
    pub command_timeout: Duration,
    /// See [`TRUSTED_PROXIES`].
    pub trusted_proxies: TrustedProxies,
    /// Heartbeats, sizes and bounds of connections.
    pub transport: transport::Config,
}

impl Config {
    /// Reads the settings; mistakes are remembered in `env`.
    #[must_use]
    pub fn from_env(env: &mut Env) -> Self {
        let Secrets { current, previous } = Secrets::from_env(env, MIN_SECRET_BYTES);
        let mut api_urls = env.list(API_URLS);
        for url in &mut api_urls {
            *url = url.trim_end_matches('/').to_owned();
        }
        if api_urls.is_empty() {
            env.refuse(
                API_URLS,
                "is required: the addresses of the api nodes, such as http://127.0.0.1:5002",
            );
        }
        if let Some(wrong) = api_urls.iter().find(|url| !is_origin(url)) {
            env.refuse(API_URLS, format!("{wrong} is not of the form http://host:port"));
        }
        let mut origins = env.list(CLIENT_URL);
        if origins.is_empty() {
            origins.push(DEFAULT_CLIENT_URL.to_owned());
        }
        let client_urls = origins
            .iter()
            .filter(|url| url.starts_with("http://") || url.starts_with("https://"))
            .filter_map(|url| url.trim_end_matches('/').parse().ok())
            .collect::<Vec<_>>();
        if client_urls.len() != origins.len() {
            env.refuse(CLIENT_URL, "must be origins such as https://chat.example.org, separated by commas");
        }
        let command_timeout = env.duration(COMMAND_TIMEOUT, DEFAULT_COMMAND_TIMEOUT);
        if command_timeout.is_zero() {
            env.refuse(COMMAND_TIMEOUT, "must be more than 0s");
        }
        Self {
            tokens: Tokens::new(current.as_bytes()).with_previous(previous),
            client_urls,
            api_urls,
            command_timeout,
            trusted_proxies: TrustedProxies::from_env(env),
            transport: transport::Config::default(),
        }
    }
}

/// The internal network is plain HTTP; a path would be lost when a request's own path is put behind it.
fn is_origin(url: &str) -> bool {
    let parsed = url.parse::<hyper::Uri>();
    parsed.is_ok_and(|uri| {
        uri.scheme_str() == Some("http")
            && uri.authority().is_some()
            && uri.path() == "/"
            && uri.query().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        Env::from_pairs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn a_minimal_environment_is_enough() {
        let mut env = env(&[(JWT_SECRET, &"s".repeat(32)), (API_URLS, "http://a:1/, http://b:2")]);
        let config = Config::from_env(&mut env);
        assert_eq!(config.api_urls, ["http://a:1", "http://b:2"]);
        assert_eq!(config.client_urls, [DEFAULT_CLIENT_URL]);
        assert_eq!(config.trusted_proxies, TrustedProxies::default());
        assert!(env.finish().is_ok());
    }

    #[test]
    fn tokens_of_a_previous_secret_are_good_and_named_proxies_are_trusted() {
        let (new, old) = ("n".repeat(32), "o".repeat(32));
        let mut env = env(&[
            (JWT_SECRET, &new),
            (JWT_SECRET_PREVIOUS, &old),
            (TRUSTED_PROXIES, "10.0.0.0/8"),
            (API_URLS, "http://a:1"),
        ]);
        let config = Config::from_env(&mut env);
        let token = Tokens::new(old.as_bytes()).sign(protocol::Id::mint(), 0, Duration::from_secs(60));
        assert!(config.tokens.verify(&token.unwrap()).is_ok());
        assert!(config.trusted_proxies.trusts("10.1.2.3".parse().unwrap()));
        assert!(!config.trusted_proxies.trusts("127.0.0.1".parse().unwrap()));
        assert!(env.finish().is_ok());
    }

    #[test]
    fn mistakes_are_reported_together() {
        let mut env = env(&[
            (JWT_SECRET, "short"),
            (JWT_SECRET_PREVIOUS, "shorter"),
            (TRUSTED_PROXIES, "proxy.example"),
            (API_URLS, "https://a/path"),
            (COMMAND_TIMEOUT, "0s"),
            (CLIENT_URL, "localhost:3000"),
        ]);
        drop(Config::from_env(&mut env));
        assert_eq!(env.finish().unwrap_err().0.len(), 6);
    }
}
