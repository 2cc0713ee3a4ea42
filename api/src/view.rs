//! The conversations' view of their last message, written behind the acknowledgement and at most once per interval
//! for a conversation. Nothing relies on it: lists read the message itself. A view that is lost with its node is
//! right again with the conversation's next message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::Id;
use rustc_hash::FxHashMap;
use store::Store;
use store::conversation::View;
use store::document::{LastMessage, Message};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::metrics::METRICS;

/// The most conversations that wait for their view.
const MOST: usize = 100_000;
/// How many views go into one command: about a millisecond of the database's time.
const CHUNK: usize = 8;
/// How many go into one command at the end, when they hold up nobody but the node that wants to stop.
const LAST_CHUNK: usize = 200;

/// Views that wait to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Views(Arc<Mutex<FxHashMap<Id, LastMessage>>>);

impl Views {
    /// Notes new last messages.
    pub(crate) fn touch<'a>(&self, messages: impl Iterator<Item = &'a Message>) {
        let mut waiting = self.waiting();
        for message in messages {
            let last = LastMessage {
                content: message.content.clone(),
                sender: message.sender,
                timestamp: message.created_at,
                seq: message.seq,
            };
            keep_newer(&mut waiting, message.conversation_id, last);
        }
    }

    /// Writes views until `stop`, and once more then. What waits at the beginning of an interval is written in
    /// small commands that are spread over it: written at once, the views of a thousand busy conversations
    /// would hold up the messages behind them ten times a commit's time, every time.
    pub(crate) async fn run(self, store: Store, interval: Duration, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let mut views = self.take();
            let pause = interval / (views.len().div_ceil(CHUNK) as u32).max(1);
            loop {
                self.write(&store, &mut views, CHUNK).await;
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(pause) => {}
                }
                if views.is_empty() {
                    break;
                }
            }
            self.put_back(views);
        }
        let mut views = self.take();
        while !views.is_empty() && self.write(&store, &mut views, LAST_CHUNK).await {}
    }

    fn take(&self) -> Vec<View> {
        let taken = std::mem::take(&mut *self.waiting());
        taken.into_iter().map(|(conversation, last)| View { conversation, last }).collect()
    }

    /// Writes at most `most` of `views` in one command; false if they have to wait for the database.
    async fn write(&self, store: &Store, views: &mut Vec<View>, most: usize) -> bool {
        let chunk = views.split_off(views.len().saturating_sub(most));
        if chunk.is_empty() {
            return true;
        }
        match store.write_views(&chunk).await {
            Ok(()) => METRICS.views.inc_by(chunk.len() as u64),
            Err(error) if error.is_unavailable() => {
                debug!(%error, "views will be written later");
                self.put_back(chunk);
                return false;
            }
            Err(error) => warn!(%error, "views of last messages could not be written"),
        }
        true
    }

    fn put_back(&self, views: Vec<View>) {
        let mut waiting = self.waiting();
        for view in views {
            keep_newer(&mut waiting, view.conversation, view.last);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, FxHashMap<Id, LastMessage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep_newer(waiting: &mut FxHashMap<Id, LastMessage>, conversation: Id, last: LastMessage) {
    if waiting.len() >= MOST && !waiting.contains_key(&conversation) {
        return;
    }
    let kept = waiting.entry(conversation).or_insert_with(|| last.clone());
    if kept.seq < last.seq {
        *kept = last;
    }
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;

    use super::*;

    #[test]
    fn an_older_message_never_replaces_a_newer_one() {
        let mut waiting = FxHashMap::default();
        let (conversation, sender) = (Id::mint(), Id::mint());
        for seq in [2, 3, 1] {
            let last =
                LastMessage { content: String::new(), sender, timestamp: Timestamp::from_millis(seq), seq };
            keep_newer(&mut waiting, conversation, last);
        }
        assert_eq!(waiting[&conversation].seq, 3);
    }
}
