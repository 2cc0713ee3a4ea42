//! Accepting, serving and draining HTTP/1.1 connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use service::admin::Part;
use store::Store;
use store::bson::doc;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::answer::{Answer, Failure, method_not_allowed};
use crate::app::App;
use crate::config::Config;
use crate::handle;
use crate::metrics::METRICS;
use crate::route::{Miss, Route};

/// After a failed accept (no file descriptors left) the next attempt waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often MongoDB is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// A MongoDB that takes longer than this for a ping cannot serve requests either.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves the api until `shutdown`; then accepts nothing more, finishes what is under way within the drain
/// timeout, writes the last views and returns. The database must have been [prepared](Store::prepare).
///
/// `ready` is set while connections are accepted and MongoDB answers.
pub async fn run(
    listener: TcpListener,
    store: Store,
    config: Config,
    ready: Part,
    shutdown: CancellationToken,
) {
    let drain = config.drain_timeout;
    let (app, views) = App::start(store.clone(), config);
    let app = Arc::new(app);
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let accepting = async {
        while let Some(stream) = accept(&listener, &shutdown).await {
            connections.spawn(serve(app.clone(), stream, shutdown.clone(), cut.clone()));
        }
    };
    // Both end with `shutdown`, and neither outlives this future if that is dropped.
    tokio::join!(accepting, tell_readiness(&store, &ready, &shutdown));
    drop(listener);
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        warn!(connections = connections.len(), "requests did not finish in time and are cut off");
        cut.cancel();
        connections.wait().await;
    }
    app.stop();
    if let Err(error) = views.await {
        warn!(%error, "the last views were not written");
    }
}

/// Sets `ready` to whether MongoDB answers, again and again until `shutdown`; then it is not ready for good.
async fn tell_readiness(store: &Store, ready: &Part, shutdown: &CancellationToken) {
    let mut before = true;
    let telling = async {
        loop {
            let answers = ping(store).await;
            ready.set(answers);
            match (before, answers) {
                (true, false) => warn!("MongoDB does not answer, so the api is not ready"),
                (false, true) => info!("MongoDB answers again"),
                _ => {}
            }
            before = answers;
            tokio::time::sleep(PING_INTERVAL).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => ready.set(false),
        () = telling => {}
    }
}

/// Whether a MongoDB that takes writes answers in time.
async fn ping(store: &Store) -> bool {
    let ping = async { store.database().run_command(doc! { "ping": 1 }).await };
    matches!(tokio::time::timeout(PING_TIMEOUT, ping).await, Ok(Ok(_)))
}

async fn accept(listener: &TcpListener, shutdown: &CancellationToken) -> Option<TcpStream> {
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => return Some(stream),
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection: to its end, or on `shutdown` to the end of the request that is under way, or until `cut`.
async fn serve(app: Arc<App>, stream: TcpStream, shutdown: CancellationToken, cut: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection was gone at once");
        return;
    }
    let head_timeout = app.config.head_timeout;
    let service = service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(answer(&app, request).await) }
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

/// Answers one request.
async fn answer(app: &Arc<App>, request: Request<Incoming>) -> Answer {
    let began = Instant::now();
    let route = Route::find(request.method(), request.uri().path());
    let response = match route {
        Ok(route) => handle::route(app, route, request).await.unwrap_or_else(|failure| failure.response()),
        Err(Miss::NotFound) => Failure::not_found("Not found").response(),
        Err(Miss::Method(allowed)) => method_not_allowed(allowed),
        Err(Miss::BadId) => Failure::from(handle::BAD_ID).response(),
    };
    let name = route.map_or("none", Route::name);
    let status = response.status();
    let histogram = METRICS.requests.with_label_values(&[name, status.as_str()]);
    histogram.observe(began.elapsed().as_secs_f64());
    response
}
