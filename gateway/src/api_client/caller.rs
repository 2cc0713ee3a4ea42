//! One batch to the api, tried until it is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use protocol::ErrorCode;
use protocol::code::ApiError;
use protocol::command::{Answer, Answers, Batch, Command, PATH};
use tracing::{error, warn};

use super::badge::Badge;
use super::unavailable;
use crate::metrics::{Called, Metrics};
use crate::nodes::{self, HttpClient, Nodes};

/// An api node that does not answer a batch in this time is given up on, and another one asked. Longer than
/// the api's own deadline for a commit, so that a slow database is not taken for a dead node.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// The first pause between attempts; it doubles up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// No answer is larger: a batch of the longest messages, fully escaped, fits several times.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Makes the calls.
#[derive(Debug)]
pub(super) struct Caller {
    client: HttpClient<Full<Bytes>>,
    nodes: Arc<Nodes>,
    badge: Arc<Badge>,
    /// How long a batch is tried.
    pub(super) timeout: Duration,
    pub(super) metrics: Arc<Metrics>,
}

/// Why an attempt brought no answers.
#[derive(Debug, thiserror::Error)]
enum CallError {
    /// Nothing is known of the batch; it must be sent again.
    #[error("{0}")]
    Unanswered(String),
    /// The node refused the batch as a whole, and would again.
    #[error("the api refused a batch with status {0}")]
    Refused(StatusCode),
}

impl Caller {
    pub(super) fn new(
        nodes: Arc<Nodes>,
        badge: Arc<Badge>,
        timeout: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { client: nodes::client(), nodes, badge, timeout, metrics }
    }

    /// Sends a batch, whose oldest command came at `since`, until it is answered or the time is up; as many
    /// answers as commands. `lane` says which node is asked first.
    pub(super) async fn call(
        &self,
        lane: usize,
        commands: Vec<Command>,
        since: Instant,
    ) -> Result<Vec<Answer>, ApiError> {
        let count = commands.len();
        let (outcome, answers) = self.try_until(lane, commands, since).await;
        self.metrics.api.called(outcome, count);
        answers
    }

    async fn try_until(
        &self,
        lane: usize,
        commands: Vec<Command>,
        since: Instant,
    ) -> (Called, Result<Vec<Answer>, ApiError>) {
        let failed = |error| (Called::Failed, Err(error));
        let count = commands.len();
        let body: Bytes = match serde_json::to_vec(&Batch { commands }) {
            Ok(body) => body.into(),
            Err(problem) => {
                error!(%problem, "a batch could not be encoded");
                return failed(ApiError::new(ErrorCode::Internal, "The command could not be encoded"));
            }
        };
        let mut pause = MIN_PAUSE;
        for attempt in 0_usize.. {
            let chosen = self.nodes.for_lane(lane)[0];
            let node = self.nodes.url(chosen);
            let asked = Instant::now();
            match self.attempt(node, body.clone(), count).await {
                Ok(answers) => {
                    self.nodes.answered(chosen);
                    self.metrics.api.call_seconds.record(asked.elapsed().as_secs_f64());
                    let outcome = if attempt == 0 { Called::FirstTry } else { Called::Retried };
                    return (outcome, Ok(answers));
                }
                Err(problem @ CallError::Refused(_)) => {
                    error!(%problem, node, "commands failed");
                    return failed(ApiError::new(ErrorCode::Internal, "The command was refused"));
                }
                Err(problem) => {
                    self.nodes.failed(chosen);
                    warn!(%problem, node, attempt, "a batch was not answered");
                    if since.elapsed() + pause >= self.timeout {
                        break;
                    }
                }
            }
            self.metrics.api.retries.increment(1);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        failed(unavailable("no api node answered"))
    }

    async fn attempt(&self, node: &str, body: Bytes, count: usize) -> Result<Vec<Answer>, CallError> {
        let token = self.badge.token().map_err(|e| CallError::Unanswered(e.to_string()))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{node}{PATH}"))
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(Full::new(body))
            .map_err(|e| CallError::Unanswered(e.to_string()))?;
        let answered = tokio::time::timeout(ATTEMPT_TIMEOUT, async {
            let response = self.client.request(request).await.map_err(chain)?;
            match response.status() {
                StatusCode::OK => {}
                status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                    return Err(CallError::Unanswered(format!("status {status}")));
                }
                status => return Err(CallError::Refused(status)),
            }
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|e| CallError::Unanswered(e.to_string()))?.to_bytes();
            serde_json::from_slice::<Answers>(&body).map_err(|e| CallError::Unanswered(e.to_string()))
        });
        let answers =
            answered.await.map_err(|_| CallError::Unanswered("no answer in time".to_owned()))??.answers;
        if answers.len() == count {
            Ok(answers)
        } else {
            Err(CallError::Unanswered(format!("{} answers to {count} commands", answers.len())))
        }
    }
}

/// hyper's errors tell the cause only in their sources.
fn chain(error: hyper_util::client::legacy::Error) -> CallError {
    let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    CallError::Unanswered(format!("{error}{source}"))
}
