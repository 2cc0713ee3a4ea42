//! Times and sizes of connections.

use std::ops::RangeInclusive;
use std::time::Duration;

use service::config::Env;

use crate::transport::Config;

/// How long after the last heartbeat the next one is sent.
pub const PING_INTERVAL: &str = "PING_INTERVAL";
/// How long a heartbeat may stay unanswered.
pub const PING_TIMEOUT: &str = "PING_TIMEOUT";
/// How long a connection may be open without a client that was let in.
pub const CONNECT_TIMEOUT: &str = "CONNECT_TIMEOUT";
/// How long a client may take to send the head of an HTTP request, or stay idle between two.
pub const HEADER_TIMEOUT: &str = "HEADER_TIMEOUT";
/// How long a client may take nothing at all of what is written to it.
pub const WRITE_TIMEOUT: &str = "WRITE_TIMEOUT";
/// How long a client may take to go on from polling to a WebSocket, once it has begun to.
pub const UPGRADE_TIMEOUT: &str = "UPGRADE_TIMEOUT";
/// How long a polling client may take to send what it has to say.
pub const POST_TIMEOUT: &str = "POST_TIMEOUT";
/// How long requests and connections may take to end when the gateway stops.
pub const DRAIN_TIMEOUT: &str = "DRAIN_TIMEOUT";
/// The largest message that a client may send, in bytes.
pub const MESSAGE_MAX_BYTES: &str = "MESSAGE_MAX_BYTES";
/// How many bytes may wait for one client before it counts as too slow.
pub const OUTBOUND_MAX_BYTES: &str = "OUTBOUND_MAX_BYTES";

/// A longer time is a slip of the pen.
const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// What a token needs at the least; and what a client without one may make a gateway keep.
const MESSAGE_BYTES: RangeInclusive<usize> = 1024..=16 << 20;
/// The longest events must fit, a few of them.
const MIN_OUTBOUND_BYTES: usize = 256 << 10;

/// Reads the settings; mistakes are remembered in `env`.
pub(super) fn from_env(env: &mut Env) -> Config {
    let default = Config::default();
    let mut time = |name, default| {
        let time = env.duration(name, default);
        if time.is_zero() || time > MAX_TIME {
            env.refuse(name, "must be more than 0s and at most 1d");
        }
        time
    };
    let config = Config {
        ping_interval: time(PING_INTERVAL, default.ping_interval),
        ping_timeout: time(PING_TIMEOUT, default.ping_timeout),
        connect_timeout: time(CONNECT_TIMEOUT, default.connect_timeout),
        header_read_timeout: time(HEADER_TIMEOUT, default.header_read_timeout),
        write_timeout: time(WRITE_TIMEOUT, default.write_timeout),
        upgrade_timeout: time(UPGRADE_TIMEOUT, default.upgrade_timeout),
        post_timeout: time(POST_TIMEOUT, default.post_timeout),
        drain_timeout: env.duration(DRAIN_TIMEOUT, default.drain_timeout),
        max_payload: env.parse(MESSAGE_MAX_BYTES, default.max_payload),
        outbound_limit: env.parse(OUTBOUND_MAX_BYTES, default.outbound_limit),
        backlog_total: default.backlog_total,
    };
    if !MESSAGE_BYTES.contains(&config.max_payload) {
        let (least, most) = (MESSAGE_BYTES.start(), MESSAGE_BYTES.end());
        env.refuse(MESSAGE_MAX_BYTES, format!("must be from {least} to {most}"));
    }
    if config.outbound_limit < MIN_OUTBOUND_BYTES {
        env.refuse(OUTBOUND_MAX_BYTES, format!("must be at least {MIN_OUTBOUND_BYTES}"));
    }
    config
}
