//! Whether any api node can commit: all are asked, over and over.
//!
//! Commands are not enough to tell. While nobody is let in there are hardly any, and so it would not show that the
//! trouble is over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::AUTHORIZATION;
use hyper::{Request, StatusCode};
use protocol::command::READY_PATH;
use serde::Deserialize;
use service::health::Check;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::away::Away;
use super::badge::Badge;
use crate::nodes::{self, HttpClient, Nodes};

/// How often the nodes are asked. With [`ANSWER_TIMEOUT`] it takes less than two seconds to notice a fault, and that it
/// is over.
const INTERVAL: Duration = Duration::from_millis(500);
/// The same until the first node is ready: a gateway that starts beside its api turns nobody away for long.
const FIRST_INTERVAL: Duration = Duration::from_millis(25);
/// For how long that is. A node that is not ready by then may not be for hours.
const FIRST_PERIOD: Duration = Duration::from_secs(5);
/// How long a node may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// No answer is longer.
const MAX_ANSWER_BYTES: usize = 4 << 10;
/// How much of a node's own words is passed on, in characters.
const MAX_REASON: usize = 200;

type Asking = HttpClient<Empty<Bytes>>;

/// What a node says that cannot commit.
#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

/// Asks for ever.
pub(super) async fn watch(nodes: Arc<Nodes>, badge: Arc<Badge>, away: Arc<Away>, check: Check) {
    // Connections of its own: a question is not to wait behind batches, nor they behind it.
    let client = nodes::client();
    let mut turns = interval(INTERVAL);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut was_ready, began) = (false, Instant::now());
    // Which nodes were late when they were asked last.
    let mut late = HashSet::new();
    loop {
        if was_ready || began.elapsed() > FIRST_PERIOD {
            turns.tick().await;
        } else {
            sleep(FIRST_INTERVAL).await;
        }
        let mut asked = JoinSet::new();
        for node in 0..nodes.count() {
            let (client, nodes, badge) = (client.clone(), Arc::clone(&nodes), Arc::clone(&badge));
            asked.spawn(async move { (node, ask(&client, nodes.url(node), &badge).await) });
        }
        let mut failed = Vec::new();
        let mut is_ready = false;
        while let Some(answered) = asked.join_next().await {
            match answered {
                Ok((_, Ok(()))) => {
                    is_ready = true;
                    // At once: another node may let its questioner wait.
                    away.asked(true);
                    // The same that decides whether anybody is let in.
                    if away.is_failing() {
                        check.fail("commands fail, though an api node says that it can commit");
                    } else {
                        check.pass();
                    }
                }
                Ok((node, Err(refusal))) => failed.push((node, refusal)),
                // Nobody aborts it, and it does not panic; but then nothing was heard of that node.
                Err(_) => {}
            }
        }
        was_ready |= is_ready;
        if is_ready {
            // Others are preferred to these. Where none is ready, each lane stays where it is. One late answer is a
            // hiccup, which is no reason to move everybody.
            let avoid = failed.iter().filter(|(node, refusal)| !refusal.is_late() || late.contains(node));
            avoid.for_each(|(node, _)| nodes.failed(*node));
            late = failed.iter().filter(|(_, refusal)| refusal.is_late()).map(|(node, _)| *node).collect();
        } else {
            away.asked(false);
            let first = failed.into_iter().min_by_key(|(node, _)| *node);
            let reason = first.map_or_else(|| "no answer".to_owned(), |(_, refusal)| refusal.to_string());
            check.fail(format!("no api node is ready: {reason}"));
        }
    }
}

/// Why a node is not ready, in a few words.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("it did not answer in time")]
    Late,
    #[error("{0}")]
    Because(String),
}

impl Refusal {
    const fn is_late(&self) -> bool {
        matches!(self, Self::Late)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self::Because(reason.to_owned())
    }
}

/// Asks one node.
async fn ask(client: &Asking, url: &str, badge: &Badge) -> Result<(), Refusal> {
    let token = badge.token().map_err(|_| "a token could not be signed")?;
    let request = Request::get(format!("{url}{READY_PATH}"))
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Empty::new())
        .map_err(|_| "its address cannot be used")?;
    let answered = timeout(ANSWER_TIMEOUT, async {
        let response = client.request(request).await.map_err(|_| "it could not be reached")?;
        let status = response.status();
        // To the end, so that the connection can be used again.
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|_| "its answer broke off")?.to_bytes();
        Ok::<_, &str>((status, body))
    });
    match answered.await {
        Ok(Ok((StatusCode::OK, _))) => Ok(()),
        Ok(Ok((status, body))) => {
            let message = serde_json::from_slice::<ErrorBody>(&body).ok().map(|body| body.message);
            let status = || format!("it answered with status {status}");
            Err(Refusal::Because(message.map_or_else(status, |message| shorten(&message))))
        }
        Ok(Err(reason)) => Err(reason.into()),
        Err(_) => Err(Refusal::Late),
    }
}

fn shorten(message: &str) -> String {
    message.chars().map(|char| if char.is_control() { ' ' } else { char }).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests;
