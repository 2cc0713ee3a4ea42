//! Commands to the api: in batches, in lanes, retried in place.
//!
//! A conversation's commands take one lane, a lane has one batch in flight, and an unanswered batch is sent
//! again, to whichever node answers, before the lane's later ones: two messages of one sender cannot
//! overtake each other. A retry doubles nothing, because message identifiers are minted here.
//!
//! What somebody has read goes by lanes of its own, by user: it waits for nothing that is written, and what a page says
//! over and over goes to the api once.
//!
//! | module | holds |
//! |---|---|
//! | `away` | whether the api, or the database behind it, is away |
//! | `badge` | what proves to the api nodes that this is a gateway |
//! | `caller` | one batch, tried until it is answered |
//! | `readiness` | whether any api node can commit |
//! | `reads` | `message:read`: the batches, and who is told what came of them |

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use protocol::body::NewMessage;
use protocol::code::ApiError;
use protocol::command::{Answer, Command};
use protocol::token::Tokens;
use protocol::{ErrorCode, Id, UnixMicros, route};
use service::batcher::{Batcher, BatcherMetrics, Limits, Refused};
use service::health::Check;
use service::metrics::Registry;

use crate::chat::Reply;
use crate::metrics::Metrics;
use crate::nodes::Nodes;

mod away;
mod badge;
mod caller;
mod readiness;
mod reads;

pub(crate) use reads::Read;

use away::Away;
use badge::Badge;
use caller::Caller;

/// A lane's batches, and how many messages may wait in a lane before sends are refused.
const LANE: Limits = Limits { batch: 256, queue: 16_384 };
/// How many bytes of messages may wait in all lanes together: what clients send costs no more memory than this,
/// however long the api is away.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// The same for sockets that want to connect.
const CONNECTS: Limits = Limits { batch: 256, queue: 65_536 };
/// The lane whose preferred node is asked whether users may connect.
const CONNECT_LANE: usize = 0;
/// The lane whose preferred node is told who is there.
const PRESENCE_LANE: usize = 1;

/// A message on its way to the api, and who is told what came of it.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) message: Id,
    pub(crate) sender: Id,
    pub(crate) conversation: Id,
    pub(crate) payload: NewMessage,
    pub(crate) reply: Reply,
    /// When it came: how long it is tried counts from then.
    pub(crate) since: Instant,
    /// The same, for others who measure how long it was under way.
    pub(crate) received: UnixMicros,
}

impl Send {
    /// What it takes while it waits, or a little less.
    fn bytes(&self) -> usize {
        let NewMessage { content, attachment_url, client_message_id, .. } = &self.payload;
        let optional = [attachment_url, client_message_id].map(|text| text.as_ref().map_or(0, String::len));
        size_of::<Self>() + content.len() + optional.iter().sum::<usize>()
    }
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
    caller: Arc<Caller>,
    lanes: Vec<Batcher<Send, ()>>,
    reads: Vec<Batcher<Read, ()>>,
    connects: Batcher<Connect, Result<(), ApiError>>,
    waiting_bytes: Arc<AtomicUsize>,
    nodes: Arc<Nodes>,
    badge: Arc<Badge>,
    away: Arc<Away>,
}

impl ApiClient {
    /// Starts the lanes.
    pub(crate) fn new(
        nodes: Arc<Nodes>,
        tokens: Tokens,
        timeout: Duration,
        metrics: Arc<Metrics>,
        registry: &Registry,
    ) -> Self {
        let badge = Arc::new(Badge::new(tokens));
        let caller = Arc::new(Caller::new(Arc::clone(&nodes), Arc::clone(&badge), timeout, metrics));
        let waiting_bytes = Arc::<AtomicUsize>::default();
        export_waiting(&waiting_bytes, registry);
        let [sends, read, connecting] = ["gateway_send", "gateway_read", "gateway_connect"]
            .map(|batcher| BatcherMetrics::new(registry, batcher));
        let lanes = (0..route::LANES)
            .map(|lane| {
                let caller = Arc::clone(&caller);
                let waiting = Arc::clone(&waiting_bytes);
                Batcher::spawn(LANE, sends.clone(), move |batch: Vec<Send>| {
                    waiting.fetch_sub(batch.iter().map(Send::bytes).sum(), Ordering::Relaxed);
                    send_batch(Arc::clone(&caller), lane, batch)
                })
            })
            .collect();
        let reads =
            (0..route::LANES).map(|lane| reads::start(Arc::clone(&caller), lane, read.clone())).collect();
        let away = Arc::<Away>::default();
        let (asking, noted) = (Arc::clone(&caller), Arc::clone(&away));
        let connects = Batcher::spawn(CONNECTS, connecting, move |batch| {
            connect_batch(Arc::clone(&asking), batch, Arc::clone(&noted))
        });
        Self { caller, lanes, reads, connects, waiting_bytes, nodes, badge, away }
    }

    /// Puts a message into its conversation's lane. Its sender is told through its [`Reply`], also when the
    /// lane is full.
    pub(crate) fn send(&self, send: Send) {
        let bytes = send.bytes();
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_WAITING_BYTES {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            send.reply.fail(&unavailable(Refused::Overloaded));
        } else if let Err((refused, send)) =
            self.lanes[route::lane(send.conversation)].enqueue_or_return(send)
        {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            send.reply.fail(&unavailable(refused));
        }
    }

