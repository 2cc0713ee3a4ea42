//! From changes to events: what clients are told, encoded once for all of them.

use std::borrow::Cow;

use bytes::Bytes;
use protocol::model::{ConversationUpdate, ReadBy, UserSummary};
use protocol::upload::Links;
use protocol::{Clock, Id, Timestamp, event, model};
use rustc_hash::FxHashMap;

use crate::cache::{Conversation, Summary};
use crate::change::Message;

/// What rendering needs beside what is rendered: the addresses of uploads are signed each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pen<'a> {
    links: &'a Links,
    now: Timestamp,
}

impl<'a> Pen<'a> {
    pub(crate) fn new(links: &'a Links) -> Self {
        Self { links, now: Timestamp::now() }
    }

    fn link<'b>(&self, stored: Option<&'b str>) -> Option<Cow<'b, str>> {
        stored.map(|stored| self.links.shown(stored, self.now))
    }

    /// `message:new`.
    pub(crate) fn message(
        &self,
        message: &Message<'_>,
        sender: Option<&Summary>,
        clock: Clock,
    ) -> Result<Bytes, serde_json::Error> {
        let sender = match sender {
            Some(sender) => {
                UserSummary::author(message.sender, &sender.name, self.link(sender.avatar.as_deref()))
            }
            None => UserSummary::gone(message.sender),
        };
        let payload = model::Message {
            mongo_id: message.id,
            id: message.id,
            conversation_id: message.conversation,
            seq: message.seq,
            sender,
            content: message.content.into(),
            content_type: message.content_type.into(),
            attachment_url: self.link(message.attachment_url),
            client_message_id: message.client_message_id.map(Cow::Borrowed),
            read_by: vec![ReadBy { user_id: message.sender, read_at: message.created_at }],
            read_count: None,
            created_at: message.created_at,
            updated_at: message.created_at,
            edited_at: None,
            is_deleted: false,
        };
        event::encode(event::MESSAGE_NEW, &payload, Some(clock))
    }

    /// `conversation:update` for the participants.
    pub(crate) fn conversation(
        &self,
        id: Id,
        conversation: &Conversation,
        users: &FxHashMap<Id, Summary>,
        clock: Clock,
    ) -> Result<Bytes, serde_json::Error> {
        let mut payload = skeleton(id, conversation);
        payload.participants = conversation
            .participants
            .iter()
            .map(|&user| match users.get(&user) {
                Some(summary) => UserSummary {
                    status: Some(summary.status.as_str().into()),
                    ..UserSummary::author(user, &summary.name, self.link(summary.avatar.as_deref()))
                },
                None => UserSummary::gone(user),
            })
            .collect();
        event::encode(event::CONVERSATION_UPDATE, &payload, Some(clock))
    }
}

/// `conversation:update` for those who were removed: that it is over for them, and nothing about the others.
pub(crate) fn removal(id: Id, conversation: &Conversation, clock: Clock) -> Result<Bytes, serde_json::Error> {
    let payload = ConversationUpdate { is_active: false, ..skeleton(id, conversation) };
    event::encode(event::CONVERSATION_UPDATE, &payload, Some(clock))
}

fn skeleton(id: Id, conversation: &Conversation) -> ConversationUpdate<'_> {
    ConversationUpdate {
        mongo_id: id,
        id,
        name: conversation.name.as_deref().map(Cow::Borrowed),
        kind: conversation.kind.as_str().into(),
        participants: Vec::new(),
        created_by: conversation.created_by,
        activity_id: conversation.activity_id,
        created_at: conversation.created_at,
        updated_at: conversation.updated_at,
        is_active: conversation.is_active,
    }
}
