//! The conversations' view of their last message, written behind the acknowledgement and at most once per interval for
//! a conversation. Lists read the message itself; only on which page of them a conversation is comes from it. A view
//! that is lost with its node is right again with the conversation's next message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::Id;
use rustc_hash::FxHashMap;
use service::metrics::Counter;
use store::Store;
use store::conversation::View;
use store::document::{LastMessage, Message};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// The most conversations that wait for their view.
const MOST: usize = 100_000;
/// How many views go into one command: about a millisecond of the database's time.
const CHUNK: usize = 8;
/// How many go into one command at the end, when they hold up nobody but the node that wants to stop.
const LAST_CHUNK: usize = 200;

/// Views that wait to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Views(Arc<Mutex<FxHashMap<Id, View>>>);

impl Views {
    /// Notes new last messages, and new states of messages that may be the last: what was deleted must not stay in a
    /// view.
    pub(crate) fn touch<'a>(&self, messages: impl Iterator<Item = &'a Message>) {
        let mut waiting = self.waiting();
        for message in messages {
            keep_newer(&mut waiting, view(message));
        }
    }

    /// Writes views until `stop`, and once more then. What waits at the beginning of an interval is written in
    /// small commands that are spread over it: written at once, the views of a thousand busy conversations
    /// would hold up the messages behind them ten times a commit's time, every time.
    pub(crate) async fn run(
        self,
        store: Store,
        interval: Duration,
        written: Counter,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let mut views = self.take();
            let pause = interval / (views.len().div_ceil(CHUNK) as u32).max(1);
            loop {
                self.write(&store, &mut views, CHUNK, &written).await;
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
        while !views.is_empty() && self.write(&store, &mut views, LAST_CHUNK, &written).await {}
    }

    fn take(&self) -> Vec<View> {
        std::mem::take(&mut *self.waiting()).into_values().collect()
    }

    /// Writes at most `most` of `views` in one command; false if they have to wait for the database.
    async fn write(&self, store: &Store, views: &mut Vec<View>, most: usize, written: &Counter) -> bool {
        let chunk = views.split_off(views.len().saturating_sub(most));
        if chunk.is_empty() {
            return true;
        }
        match store.write_views(&chunk).await {
            Ok(()) => written.increment(chunk.len() as u64),
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
            keep_newer(&mut waiting, view);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, FxHashMap<Id, View>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn view(message: &Message) -> View {
    let last = LastMessage {
        content: message.content.clone(),
        sender: message.sender,
        timestamp: message.created_at,
        seq: message.seq,
        rev: message.change.as_ref().map_or(0, |change| change.rev),
    };
    View { conversation: message.conversation_id, last }
}

/// Of the same message the state with more changes is the newer.
fn keep_newer(waiting: &mut FxHashMap<Id, View>, view: View) {
    if waiting.len() >= MOST && !waiting.contains_key(&view.conversation) {
        return;
    }
    let age = |view: &View| (view.last.seq, view.last.rev);
    match waiting.get_mut(&view.conversation) {
        Some(kept) if age(kept) > age(&view) => {}
        Some(kept) => *kept = view,
        None => drop(waiting.insert(view.conversation, view)),
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
        let view = |seq, rev| {
            let content = format!("{seq} {rev}");
            let last = LastMessage { content, sender, timestamp: Timestamp::from_millis(seq), seq, rev };
            View { conversation, last }
        };
        for (seq, rev) in [(2, 1), (3, 0), (1, 0), (3, 2), (3, 1), (2, 5)] {
            keep_newer(&mut waiting, view(seq, rev));
        }
        assert_eq!(waiting[&conversation].last.content, "3 2");
    }
}
