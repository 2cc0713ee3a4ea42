//! The gateway's settings.
//!
//! | module | holds |
//! |---|---|
//! | `limits` | [`Limits`]: how much one client may do |
//! | `connections` | times and sizes of connections |

use std::time::Duration;

use hyper::header::HeaderValue;
use protocol::token::{MIN_SECRET_BYTES, Tokens};
use service::client_address::TrustedProxies;
use service::config::Env;
use service::shared::Secrets;

use crate::transport;

mod connections;
mod limits;

pub use connections::{
    CONNECT_TIMEOUT, DRAIN_TIMEOUT, HEADER_TIMEOUT, MESSAGE_MAX_BYTES, OUTBOUND_MAX_BYTES, PING_INTERVAL,
    PING_TIMEOUT, POST_TIMEOUT, UPGRADE_TIMEOUT, WRITE_TIMEOUT,
};
pub use limits::{
    COMMAND_RATE_PER_CONNECTION, COMMAND_RATE_PER_USER, CONNECTIONS_PER_ADDRESS, CONNECTIONS_PER_USER,
    DEFAULT_COMMAND_RATE_PER_CONNECTION, DEFAULT_COMMAND_RATE_PER_USER, DEFAULT_CONNECTIONS_PER_ADDRESS,
    DEFAULT_CONNECTIONS_PER_USER, DEFAULT_HANDSHAKE_RATE_PER_ADDRESS, HANDSHAKE_RATE_PER_ADDRESS, Limits,
};
pub use service::client_address::TRUSTED_PROXIES;
pub use service::shared::{JWT_SECRET, JWT_SECRET_PREVIOUS};

/// Origins of the frontends that browsers may call from, separated by commas; `*` for all there are.
pub const CLIENT_URL: &str = "CLIENT_URL";
/// Default of [`CLIENT_URL`]: where a Next.js frontend runs in development.
pub const DEFAULT_CLIENT_URL: &str = "http://localhost:3000";
/// Addresses of the api nodes, separated by commas: `http://10.0.0.5:5002`.
pub const API_URLS: &str = "API_URLS";
/// How long a command is retried while no api node answers.
pub const COMMAND_TIMEOUT: &str = "COMMAND_TIMEOUT";
/// Default of [`COMMAND_TIMEOUT`].
pub const DEFAULT_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// How long somebody whose last connection ended is not yet taken for offline.
pub const PRESENCE_GRACE: &str = "PRESENCE_GRACE";
/// Default of [`PRESENCE_GRACE`]. The stock client waits up to five seconds between two attempts to come back.
pub const DEFAULT_PRESENCE_GRACE: Duration = Duration::from_secs(15);
/// Where other gateways reach this one: `http://10.0.0.7:5000`. Needed only where requests of one client may reach
/// several.
pub const GATEWAY_URL: &str = "GATEWAY_URL";

/// [`CLIENT_URL`] for every origin.
pub const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");

/// The gateway's settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Verifies clients' tokens and signs the internal ones.
    pub tokens: Tokens,
    /// See [`CLIENT_URL`]: origins as browsers write them, or [`ANY_ORIGIN`] alone.
    pub client_urls: Vec<HeaderValue>,
    /// See [`API_URLS`]: `http://host:port`, without a path.
    pub api_urls: Vec<String>,
    /// See [`GATEWAY_URL`]: `http://host:port`, without a path.
    pub gateway_url: Option<String>,
    /// See [`COMMAND_TIMEOUT`].
    pub command_timeout: Duration,
    /// See [`PRESENCE_GRACE`].
    pub presence_grace: Duration,
    /// See [`TRUSTED_PROXIES`].
    pub trusted_proxies: TrustedProxies,
    /// How much one client may do.
    pub limits: Limits,
    /// Heartbeats, sizes and bounds of connections.
    pub transport: transport::Config,
}

impl Config {
    /// The defaults.
    #[must_use]
    pub fn new(tokens: Tokens, client_urls: Vec<HeaderValue>, api_urls: Vec<String>) -> Self {
        Self {
            tokens,
            client_urls,
            api_urls,
            gateway_url: None,
            command_timeout: DEFAULT_COMMAND_TIMEOUT,
            presence_grace: DEFAULT_PRESENCE_GRACE,
            trusted_proxies: TrustedProxies::default(),
            limits: Limits::default(),
            transport: transport::Config::default(),
        }
    }

