//! The requests of polling clients.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use service::leftover;
use tokio::time::timeout;

use super::super::agent::Agent;
use super::super::conn::Conn;
use super::super::fault::Fault;
use super::super::frame::{Item, Wire};
use super::super::handshake::{self, BAD_REQUEST, UNKNOWN_SESSION, error as status};
use super::super::link::Link;
use super::super::metrics::Why;
use super::super::server::Server;
use super::super::{Application, Body, body, sid};
use super::attend::attend;
use super::desk::{Polling, Posting, Unfit};
use super::{Seat, Session, payload};

/// How much is read of a request that is refused, so that its client hears why.
const LEFTOVER: u64 = 1 << 20;
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(2);

/// Opens a session, and tells the client what it must know.
pub(in super::super) fn open<A: Application>(
    server: &Server<A>,
    wire: Wire,
    permit: A::Permit,
    agent: Agent,
) -> Response<Body> {
    let sid = sid::session(server.app.node());
    let mut packet = Vec::new();
    payload::append(&mut packet, &Item::open(&sid, &["websocket"], &server.shared.config));
    let conn = Conn::new(wire, Arc::clone(&server.shared));
    let link = Link::new(Arc::clone(&conn), Arc::clone(&server.app), permit, agent);
    let session = Session::new(sid.into(), Arc::clone(&conn));
    let seat = Seat::take(&server.sessions, &session);
    conn.register();
    server.tasks.spawn(attend(seat, link));
    text(packet)
}

/// Waits for what there is to be sent.
pub(in super::super) async fn poll<A: Application>(session: &Arc<Session<A>>) -> Response<Body> {
    if !session.is_alive() {
        return handshake::engine_error(UNKNOWN_SESSION);
    }
    let answer = match Polling::begin(session) {
        Ok(polling) => polling.answer().await,
        Err(Unfit::Over) => Err(()),
        Err(Unfit::Busy) => return handshake::engine_error(BAD_REQUEST),
    };
    let Ok(answer) = answer else { return handshake::engine_error(UNKNOWN_SESSION) };
    let metrics = &session.conn.shared.metrics;
    metrics.polls.increment(1);
    metrics.bytes_sent.increment(answer.len() as u64);
    text(answer)
}

/// Takes packets.
pub(in super::super) async fn post<A: Application>(
    session: &Arc<Session<A>>,
    request: Request<Incoming>,
) -> Response<Body> {
    if !session.is_alive() {
        refuse_body(request);
        return handshake::engine_error(UNKNOWN_SESSION);
    }
    let posting = match Posting::begin(session) {
        Ok(posting) => posting,
        Err(unfit) => {
            refuse_body(request);
            return handshake::engine_error(if unfit == Unfit::Busy { BAD_REQUEST } else { UNKNOWN_SESSION });
        }
    };
    let config = &session.conn.shared.config;
    let body = match timeout(config.post_timeout, read(request, config.max_payload)).await {
        Ok(Ok(body)) => body,
        Ok(Err(fault)) => {
            posting.fail(fault);
            return match fault.why {
                Why::TooLarge => {
                    status(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "The request is too large")
                }
                _ => handshake::engine_error(BAD_REQUEST),
            };
        }
        Err(_) => {
            posting.fail(Fault::protocol("post took too long"));
            return status(StatusCode::REQUEST_TIMEOUT, "timeout", "The request took too long");
        }
    };
    session.conn.shared.metrics.bytes_received.increment(body.len() as u64);
    match posting.deliver(body).await {
        Ok(true) => {
            let mut response = Response::new(super::super::body("ok"));
            // As the stock server has it; no client looks.
            let html = HeaderValue::from_static("text/html");
            response.headers_mut().insert(CONTENT_TYPE, html);
            response
        }
        Ok(false) => handshake::engine_error(BAD_REQUEST),
        Err(()) => handshake::engine_error(UNKNOWN_SESSION),
    }
}

/// Reads a whole body, which is text.
async fn read(request: Request<Incoming>, limit: usize) -> Result<String, Fault<'static>> {
    let mut body = request.into_body();
    let mut data = Vec::new();
    let mut fits = body.size_hint().lower() <= limit as u64;
    while fits && let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Fault::protocol("post broke off"))?;
        if let Ok(chunk) = frame.into_data() {
            data.extend_from_slice(&chunk);
            fits = data.len() <= limit;
        }
    }
    if !fits {
        leftover::discard(body, LEFTOVER, LEFTOVER_PATIENCE);
        return Err(Fault::TOO_LARGE);
    }
    String::from_utf8(data).map_err(|_| Fault::INVALID_TEXT)
}

/// For a request that is answered without having been read.
pub(in super::super) fn refuse_body(request: Request<Incoming>) {
    leftover::discard(request.into_body(), LEFTOVER, LEFTOVER_PATIENCE);
}

fn text(packets: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body(packets));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
