//! Opening many connections, a bounded number at once, and leaving in good order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Error;
use crate::connection::{Connection, Link, Target};
use crate::dialect::Protocol;

/// How long the server may take to answer those who leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens one connection per token, at most `at_once` at a time. `ready` gets each one, with its number, as
/// soon as it is authenticated (the later ones take their time, and the earlier ones must
/// meanwhile give signs of life). Returns how many were opened per second.
///
/// # Errors
///
/// The first connection that cannot be opened: a run with fewer people than asked for measures something
/// else.
pub async fn connect_all(
    target: &Target,
    protocol: Protocol,
    tokens: Vec<Arc<str>>,
    at_once: usize,
    mut ready: impl FnMut(usize, Connection),
) -> Result<f64, Error> {
    let start = Instant::now();
    let count = tokens.len();
    let mut waiting = tokens.into_iter().enumerate();
    let mut opening = JoinSet::new();
    loop {
        while opening.len() < at_once.max(1)
            && let Some((number, token)) = waiting.next()
        {
            let target = target.clone();
            opening.spawn(async move { (number, Connection::open(&target, number, protocol, &token).await) });
        }
        let Some(opened) = opening.join_next().await else { break };
        let (number, connection) = opened?;
        ready(number, connection.map_err(|source| Error::Connect { number, source })?);
    }
    Ok(count as f64 / start.elapsed().as_secs_f64().max(1e-6))
}

/// Ends everyone's connection in good order, so that nobody stays online behind the run.
pub async fn leave(links: &[Arc<Link>], protocol: Protocol, readers: &mut JoinSet<()>) {
    links.iter().for_each(|link| link.end(protocol));
    let gone = async { while readers.join_next().await.is_some() {} };
    // A server that does not answer has nobody left once the connections are dropped.
    drop(timeout(LEAVE_TIMEOUT, gone).await);
}
