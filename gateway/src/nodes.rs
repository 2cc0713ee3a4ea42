//! The api nodes, and which of them failed a moment ago.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use protocol::route;

/// How long a node that could not be reached is asked only when no other is left.
const AVOIDED: Duration = Duration::from_secs(5);
/// How long a node may take to accept a connection. On an internal network more means that it is gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an unused connection to a node is kept. Well below the api's patience with idle connections (120
/// seconds): a request on one that the node is closing at this moment fails, and is not sent again.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the nodes are spoken to with.
pub(crate) type HttpClient<B> = Client<HttpConnector, B>;

/// A client for the nodes, with its own connections.
pub(crate) fn client<B: Body + Send>() -> HttpClient<B>
where
    B::Data: Send,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .build(connector)
}

/// The api nodes. Commands and passed-through requests share what is known of them.
#[derive(Debug)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    urls: Vec<String>,
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct Node {
    failed: Mutex<Option<Instant>>,
}

impl Nodes {
    pub(crate) fn new(urls: Vec<String>) -> Self {
        Self { nodes: urls.iter().map(|_| Node::default()).collect(), urls, turn: AtomicUsize::new(0) }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.urls.len()
    }

    /// The address of a node.
    pub(crate) fn url(&self, node: usize) -> &str {
        &self.urls[node]
    }

    /// The nodes in the order in which a lane prefers them, those that failed a moment ago last.
    pub(crate) fn for_lane(&self, lane: usize) -> Vec<usize> {
        self.healthy_first(route::rendezvous(lane, &self.urls))
    }

    /// The nodes in turn, those that failed a moment ago last.
    pub(crate) fn in_turn(&self) -> Vec<usize> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.urls.len();
        self.healthy_first((0..count).map(|n| (first.wrapping_add(n)) % count).collect())
    }

    /// Notes that a node could not be reached, or did not answer.
    pub(crate) fn failed(&self, node: usize) {
        self.set(node, Some(Instant::now()));
    }

    /// Notes that a node answered.
    pub(crate) fn answered(&self, node: usize) {
        self.set(node, None);
    }

    fn set(&self, node: usize, failed: Option<Instant>) {
        *self.nodes[node].failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    fn healthy_first(&self, mut order: Vec<usize>) -> Vec<usize> {
        order.sort_by_key(|node| {
            let failed = *self.nodes[*node].failed.lock().unwrap_or_else(PoisonError::into_inner);
            // Where all have failed, the one whose failure is the oldest comes first, so that all are tried.
            failed.filter(|at| at.elapsed() < AVOIDED)
        });
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_failed_is_asked_last_until_it_answers() {
        let nodes = Nodes::new((0..3).map(|n| format!("http://10.0.0.{n}:1")).collect());
        let order = nodes.for_lane(0);
        nodes.failed(order[0]);
        assert_eq!(nodes.for_lane(0), [order[1], order[2], order[0]]);
        nodes.failed(order[1]);
        nodes.failed(order[2]);
        assert_eq!(nodes.for_lane(0), order);
        nodes.answered(order[1]);
        nodes.answered(order[2]);
        assert!((0..6).all(|_| nodes.in_turn()[0] != order[0]));
        nodes.answered(order[0]);
        assert_eq!(nodes.for_lane(0), order);
        assert!((0..3).any(|_| nodes.in_turn()[0] == order[0]));
    }
}
