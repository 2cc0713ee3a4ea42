//! Responses and errors.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use protocol::ErrorCode;
use protocol::body::Invalid;
use protocol::code::ApiError;
use serde::Serialize;
use service::batcher::Refused;
use store::StoreError;
use tracing::{debug, error};

/// A whole response: everything the api says fits into memory.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Seconds after which trying again makes sense, when MongoDB is away or the api is overloaded.
const RETRY_AFTER_SECONDS: &str = "1";

/// Why a request is not answered with what it asked for. The client sees all of it, so nothing internal is in it.
#[derive(Clone, Debug)]
pub(crate) struct Failure(pub(crate) ApiError);

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ApiError::new(code, message))
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
        let code = self.0.code;
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, &self.0);
        match code {
            ErrorCode::Unavailable => set(&mut response, RETRY_AFTER, RETRY_AFTER_SECONDS),
            // What is left of the body will not be read, so the connection cannot be used again.
            ErrorCode::TooLarge | ErrorCode::RequestTimeout => set(&mut response, CONNECTION, "close"),
            _ => {}
        }
        response
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self(invalid.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
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
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, "application/json");
    response
}

pub(crate) fn ok<T: Serialize>(body: &T) -> Answer {
    json(StatusCode::OK, body)
}

pub(crate) fn created<T: Serialize>(body: &T) -> Answer {
    json(StatusCode::CREATED, body)
}

/// 405, with the methods that would do.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut response = Failure::new(ErrorCode::MethodNotAllowed, "Method not allowed").response();
    set(&mut response, ALLOW, allowed);
    response
}

fn set(response: &mut Answer, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
