//! The accept loop, HTTP, and the drain.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::conn::Conn;
use super::drive::drive;
use super::frame::{Item, Wire};
use super::handshake::{self, Handshake};
use super::link::Link;
use super::metrics::METRICS;
use super::wheel::{self, Shared};
use super::{Application, Body, Config};

/// The longest request head, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// How long accepting rests after an error that will not go away by itself, such as too many open files.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// How long the last tasks may take to notice that they were cut off.
const CUT_OFF: Duration = Duration::from_secs(1);

struct Server<A> {
    app: Arc<A>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    /// Requests that are being answered may end.
    shutdown: CancellationToken,
    /// They may not.
    cut_off: CancellationToken,
}

/// Serves `listener` until `shutdown`, and then until all is drained or
/// [`drain_timeout`](Config::drain_timeout) is over: requests that are being answered are answered, connections
/// are closed with [`GOING_AWAY`](protocol::code::close::GOING_AWAY), and their clients reported as gone.
pub async fn run<A: Application>(
    listener: TcpListener,
    app: Arc<A>,
    config: Config,
    shutdown: CancellationToken,
) {
    // All metrics are there from the start, as zeros.
    LazyLock::force(&METRICS);
    let shared = Arc::new(Shared::new(config));
    let server = Arc::new(Server {
        app,
        shared: Arc::clone(&shared),
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
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Frames are written whole; waiting for more would only delay them.
                let _ = stream.set_nodelay(true);
                server.tasks.spawn(serve(stream, peer, Arc::clone(server)));
            }
            Err(error) if is_peers_fault(&error) => METRICS.accept_errors.inc(),
            Err(error) => {
                METRICS.accept_errors.inc();
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
    let handshake = Mutex::new(None);
    let service = service_fn(|request| answer(&server, peer, &handshake, request));
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
    let handshake = handshake.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(handshake) = handshake {
        begin(handshake, &server).await;
    }
}

async fn answer<A: Application>(
    server: &Arc<Server<A>>,
    peer: SocketAddr,
    slot: &Mutex<Option<Handshake<A::Permit>>>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let Some(wire) = server.app.wire(request.uri().path()) else {
        return Ok(Arc::clone(&server.app).http(request, peer).await);
    };
    request.extensions_mut().insert(peer);
    let (response, handshake) = handshake::answer(&*server.app, wire, &mut request);
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = handshake;
    Ok(response)
}

/// Takes the stream out of hyper and starts to drive it.
async fn begin<A: Application>(handshake: Handshake<A::Permit>, server: &Server<A>) {
    let Ok(upgraded) = handshake.stream.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("an upgraded connection is not the TCP stream that was served");
        return;
    };
    let conn = Conn::new(handshake.wire, Arc::clone(&server.shared));
    if handshake.wire == Wire::SocketIo {
        conn.push(Item::open(&server.shared.config));
    }
    let link = Link::new(Arc::clone(&conn), Arc::clone(&server.app), handshake.permit);
    if let Some(auth) = handshake.auth
        && let Err(fault) = link.connect(&auth)
    {
        conn.close(fault);
    }
    conn.register();
    server.tasks.spawn(drive(parts.io.into_inner(), link, parts.read_buf));
}
