//! The api's settings.

use std::ops::RangeInclusive;
use std::time::Duration;

use protocol::token::{MIN_SECRET_BYTES, Tokens};
use protocol::upload::Links;
use service::client_address::TrustedProxies;
use service::config::Env;
use service::shared::{self, Secrets};
use service::throttle::Rate;

pub use service::client_address::TRUSTED_PROXIES;
pub use service::shared::{JWT_SECRET, JWT_SECRET_PREVIOUS, PUBLIC_URL};

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
/// How often registrations and logins may come from one address.
pub const AUTH_RATE_PER_ADDRESS: &str = "AUTH_RATE_PER_ADDRESS";
/// Default of [`AUTH_RATE_PER_ADDRESS`]: an office behind one address is not held up, a list of passwords is.
pub const DEFAULT_AUTH_RATE_PER_ADDRESS: Rate = Rate { count: 60, per: MINUTE };
/// How often somebody may try to log in with one e-mail address, from wherever.
pub const AUTH_RATE_PER_ACCOUNT: &str = "AUTH_RATE_PER_ACCOUNT";
/// Default of [`AUTH_RATE_PER_ACCOUNT`].
pub const DEFAULT_AUTH_RATE_PER_ACCOUNT: Rate = Rate { count: 10, per: MINUTE };
/// How many people a user may bring into conversations.
pub const INVITE_RATE_PER_USER: &str = "INVITE_RATE_PER_USER";
/// Default of [`INVITE_RATE_PER_USER`]: the largest group at once, and after that so slowly that nobody's list is
/// filled with groups that a stranger made.
pub const DEFAULT_INVITE_RATE_PER_USER: Rate = Rate { count: 1_000, per: Duration::from_secs(60 * 60) };
/// How often a user may change conversations and join or leave activities.
pub const CHANGE_RATE_PER_USER: &str = "CHANGE_RATE_PER_USER";
/// Default of [`CHANGE_RATE_PER_USER`]: each change of a large group is told to a thousand people.
pub const DEFAULT_CHANGE_RATE_PER_USER: Rate = Rate { count: 120, per: MINUTE };
/// How often a user may upload a file.
pub const UPLOAD_RATE_PER_USER: &str = "UPLOAD_RATE_PER_USER";
/// Default of [`UPLOAD_RATE_PER_USER`].
pub const DEFAULT_UPLOAD_RATE_PER_USER: Rate = Rate { count: 30, per: MINUTE };
/// The largest file that may be uploaded, in bytes.
pub const UPLOAD_MAX_BYTES: &str = "UPLOAD_MAX_BYTES";
/// Default of [`UPLOAD_MAX_BYTES`]: 10 MiB.
pub const DEFAULT_UPLOAD_MAX_BYTES: u64 = 10 << 20;
/// What [`UPLOAD_MAX_BYTES`] may be: 1 KiB to 1 GiB.
pub const UPLOAD_MAX_BYTES_RANGE: RangeInclusive<u64> = 1 << 10..=1 << 30;
/// How long an upload may take.
pub const UPLOAD_TIMEOUT: &str = "UPLOAD_TIMEOUT";
/// Default of [`UPLOAD_TIMEOUT`]: enough for [`DEFAULT_UPLOAD_MAX_BYTES`] at 90 KB a second.
pub const DEFAULT_UPLOAD_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// [`UPLOAD_TIMEOUT`] may be this at most: a gateway waits 150 seconds for the answer to an upload, and that the time
/// is up shall be told in the api's own words.
pub const UPLOAD_TIMEOUT_LIMIT: Duration = Duration::from_secs(145);

const MINUTE: Duration = Duration::from_secs(60);

/// The api's settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Signs and verifies tokens.
    pub tokens: Tokens,
    /// Signs and verifies the addresses of uploads.
    pub links: Links,
    /// Whose word counts when they say for whom they call: this machine and [`TRUSTED_PROXIES`], which must name
    /// gateways on other machines.
    pub trusted_proxies: TrustedProxies,
    /// See [`AUTH_RATE_PER_ADDRESS`].
    pub auth_rate_per_address: Rate,
    /// See [`AUTH_RATE_PER_ACCOUNT`].
    pub auth_rate_per_account: Rate,
    /// See [`INVITE_RATE_PER_USER`].
    pub invite_rate_per_user: Rate,
    /// See [`CHANGE_RATE_PER_USER`].
    pub change_rate_per_user: Rate,
    /// See [`UPLOAD_RATE_PER_USER`].
    pub upload_rate_per_user: Rate,
    /// See [`UPLOAD_MAX_BYTES`].
    pub upload_max_bytes: u64,
    /// See [`UPLOAD_TIMEOUT`].
    pub upload_timeout: Duration,
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
    /// About how often this node looks for gateways that fell silent.
    pub sweep_interval: Duration,
    /// About how often this node looks for old messages of probes.
    pub probe_sweep_interval: Duration,
}

