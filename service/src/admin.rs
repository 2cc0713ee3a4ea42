//! The operators' endpoint: `/metrics` for Prometheus, `/livez` and `/readyz` for orchestrators.
//!
//! It has its own port, so that it can stay inside while the public one faces the world.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::metrics::{runtime, text};
use crate::monitoring::Monitoring;
use crate::shutdown::Shutdown;

/// How long a connection may wait for its next request. Longer than the usual intervals of scrapes, up to a minute: a
/// scraper that keeps its connection sees a process that has no file descriptor left for a new one.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(75);
/// After a failed accept (no file descriptors left) the next attempt waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the endpoint until `shutdown`.
pub async fn run(listener: TcpListener, monitoring: Monitoring, shutdown: Shutdown) {
    let _watch = AbortOnDropHandle::new(tokio::spawn(runtime::watch(monitoring.registry.clone())));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "the admin endpoint could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (monitoring, shutdown) = (monitoring.clone(), shutdown.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let monitoring = monitoring.clone();
                async move { Ok::<_, Infallible>(answer(&request, &monitoring).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_READ_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = shutdown.cancelled() => {}
                result = connection => if let Err(error) = result {
                    debug!(%error, "a connection to the admin endpoint failed");
                }
            }
        });
    }
}

async fn answer(request: &Request<Incoming>, monitoring: &Monitoring) -> Response<Full<Bytes>> {
    let (status, content_type, body) = match request.uri().path() {
        "/metrics" => metrics(monitoring).await,
        "/livez" => health(monitoring.health.stuck().is_empty(), &monitoring.health.liveness()),
        "/readyz" => health(monitoring.health.is_ready(), &monitoring.health.readiness()),
        _ => (StatusCode::NOT_FOUND, "text/plain", "/metrics, /livez or /readyz\n".to_owned()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

type Answer = (StatusCode, &'static str, String);

fn health(is_well: bool, told: &Value) -> Answer {
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, "application/json", format!("{told}\n"))
}

/// Rendering takes milliseconds, which no connection should wait for.
async fn metrics(monitoring: &Monitoring) -> Answer {
    let registry = monitoring.registry.clone();
    match tokio::task::spawn_blocking(move || registry.render()).await {
        Ok(text) => (StatusCode::OK, text::CONTENT_TYPE, text),
        Err(error) => {
            warn!(%error, "the metrics could not be written");
            let said = "the metrics could not be written\n".to_owned();
            (StatusCode::INTERNAL_SERVER_ERROR, "text/plain", said)
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn answers_what_operators_ask() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (monitoring, shutdown) = (Monitoring::of_process("test", false), Shutdown::new());
        let check = monitoring.health.check("database");
        let server = tokio::spawn(run(listener, monitoring, shutdown.clone()));

        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(r#""reason":"starting""#), "{answer}");
        check.pass();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "/metrics").await;
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        for name in
            ["process_cpu_seconds_total", "linkup_runtime_workers", "linkup_health{check=\"database\"} 1"]
        {
            assert!(answer.contains(name), "{name}: {answer}");
        }
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));

        shutdown.cancel();
        server.await.unwrap();
    }
}
