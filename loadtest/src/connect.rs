//! Opening many connections, a bounded number at once.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::Error;
use crate::connection::{Connection, Target};
use crate::dialect::Protocol;

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