    /// Reads the settings; mistakes are remembered in `env`.
    #[must_use]
    pub fn from_env(env: &mut Env) -> Self {
        let Secrets { current, previous } = Secrets::from_env(env, MIN_SECRET_BYTES);
        let tokens = Tokens::new(current.as_bytes()).with_previous(previous);
        let command_timeout = env.duration(COMMAND_TIMEOUT, DEFAULT_COMMAND_TIMEOUT);
        if command_timeout.is_zero() {
            env.refuse(COMMAND_TIMEOUT, "must be more than 0s");
        }
        Self {
            gateway_url: gateway_url(env),
            command_timeout,
            presence_grace: env.duration(PRESENCE_GRACE, DEFAULT_PRESENCE_GRACE),
            trusted_proxies: TrustedProxies::from_env(env),
            limits: Limits::from_env(env),
            transport: connections::from_env(env),
            ..Self::new(tokens, client_urls(env), api_urls(env))
        }
    }
}

fn api_urls(env: &mut Env) -> Vec<String> {
    let mut urls = env.list(API_URLS);
    for url in &mut urls {
        *url = url.trim_end_matches('/').to_owned();
    }
    if urls.is_empty() {
        env.refuse(API_URLS, "is required: the addresses of the api nodes, such as http://127.0.0.1:5002");
    }
    if let Some(wrong) = urls.iter().find(|url| !is_origin(url)) {
        env.refuse(API_URLS, format!("{wrong} is not of the form http://host:port"));
    }
    urls
}

fn gateway_url(env: &mut Env) -> Option<String> {
    let url = env.text(GATEWAY_URL)?.trim_end_matches('/').to_owned();
    if !is_origin(&url) {
        env.refuse(GATEWAY_URL, format!("{url} is not of the form http://host:port"));
    }
    Some(url)
}

fn client_urls(env: &mut Env) -> Vec<HeaderValue> {
    let mut origins = env.list(CLIENT_URL);
    if origins.is_empty() {
        origins.push(DEFAULT_CLIENT_URL.to_owned());
    }
    if origins == ["*"] {
        return vec![ANY_ORIGIN];
    }
    let urls: Vec<_> = origins
        .iter()
        // As browsers write them.
        .map(|url| url.trim_end_matches('/').to_ascii_lowercase())
        .filter(|url| is_web_origin(url))
        .filter_map(|url| url.parse().ok())
        .collect();
    if urls.len() != origins.len() {
        let problem =
            "must be origins such as https://chat.example.org, separated by commas, or * alone for all";
        env.refuse(CLIENT_URL, problem);
    }
    urls
}

/// What a browser would write into `Origin` for a page from the web.
fn is_web_origin(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@']))
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
        assert_eq!((config.limits, config.transport), (Limits::default(), transport::Config::default()));
        assert_eq!((config.gateway_url, config.presence_grace), (None, DEFAULT_PRESENCE_GRACE));
        assert!(env.finish().is_ok());
    }

    #[test]
    fn what_is_set_is_used() {
        let mut env = env(&[
            (JWT_SECRET, &"s".repeat(32)),
            (API_URLS, "http://a:1"),
            (CLIENT_URL, "https://Chat.Example.org/, http://localhost:3000"),
            (GATEWAY_URL, "http://10.0.0.7:5000/"),
            (CONNECTIONS_PER_USER, "3"),
            (COMMAND_RATE_PER_USER, "7/1m"),
            (PING_INTERVAL, "3s"),
            (MESSAGE_MAX_BYTES, "2048"),
        ]);
        let config = Config::from_env(&mut env);
        assert_eq!(config.client_urls, ["https://chat.example.org", "http://localhost:3000"]);
        assert_eq!(config.gateway_url.as_deref(), Some("http://10.0.0.7:5000"));
        assert_eq!(config.limits.connections_per_user, 3);
        assert_eq!(config.limits.command_rate_per_user.to_string(), "7/1m");
        assert_eq!(config.transport.ping_interval, Duration::from_secs(3));
        assert_eq!(config.transport.max_payload, 2048);
        assert!(env.finish().is_ok());
    }

    #[test]
    fn every_origin_may_be_allowed_but_not_beside_some() {
        let of = |value: &str| {
            let mut env = env(&[(CLIENT_URL, value)]);
            let urls = client_urls(&mut env);
            (urls, env.finish().is_ok())
        };
        assert_eq!(of("*"), (vec![ANY_ORIGIN], true));
        assert!(!of("*, http://localhost:3000").1);
        assert!(!of("https://a.example/path").1 && !of("https://").1);
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
            (GATEWAY_URL, "10.0.0.7:5000"),
            (HANDSHAKE_RATE_PER_ADDRESS, "0/1s"),
            (CONNECTIONS_PER_ADDRESS, "0"),
            (PING_TIMEOUT, "0s"),
            (WRITE_TIMEOUT, "2d"),
            (MESSAGE_MAX_BYTES, "10"),
            (OUTBOUND_MAX_BYTES, "1000"),
        ]);
        drop(Config::from_env(&mut env));
        let told: Vec<_> = env.finish().unwrap_err().0.into_iter().map(|mistake| mistake.name).collect();
        assert_eq!(told.len(), 13, "{told:?}");
    }
}
