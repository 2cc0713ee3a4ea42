//! `message:read` on its way to the api.

use std::sync::Arc;
use std::time::Instant;

use protocol::Id;
use protocol::command::{Answer, Command};
use rustc_hash::FxHashMap;
use service::batcher::{Batcher, BatcherMetrics, Limits};

use super::caller::Caller;
use super::too_late;
use crate::chat::Reply;

/// A lane's batches, and how many may wait in it. Each takes about a hundred bytes, so that all lanes together hold a
/// few megabytes at most.
const LANE: Limits = Limits { batch: 256, queue: 16_384 };

/// What somebody has read, and who is told what came of it.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) user: Id,
    pub(crate) message: Id,
    pub(crate) reply: Reply,
    /// When it came: how long it is tried counts from then.
    pub(crate) since: Instant,
}

/// Starts a lane.
pub(super) fn start(caller: Arc<Caller>, lane: usize, metrics: BatcherMetrics) -> Batcher<Read, ()> {
    Batcher::spawn(LANE, metrics, move |batch| read_batch(Arc::clone(&caller), lane, batch))
}

async fn read_batch(caller: Arc<Caller>, lane: usize, batch: Vec<Read>) -> Vec<()> {
    let count = batch.len();
    let (batch, late): (Vec<Read>, Vec<Read>) =
        batch.into_iter().partition(|read| read.since.elapsed() < caller.timeout);
    late.into_iter().for_each(|read| read.reply.fail(&too_late()));
    let Some(oldest) = batch.iter().map(|read| read.since).min() else { return vec![(); count] };
    let (commands, waiting) = distinct(batch);
    match caller.call(lane, commands, oldest).await {
        Ok(answers) => {
            // There are as many answers as commands.
            waiting.into_iter().for_each(|(at, reply)| match &answers[at] {
                Answer::Ok(read) => reply.done_with("read", read),
                Answer::Err(error) => reply.fail(error),
            });
        }
        Err(error) => waiting.into_iter().for_each(|(_, reply)| reply.fail(&error)),
    }
    vec![(); count]
}

/// Everything once, in order, and which of it each reply waits for: a page that shows a conversation in two places says
/// the same twice, and on every change again.
fn distinct(batch: Vec<Read>) -> (Vec<Command>, Vec<(usize, Reply)>) {
    let (mut commands, mut places) = (Vec::new(), FxHashMap::default());
    let mut waiting = Vec::with_capacity(batch.len());
    for Read { user, message, reply, .. } in batch {
        let at = *places.entry((user, message)).or_insert_with(|| {
            commands.push(Command::Read { user, message });
            commands.len() - 1
        });
        waiting.push((at, reply));
    }
    (commands, waiting)
}
