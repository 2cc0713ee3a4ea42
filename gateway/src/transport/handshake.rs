//! Which requests become connections, and what the others are told.

use fastwebsockets::upgrade::{is_upgrade_request, upgrade};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};

use super::frame::Wire;
use super::link;
use super::metrics::{METRICS, Refusal};
use super::{Application, Body, body};

/// A handshake that was answered with 101.
pub(super) struct Handshake<P> {
    /// What the application gave for the connection.
    pub(super) permit: P,
    pub(super) wire: Wire,
    /// The payload of the CONNECT that the handshake itself is, if it is one.
    pub(super) auth: Option<String>,
    /// The TCP stream, once the answer is out.
    pub(super) stream: OnUpgrade,
}

/// Answers a handshake, with 101 if it is one.
pub(super) fn answer<A: Application>(
    app: &A,
    wire: Wire,
    request: &mut Request<Incoming>,
) -> (Response<Body>, Option<Handshake<A::Permit>>) {
    match check(wire, request) {
        Ok(()) => {}
        Err((refusal, response)) => return (refuse(refusal, response), None),
    }
    let permit = match app.allow(request) {
        Ok(permit) => permit,
        Err(response) => return (refuse(Refusal::Application, response), None),
    };
    let auth = request.headers().get(AUTHORIZATION).filter(|_| link::takes_header(wire));
    let auth = auth.and_then(|header| header.to_str().ok()).and_then(link::bearer);
    let stream = hyper::upgrade::on(&mut *request);
    match upgrade(request) {
        Ok((response, _)) => {
            let response = response.map(|empty| empty.map_err(|never| match never {}).boxed_unsync());
            (response, Some(Handshake { wire, auth, stream, permit }))
        }
        Err(_) => (refuse(Refusal::Broken, plain_error("Sec-WebSocket-Key is missing")), None),
    }
}

fn refuse(refusal: Refusal, response: Response<Body>) -> Response<Body> {
    METRICS.refused(refusal);
    response
}

/// What is wrong with a handshake: for the metrics, and for the client.
type Refused = (Refusal, Response<Body>);

#[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
fn check(wire: Wire, request: &Request<Incoming>) -> Result<(), Refused> {
    match wire {
        Wire::SocketIo | Wire::Engine => check_engine(request)?,
        Wire::Plain | Wire::Raw if request.method() != Method::GET => {
            let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "GET is expected");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return Err((Refusal::Method, response));
        }
        Wire::Plain | Wire::Raw if !is_upgrade_request(request) => {
            return Err((Refusal::NotWebSocket, upgrade_required("a WebSocket handshake is expected")));
        }
        Wire::Plain | Wire::Raw => {}
    }
    if request.headers().get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err((Refusal::Version, upgrade_required("Sec-WebSocket-Version 13 is expected")));
    }
    // A body would be taken for frames.
    if request.version() != Version::HTTP_11 || !request.body().is_end_stream() {
        return Err((Refusal::Broken, plain_error("HTTP/1.1 without a body is expected")));
    }
    Ok(())
}

/// Engine.IO's own rules, in its own order and words.
#[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
fn check_engine(request: &Request<Incoming>) -> Result<(), Refused> {
    let query = request.uri().query().unwrap_or_default();
    let parameter = |name| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    let is = |name, wanted: &str| parameter(name).is_some_and(|(_, value)| value == wanted);
    if !is("transport", "websocket") {
        Err((Refusal::Transport, engine_error(0, "Transport unknown")))
    } else if parameter("sid").is_some() {
        // Sessions live on one WebSocket; there is none that another request could be for.
        Err((Refusal::Session, engine_error(1, "Session ID unknown")))
    } else if request.method() != Method::GET {
        Err((Refusal::Method, engine_error(2, "Bad handshake method")))
    } else if !is_upgrade_request(request) {
        Err((Refusal::NotWebSocket, engine_error(3, "Bad request")))
    } else if !is("EIO", "4") {
        Err((Refusal::Version, engine_error(5, "Unsupported protocol version")))
    } else {
        Ok(())
    }
}

fn engine_error(code: u8, message: &str) -> Response<Body> {
    json(StatusCode::BAD_REQUEST, serde_json::json!({ "code": code, "message": message }))
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    json(status, serde_json::json!({ "message": message, "code": code }))
}

fn plain_error(message: &str) -> Response<Body> {
    error(StatusCode::BAD_REQUEST, "bad_request", message)
}

fn upgrade_required(message: &str) -> Response<Body> {
    let mut response = error(StatusCode::UPGRADE_REQUIRED, "bad_request", message);
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

fn json(status: StatusCode, value: serde_json::Value) -> Response<Body> {
    let mut response = Response::new(body(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
