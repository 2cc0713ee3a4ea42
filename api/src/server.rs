//! Accepting, serving and draining HTTP/1.1 connections.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::Id;
use service::guard::guard;
use service::monitoring::Monitoring;
use service::request_id::{self, REQUEST_ID, minted};
use store::{Store, health};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info_span, warn};

use crate::answer::{Answer, Failure, method_not_allowed};
use crate::app::{App, Client};
use crate::config::Config;
use crate::endpoint::{self, Call, Miss};
use crate::handle;
use crate::presence;
use crate::probe;

/// The addresses that a request came by.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// After a failed accept (no file descriptors left) the next attempt waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long tasks have to come to an end whose clients were cut off.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// Serves the api until `shutdown`; then accepts nothing more, finishes what is under way within the drain
/// timeout, writes the last views and returns. The database must have been [prepared](Store::prepare).
///
/// Two checks of the health are made: `mongodb` holds while MongoDB takes writes, and `serving` until `shutdown`.
pub async fn run(
    listener: TcpListener,
    store: Store,
    config: Config,
    monitoring: Monitoring,
    shutdown: CancellationToken,
) {
    let drain = config.drain_timeout;
    let (app, views) = App::start(store.clone(), config, &monitoring);
    let app = Arc::new(app);
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let accepting = async {
        while let Some((stream, peer)) = accept(&listener, &shutdown).await {
            connections.spawn(serve(app.clone(), stream, peer, shutdown.clone(), cut.clone()));
        }
    };
    let draining = async {
        app.serving.pass();
        shutdown.cancelled().await;
        app.serving.fail("draining");
    };
    let sweeping = presence::sweep(&store, &app.metrics, app.config.sweep_interval, &shutdown);
    let forgotten = |removed| app.metrics.probe_messages_removed.increment(removed);
    let forgetting = probe::sweep(&store, app.config.probe_sweep_interval, forgotten, &shutdown);
    let looking = health::watch(&store, &app.mongodb, &shutdown);
    // All end with `shutdown`, and none outlives this future if that is dropped.
    tokio::join!(accepting, draining, sweeping, forgetting, looking);
    drop(listener);
    connections.close();
    let deadline = tokio::time::Instant::now() + drain;
    if tokio::time::timeout_at(deadline, connections.wait()).await.is_err() {
        warn!(connections = connections.len(), "requests did not finish in time and are cut off");
        cut.cancel();
        connections.wait().await;
    }
    // What was begun for clients who have gone away, or were cut off just now.
    app.tasks.close();
    let deadline = deadline.max(tokio::time::Instant::now() + LAST_TASKS);
    if tokio::time::timeout_at(deadline, app.tasks.wait()).await.is_err() {
        warn!(tasks = app.tasks.len(), "requests whose clients have gone did not finish in time");
    }
    app.stop();
    if let Err(error) = views.await {
        warn!(%error, "the last views were not written");
    }
}

async fn accept(listener: &TcpListener, shutdown: &CancellationToken) -> Option<(TcpStream, IpAddr)> {
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => return Some((stream, peer.ip())),
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection: to its end, or on `shutdown` to the end of the request that is under way, or until `cut`.
async fn serve(
    app: Arc<App>,
    stream: TcpStream,
    peer: IpAddr,
    shutdown: CancellationToken,
    cut: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection was gone at once");
        return;
    }
    let head_timeout = app.config.head_timeout;
    let service = service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(answer(&app, peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection.as_mut() => served,
                () = cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = served {
        debug!(%error, "a connection failed");
    }
}

/// Has the endpoint's handler answer. What changes something is carried out in a task of its own, so that a client who
/// goes away does not stop it between two writes: somebody would be blocked by half, or have left half of an activity.
async fn carry_out(app: &Arc<App>, call: &Call, request: Request<Incoming>) -> Result<Answer, Failure> {
    if !call.endpoint.writes() {
        return handle::call(app, call, request).await;
    }
    let (task_app, task_call) = (app.clone(), call.clone());
    let task = async move { handle::call(&task_app, &task_call, request).await };
    app.tasks.spawn(task.in_current_span()).await.map_err(Failure::fault)?
}

/// Answers one request.
async fn answer(app: &Arc<App>, peer: IpAddr, mut request: Request<Incoming>) -> Answer {
    let began = Instant::now();
    let _in_flight = app.metrics.in_flight();
    let id = request_id::given(request.headers()).cloned().unwrap_or_else(|| minted(Id::mint()));
    let forwarded = request.headers().get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let client = Client(app.config.trusted_proxies.client(peer, forwarded));
    request.extensions_mut().insert(client);
    let found = endpoint::find(request.method(), request.uri().path());
    let name = found.as_ref().map_or("none", |call| call.name);
    let span = info_span!("request", id = ?id, name);
    let mut response = match &found {
        Ok(call) => {
            carry_out(app, call, request).instrument(span).await.unwrap_or_else(|failure| failure.response())
        }
        Err(Miss::NotFound) => Failure::not_found("Not found").response(),
        Err(Miss::Method(allowed)) => method_not_allowed(allowed),
        Err(Miss::BadId) => Failure::from(handle::BAD_ID).response(),
    };
    guard(response.headers_mut());
    response.headers_mut().insert(REQUEST_ID, id);
    let endpoint = found.as_ref().ok().map(|call| call.place);
    app.metrics.answered(endpoint, &response, began.elapsed());
    response
}
