//! Which requests become connections, and what the others are told.

use fastwebsockets::upgrade::{is_upgrade_request, upgrade};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use serde_json::Value;

use super::frame::Wire;
use super::metrics::{Metrics, Refusal};
use super::{Body, body};

/// What is wrong with a handshake: for the metrics, and for the client.
pub(super) type Refused = (Refusal, Response<Body>);

/// Counts a refusal, and gives its answer.
pub(super) fn refuse(metrics: &Metrics, (refusal, response): Refused) -> Response<Body> {
    metrics.refused(refusal);
    response
}

/// How an Engine.IO client wants to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Polling,
    WebSocket,
}

/// What a well-formed request of an Engine.IO client is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A new session.
    New(Transport),
    /// A session that there is, or was.
    Of(String, Transport),
}

/// Engine.IO's own rules, in its own order and words.
#[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
pub(super) fn check_engine<B>(request: &Request<B>) -> Result<Asked, Refused> {
    let query = request.uri().query().unwrap_or_default();
    let parameter = |name| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    let value = |name| parameter(name).map(|(_, value)| value);
    let transport = match value("transport").as_deref() {
        Some("polling") => Transport::Polling,
        Some("websocket") => Transport::WebSocket,
        _ => return Err((Refusal::Transport, engine_error(UNKNOWN_TRANSPORT))),
    };
    let lacks_upgrade = transport == Transport::WebSocket && !is_upgrade_request(request);
    // JSONP runs what a server of any origin answers; nothing that is alive today needs it.
    let refused = match value("sid") {
        Some(_) if lacks_upgrade => Err((Refusal::NotWebSocket, BAD_REQUEST)),
        Some(sid) => Ok(Asked::Of(sid.into_owned(), transport)),
        None if request.method() != Method::GET => Err((Refusal::Method, BAD_METHOD)),
        None if lacks_upgrade => Err((Refusal::NotWebSocket, BAD_REQUEST)),
        None if value("EIO").is_none_or(|version| version != "4") => {
            Err((Refusal::Version, UNSUPPORTED_VERSION))
        }
        None => Ok(Asked::New(transport)),
    };
    match refused {
        Ok(_) if value("j").is_some() => Err((Refusal::Transport, engine_error(BAD_REQUEST))),
        Ok(asked) => Ok(asked),
        Err((refusal, error)) => Err((refusal, engine_error(error))),
    }
}

/// What else a WebSocket handshake must have. Whether it is one at all has been looked at.
#[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
pub(super) fn check_websocket(request: &Request<Incoming>) -> Result<(), Refused> {
    if request.headers().get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err((Refusal::Version, upgrade_required("Sec-WebSocket-Version 13 is expected")));
    }
    // A body would be taken for frames.
    if request.version() != Version::HTTP_11 || !request.body().is_end_stream() {
        return Err((Refusal::Broken, plain_error("HTTP/1.1 without a body is expected")));
    }
    Ok(())
}

/// The same for a path where there are only WebSockets.
#[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
pub(super) fn check_plain<B>(request: &Request<B>) -> Result<(), Refused> {
    if request.method() != Method::GET {
        let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "GET is expected");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return Err((Refusal::Method, response));
    }
    if !is_upgrade_request(request) {
        return Err((Refusal::NotWebSocket, upgrade_required("a WebSocket handshake is expected")));
    }
    Ok(())
}

/// The answer that makes a request a WebSocket, and the TCP stream once it is out.
#[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
pub(super) fn switch(request: &mut Request<Incoming>) -> Result<(Response<Body>, OnUpgrade), Refused> {
    let stream = hyper::upgrade::on(&mut *request);
    match upgrade(request) {
        Ok((response, _)) => {
            Ok((response.map(|empty| empty.map_err(|never| match never {}).boxed_unsync()), stream))
        }
        Err(_) => Err((Refusal::Broken, plain_error("Sec-WebSocket-Key is missing"))),
    }
}

/// The payload of the CONNECT that a handshake itself is, if it is one: `/ws` clients may give their token in a header,
/// and what they were given to come back with in the query.
pub(super) fn auth<B>(wire: Wire, request: &Request<B>) -> Option<String> {
    if wire != Wire::Plain {
        return None;
    }
    let mut auth = bearer(request.headers().get(AUTHORIZATION)?.to_str().ok()?)?;
    let query = request.uri().query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == "pid" || name == "offset" {
            auth[&*name] = value.into();
        }
    }
    Some(auth.to_string())
}

/// The token of an `Authorization: Bearer` header, as the payload of a `user:connect`.
fn bearer(header: &str) -> Option<Value> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| serde_json::json!({ "token": token.trim() }))
}

/// An error of Engine.IO's own: its number and its words.
pub(super) type EngineError = (u8, &'static str);

const UNKNOWN_TRANSPORT: EngineError = (0, "Transport unknown");
pub(super) const UNKNOWN_SESSION: EngineError = (1, "Session ID unknown");
const BAD_METHOD: EngineError = (2, "Bad handshake method");
pub(super) const BAD_REQUEST: EngineError = (3, "Bad request");
const UNSUPPORTED_VERSION: EngineError = (5, "Unsupported protocol version");

pub(super) fn engine_error((code, message): EngineError) -> Response<Body> {
    json(StatusCode::BAD_REQUEST, serde_json::json!({ "code": code, "message": message }))
}

pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
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

fn json(status: StatusCode, value: Value) -> Response<Body> {
    let mut response = Response::new(body(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_tokens() {
        let token = |header| bearer(header).map(|auth| auth["token"].as_str().unwrap_or_default().to_owned());
        assert_eq!(token("Bearer a.b-c").as_deref(), Some("a.b-c"));
        assert_eq!(token("bearer  x\" ").as_deref(), Some("x\""));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("Bearer"), None);
    }

    #[test]
    fn a_handshake_may_say_what_the_client_comes_back_with() {
        let request = |uri: &str| Request::get(uri).header(AUTHORIZATION, "Bearer t").body(()).unwrap();
        let given = |wire, uri: &str| {
            auth(wire, &request(uri)).map(|auth| serde_json::from_str::<Value>(&auth).unwrap())
        };
        assert_eq!(
            given(Wire::Plain, "/ws?pid=p%2F1&offset=o&x=y"),
            Some(serde_json::json!({ "token": "t", "pid": "p/1", "offset": "o" }))
        );
        assert_eq!(given(Wire::Plain, "/ws"), Some(serde_json::json!({ "token": "t" })));
        assert_eq!(given(Wire::SocketIo, "/socket.io/"), None);
        assert_eq!(auth(Wire::Plain, &Request::get("/ws?pid=p").body(()).unwrap()), None);
    }
}
