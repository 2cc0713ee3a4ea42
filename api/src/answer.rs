//! Responses and errors.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use protocol::ErrorCode;
use protocol::code::ApiError;
use protocol::input::Invalid;
use serde::Serialize;
use service::batcher::Refused;
use store::StoreError;
use tracing::{debug, error};

/// Why a body that is being sent breaks off.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// JSON, whole, or a file that streams.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
/// A response.
pub(crate) type Answer = Response<Body>;

/// After this trying again makes sense, when MongoDB is away or the api is overloaded.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Why a request is not answered with what it asked for. The client sees all of it, so nothing internal is in it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: ApiError,
    /// When to come back.
    retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError::new(code, message).into()
    }

    /// Too many requests; one more is taken after `wait`.
    pub(crate) fn throttled(wait: Duration) -> Self {
        let failure = Self::new(ErrorCode::TooManyRequests, "Too many requests, please try again later");
        Self { retry_after: Some(wait), ..failure }
    }

    pub(crate) fn conflict(message: &str) -> Self {
        Self::new(ErrorCode::Conflict, message)
    }

    pub(crate) fn unauthorized(message: &str) -> Self {
        Self::new(ErrorCode::Unauthorized, message)
    }

    pub(crate) fn not_found(message: &str) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    pub(crate) fn forbidden(message: &str) -> Self {
        Self::new(ErrorCode::Forbidden, message)
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(ErrorCode::Unavailable, "The service is unavailable, please try again")
    }

    /// A fault of ours. `what` went wrong is logged here, once, and not told.
    pub(crate) fn fault(what: impl std::fmt::Display) -> Self {
        error!(error = %what, "a request failed");
        Self::new(ErrorCode::Internal, "Something went wrong")
    }

    pub(crate) fn response(&self) -> Answer {
        let code = self.error.code;
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, &self.error);
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never so early that it would be refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        // What is left of the body will not be read, so the connection cannot be used again.
        if matches!(code, ErrorCode::TooLarge | ErrorCode::RequestTimeout) {
            set(&mut response, CONNECTION, "close");
        }
        response
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let retry_after = (error.code == ErrorCode::Unavailable).then_some(TRY_AGAIN_AFTER);
        Self { error, retry_after }
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        ApiError::from(invalid).into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Contended) {
            Self::conflict("This keeps changing, please try again")
        } else if error.is_unavailable() {
            debug!(%error, "MongoDB is away");
            Self::unavailable()
        } else if error.is_duplicate() {
            // The error's own text quotes the key, which may be somebody's address.
            Self::fault("a unique index refused a write that should have been free of conflicts")
        } else {
            Self::fault(error)
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Overloaded => Self::unavailable(),
            Refused::Stopped => Self::fault(refused),
        }
    }
}

/// A response with a JSON body.
pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Answer {
    let text = match serde_json::to_vec(body) {
        Ok(text) => text,
        // Maps with keys that are not text fail, and the answers have none.
        Err(error) => return Failure::fault(error).response(),
    };
    let mut response = Response::new(whole(text));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, "application/json");
    response
}

/// A body that is there already.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// That something was done.
pub(crate) fn done() -> Answer {
    ok(&protocol::model::Success { success: true })
}

pub(crate) fn ok<T: Serialize>(body: &T) -> Answer {
    json(StatusCode::OK, body)
}

pub(crate) fn created<T: Serialize>(body: &T) -> Answer {
    json(StatusCode::CREATED, body)
}

/// 405, with the methods that would do.
pub(crate) fn method_not_allowed(allowed: &str) -> Answer {
    let mut response = Failure::new(ErrorCode::MethodNotAllowed, "Method not allowed").response();
    if let Ok(allowed) = HeaderValue::try_from(allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

fn set(response: &mut Answer, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
