//! Why and how a connection is closed.

use protocol::code::close;

use super::metrics::Why;

/// A close that the server begins or answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault<'a> {
    /// The WebSocket close code.
    pub(super) code: u16,
    /// The words beside it.
    pub(super) reason: &'a str,
    /// For the metrics.
    pub(super) why: Why,
}

impl<'a> Fault<'a> {
    pub(super) const fn new(code: u16, reason: &'a str, why: Why) -> Self {
        Self { code, reason, why }
    }
}

impl Fault<'static> {
    pub(super) const SHUTDOWN: Self = Self::new(close::GOING_AWAY, "server is stopping", Why::Shutdown);
    pub(super) const SLOW: Self = Self::new(close::SLOW_CONSUMER, "slow consumer", Why::SlowConsumer);
    pub(super) const TOO_MANY_ASKS: Self =
        Self::new(close::TOO_MANY, "too many attempts to connect", Why::TooMany);
    pub(super) const NOT_CONNECTED: Self = Self::protocol("not connected");
    pub(super) const INVALID_TEXT: Self = Self::new(close::INVALID_TEXT, "not UTF-8", Why::InvalidText);
    pub(super) const TOO_LARGE: Self = Self::new(close::TOO_LARGE, "message too large", Why::TooLarge);
    pub(super) const BINARY: Self = Self::new(close::UNSUPPORTED, "binary is not accepted", Why::Unsupported);

    /// The peer broke the WebSocket, Engine.IO or Socket.IO protocol.
    pub(super) const fn protocol(reason: &'static str) -> Self {
        Self::new(close::PROTOCOL_ERROR, reason, Why::Protocol)
    }
}
