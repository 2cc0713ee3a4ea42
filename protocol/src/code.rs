//! Error codes of the API and close codes of WebSockets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `code` of an error answer, and of a failed socket command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Bad input; the message names the field. 400.
    BadRequest,
    /// No token, or a bad one. 401.
    Unauthorized,
    /// Not yours. 403.
    Forbidden,
    /// Not there. 404.
    NotFound,
    /// The route exists, but not with this method. 405.
    MethodNotAllowed,
    /// The client was too slow to send its request. 408.
    RequestTimeout,
    /// Taken, or changed meanwhile. 409.
    Conflict,
    /// The body is too large. 413.
    TooLarge,
    /// The body is not of a type that is taken. 415.
    UnsupportedMediaType,
    /// Too many requests; `Retry-After` tells when to come back. 429.
    TooManyRequests,
    /// A fault of ours. 500.
    Internal,
    /// The database or the api is away; try again. 503.
    Unavailable,
}

impl ErrorCode {
    /// The HTTP status that belongs to this code.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

/// An error as the client reads it: `{"message": …, "code": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Says what is wrong, in words.
    pub message: String,
    /// Says it in one word.
    pub code: ErrorCode,
}

impl ApiError {
    /// An error with this code and text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { message: message.into(), code }
    }
}

impl From<crate::input::Invalid> for ApiError {
    fn from(invalid: crate::input::Invalid) -> Self {
        Self::new(ErrorCode::BadRequest, invalid.to_string())
    }
}

/// Texts of the frontend specification, which clients compare with.
pub mod text {
    /// A socket without a token, or with a bad one.
    pub const AUTHENTICATION_ERROR: &str = "Authentication error";
    /// A good token of a user who is gone.
    pub const USER_NOT_FOUND: &str = "User not found";
    /// A request without a token.
    pub const TOKEN_REQUIRED: &str = "Authorization token required";
    /// A request with a bad token.
    pub const INVALID_TOKEN: &str = "Invalid token";
    /// A message that could not be sent, to a client that asked for no acknowledgement.
    pub const FAILED_TO_SEND: &str = "Failed to send message";
}

/// Close codes of WebSockets. README.md has them in one table, with what a client should do. The stock Socket.IO client
/// reconnects after any of them, since to it every closed transport is an accident; a plain client should reconnect
/// unless the table says otherwise.
pub mod close {
    /// The server is stopping. Reconnect.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the WebSocket or Socket.IO protocol. Do not reconnect without a change.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// A frame type that is not accepted here. Do not reconnect without a change.
    pub const UNSUPPORTED: u16 = 1003;
    /// A text frame that is not UTF-8. Do not reconnect without a change.
    pub const INVALID_TEXT: u16 = 1007;
    /// A message over the size limit. Do not reconnect without a change.
    pub const TOO_LARGE: u16 = 1009;
    /// The token was refused, its session was ended, or it expired. Do not reconnect without a new one.
    pub const UNAUTHORIZED: u16 = 4401;
    /// No authentication, or no sign of life, in time. Reconnect.
    pub const TIMEOUT: u16 = 4408;
    /// The same client has connected again, and this is its earlier connection. Do not reconnect.
    pub const REPLACED: u16 = 4409;
    /// Too many connections of one user, or too many commands. Reconnect later.
    pub const TOO_MANY: u16 = 4429;
    /// Something LinkUp needs is away, or events may have been missed. Reconnect, and catch up over REST.
    pub const TRY_AGAIN: u16 = 4503;
    /// The client did not read fast enough. Reconnect, and catch up over REST.
    pub const SLOW_CONSUMER: u16 = 4508;
}
