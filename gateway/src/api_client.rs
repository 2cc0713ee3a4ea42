//! Commands to the api: in batches, in lanes, retried in place.
//!
//! A conversation's commands take one lane, a lane has one batch in flight, and an unanswered batch is sent
//! again, to whichever node answers, before the lane's later ones: two messages of one sender cannot
//! overtake each other. A retry doubles nothing, because message identifiers are minted here.
//!
//! What somebody has read goes by lanes of its own, by user: it waits for nothing that is written, and what a page says over
//! and over goes to the api once.
//!
//! | module | holds |
//! |---|---|
//! | `caller` | one batch, tried until it is answered |
//! | `reads` | `message:read`: the batches, and who is told what came of them |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use protocol::code::ApiError;
use protocol::command::{Answer, Command};
use protocol::token::Tokens;
use protocol::{ErrorCode, Id, route};
use serde_json::value::RawValue;
use service::batcher::{Batcher, Limits, Refused};

use crate::chat::Reply;
use crate::nodes::Nodes;

mod caller;
mod reads;

pub(crate) use reads::Read;

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
    /// Whether the last answer, or the lack of one, was that the service is unavailable.
    is_away: Arc<AtomicBool>,
}

impl ApiClient {
    /// Starts the lanes.
    pub(crate) fn new(nodes: Arc<Nodes>, tokens: Tokens, timeout: Duration) -> Self {
        let caller = Arc::new(Caller::new(nodes, tokens, timeout));
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
        let reads = (0..route::LANES).map(|lane| reads::start(Arc::clone(&caller), lane)).collect();
        let is_away = Arc::<AtomicBool>::default();
        let (connecting, away) = (Arc::clone(&caller), Arc::clone(&is_away));
        let connects = Batcher::spawn(CONNECTS, move |batch| {
            connect_batch(Arc::clone(&connecting), batch, Arc::clone(&away))
        });
        Self { caller, lanes, reads, connects, waiting_bytes, is_away }
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

    /// Puts what somebody has read into its user's lane. Its sender is told through its [`Reply`], also when the lane is full.
    pub(crate) fn read(&self, read: Read) {
        if let Err((refused, read)) = self.reads[route::lane(read.user)].enqueue_or_return(read) {
            read.reply.fail(&unavailable(refused));
        }
    }

    /// Asks whether a user may connect.
    pub(crate) async fn connect(&self, connect: Connect) -> Result<(), ApiError> {
        self.connects.call(connect).await.unwrap_or_else(|refused| Err(unavailable(refused)))
    }

    /// Tells who is there, and that this gateway lives: one batch, at most
    /// [`MAX_BATCH`](protocol::command::MAX_BATCH) of [`Command::Presence`] and [`Command::Alive`], which is tried for as long as any
    /// other. As many answers as commands.
    ///
    /// # Errors
    ///
    /// When no node answered in time. The batch may have taken effect.
    pub(crate) async fn presence(&self, commands: Vec<Command>) -> Result<Vec<Answer>, ApiError> {
        let answers = self.caller.call(PRESENCE_LANE, commands, Instant::now()).await;
        note(&self.is_away, &answers);
        answers
    }

    /// Whether the api, or the database behind it, was away when it was last asked whether somebody may connect or told who is
    /// there. The latter happens every few seconds, so this ends soon after the trouble does.
    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }
}

/// Notes whether anybody answered, and could do what was asked.
fn note(is_away: &AtomicBool, answers: &Result<Vec<Answer>, ApiError>) {
    let away = |error: &ApiError| error.code == ErrorCode::Unavailable;
    let now = match answers {
        Ok(answers) => answers.iter().any(|answer| matches!(answer, Answer::Err(error) if away(error))),
        Err(error) => away(error),
    };
    is_away.store(now, Ordering::Relaxed);
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
    let (commands, replies): (Vec<Command>, Vec<Reply>) = batch
        .into_iter()
        .map(|Send { message, sender, conversation, payload, reply, .. }| {
            (Command::Send { message, sender, conversation, payload }, reply)
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
    is_away: Arc<AtomicBool>,
) -> Vec<Result<(), ApiError>> {
    let count = batch.len();
    let commands =
        batch.iter().map(|c| Command::Connect { user: c.user, generation: c.generation }).collect();
    let answers = caller.call(CONNECT_LANE, commands, Instant::now()).await;
    note(&is_away, &answers);
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
