//! From changes to events: what clients are told, encoded once for all of them.

use std::borrow::Cow;

use bytes::Bytes;
use protocol::model::{ConversationUpdate, ReadBy, UserSummary};
use protocol::{Clock, Id, event, model};
use rustc_hash::FxHashMap;

use crate::cache::{Conversation, Summary};
use crate::change::Message;

/// The name shown for an author whose account is gone.
const GONE: &str = "Deleted user";

/// `message:new`.
pub(crate) fn message(
    message: &Message<'_>,
    sender: Option<&Summary>,
    clock: Clock,
) -> Result<Bytes, serde_json::Error> {
    let (name, avatar) = sender.map_or((GONE, None), |s| (s.name.as_str(), s.avatar.as_deref()));
    let payload = model::Message {
        mongo_id: message.id,
        id: message.id,
        conversation_id: message.conversation,
        seq: message.seq,
        sender: UserSummary::author(message.sender, name, avatar.map(Cow::Borrowed)),
        content: message.content.into(),
        content_type: message.content_type.into(),
        attachment_url: message.attachment_url.map(Cow::Borrowed),
        client_message_id: message.client_message_id.map(Cow::Borrowed),
        read_by: vec![ReadBy { user_id: message.sender, read_at: message.created_at }],
        created_at: message.created_at,
        updated_at: message.created_at,
        is_deleted: false,
    };
    event::encode(event::MESSAGE_NEW, &payload, Some(clock))
}

/// `conversation:update` for the participants.
pub(crate) fn conversation(
    id: Id,
    conversation: &Conversation,
    users: &FxHashMap<Id, Summary>,
    clock: Clock,
) -> Result<Bytes, serde_json::Error> {
    let mut payload = skeleton(id, conversation);
    payload.participants = conversation
        .participants
        .iter()
        .filter_map(|user| Some((*user, users.get(user)?)))
        .map(|(user, summary)| UserSummary {
            status: Some(summary.status.as_str().into()),
            ..UserSummary::author(user, &summary.name, summary.avatar.as_deref().map(Cow::Borrowed))
        })
        .collect();
    event::encode(event::CONVERSATION_UPDATE, &payload, Some(clock))
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
