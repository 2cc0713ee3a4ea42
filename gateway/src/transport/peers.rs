//! Requests for sessions that live on another node, passed to it.
//!
//! The id of a session names its node, so any node knows where a request belongs, whichever the load balancer chose. A
//! request is passed once: the node that it is passed to answers it.

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
use tokio::io::copy_bidirectional;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::metrics::{METRICS, Passed};
use super::{Body, Config};

/// On a request that was passed on already.
const PASSED: HeaderName = HeaderName::from_static("x-linkup-passed");

/// How long a node may take to accept a connection. On an internal network more means that it is gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How much longer than a poll can last a node may take to begin its answer.
const ANSWER_MARGIN: Duration = Duration::from_secs(10);
/// How long an unused connection to a node is kept: well below the time after which that one closes it.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

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
    shutdown: CancellationToken,
}

/// A WebSocket to another node: the client's stream, and the node's.
pub(super) struct Relay {
    client: OnUpgrade,
    node: OnUpgrade,
}

/// Whether a request comes from another node.
pub(super) fn is_passed(headers: &HeaderMap) -> bool {
    headers.contains_key(PASSED)
}

impl Peers {
    pub(super) fn new(config: &Config, shutdown: CancellationToken) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .build(connector);
        let patience = config.ping_interval + config.ping_timeout + ANSWER_MARGIN;
        Self { client, patience, shutdown }
    }

    /// Passes a request to the node at `url`, and its answer back; `None` if there is none. The relay is there if the answer
    /// makes the connection a WebSocket.
    pub(super) async fn pass(
        &self,
        mut request: Request<Incoming>,
        url: &str,
        websocket: bool,
    ) -> Option<(Response<Body>, Option<Relay>)> {
        let client = websocket.then(|| hyper::upgrade::on(&mut request));
        let (outcome, answer) = match outgoing(request, url, websocket) {
            Some(request) => self.send(request, url).await,
            None => (Passed::Unreachable, None),
        };
        let switched =
            answer.as_ref().is_some_and(|answer| answer.status() == StatusCode::SWITCHING_PROTOCOLS);
        let (outcome, relayed) = match (answer, client) {
            (Some(mut answer), Some(client)) if switched => {
                let relay = Relay { client, node: hyper::upgrade::on(&mut answer) };
                (Passed::Upgraded, Some((answer, Some(relay))))
            }
            // Nobody asked for that.
            (Some(_), None) if switched => (Passed::Unreachable, None),
            (Some(answer), _) => (outcome, Some((answer, None))),
            (None, _) => (outcome, None),
        };
        METRICS.passed(outcome);
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

impl Relay {
    /// Copies bytes both ways until one side ends, or the server stops.
    pub(super) async fn run(self, shutdown: &CancellationToken) {
        let copy = async {
            let (Ok(client), Ok(node)) = (self.client.await, self.node.await) else { return };
            // How it ended makes no difference: both sides are closed.
            let _ = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(node)).await;
        };
        tokio::select! {
            () = copy => {}
            () = shutdown.cancelled() => {}
        }
    }
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
