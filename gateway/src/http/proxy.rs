//! `/api/*` passed through to an api node, both bodies streaming.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Method, Request, Response, Uri, Version};
use protocol::ErrorCode;
use service::client_address::TrustedProxies;
use tracing::warn;

use super::caller::Caller;
use crate::metrics::{Metrics, Proxied};
use crate::nodes::{self, HttpClient, Nodes};
use crate::transport::Body;

/// How long a node may take to begin its answer: longer than the api's own deadlines, so that its own words
/// reach the client.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for an upload, whose answer begins only when the whole file has come over the client's line. The api gives
/// up a little earlier at the latest: its `UPLOAD_TIMEOUT` is at most 145 seconds.
const UPLOAD_ANSWER_TIMEOUT: Duration = Duration::from_secs(150);
/// Where files are uploaded to.
const UPLOADS: &str = "/api/uploads";

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that speak of one connection and must not be passed on (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Passes requests to the api nodes in turn. One that could not be reached is left out for a moment.
#[derive(Debug)]
pub(crate) struct Proxy {
    client: HttpClient<Incoming>,
    nodes: Arc<Nodes>,
    trusted: TrustedProxies,
    metrics: Arc<Metrics>,
}

/// Whether a path is the api's. The path is compared as it came: one with a dot segment or an encoded slash
/// that begins with `/api/` goes to the api, which knows no such route.
pub(crate) fn is_for_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

impl Proxy {
    pub(crate) fn new(nodes: Arc<Nodes>, trusted: TrustedProxies, metrics: Arc<Metrics>) -> Self {
        Self { client: nodes::client(), nodes, trusted, metrics }
    }

    /// Passes a request on and its answer back, or tells that there is none; either way with the request's name.
    pub(crate) async fn pass(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let caller = Caller::of(request.headers(), peer.ip(), &self.trusted);
        let mut response = self.forward(request, &caller).await;
        caller.mark(response.headers_mut());
        response
    }

    /// A request is never sent twice: what its body did is unknown.
    async fn forward(&self, request: Request<Incoming>, caller: &Caller) -> Response<Body> {
        let chosen = self.nodes.in_turn()[0];
        let node = self.nodes.url(chosen);
        let (patience, request_id) = (patience(&request), caller.request_id());
        let request = match outgoing(request, node, caller) {
            Ok(request) => request,
            Err(_) => return super::error(ErrorCode::BadRequest, "The address cannot be used"),
        };
        let asked = Instant::now();
        match tokio::time::timeout(patience, self.client.request(request)).await {
            Ok(Ok(response)) => {
                self.nodes.answered(chosen);
                self.metrics.api.proxied(Proxied::Answered);
                self.metrics.api.proxy_seconds.record(asked.elapsed().as_secs_f64());
                incoming(response)
            }
            // Not counted: the client did not let it be passed through.
            Ok(Err(error)) if is_the_clients(&error) => {
                super::error(ErrorCode::BadRequest, "body: was cut short")
            }
            Ok(Err(error)) => {
                // Only what cannot be the client's doing counts against the node: it may have broken off its own body.
                if error.is_connect() {
                    self.nodes.failed(chosen);
                }
                self.metrics.api.proxied(Proxied::Unreachable);
                warn!(%error, node, request_id, "an api node could not be reached");
                super::error(ErrorCode::Unavailable, "The service is unavailable; try again")
            }
            Err(_) => {
                self.metrics.api.proxied(Proxied::Late);
                warn!(node, request_id, "an api node did not answer in time");
                super::error(ErrorCode::Unavailable, "The service did not answer in time; try again")
            }
        }
    }
}

/// Whether a request failed because its own body did: it broke off, or was no body at all.
fn is_the_clients(error: &(dyn Error + 'static)) -> bool {
    let mut source = Some(error);
    while let Some(error) = source {
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_user) {
            return true;
        }
        source = error.source();
    }
    false
}

/// How long the answer to a request may take to begin.
fn patience<B>(request: &Request<B>) -> Duration {
    let is_upload = request.method() == Method::POST && request.uri().path() == UPLOADS;
    if is_upload { UPLOAD_ANSWER_TIMEOUT } else { ANSWER_TIMEOUT }
}

fn outgoing<B>(request: Request<B>, node: &str, caller: &Caller) -> Result<Request<B>, hyper::http::Error> {
    let (mut parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    parts.uri = format!("{node}{target}").parse::<Uri>()?;
    parts.version = Version::HTTP_11;
    strip(&mut parts.headers);
    // The client makes its own from the address.
    parts.headers.remove(HOST);
    caller.introduce(&mut parts.headers);
    // Only what travels: extensions of the incoming connection mean nothing on the outgoing one.
    parts.extensions.clear();
    Ok(Request::from_parts(parts, body))
}

fn incoming(response: Response<Incoming>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    Response::from_parts(parts, body.map_err(Into::into).boxed_unsync())
}

/// Removes the headers that speak of this connection only, those that `Connection` names among them.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_stay_behind_and_the_rest_travels() {
        let request = Request::builder()
            .uri("/api/users?search=a%20b")
            .header(CONNECTION, "close, X-Private")
            .header("x-private", "1")
            .header(TRANSFER_ENCODING, "chunked")
            .header(HOST, "chat.example.org")
            .header("authorization", "Bearer x")
            .header("range", "bytes=0-99")
            .header("x-forwarded-for", "203.0.113.9")
            .body(())
            .unwrap();
        let peer = "::ffff:192.0.2.1".parse().unwrap();
        let caller = Caller::of(request.headers(), peer, &TrustedProxies::default());
        let request = outgoing(request, "http://10.0.0.1:5002", &caller).unwrap();
        assert_eq!(request.uri(), "http://10.0.0.1:5002/api/users?search=a%20b");
        let mut names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "range", "x-forwarded-for", "x-request-id"]);
        assert_eq!(request.headers()["x-forwarded-for"], "192.0.2.1");
    }

    #[test]
    fn only_an_upload_may_take_long() {
        let limit = |method: Method, target: &str| {
            patience(&Request::builder().method(method).uri(target).body(()).unwrap())
        };
        assert_eq!(limit(Method::POST, "/api/uploads?name=a.png"), UPLOAD_ANSWER_TIMEOUT);
        assert_eq!(limit(Method::GET, "/api/uploads"), ANSWER_TIMEOUT);
        assert_eq!(limit(Method::POST, "/api/uploads/676f3c000000000000000001"), ANSWER_TIMEOUT);
        assert_eq!(limit(Method::POST, "/api/conversations"), ANSWER_TIMEOUT);
    }

    #[test]
    fn only_the_api_is_passed_to() {
        assert!(is_for_api("/api") && is_for_api("/api/users"));
        assert!(!is_for_api("/internal/commands") && !is_for_api("/apix") && !is_for_api("/"));
    }
}
