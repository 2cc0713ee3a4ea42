//! What an operator may turn.

use std::time::Duration;

/// Times and sizes of the transport. [`Config::default`] holds the documented constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long after the last heartbeat the next one is sent. The Engine.IO client is told.
    pub ping_interval: Duration,
    /// How long a heartbeat may stay unanswered before the connection is given up. The Engine.IO client is told.
    pub ping_timeout: Duration,
    /// How long what waits to be written may make no progress at all before the connection is given up as a slow
    /// consumer; with long polling: how long the client may fetch nothing of what waits for it.
    pub write_timeout: Duration,
    /// How long a transport may be open without an admitted client: from the handshake to
    /// [`Socket::accept`](super::Socket::accept), or since its client disconnected.
    pub connect_timeout: Duration,
    /// How long a WebSocket that a polling session is to go on over may take to prove itself. If it does not, the
    /// session goes on polling.
    pub upgrade_timeout: Duration,
    /// The largest message a client may send, in bytes, over all fragments; with long polling, the largest request. No
    /// answer to a poll is longer either, unless a single packet is. The Engine.IO client is told.
    pub max_payload: usize,
    /// How many bytes may wait to be written to one connection, a small charge per frame included. A
    /// connection over it is closed as a slow consumer.
    pub outbound_limit: usize,
    /// How many bytes may wait beyond that over all connections, because clients that come back are given what they
    /// missed at once ([`Socket::admit_with`](super::Socket::admit_with)).
    pub backlog_total: usize,
    /// How long a client may take to send the head of an HTTP request, or stay idle between two.
    pub header_read_timeout: Duration,
    /// How long the body of a polling client's request may take to arrive.
    pub post_timeout: Duration,
    /// How long [`run`](super::run) waits, once told to stop, for requests and connections to end.
    pub drain_timeout: Duration,
}

impl Config {
    /// The default of [`Config::ping_interval`], as in Socket.IO.
    pub const PING_INTERVAL: Duration = Duration::from_secs(25);
    /// The default of [`Config::ping_timeout`], as in Socket.IO.
    pub const PING_TIMEOUT: Duration = Duration::from_secs(20);
    /// The default of [`Config::write_timeout`].
    pub const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
    /// The default of [`Config::upgrade_timeout`], as in Socket.IO.
    pub const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of [`Config::connect_timeout`], as in Socket.IO.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(45);
    /// The default of [`Config::max_payload`]. Socket.IO's is ten times that, but the longest message here takes
    /// half of this, and a client may send this much before anybody knows who it is.
    pub const MAX_PAYLOAD: usize = 100_000;
    /// The default of [`Config::outbound_limit`].
    pub const OUTBOUND_LIMIT: usize = 1 << 20;
    /// The default of [`Config::backlog_total`].
    pub const BACKLOG_TOTAL: usize = 256 << 20;
    /// The default of [`Config::header_read_timeout`].
    pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of [`Config::post_timeout`].
    pub const POST_TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of [`Config::drain_timeout`].
    pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

    /// How long a closing connection may take to read what is left for it, our close frame included, and to
    /// close its side. Never longer than the drain, so that a drain ends in time.
    pub(super) fn close_timeout(&self) -> Duration {
        const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
        CLOSE_TIMEOUT.min(self.drain_timeout)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Self::PING_INTERVAL,
            ping_timeout: Self::PING_TIMEOUT,
            write_timeout: Self::WRITE_TIMEOUT,
            connect_timeout: Self::CONNECT_TIMEOUT,
            upgrade_timeout: Self::UPGRADE_TIMEOUT,
            max_payload: Self::MAX_PAYLOAD,
            outbound_limit: Self::OUTBOUND_LIMIT,
            backlog_total: Self::BACKLOG_TOTAL,
            header_read_timeout: Self::HEADER_READ_TIMEOUT,
            post_timeout: Self::POST_TIMEOUT,
            drain_timeout: Self::DRAIN_TIMEOUT,
        }
    }
}
