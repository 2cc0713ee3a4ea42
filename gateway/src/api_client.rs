//! Commands to the api: in batches, in lanes, retried in place.
//!
//! A conversation's commands take one lane, a lane has one batch in flight, and an unanswered batch is sent
//! again, to whichever node answers, before the lane's later ones: two messages of one sender cannot
//! overtake each other. A retry doubles nothing, because message identifiers are minted here.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use protocol::code::ApiError;
use protocol::command::{Answer, Answers, Batch, Command, PATH};
use protocol::token::Tokens;
use protocol::{ErrorCode, Id, route};
use serde_json::value::RawValue;
use service::batcher::{Batcher, Limits, Refused};
use tracing::{error, warn};

use crate::metrics::METRICS;
use crate::nodes::{self, HttpClient, Nodes};
use crate::transport::Socket;

/// An api node that does not answer a batch in this time is given up on, and another one asked. Longer than
/// the api's own deadline for a commit, so that a slow database is not taken for a dead node.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// The first pause between attempts; it doubles up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// An internal token lives for a minute; it is used for half of that.
const TOKEN_REUSE: Duration = Duration::from_secs(30);
/// No answer is larger: a batch of the longest messages, fully escaped, fits several times.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// A lane's batches, and how many messages may wait in a lane before sends are refused.
const LANE: Limits = Limits { batch: 256, queue: 16_384 };
/// How many bytes of messages may wait in all lanes together: what clients send costs no more memory than this,
/// however long the api is away.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// The same for sockets that want to connect.
const CONNECTS: Limits = Limits { batch: 256, queue: 65_536 };

/// A message on its way to the api, and who is told what came of it.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) message: Id,
    pub(crate) sender: Id,
    pub(crate) conversation: Id,
    pub(crate) payload: Box<RawValue>,
    pub(crate) reply: Reply,
    /// When it came: how long it is tried counts from then.
    pub(crate) since: Instant,
}

impl Send {
    /// What it takes while it waits, or a little less.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.payload.get().len()
    }
}

/// The socket that sent a message, and the acknowledgement it asked for.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) socket: Socket,
    pub(crate) ack: Option<u64>,
}

/// A socket's question whether its user may connect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connect {
    pub(crate) user: Id,
    /// How many times all sessions of the user had been ended when the token was issued.
    pub(crate) generation: i64,
}

/// Sends commands to the api nodes.
#[derive(Debug)]
pub(crate) struct ApiClient {
    lanes: Vec<Batcher<Send, ()>>,
    connects: Batcher<Connect, Result<(), ApiError>>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl ApiClient {
    /// Starts the lanes.
    pub(crate) fn new(nodes: Arc<Nodes>, tokens: Tokens, timeout: Duration) -> Self {
        let caller =
            Arc::new(Caller { client: nodes::client(), nodes, tokens, token: Mutex::default(), timeout });
        let waiting_bytes = Arc::<AtomicUsize>::default();
        let lanes = (0..route::LANES)
            .map(|lane| {
                let caller = Arc::clone(&caller);
                let waiting = Arc::clone(&waiting_bytes);
                Batcher::spawn(LANE, move |batch: Vec<Send>| {
                    waiting.fetch_sub(batch.iter().map(Send::bytes).sum(), Ordering::Relaxed);
                    send_batch(Arc::clone(&caller), lane, batch)
                })
            })
            .collect();
        let connects = Batcher::spawn(CONNECTS, move |batch| connect_batch(Arc::clone(&caller), batch));
        Self { lanes, connects, waiting_bytes }
    }

    /// Puts a message into its conversation's lane. Its sender is told through its [`Reply`], also when the
    /// lane is full.
    pub(crate) fn send(&self, send: Send) {
        let bytes = send.bytes();
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_WAITING_BYTES {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            send.reply.tell(Answer::Err(unavailable(Refused::Overloaded)));
        } else if let Err((refused, send)) =
            self.lanes[route::lane(send.conversation)].enqueue_or_return(send)
        {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            send.reply.tell(Answer::Err(unavailable(refused)));
        }
    }

    /// Asks whether a user may connect.
    pub(crate) async fn connect(&self, connect: Connect) -> Result<(), ApiError> {
        self.connects.call(connect).await.unwrap_or_else(|refused| Err(unavailable(refused)))
    }
}

fn unavailable(reason: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Unavailable, format!("The service is unavailable: {reason}"))
}

