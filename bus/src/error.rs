//! What can go wrong on the bus.

use std::time::Duration;

/// A failure of the bus. Its text never holds credentials.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The configured address or prefix cannot be used.
    #[error("the bus cannot be configured like this: {0}")]
    Config(String),
    /// No server answered when the connection was first made.
    #[error("no NATS server could be reached at {servers}: {reason}")]
    Unreachable {
        /// The addresses that were tried, without user names, passwords and tokens.
        servers: String,
        /// Why, in the words of the client library.
        reason: String,
    },
    /// The other side did not take a message, or did not answer, within this time.
    #[error("the bus did not answer within {0:?}")]
    Timeout(Duration),
    /// The connection was lost meanwhile, and what was published over it perhaps with it.
    #[error("the connection to the bus was lost meanwhile; what was published may be missing")]
    Interrupted,
    /// The encoded message is larger than the server takes. It was not sent.
    #[error("a message of {bytes} bytes is more than the {limit} bytes that the bus takes")]
    TooLarge {
        /// Its size, in bytes.
        bytes: usize,
        /// The most that the server takes, in bytes.
        limit: usize,
    },
    /// The message could not be put into its wire format.
    #[error("a message could not be encoded")]
    Encode(#[from] postcard::Error),
    /// The connection was closed for good.
    #[error("the bus is closed")]
    Closed,
}