    /// Puts what somebody has read into its user's lane. Its sender is told through its [`Reply`], also when the lane
    /// is full.
    pub(crate) fn read(&self, read: Read) {
        if let Err((refused, read)) = self.reads[route::lane(read.user)].enqueue_or_return(read) {
            read.reply.fail(&unavailable(refused));
        }
    }

    /// Asks whether a user may connect.
    pub(crate) async fn connect(&self, connect: Connect) -> Result<(), ApiError> {
        self.connects.call(connect).await.unwrap_or_else(|refused| Err(unavailable(refused)))
    }

    /// Tells who is there, and that this gateway lives: one batch, at most [`MAX_BATCH`](protocol::command::MAX_BATCH)
    /// of [`Command::Presence`] and [`Command::Alive`], which is tried for as long as any other. As many answers as
    /// commands.
    ///
    /// # Errors
    ///
    /// When no node answered in time. The batch may have taken effect.
    pub(crate) async fn presence(&self, commands: Vec<Command>) -> Result<Vec<Answer>, ApiError> {
        let epoch = self.away.epoch();
        let answers = self.caller.call(PRESENCE_LANE, commands, Instant::now()).await;
        note(&self.away, epoch, &answers);
        answers
    }

    /// Keeps asking all nodes whether they can commit, and tells `check`, for ever.
    pub(crate) fn watch(&self, check: Check) -> impl Future<Output = ()> + std::marker::Send + use<> {
        let (nodes, badge) = (Arc::clone(&self.nodes), Arc::clone(&self.badge));
        readiness::watch(nodes, badge, Arc::clone(&self.away), check)
    }

    /// Whether the api, or the database behind it, is away: no node could commit when they were last asked, or it
    /// showed when the api was last asked whether somebody may connect, or told who is there.
    pub(crate) fn is_away(&self) -> bool {
        self.away.is_away()
    }
}

/// Notes whether anybody answered, and could do what was asked.
fn note(noted: &Away, epoch: u64, answers: &Result<Vec<Answer>, ApiError>) {
    let away = |error: &ApiError| error.code == ErrorCode::Unavailable;
    let now = match answers {
        Ok(answers) => answers.iter().any(|answer| matches!(answer, Answer::Err(error) if away(error))),
        Err(error) => away(error),
    };
    noted.answered(epoch, now);
}

/// Exports how much waits, and may wait.
fn export_waiting(bytes: &Arc<AtomicUsize>, registry: &Registry) {
    let limit = "How much may wait before sends are refused";
    registry.gauge("linkup_gateway_send_waiting_limit_bytes", limit, &[]).set(MAX_WAITING_BYTES as f64);
    let bytes = Arc::clone(bytes);
    registry.collect(move |text| {
        let (help, bytes) = ("Messages that wait for the api", bytes.load(Ordering::Relaxed));
        text.gauge("linkup_gateway_send_waiting_bytes", help, &[], bytes as f64);
    });
}

fn unavailable(reason: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Unavailable, format!("The service is unavailable: {reason}"))
}

/// What became of a command that waited out its time behind others. It is not begun: its sender may have given it up.
fn too_late() -> ApiError {
    unavailable("no api node answered in time")
}

async fn send_batch(caller: Arc<Caller>, lane: usize, batch: Vec<Send>) -> Vec<()> {
    let count = batch.len();
    let (batch, late): (Vec<Send>, Vec<Send>) =
        batch.into_iter().partition(|send| send.since.elapsed() < caller.timeout);
    late.into_iter().for_each(|send| send.reply.fail(&too_late()));
    let Some(oldest) = batch.iter().map(|send| send.since).min() else { return vec![(); count] };
    let now = Instant::now();
    let stage = &caller.metrics.api.queue_stage;
    batch.iter().for_each(|send| stage.record(now.saturating_duration_since(send.since)));
    let (commands, replies): (Vec<Command>, Vec<Reply>) = batch
        .into_iter()
        .map(|Send { message, sender, conversation, payload, reply, received, .. }| {
            let received = Some(received);
            (Command::Send { message, sender, conversation, payload, received }, reply)
        })
        .unzip();
    match caller.call(lane, commands, oldest).await {
        Ok(answers) => {
            replies.into_iter().zip(answers).for_each(|(reply, answer)| match answer {
                Answer::Ok(message) => reply.done_with("message", &message),
                Answer::Err(error) => reply.fail(&error),
            });
        }
        Err(error) => replies.into_iter().for_each(|reply| reply.fail(&error)),
    }
    vec![(); count]
}

async fn connect_batch(
    caller: Arc<Caller>,
    batch: Vec<Connect>,
    away: Arc<Away>,
) -> Vec<Result<(), ApiError>> {
    let count = batch.len();
    let commands =
        batch.iter().map(|c| Command::Connect { user: c.user, generation: c.generation }).collect();
    let epoch = away.epoch();
    let answers = caller.call(CONNECT_LANE, commands, Instant::now()).await;
    note(&away, epoch, &answers);
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => return vec![Err(error); count],
    };
    answers
        .into_iter()
        .map(|answer| match answer {
            Answer::Ok(_) => Ok(()),
            Answer::Err(error) => Err(error),
        })
        .collect()
}