impl Config {
    /// The defaults, with this secret.
    #[must_use]
    pub fn new(tokens: Tokens) -> Self {
        Self {
            links: Links::new(tokens.clone(), None),
            tokens,
            trusted_proxies: TrustedProxies::default().and_loopback(),
            auth_rate_per_address: DEFAULT_AUTH_RATE_PER_ADDRESS,
            auth_rate_per_account: DEFAULT_AUTH_RATE_PER_ACCOUNT,
            invite_rate_per_user: DEFAULT_INVITE_RATE_PER_USER,
            change_rate_per_user: DEFAULT_CHANGE_RATE_PER_USER,
            upload_rate_per_user: DEFAULT_UPLOAD_RATE_PER_USER,
            upload_max_bytes: DEFAULT_UPLOAD_MAX_BYTES,
            upload_timeout: DEFAULT_UPLOAD_TIMEOUT,
            jwt_ttl: DEFAULT_JWT_TTL,
            commit_timeout: DEFAULT_COMMIT_TIMEOUT,
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            head_timeout: Duration::from_secs(120),
            body_timeout: Duration::from_secs(10),
            view_interval: Duration::from_secs(1),
            sweep_interval: Duration::from_secs(5),
            probe_sweep_interval: Duration::from_secs(10 * 60),
        }
    }

    /// Reads the settings; mistakes are remembered in `env`.
    #[must_use]
    pub fn from_env(env: &mut Env) -> Self {
        let Secrets { current, previous } = Secrets::from_env(env, MIN_SECRET_BYTES);
        let tokens = Tokens::new(current.as_bytes()).with_previous(previous);
        let config = Self {
            links: Links::new(tokens.clone(), shared::public_url(env)),
            trusted_proxies: TrustedProxies::from_env(env).and_loopback(),
            jwt_ttl: env.duration(JWT_TTL, DEFAULT_JWT_TTL),
            commit_timeout: env.duration(COMMIT_TIMEOUT, DEFAULT_COMMIT_TIMEOUT),
            drain_timeout: env.duration(DRAIN_TIMEOUT, DEFAULT_DRAIN_TIMEOUT),
            auth_rate_per_address: env.parse(AUTH_RATE_PER_ADDRESS, DEFAULT_AUTH_RATE_PER_ADDRESS),
            auth_rate_per_account: env.parse(AUTH_RATE_PER_ACCOUNT, DEFAULT_AUTH_RATE_PER_ACCOUNT),
            invite_rate_per_user: env.parse(INVITE_RATE_PER_USER, DEFAULT_INVITE_RATE_PER_USER),
            change_rate_per_user: env.parse(CHANGE_RATE_PER_USER, DEFAULT_CHANGE_RATE_PER_USER),
            upload_rate_per_user: env.parse(UPLOAD_RATE_PER_USER, DEFAULT_UPLOAD_RATE_PER_USER),
            upload_max_bytes: env.parse(UPLOAD_MAX_BYTES, DEFAULT_UPLOAD_MAX_BYTES),
            upload_timeout: env.duration(UPLOAD_TIMEOUT, DEFAULT_UPLOAD_TIMEOUT),
            ..Self::new(tokens)
        };
        config.check(env);
        config
    }

