//! Requests for sessions that live on another node, passed to it.
//!
//! The id of a session names its node, so any node knows where a request belongs, whichever the load balancer chose. A
//! request is passed once: the node that it is passed to answers it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::metrics::Passed;
use super::wheel::Shared;
use super::{Body, Config};

/// On a request that was passed on already.
const PASSED: HeaderName = HeaderName::from_static("x-linkup-passed");

/// How long a node may take to accept a connection. On an internal network more means that it is gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How much longer than a poll can last a node may take to begin its answer.
const ANSWER_MARGIN: Duration = Duration::from_secs(10);
/// How long an unused connection to a node is kept: well below the time after which that one closes it.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// How many bytes a relay reads at once, each way.
const RELAY_BUFFER: usize = 8 << 10;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that speak of one connection and must not be passed on (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The other nodes, as requests are passed to them.
pub(super) struct Peers {
    client: Client<HttpConnector, Incoming>,
    patience: Duration,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
}

/// A WebSocket to another node: the client's stream, and the node's.
pub(super) struct Relay<P> {
    client: OnUpgrade,
    node: OnUpgrade,
    /// What the application gave for it.
    _permit: P,
}

/// Whether a request comes from another node.
pub(super) fn is_passed(headers: &HeaderMap) -> bool {
    headers.contains_key(PASSED)
}

impl Peers {
    pub(super) fn new(shared: Arc<Shared>, shutdown: CancellationToken) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .build(connector);
        let patience = shared.config.ping_interval + shared.config.ping_timeout + ANSWER_MARGIN;
        Self { client, patience, shared, shutdown }
    }

    /// Passes a request to the node at `url`, and its answer back; `None` if there is none. The request is a
    /// WebSocket's if there is a `permit` for that, and the relay is there if the answer makes the connection one.
    pub(super) async fn pass<P>(
        &self,
        mut request: Request<Incoming>,
        url: &str,
        permit: Option<P>,
    ) -> Option<(Response<Body>, Option<Relay<P>>)> {
        let websocket = permit.is_some();
        let client = permit.map(|permit| (hyper::upgrade::on(&mut request), permit));
        let (outcome, answer) = match outgoing(request, url, websocket) {
            Some(request) => self.send(request, url).await,
            None => (Passed::Unreachable, None),
        };
        let switched =
            answer.as_ref().is_some_and(|answer| answer.status() == StatusCode::SWITCHING_PROTOCOLS);
        let (outcome, relayed) = match (answer, client) {
            (Some(mut answer), Some((client, permit))) if switched => {
                let relay = Relay { client, node: hyper::upgrade::on(&mut answer), _permit: permit };
                (Passed::Upgraded, Some((answer, Some(relay))))
            }
            // Nobody asked for that.
            (Some(_), None) if switched => (Passed::Unreachable, None),
            (Some(answer), _) => (outcome, Some((answer, None))),
            (None, _) => (outcome, None),
        };
        self.shared.metrics.passed(outcome);
        let (answer, relay) = relayed?;
        let mut answer = answer.map(|body| body.map_err(Into::into).boxed_unsync());
        strip(answer.headers_mut(), switched);
        Some((answer, relay))
    }

    async fn send(&self, request: Request<Incoming>, url: &str) -> (Passed, Option<Response<Incoming>>) {
        let answered = tokio::select! {
            answered = timeout(self.patience, self.client.request(request)) => answered,
            // The client begins anew elsewhere: the session goes on too long to be waited for.
            () = self.shutdown.cancelled() => return (Passed::Stopped, None),
        };
        match answered {
            Ok(Ok(answer)) => (Passed::Answered, Some(answer)),
            Ok(Err(error)) => {
                tracing::warn!(%error, node = url, "another node could not be reached");
                (Passed::Unreachable, None)
            }
            Err(_) => {
                tracing::warn!(node = url, "another node did not answer in time");
                (Passed::Late, None)
            }
        }
    }
}

impl<P> Relay<P> {
    /// Copies bytes both ways until one side ends and has been given the time to hear the rest, or the server stops.
    pub(super) async fn run(self, config: &Config, shutdown: &CancellationToken) {
        let copy = async {
            let (Ok(client), Ok(node)) = (self.client.await, self.node.await) else { return };
            between(TokioIo::new(client), TokioIo::new(node), config).await;
        };
        tokio::select! {
            () = copy => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Copies bytes both ways. Once one side has ended, the other is not waited for much longer: a client that says nothing
/// would keep a connection that its node has closed.
async fn between(
    client: impl AsyncRead + AsyncWrite + Unpin,
    node: impl AsyncRead + AsyncWrite + Unpin,
    config: &Config,
) {
    let (from_client, to_client) = split(client);
    let (from_node, to_node) = split(node);
    let mut up = pin!(copy(from_client, to_node, config.write_timeout));
    let mut down = pin!(copy(from_node, to_client, config.write_timeout));
    // Whether the rest comes to its end or not: there is nothing more to do here.
    let _ = tokio::select! {
        () = &mut up => timeout(config.close_timeout(), down).await,
        () = &mut down => timeout(config.close_timeout(), up).await,
    };
}

/// Copies bytes to the end, or until nothing is taken for so long, and then says that no more will come.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, patience: Duration) {
    let mut buffer = vec![0; RELAY_BUFFER];
    // How it ends makes no difference.
    'all: while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            match timeout(patience, to.write(rest)).await {
                Ok(Ok(written @ 1..)) => rest = &rest[written..],
                _ => break 'all,
            }
        }
    }
    let _ = timeout(patience, to.shutdown()).await;
}

/// The request as it goes to a node; `None` if the node's address cannot be used.
fn outgoing(request: Request<Incoming>, url: &str, websocket: bool) -> Option<Request<Incoming>> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = format!("{}{path}", url.trim_end_matches('/')).parse::<Uri>().ok()?;
    head.version = Version::HTTP_11;
    head.extensions.clear();
    strip(&mut head.headers, websocket);
    head.headers.insert(PASSED, HeaderValue::from_static("1"));
    Some(Request::from_parts(head, body))
}

/// Takes away what speaks of one connection, unless it is that the connection becomes a WebSocket.
fn strip(headers: &mut HeaderMap, websocket: bool) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    if websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn config() -> Config {
        Config { write_timeout: SECOND, drain_timeout: SECOND / 10, ..Config::default() }
    }

    #[tokio::test]
    async fn a_relay_ends_with_either_side_and_passes_what_was_said_before() {
        for node_ends in [true, false] {
            let (client, near_client) = duplex(32 << 10);
            let (node, near_node) = duplex(32 << 10);
            let (mut ends, mut stays) = if node_ends { (node, client) } else { (client, node) };
            let talk = async {
                ends.write_all(&[7; 20_000]).await.unwrap();
                drop(ends);
                let mut heard = Vec::new();
                stays.read_to_end(&mut heard).await.unwrap();
                assert_eq!(heard, [7; 20_000]);
                stays
            };
            let config = config();
            let both = async { tokio::join!(between(near_client, near_node, &config), talk) };
            // The other one stays silent all the time, and keeps its side open.
            let ((), _stays) = timeout(20 * SECOND, both).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_relay_does_not_wait_for_a_client_that_takes_nothing() {
        let (_client, near_client) = duplex(64);
        let (mut node, near_node) = duplex(64);
        let config = Config { write_timeout: SECOND / 10, ..config() };
        let both =
            async { tokio::join!(between(near_client, near_node, &config), node.write_all(&[7; 20_000])) };
        let ((), written) = timeout(20 * SECOND, both).await.unwrap();
        assert!(written.is_err());
    }
}
