//! The operators' endpoint: `/metrics` for Prometheus, `/livez` and `/readyz` for orchestrators.
//!
//! It has its own port, so that it can stay inside while the public one faces the world.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder, TextEncoder};
use tokio::net::TcpListener;
use tracing::{debug, warn};

use crate::shutdown::Shutdown;

/// A scraper or probe that needs longer than this for its request is not one.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// After a failed accept (no file descriptors left) the next attempt waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Whether this process is ready for traffic: when every part that was [`added`](Readiness::part) is.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    parts: Arc<Mutex<Vec<Part>>>,
}

/// The readiness of one part. Not ready until it says so.
#[derive(Debug, Clone)]
pub struct Part {
    name: &'static str,
    ready: Arc<AtomicBool>,
}

impl Readiness {
    /// Adds a part, which is not ready yet.
    #[must_use]
    pub fn part(&self, name: &'static str) -> Part {
        let part = Part { name, ready: Arc::default() };
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push(part.clone());
        part
    }

    /// The names of the parts that are not ready.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().filter(|part| !part.ready.load(Ordering::Relaxed)).map(|part| part.name).collect()
    }
}

impl Part {
    /// Says whether this part is ready.
    pub fn set(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }
}

/// Serves the endpoint until `shutdown`.
pub async fn run(listener: TcpListener, readiness: Readiness, shutdown: Shutdown) {
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
        let (readiness, shutdown) = (readiness.clone(), shutdown.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &readiness);
                async move { Ok::<_, Infallible>(answer) }
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

fn answer(request: &Request<Incoming>, readiness: &Readiness) -> Response<Full<Bytes>> {
    let (status, content_type, body) = match request.uri().path() {
        "/metrics" => metrics(),
        "/livez" => (StatusCode::OK, "text/plain", b"ok\n".to_vec()),
        "/readyz" => match readiness.missing() {
            missing if missing.is_empty() => (StatusCode::OK, "text/plain", b"ok\n".to_vec()),
            missing => {
                let text = format!("not ready: {}\n", missing.join(", "));
                (StatusCode::SERVICE_UNAVAILABLE, "text/plain", text.into_bytes())
            }
        },
        _ => (StatusCode::NOT_FOUND, "text/plain", b"/metrics, /livez or /readyz\n".to_vec()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}

fn metrics() -> (StatusCode, &'static str, Vec<u8>) {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&prometheus::gather(), &mut text) {
        Ok(()) => (StatusCode::OK, prometheus::TEXT_FORMAT, text),
        Err(error) => {
            warn!(%error, "the metrics could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "text/plain", b"the metrics could not be written\n".to_vec())
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
        let (readiness, shutdown) = (Readiness::default(), Shutdown::new());
        let part = readiness.part("database");
        let server = tokio::spawn(run(listener, readiness, shutdown.clone()));

        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("not ready: database\n"), "{answer}");
        part.set(true);
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/metrics").await.contains("process_resident_memory_bytes"));
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));

        shutdown.cancel();
        server.await.unwrap();
    }
}
