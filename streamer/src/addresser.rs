//! Changes in, addressed events out. No I/O but the loads of the caches.

use std::sync::Arc;

use mongodb::Database;
use protocol::upload::Links;
use protocol::{Clock, Id};
use store::stream::{Batch, StreamError};
use tracing::warn;

use crate::cache::{Cache, Conversation, Missing};
use crate::change::{Change, ConversationChange, Kind, Message};
use crate::log::Addressed;
use crate::metrics::METRICS;
use crate::render::{self, Pen};

/// Turns batches of changes into addressed events with clocks.
#[derive(Debug)]
pub(crate) struct Addresser {
    database: Database,
    /// Signs the addresses of uploads.
    links: Links,
    cache: Cache,
    /// The cluster time of the last change, and which change of it that was.
    time: u64,
    change: u32,
}

/// Collects the events of one change.
struct Emitter<'a> {
    clock: Clock,
    events: &'a mut Vec<Addressed>,
}

impl Emitter<'_> {
    /// Adds an event for `recipients`, rendered with its clock.
    fn emit(
        &mut self,
        recipients: Arc<[Id]>,
        render: impl FnOnce(Clock) -> Result<bytes::Bytes, serde_json::Error>,
    ) {
        match render(self.clock) {
            Ok(event) => self.events.push(Addressed { clock: self.clock, recipients, event }),
            Err(error) => warn!(%error, "an event could not be encoded"),
        }
        self.clock.event += 1;
    }
}

impl Addresser {
    /// With empty caches; the first batch begins after cluster time `time`.
    pub(crate) fn new(database: Database, links: Links, time: u64) -> Self {
        Self { database, links, cache: Cache::default(), time, change: 0 }
    }

    /// The events of a batch, in clock order, and the clock of the last change, with or without events.
    ///
    /// # Errors
    ///
    /// When the caches could not be loaded. The batch may be given again.
    pub(crate) async fn address(&mut self, batch: &Batch) -> Result<Vec<Addressed>, StreamError> {
        self.cache.trim();
        let mut changes = Vec::new();
        let mut missing = Missing::default();
        for item in batch.changes()? {
            let event = item?.as_document().ok_or(StreamError::Malformed)?;
            match Change::parse(event) {
                Ok(Some(change)) => {
                    self.cache.note_missing(&change, &mut missing);
                    changes.push(change);
                }
                Ok(None) => {}
                // Somebody wrote past the api; one odd document must not stop everybody's events.
                Err(error) => {
                    METRICS.malformed.inc();
                    warn!(%error, "a change was skipped: its document is not as LinkUp writes it");
                }
            }
        }
        if let Some(first) = changes.first()
            && !missing.is_empty()
        {
            self.cache.load(&self.database, missing, first.time - 1).await?;
        }
        let mut events = Vec::with_capacity(changes.len());
        for change in changes {
            let clock = self.next_clock(change.time);
            self.apply(change, Emitter { clock, events: &mut events });
        }
        Ok(events)
    }

    /// The clock of the last change that was addressed.
    pub(crate) fn position(&self) -> Clock {
        Clock { time: self.time, change: self.change, event: u32::MAX }
    }

    fn next_clock(&mut self, time: u64) -> Clock {
        if time == self.time {
            self.change += 1;
        } else {
            (self.time, self.change) = (time, 0);
        }
        Clock { time, change: self.change, event: 0 }
    }

    fn apply(&mut self, change: Change<'_>, mut emitter: Emitter<'_>) {
        match change.kind {
            Kind::Message(message) => self.message(&message, &mut emitter),
            Kind::ConversationMade(id, made) => {
                let recipients = Arc::clone(&made.participants);
                let made = self.cache.conversations.entry(id).insert_entry(made).into_mut();
                let pen = Pen::new(&self.links);
                emitter.emit(recipients, |clock| pen.conversation(id, made, &self.cache.users, clock));
            }
            Kind::ConversationChanged(id, change) => self.conversation(id, change, &mut emitter),
            Kind::UserMade(id, summary) => drop(self.cache.users.insert(id, summary)),
            Kind::UserChanged(id, change) => self.cache.change_user(id, change),
            Kind::ConversationReplaced(id, now) => drop(self.cache.conversations.insert(id, now)),
            Kind::ConversationGone(id) => drop(self.cache.conversations.remove(&id)),
            Kind::UserGone(id) => drop(self.cache.users.remove(&id)),
        }
    }

    fn message(&self, message: &Message<'_>, emitter: &mut Emitter<'_>) {
        let Some(conversation) = self.cache.conversations.get(&message.conversation) else {
            METRICS.malformed.inc();
            warn!(message = %message.id, "a message was skipped: its conversation does not exist");
            return;
        };
        let sender = self.cache.users.get(&message.sender);
        let pen = Pen::new(&self.links);
        emitter.emit(Arc::clone(&conversation.participants), |clock| pen.message(message, sender, clock));
    }

    fn conversation(&mut self, id: Id, change: ConversationChange, emitter: &mut Emitter<'_>) {
        let Some(conversation) = self.cache.conversations.get_mut(&id) else {
            METRICS.malformed.inc();
            warn!(conversation = %id, "a change was skipped: its conversation does not exist");
            return;
        };
        conversation.participants = change.participants.into();
        conversation.name = change.name;
        conversation.created_by = change.created_by.or(conversation.created_by);
        conversation.updated_at = change.at;
        conversation.is_active = change.is_active;
        let conversation: &Conversation = conversation;
        let pen = Pen::new(&self.links);
        emitter.emit(Arc::clone(&conversation.participants), |clock| {
            pen.conversation(id, conversation, &self.cache.users, clock)
        });
        if !change.removed.is_empty() {
            emitter.emit(change.removed.into(), |clock| render::removal(id, conversation, clock));
        }
    }
}
