//! Which request is answered by what.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response};

use super::agent::Agent;
use super::frame::Wire;
use super::handshake::{self, Asked, BAD_REQUEST, Refused, Transport, UNKNOWN_SESSION};
use super::metrics::{Passed, Refusal};
use super::peers::{self, Relay};
use super::polling::{self, Claim, Found};
use super::server::Server;
use super::{Application, Body, sid};

/// What becomes of a TCP connection whose last answer was 101.
pub(super) enum Next<A: Application> {
    Connection(Handshake<A::Permit>),
    /// A polling session goes on over it; there is no claim to that for a WebSocket that comes second, but a place of
    /// its own until it is closed.
    Upgrade(OnUpgrade, Result<Claim<A>, A::Permit>),
    Relay(Relay<A::Permit>),
}

/// A new connection.
pub(super) struct Handshake<P> {
    /// What the application gave for it.
    pub(super) permit: P,
    pub(super) wire: Wire,
    pub(super) agent: Agent,
    /// The payload of the CONNECT that the handshake itself is, if it is one.
    pub(super) auth: Option<String>,
    /// The TCP stream, once the answer is out.
    pub(super) stream: OnUpgrade,
}

/// An answer, and what becomes of its TCP connection if that is not another request.
type Answer<A> = (Response<Body>, Option<Next<A>>);

/// Answers a request.
pub(super) async fn answer<A: Application>(
    server: &Server<A>,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Answer<A> {
    let wire = server.app.wire(request.uri().path()).filter(|_| request.method() != Method::OPTIONS);
    let Some(wire) = wire else {
        return (Arc::clone(&server.app).http(request, peer).await, None);
    };
    request.extensions_mut().insert(peer);
    let headers = request.headers().clone();
    let answered = match wire {
        Wire::Plain | Wire::Raw => match handshake::check_plain(&request) {
            Ok(()) => connect(server, wire, &mut request),
            Err(refused) => Err(refused),
        },
        Wire::SocketIo | Wire::Engine => match handshake::check_engine(&request) {
            Ok(Asked::New(Transport::WebSocket)) => connect(server, wire, &mut request),
            Ok(Asked::New(Transport::Polling)) => open(server, wire, &request),
            Ok(Asked::Of(sid, transport)) => match elsewhere(server, &sid) {
                None => resume(server, wire, request, &sid, transport).await,
                Some(node) => match pass(server, request, node, transport).await {
                    // The other node has completed its answer.
                    Ok(answer) => return answer,
                    Err(refused) => Err(refused),
                },
            },
            Err(refused) => Err(refused),
        },
    };
    let metrics = &server.shared.metrics;
    let (mut response, next) = answered.unwrap_or_else(|refused| (handshake::refuse(metrics, refused), None));
    if next.is_none() {
        server.app.finish(&headers, &mut response);
    }
    (response, next)
}

/// Asks the application for a place for a connection.
#[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
fn allow<A: Application>(server: &Server<A>, request: &Request<Incoming>) -> Result<A::Permit, Refused> {
    server.app.allow(request).map_err(|response| (Refusal::Application, response))
}

/// A handshake that opens a WebSocket of its own.
#[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
fn connect<A: Application>(
    server: &Server<A>,
    wire: Wire,
    request: &mut Request<Incoming>,
) -> Result<Answer<A>, Refused> {
    handshake::check_websocket(request)?;
    let permit = allow(server, request)?;
    let (auth, agent) = (handshake::auth(wire, request), Agent::of(request.headers()));
    let (response, stream) = handshake::switch(request)?;
    server.shared.metrics.accepted();
    Ok((response, Some(Next::Connection(Handshake { permit, wire, agent, auth, stream }))))
}

/// A handshake that opens a polling session.
#[expect(clippy::result_large_err, reason = "the refusal is the rare case, and is sent right away")]
fn open<A: Application>(
    server: &Server<A>,
    wire: Wire,
    request: &Request<Incoming>,
) -> Result<Answer<A>, Refused> {
    let permit = allow(server, request)?;
    server.shared.metrics.accepted();
    Ok((polling::open(server, wire, permit, Agent::of(request.headers())), None))
}

/// A request for a session that lives here, if it lives at all.
async fn resume<A: Application>(
    server: &Server<A>,
    wire: Wire,
    mut request: Request<Incoming>,
    sid: &str,
    transport: Transport,
) -> Result<Answer<A>, Refused> {
    let session = match server.sessions.find(sid) {
        Found::Polling(session) if session.speaks(wire) => Some(session),
        Found::Upgraded if transport == Transport::WebSocket => None,
        Found::Upgraded => return Err(refused(request, Refusal::Transport, BAD_REQUEST)),
        Found::Polling(_) | Found::Unknown => {
            return Err(refused(request, Refusal::Session, UNKNOWN_SESSION));
        }
    };
    match (session, request.method()) {
        (session, _) if transport == Transport::WebSocket => {
            handshake::check_websocket(&request)?;
            let claim = match session.and_then(|session| Claim::stake(&session)) {
                Some(claim) => Ok(claim),
                None => Err(allow(server, &request)?),
            };
            let (response, stream) = handshake::switch(&mut request)?;
            Ok((response, Some(Next::Upgrade(stream, claim))))
        }
        (Some(session), &Method::GET) => Ok((polling::poll(&session).await, None)),
        (Some(session), &Method::POST) => Ok((polling::post(&session, request).await, None)),
        _ => Err(refused(request, Refusal::Method, BAD_REQUEST)),
    }
}

fn refused(request: Request<Incoming>, refusal: Refusal, error: handshake::EngineError) -> Refused {
    polling::refuse_body(request);
    (refusal, handshake::engine_error(error))
}

/// The name of the node that a session lives on, if that is another one.
fn elsewhere<'a, A: Application>(server: &Server<A>, sid: &'a str) -> Option<&'a str> {
    sid::node(sid).filter(|node| Some(*node) != server.app.node())
}

/// A request for a session that lives on another node.
async fn pass<A: Application>(
    server: &Server<A>,
    request: Request<Incoming>,
    node: &str,
    transport: Transport,
) -> Result<Answer<A>, Refused> {
    let url = match server.app.peer(node) {
        // What was passed to this node is not passed any further, or two that disagree would do so for ever.
        Some(url) if !peers::is_passed(request.headers()) => url,
        _ => {
            server.shared.metrics.passed(Passed::Unknown);
            return Err(refused(request, Refusal::Session, UNKNOWN_SESSION));
        }
    };
    let permit = if transport == Transport::WebSocket {
        handshake::check_websocket(&request)?;
        // Its session has a place on the other node only.
        Some(allow(server, &request)?)
    } else {
        None
    };
    match server.peers.pass(request, &url, permit).await {
        Some((response, relay)) => Ok((response, relay.map(Next::Relay))),
        None => Err((Refusal::Session, handshake::engine_error(UNKNOWN_SESSION))),
    }
}
