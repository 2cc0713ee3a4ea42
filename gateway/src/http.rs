//! HTTP at the edge: the page, the pass-through to the api, CORS.
//!
//! | module | holds |
//! |---|---|
//! | `page` | the page at `/` |
//! | `proxy` | `/api/*`, passed through to an api node |
//! | `caller` | what the api is told about who is calling |
//! | `origin` | which pages may call |
//! | `cors` | what browsers are told about that |

use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use protocol::ErrorCode;
use protocol::code::ApiError;
use service::guard::guard;

use crate::transport::{Body, body};

mod caller;
mod cors;
mod origin;
mod page;
mod proxy;

pub(crate) use caller::client_address;
pub(crate) use cors::Cors;
pub(crate) use origin::Origins;
pub(crate) use proxy::Proxy;

/// Answers every request that does not become a connection.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) cors: Cors,
    pub(crate) proxy: Proxy,
}

impl Edge {
    /// Answers a request. `is_for_socket` says that its path is one where connections are made, which it did not ask
    /// for.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        is_for_socket: bool,
    ) -> Response<Body> {
        let is_for_api = proxy::is_for_api(request.uri().path());
        if !is_for_api && !is_for_socket {
            return static_answer(&request);
        }
        if let Some(preflight) = self.cors.preflight(&request) {
            return preflight;
        }
        if !is_for_api {
            return not_allowed("GET, POST");
        }
        let origin = self.cors.allowed(request.headers());
        let mut response = self.proxy.pass(request, peer).await;
        self.cors.mark(&mut response, origin);
        response
    }
}

fn static_answer(request: &Request<Incoming>) -> Response<Body> {
    let Some(asset) = page::asset(request.uri().path()) else {
        return error(ErrorCode::NotFound, "Not found");
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_allowed("GET, HEAD");
    }
    asset.answer(request.headers())
}

fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = error(ErrorCode::MethodNotAllowed, "Method not allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// An error in the api's own form.
pub(crate) fn error(code: ErrorCode, message: &str) -> Response<Body> {
    let text = serde_json::to_vec(&ApiError::new(code, message)).unwrap_or_default();
    let mut response = Response::new(body(text));
    *response.status_mut() = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    guard(headers);
    if code == ErrorCode::Unavailable {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
