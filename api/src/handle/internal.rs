//! The gateways' batches of commands, and whether they would take effect.

use hyper::Request;
use hyper::body::Incoming;
use protocol::Id;
use protocol::body::NewMessage;
use protocol::code::text;
use protocol::command::{self, Answers, Batch, Command, Heartbeat, MAX_BATCH};
use protocol::id::distinct;
use protocol::input::Invalid;
use protocol::route::{LANES, lane};
use rustc_hash::FxHashMap;
use serde::Serialize;
use service::batcher::Refused;
use store::presence::Delta;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::json_body;
use super::messages::to_store;
use crate::answer::{Answer, Failure, done, ok};
use crate::app::App;
use crate::commit::{Outcome, Send};
use crate::marks::{Mark, Marked};
use crate::people::Found;
use crate::presence;
use crate::render::Pen;
use crate::request::bearer;

/// What a message says, or why it is refused.
type Checked = Result<NewMessage, Invalid>;

/// Where a command's answer will come from.
enum Waiting {
    Refused(Failure),
    /// With the generation of the socket's token.
    Connect(oneshot::Receiver<Found>, i64),
    Send(oneshot::Receiver<Outcome>),
    Read(oneshot::Receiver<Result<Marked, Failure>>),
    /// With its place among those of the batch.
    Presence(usize),
    Alive(Id),
}

/// A batch's commands about presence, which are carried out together.
#[derive(Default)]
struct Heard {
    deltas: Vec<Delta>,
    alive: Vec<Id>,
}

/// What came of them.
struct Told {
    deltas: Vec<Result<(), Failure>>,
    alive: FxHashMap<Id, Result<Heartbeat, Failure>>,
}

/// `POST /internal/commands`: every command is enqueued at once and in order, then all answers are awaited.
pub(super) async fn commands(app: &App, request: Request<Incoming>) -> Result<Answer, Failure> {
    let since = Instant::now();
    authenticate(app, &request)?;
    let bytes = json_body(app, request).await?;
    let batch = Batch::from_json(&bytes).map_err(|_| Invalid::new("body", "must be a batch of commands"))?;
    if batch.commands.len() > MAX_BATCH {
        return Err(Invalid::new("commands", "are too many").into());
    }
    let (waiting, heard) = enqueue(app, batch.commands, since);
    let told = heard.tell(app).await;
    let pen = Pen::new(&app.config.links);
    let mut answers = Vec::with_capacity(waiting.len());
    for one in waiting {
        let answer = one.answer(&pen, &told).await;
        answers.push(answer.unwrap_or_else(|failure| command::Answer::Err(failure.error)));
    }
    Ok(ok(&Answers { answers }))
}

/// `GET /internal/ready`: whether a batch would take effect now. No command: what is asked is known already.
pub(super) fn ready(app: &App, request: &Request<Incoming>) -> Result<Answer, Failure> {
    authenticate(app, request)?;
    app.is_ready()?;
    Ok(done())
}

fn authenticate(app: &App, request: &Request<Incoming>) -> Result<(), Failure> {
    let token = bearer(request.headers()).ok_or_else(|| Failure::unauthorized(text::TOKEN_REQUIRED))?;
    app.config.tokens.verify_internal(token).map_err(|_| Failure::unauthorized(text::INVALID_TOKEN))
}

fn enqueue(app: &App, commands: Vec<Command<Checked>>, since: Instant) -> (Vec<Waiting>, Heard) {
    let mut heard = Heard::default();
    // Where a lane refused one message, it must not take a later one: that would overtake.
    let mut full = [false; LANES];
    let enqueued = commands.into_iter().map(|command| {
        let waiting = match command {
            Command::Connect { user, generation } => {
                app.people.ask(user).map(|found| Waiting::Connect(found, generation))
            }
            Command::Send { conversation, .. } if full[lane(conversation)] => {
                app.metrics.overloads.increment(1);
                Err(Failure::unavailable())
            }
            Command::Send { message, sender, conversation, payload, received } => {
                let body = payload.and_then(|message| to_store(&app.config.links, message));
                body.map_err(Failure::from).and_then(|body| {
                    let profile = None;
                    let send = Send { id: message, conversation, sender, profile, body, received, since };
                    let waiting = app.commit.enqueue(send);
                    full[lane(conversation)] = waiting.is_err();
                    waiting.map(Waiting::Send)
                })
            }
            Command::Read { user, message } => app.marks.ask(Mark { user, message }).map(Waiting::Read),
            Command::Presence { gateway, user, version, presence, at } => {
                heard.deltas.push(Delta { gateway, user, version, presence, at });
                Ok(Waiting::Presence(heard.deltas.len() - 1))
            }
            Command::Alive { gateway } => {
                heard.alive.push(gateway);
                Ok(Waiting::Alive(gateway))
            }
        };
        waiting.unwrap_or_else(Waiting::Refused)
    });
    (enqueued.collect(), heard)
}

impl Heard {
    async fn tell(self, app: &App) -> Told {
        let alive = async {
            let mut told = FxHashMap::default();
            for gateway in distinct(self.alive) {
                told.insert(gateway, presence::beat(&app.store, gateway).await);
            }
            told
        };
        let (deltas, alive) = tokio::join!(presence::tell(&app.store, &app.metrics, &self.deltas), alive);
        Told { deltas, alive }
    }
}

impl Waiting {
    async fn answer(self, pen: &Pen<'_>, told: &Told) -> Result<command::Answer, Failure> {
        let stopped = |_| Failure::from(Refused::Stopped);
        match self {
            Self::Refused(failure) => Err(failure),
            Self::Connect(found, generation) => {
                let gone = || Failure::unauthorized(text::USER_NOT_FOUND);
                let profile = found.await.map_err(stopped)??.ok_or_else(gone)?;
                // A token of before the user's sessions were ended is as bad as one that was never good.
                if profile.generation != generation {
                    return Err(Failure::unauthorized(text::AUTHENTICATION_ERROR));
                }
                value(&pen.author(&profile))
            }
            Self::Send(outcome) => {
                let committed = outcome.await.map_err(stopped)??;
                value(&pen.fresh(&committed.message, &committed.sender))
            }
            Self::Read(marked) => value(&marked.await.map_err(stopped)??.read()),
            Self::Presence(place) => {
                told.deltas.get(place).cloned().unwrap_or_else(|| Err(Failure::unavailable()))?;
                value(&())
            }
            Self::Alive(gateway) => {
                let heartbeat = told.alive.get(&gateway).cloned();
                value(&heartbeat.unwrap_or_else(|| Err(Failure::unavailable()))?)
            }
        }
    }
}

fn value<T: Serialize>(value: &T) -> Result<command::Answer, Failure> {
    serde_json::value::to_raw_value(value).map(command::Answer::Ok).map_err(Failure::fault)
}