    /// Remembers in `env` what cannot work.
    fn check(&self, env: &mut Env) {
        if self.jwt_ttl < Duration::from_secs(1) {
            env.refuse(JWT_TTL, "must be at least 1s");
        }
        if self.commit_timeout.is_zero() || self.commit_timeout >= COMMIT_TIMEOUT_LIMIT {
            env.refuse(COMMIT_TIMEOUT, "must be more than 0s and less than 20s");
        }
        if self.drain_timeout.is_zero() {
            env.refuse(DRAIN_TIMEOUT, "must be more than 0s");
        }
        if !UPLOAD_MAX_BYTES_RANGE.contains(&self.upload_max_bytes) {
            env.refuse(UPLOAD_MAX_BYTES, "must be a number of bytes from 1024 to 1073741824");
        }
        if self.upload_timeout.is_zero() || self.upload_timeout > UPLOAD_TIMEOUT_LIMIT {
            env.refuse(UPLOAD_TIMEOUT, "must be more than 0s and at most 2m 25s");
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Id, Timestamp, upload};

    use super::*;

    /// The settings of this environment and a good secret, and the variables that are refused.
    fn read(pairs: &[(&str, &str)]) -> (Config, Vec<String>) {
        let mut env = Env::from_pairs([(JWT_SECRET.to_owned(), "x".repeat(MIN_SECRET_BYTES))]);
        pairs.iter().for_each(|(name, value)| env.set(name, *value));
        let config = Config::from_env(&mut env);
        let mistakes = env.finish().err().map_or_else(Vec::new, |errors| errors.0);
        (config, mistakes.into_iter().map(|mistake| mistake.name).collect())
    }

    #[test]
    fn a_short_secret_is_refused_and_durations_are_read() {
        let (config, refused) = read(&[(JWT_SECRET, "short"), (JWT_TTL, "2h")]);
        assert_eq!(config.jwt_ttl, Duration::from_secs(7200));
        assert_eq!(refused, [JWT_SECRET]);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (name, value) in [
            (JWT_SECRET_PREVIOUS, "short"),
            (PUBLIC_URL, "https://chat.example.org/path"),
            (TRUSTED_PROXIES, "proxy.example"),
            (JWT_TTL, "0s"),
            (COMMIT_TIMEOUT, "0s"),
            (COMMIT_TIMEOUT, "20s"),
            (COMMIT_TIMEOUT, "1m"),
            (DRAIN_TIMEOUT, "0s"),
            (AUTH_RATE_PER_ADDRESS, "0/1m"),
            (AUTH_RATE_PER_ACCOUNT, "often"),
            (INVITE_RATE_PER_USER, "1000"),
            (CHANGE_RATE_PER_USER, "120"),
            (UPLOAD_RATE_PER_USER, "10"),
            (UPLOAD_MAX_BYTES, "1023"),
            (UPLOAD_MAX_BYTES, "1073741825"),
            (UPLOAD_MAX_BYTES, "10 MB"),
            (UPLOAD_TIMEOUT, "0s"),
            (UPLOAD_TIMEOUT, "146s"),
        ] {
            assert_eq!(read(&[(name, value)]).1, [name], "{value}");
        }
        let most = [
            (COMMIT_TIMEOUT, "19s"),
            (DRAIN_TIMEOUT, "1s"),
            (UPLOAD_MAX_BYTES, "1073741824"),
            (UPLOAD_TIMEOUT, "2m 25s"),
        ];
        assert_eq!(read(&most).1, [""; 0]);
    }

    #[test]
    fn limits_have_defaults_and_can_be_set() {
        let (config, _) = read(&[]);
        assert_eq!(config.auth_rate_per_address, Rate { count: 60, per: MINUTE });
        assert_eq!(config.auth_rate_per_account, Rate { count: 10, per: MINUTE });
        assert_eq!(config.change_rate_per_user, Rate { count: 120, per: MINUTE });
        assert_eq!(config.upload_rate_per_user, Rate { count: 30, per: MINUTE });
        assert_eq!((config.upload_max_bytes, config.upload_timeout), (10_485_760, MINUTE * 2));
        let (config, refused) = read(&[
            (AUTH_RATE_PER_ADDRESS, "5/1s"),
            (AUTH_RATE_PER_ACCOUNT, "6/1s"),
            (CHANGE_RATE_PER_USER, "8/1s"),
            (UPLOAD_RATE_PER_USER, "7/1s"),
            (UPLOAD_MAX_BYTES, "2048"),
            (UPLOAD_TIMEOUT, "3s"),
        ]);
        assert_eq!(refused, [""; 0]);
        assert_eq!(config.auth_rate_per_address.count, 5);
        assert_eq!(config.auth_rate_per_account.count, 6);
        assert_eq!((config.change_rate_per_user.count, config.upload_rate_per_user.count), (8, 7));
        assert_eq!((config.upload_max_bytes, config.upload_timeout), (2048, Duration::from_secs(3)));
    }

    #[test]
    fn links_have_the_public_address_and_previous_secrets_are_good_for_them_too() {
        let (old, now, stored) = ("o".repeat(32), Timestamp::now(), upload::stored(Id::mint()));
        let of_old = Links::new(Tokens::new(old.as_bytes()), None).shown(&stored, now).into_owned();
        let (config, refused) =
            read(&[(PUBLIC_URL, "https://chat.example.org/"), (JWT_SECRET_PREVIOUS, &old)]);
        assert_eq!(refused, [""; 0]);
        assert!(config.links.shown(&stored, now).starts_with("https://chat.example.org/api/uploads/"));
        assert_eq!(config.links.recognise(&of_old, now), upload::Given::Upload(stored));
        let token = Tokens::new(old.as_bytes()).sign(Id::mint(), 0, MINUTE).unwrap();
        assert!(config.tokens.verify(&token).is_ok());
    }

    #[test]
    fn this_machine_is_trusted_and_others_where_they_are_named() {
        let trusts = |config: &Config, address: &str| config.trusted_proxies.trusts(address.parse().unwrap());
        let (config, _) = read(&[(TRUSTED_PROXIES, "10.0.0.5")]);
        assert!(trusts(&config, "127.0.0.1") && trusts(&config, "::1") && trusts(&config, "10.0.0.5"));
        assert!(!trusts(&config, "10.0.0.6"));
        assert!(!trusts(&Config::new(Tokens::new(&[7; 32])), "10.0.0.5"));
    }
}
