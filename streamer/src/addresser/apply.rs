//! What each change does to the caches, and whom it is told to.

use std::sync::Arc;

use bytes::Bytes;
use protocol::bus::Content;
use protocol::{Clock, Id, UnixMicros, event};
use tracing::warn;

use super::beside::Beside;
use super::{Addresser, Fresh};
use crate::cache::Conversation;
use crate::change::{
    Change, ConversationChange, Kind, Membership, Message, MessageChange, Read, Text, UserChange,
};
use crate::log::Addressed;
use crate::metrics::{Metrics, SESSIONS_ENDED, USER_GONE};
use crate::render::{self, Pen};

/// Collects the events of one change.
pub(super) struct Emitter<'a> {
    pub(super) clock: Clock,
    /// Of a new message: when the first server received it.
    pub(super) received: Option<UnixMicros>,
    pub(super) events: &'a mut Vec<Fresh>,
    pub(super) metrics: &'a Metrics,
}

impl Emitter<'_> {
    /// Adds an event for `recipients`, rendered with its clock.
    fn emit(
        &mut self,
        name: &str,
        recipients: Arc<[Id]>,
        render: impl FnOnce(Clock) -> Result<Bytes, serde_json::Error>,
    ) {
        match render(self.clock) {
            Ok(event) => self.tell(name, recipients, Content::Event(event)),
            Err(error) => {
                warn!(%error, "an event could not be encoded");
                self.clock.event += 1;
            }
        }
    }

    /// Adds something for `recipients`, or for the gateways that hold them.
    fn tell(&mut self, name: &str, recipients: Arc<[Id]>, content: Content) {
        self.metrics.event(name);
        self.metrics.recipients.record(recipients.len() as f64);
        let event = Addressed { clock: self.clock, recipients, content };
        self.events.push(Fresh { event, received: self.received });
        self.clock.event += 1;
    }

    /// Notes that the change cannot be told to anybody.
    fn skip(&self, what: &str, id: Id) {
        self.metrics.skipped.increment(1);
        warn!(%id, "a change was skipped: its {what} does not exist");
    }
}

impl Addresser {
    pub(super) fn apply(&mut self, change: Change<'_>, beside: &Beside, mut emitter: Emitter<'_>) {
        match change.kind {
            Kind::Message(message) => self.message(&message, &mut emitter),
            Kind::MessageChanged(change) => self.message_change(&change, beside, &mut emitter),
            Kind::Read(read) => self.read(&read, &mut emitter),
            Kind::ConversationMade(id, made) => {
                let recipients = Arc::clone(&made.participants);
                self.cache.touch(id);
                let made = self.cache.conversations.entry(id).insert_entry(made).into_mut();
                let pen = Pen::new(&self.links);
                emitter.emit(event::CONVERSATION_UPDATE, recipients, |clock| {
                    pen.conversation(id, made, &self.cache.users, clock)
                });
            }
            Kind::ConversationChanged(id, change) => self.conversation(id, change, &mut emitter),
            Kind::BlocksChanged(id) => {
                self.cache.touch(id);
                if let Some(conversation) = self.cache.conversations.get_mut(&id) {
                    conversation.blocked = None;
                }
            }
            Kind::ConversationReplaced(id, now) => {
                self.cache.touch(id);
                self.cache.conversations.insert(id, now);
            }
            Kind::ConversationGone(id) => {
                self.cache.touch(id);
                self.cache.conversations.remove(&id);
            }
            Kind::UserMade(id, summary) => drop(self.cache.users.insert(id, summary)),
            Kind::UserChanged(id, change) => self.user(id, change, beside, &mut emitter),
            Kind::UserGone(id) => {
                self.cache.users.remove(&id);
                emitter.tell(USER_GONE, [id].into(), Content::UserGone);
            }
            Kind::ActivityMade(id, made) => drop(self.cache.activities.insert(id, made)),
            Kind::Membership(membership) => self.membership(membership, &mut emitter),
            Kind::ActivityGone(id) => drop(self.cache.activities.remove(&id)),
        }
    }