async fn send_batch(caller: Arc<Caller>, lane: usize, batch: Vec<Send>) -> Vec<()> {
    let count = batch.len();
    // What has waited out its time behind other batches is not begun: its sender may have given it up.
    let (batch, late): (Vec<Send>, Vec<Send>) =
        batch.into_iter().partition(|send| send.since.elapsed() < caller.timeout);
    for send in late {
        send.reply.tell(Answer::Err(unavailable("no api node answered in time")));
    }
    let Some(oldest) = batch.iter().map(|send| send.since).min() else { return vec![(); count] };
    let (commands, replies): (Vec<Command>, Vec<Reply>) = batch
        .into_iter()
        .map(|Send { message, sender, conversation, payload, reply, .. }| {
            (Command::Send { message, sender, conversation, payload }, reply)
        })
        .unzip();
    let answers = caller.call(lane, commands, oldest).await;
    replies.into_iter().zip(answers).for_each(|(reply, answer)| reply.tell(answer));
    vec![(); count]
}

async fn connect_batch(caller: Arc<Caller>, batch: Vec<Connect>) -> Vec<Result<(), ApiError>> {
    let commands =
        batch.iter().map(|c| Command::Connect { user: c.user, generation: c.generation }).collect();
    let answers = caller.call(0, commands, Instant::now()).await;
    answers
        .into_iter()
        .map(|answer| match answer {
            Answer::Ok(_) => Ok(()),
            Answer::Err(error) => Err(error),
        })
        .collect()
}

impl Reply {
    /// Tells the sender what came of its message: as an acknowledgement if it asked for one, otherwise only a
    /// failure, in the frontend specification's words.
    pub(crate) fn tell(self, answer: Answer) {
        let ok = matches!(answer, Answer::Ok(_));
        if ok {
            METRICS.commands_ok.inc()
        } else {
            METRICS.commands_failed.inc()
        }
        match (self.ack, answer) {
            (Some(ack), Answer::Ok(message)) => {
                self.socket.ack(ack, &format!(r#"{{"ok":true,"message":{message}}}"#));
            }
            (Some(ack), Answer::Err(error)) => {
                let text = serde_json::json!({ "ok": false, "error": error });
                self.socket.ack(ack, &text.to_string());
            }
            (None, Answer::Ok(_)) => {}
            (None, Answer::Err(_)) => self.socket.emit(&super::chat::failed_to_send()),
        }
    }
}

/// Makes the calls.
#[derive(Debug)]
struct Caller {
    client: HttpClient<Full<Bytes>>,
    nodes: Arc<Nodes>,
    tokens: Tokens,
    token: Mutex<Option<(Instant, String)>>,
    timeout: Duration,
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
    /// Sends a batch, whose oldest command came at `since`, until it is answered or the time is up; as many
    /// answers as commands.
    async fn call(&self, lane: usize, commands: Vec<Command>, since: Instant) -> Vec<Answer> {
        let count = commands.len();
        let give_up = |error: ApiError| (0..count).map(|_| Answer::Err(error.clone())).collect();
        let body: Bytes = match serde_json::to_vec(&Batch { commands }) {
            Ok(body) => body.into(),
            Err(problem) => {
                error!(%problem, "a batch could not be encoded");
                return give_up(ApiError::new(ErrorCode::Internal, "The command could not be encoded"));
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
                    METRICS.command_seconds.observe(asked.elapsed().as_secs_f64());
                    return answers;
                }
                Err(problem @ CallError::Refused(_)) => {
                    error!(%problem, node, "commands failed");
                    return give_up(ApiError::new(ErrorCode::Internal, "The command was refused"));
                }
                Err(problem) => {
                    self.nodes.failed(chosen);
                    warn!(%problem, node, attempt, "a batch was not answered");
                    if since.elapsed() + pause >= self.timeout {
                        break;
                    }
                }
            }
            METRICS.retries.inc();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        give_up(unavailable("no api node answered"))
    }

    async fn attempt(&self, node: &str, body: Bytes, count: usize) -> Result<Vec<Answer>, CallError> {
        let token = self.token().map_err(|e| CallError::Unanswered(e.to_string()))?;
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

    fn token(&self) -> Result<String, protocol::token::TokenError> {
        let mut cached = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some((made, token)) if made.elapsed() < TOKEN_REUSE => Ok(token.clone()),
            _ => {
                let token = self.tokens.sign_internal()?;
                *cached = Some((Instant::now(), token.clone()));
                Ok(token)
            }
        }
    }
}

/// hyper's errors tell the cause only in their sources.
fn chain(error: hyper_util::client::legacy::Error) -> CallError {
    let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    CallError::Unanswered(format!("{error}{source}"))
}
