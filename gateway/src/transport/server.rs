//! The accept loop, HTTP, and the drain.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use service::metrics::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::conn::Conn;
use super::drive::drive;
use super::frame::{Item, Wire};
use super::link::Link;
use super::peers::Peers;
use super::polling::{Claim, Sessions};
use super::router::{self, Handshake, Next};
use super::wheel::{self, Shared};
use super::writer::Writer;
use super::{Application, Body, Config, sid, upgrade};

/// The longest request head, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Tells how long an idle connection is kept.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// How long accepting rests after an error that will not go away by itself, such as too many open files.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// How long the last tasks may take to notice that they were cut off.
const CUT_OFF: Duration = Duration::from_secs(1);

/// What all requests and connections of a server share.
pub(super) struct Server<A: Application> {
    pub(super) app: Arc<A>,
    pub(super) shared: Arc<Shared>,
    pub(super) sessions: Arc<Sessions<A>>,
    pub(super) peers: Peers,
    pub(super) tasks: TaskTracker,
    /// Requests that are being answered may end.
    shutdown: CancellationToken,
    /// They may not.
    cut_off: CancellationToken,
}

/// Serves `listener` until `shutdown`, and then until all is drained or [`drain_timeout`](Config::drain_timeout) is
/// over: requests that are being answered are answered, connections are closed with
/// [`GOING_AWAY`](protocol::code::close::GOING_AWAY), and their clients reported as gone. What happens is counted in
/// `registry`, from the call on.
pub fn run<A: Application>(
    listener: TcpListener,
    app: Arc<A>,
    config: Config,
    registry: &Registry,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + use<A> {
    let shared = Arc::new(Shared::new(config, registry));
    shared.export_backlog(registry);
    serve_all(listener, app, shared, shutdown)
}

async fn serve_all<A: Application>(
    listener: TcpListener,
    app: Arc<A>,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) {
    let server = Arc::new(Server {
        app,
        shared: Arc::clone(&shared),
        sessions: Arc::new(Sessions::new(shared.config.upgrade_timeout)),
        peers: Peers::new(Arc::clone(&shared), shutdown.clone()),
        tasks: TaskTracker::new(),
        shutdown: shutdown.clone(),
        cut_off: CancellationToken::new(),
    });
    // Dropped last, after the drain, which needs it.
    let _wheel = AbortOnDropHandle::new(tokio::spawn(wheel::turn(shared, shutdown.clone())));
    tokio::select! {
        () = accept(&listener, &server) => {}
        () = shutdown.cancelled() => {}
    }
    drop(listener);
    server.tasks.close();
    let patience = server.shared.config.drain_timeout;
    if timeout(patience, server.tasks.wait()).await.is_err() {
        tracing::warn!(tasks = server.tasks.len(), "not drained in time, cutting off");
        server.cut_off.cancel();
        let _ = timeout(CUT_OFF, server.tasks.wait()).await;
    }
}

/// Accepts connections for ever.
async fn accept<A: Application>(listener: &TcpListener, server: &Arc<Server<A>>) {
    let accept_errors = &server.shared.metrics.accept_errors;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Frames are written whole; waiting for more would only delay them.
                let _ = stream.set_nodelay(true);
                server.tasks.spawn(serve(stream, peer, Arc::clone(server)));
            }
            // Nothing is wrong here, so it is not counted: the count is what wakes somebody.
            Err(error) if is_peers_fault(&error) => {}
            Err(error) => {
                accept_errors.increment(1);
                tracing::warn!(%error, "cannot accept connections");
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// The connection broke before it was accepted; the next one may be there already.
fn is_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Answers the requests of one TCP connection. If one is a handshake, the stream goes on in a task of its own,
/// which holds nothing of this one.
async fn serve<A: Application>(stream: TcpStream, peer: SocketAddr, server: Arc<Server<A>>) {
    let next = Mutex::new(None);
    let service = service_fn(|request| answer(&server, peer, &next, request));
    {
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(server.shared.config.header_read_timeout)
                .max_buf_size(MAX_HEAD)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
        );
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = server.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    result = connection => result,
                    () = server.cut_off.cancelled() => return,
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "HTTP connection broke");
        }
    }
    match next.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => {}
        Some(Next::Connection(handshake)) => begin(handshake, &server).await,
        Some(Next::Upgrade(stream, claim)) => go_on(stream, claim, &server).await,
        Some(Next::Relay(relay)) => relay.run(&server.shared.config, &server.shutdown).await,
    }
}

async fn answer<A: Application>(
    server: &Arc<Server<A>>,
    peer: SocketAddr,
    slot: &Mutex<Option<Next<A>>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (mut response, next) = router::answer(server, peer, request).await;
    if next.is_none() {
        // A client that is not told would at times use the connection again in the very moment in which it is closed.
        let idle = server.shared.config.header_read_timeout.as_secs().max(1);
        let told = HeaderValue::try_from(format!("timeout={idle}"));
        response.headers_mut().extend(told.ok().map(|told| (KEEP_ALIVE, told)));
    }
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = next;
    Ok(response)
}

/// Takes the stream of a connection that is none of hyper's any more.
async fn take(stream: OnUpgrade) -> Option<Parts<TokioIo<TcpStream>>> {
    let Ok(parts) = stream.await.ok()?.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("an upgraded connection is not the TCP stream that was served");
        return None;
    };
    Some(parts)
}

/// Starts to drive a new connection.
async fn begin<A: Application>(handshake: Handshake<A::Permit>, server: &Server<A>) {
    let Some(parts) = take(handshake.stream).await else { return };
    let conn = Conn::new(handshake.wire, Arc::clone(&server.shared));
    if matches!(handshake.wire, Wire::SocketIo | Wire::Engine) {
        conn.push(Item::open(&sid::session(server.app.node()), &[], &server.shared.config));
    }
    let link = Link::new(Arc::clone(&conn), Arc::clone(&server.app), handshake.permit, handshake.agent);
    link.begin();
    if let Some(auth) = handshake.auth
        && let Err(fault) = link.connect(&auth)
    {
        conn.close(fault);
    }
    conn.register();
    server.tasks.spawn(drive(parts.io.into_inner(), link, parts.read_buf, Writer::default()));
}

/// Lets a WebSocket take a polling session over, and starts to drive that.
async fn go_on<A: Application>(stream: OnUpgrade, claim: Result<Claim<A>, A::Permit>, server: &Server<A>) {
    let (claim, _permit) = match claim {
        Ok(claim) => (Some(claim), None),
        Err(permit) => (None, Some(permit)),
    };
    let Some(parts) = take(stream).await else { return };
    let (stream, early) = (parts.io.into_inner(), parts.read_buf);
    let taken = upgrade::take_over(stream, early, claim, &server.shared.config).await;
    if let Some((stream, (link, waiting), early)) = taken {
        server.tasks.spawn(drive(stream, link, early, Writer::from(waiting)));
    }
}