    fn message(&self, message: &Message<'_>, emitter: &mut Emitter<'_>) {
        let Some(conversation) = self.cache.conversations.get(&message.conversation) else {
            return emitter.skip("conversation", message.id);
        };
        emitter.received = message.received;
        let sender = self.cache.users.get(&message.sender);
        let pen = Pen::new(&self.links);
        emitter.emit(event::MESSAGE_NEW, Arc::clone(&conversation.participants), |clock| {
            pen.message(message, sender, clock)
        });
    }

    fn message_change(&self, change: &MessageChange<'_>, beside: &Beside, emitter: &mut Emitter<'_>) {
        let Some(conversation) = self.cache.conversations.get(&change.conversation) else {
            return emitter.skip("conversation", change.id);
        };
        let recipients = Arc::clone(&conversation.participants);
        let text = match change.text {
            Text::Deleted => {
                return emitter
                    .emit(event::MESSAGE_DELETE, recipients, |clock| render::deletion(change, clock));
            }
            Text::Now(text) => Some(text),
            Text::Same => beside.texts.get(&change.id).map(String::as_str),
            Text::Overtaken => return,
        };
        let Some(text) = text else { return emitter.skip("message", change.id) };
        let sender = self.cache.users.get(&change.sender);
        let pen = Pen::new(&self.links);
        emitter.emit(event::MESSAGE_UPDATE, recipients, |clock| pen.edit(change, text, sender, clock));
    }

    fn read(&mut self, read: &Read, emitter: &mut Emitter<'_>) {
        let Some(conversation) = self.cache.conversations.get(&read.conversation) else {
            return emitter.skip("conversation", read.conversation);
        };
        let time = emitter.clock.time;
        if let Some(recipients) = self.receipts.recipients(read, conversation, time) {
            emitter.emit(event::MESSAGE_READ, recipients, |clock| render::read(read, clock));
        }
    }

    fn conversation(&mut self, id: Id, change: ConversationChange, emitter: &mut Emitter<'_>) {
        self.cache.touch(id);
        let Some(conversation) = self.cache.conversations.get_mut(&id) else {
            return emitter.skip("conversation", id);
        };
        conversation.participants = change.participants.into();
        conversation.name = change.name;
        conversation.created_by = change.created_by.or(conversation.created_by);
        conversation.updated_at = change.at;
        conversation.is_active = change.is_active;
        let conversation: &Conversation = conversation;
        let pen = Pen::new(&self.links);
        emitter.emit(event::CONVERSATION_UPDATE, Arc::clone(&conversation.participants), |clock| {
            pen.conversation(id, conversation, &self.cache.users, clock)
        });
        if !change.removed.is_empty() {
            emitter.emit(event::CONVERSATION_UPDATE, change.removed.into(), |clock| {
                render::removal(id, conversation, clock)
            });
        }
    }

    fn user(&mut self, id: Id, change: UserChange, beside: &Beside, emitter: &mut Emitter<'_>) {
        if let Some(generation) = change.generation {
            emitter.tell(SESSIONS_ENDED, [id].into(), Content::SessionsEnded { generation });
        }
        let is_presence = change.is_presence();
        self.cache.change_user(id, change);
        if !is_presence {
            return;
        }
        let Some(summary) = self.cache.users.get(&id) else { return emitter.skip("user", id) };
        let (whole, partly) = beside.audience_of(id);
        emitter
            .emit(event::USER_STATUS, whole, |clock| render::status(id, summary, summary.last_seen, clock));
        if !partly.is_empty() {
            emitter.emit(event::USER_STATUS, partly, |clock| render::status(id, summary, None, clock));
        }
    }

    fn membership(&mut self, membership: Membership, emitter: &mut Emitter<'_>) {
        let Some(activity) = self.cache.activities.get_mut(&membership.activity) else {
            return emitter.skip("activity", membership.activity);
        };
        activity.change(membership.user, membership.joined);
        let recipients = activity.concerned(membership.user);
        let pen = Pen::new(&self.links);
        emitter.emit(render::members_event(membership), recipients, |clock| {
            pen.members(membership, activity, &self.cache.users, clock)
        });
    }
}
