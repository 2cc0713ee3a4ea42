//! The gateways' batches of commands.

use hyper::Request;
use hyper::body::Incoming;
use protocol::code::text;
use protocol::command::{self, Answers, Batch, Command, MAX_BATCH};
use protocol::input::Invalid;
use protocol::route::{LANES, lane};
use serde::Serialize;
use service::batcher::Refused;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::json_body;
use super::messages::new_message;
use crate::answer::{Answer, Failure, ok};
use crate::app::App;
use crate::commit::{Outcome, Send};
use crate::people::Found;
use crate::render::Pen;
use crate::request::bearer;

/// Where a command's answer will come from.
enum Waiting {
    Refused(Failure),
    /// With the generation of the socket's token.
    Connect(oneshot::Receiver<Found>, i64),
    Send(oneshot::Receiver<Outcome>),
}

/// `POST /internal/commands`: every command is enqueued at once and in order, then all answers are awaited.
pub(super) async fn commands(app: &App, request: Request<Incoming>) -> Result<Answer, Failure> {
    let since = Instant::now();
    authenticate(app, &request)?;
    let bytes = json_body(app, request).await?;
    let batch: Batch =
        serde_json::from_slice(&bytes).map_err(|_| Invalid::new("body", "must be a batch of commands"))?;
    if batch.commands.len() > MAX_BATCH {
        return Err(Invalid::new("commands", "are too many").into());
    }
    let waiting = enqueue(app, batch.commands, since);
    let pen = Pen::new(&app.config.links);
    let mut answers = Vec::with_capacity(waiting.len());
    for one in waiting {
        answers.push(one.answer(&pen).await.unwrap_or_else(|failure| command::Answer::Err(failure.error)));
    }
    Ok(ok(&Answers { answers }))
}

fn authenticate(app: &App, request: &Request<Incoming>) -> Result<(), Failure> {
    let token = bearer(request.headers()).ok_or_else(|| Failure::unauthorized(text::TOKEN_REQUIRED))?;
    app.config.tokens.verify_internal(token).map_err(|_| Failure::unauthorized(text::INVALID_TOKEN))
}

fn enqueue(app: &App, commands: Vec<Command>, since: Instant) -> Vec<Waiting> {
    // Where a lane refused one message, it must not take a later one: that would overtake.
    let mut full = [false; LANES];
    let enqueued = commands.into_iter().map(|command| {
        let waiting = match command {
            Command::Connect { user, generation } => {
                app.people.ask(user).map(|found| Waiting::Connect(found, generation))
            }
            Command::Send { conversation, .. } if full[lane(conversation)] => Err(Failure::unavailable()),
            Command::Send { message, sender, conversation, payload } => {
                let body = new_message(&app.config.links, payload.get().as_bytes());
                body.map_err(Failure::from).and_then(|body| {
                    let send = Send { id: message, conversation, sender, profile: None, body, since };
                    let waiting = app.commit.enqueue(send);
                    full[lane(conversation)] = waiting.is_err();
                    waiting.map(Waiting::Send)
                })
            }
        };
        waiting.unwrap_or_else(Waiting::Refused)
    });
    enqueued.collect()
}

impl Waiting {
    async fn answer(self, pen: &Pen<'_>) -> Result<command::Answer, Failure> {
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
        }
    }
}

fn value<T: Serialize>(value: &T) -> Result<command::Answer, Failure> {
    serde_json::value::to_raw_value(value).map(command::Answer::Ok).map_err(Failure::fault)
}
