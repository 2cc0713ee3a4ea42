//! From changes to events: what clients are told, encoded once for all of them.

use std::borrow::Cow;

use bytes::Bytes;
use protocol::model::{
    ActivityMembers, ConversationUpdate, MessageDelete, MessageUpdate, ReadBy, UserSummary,
};
use protocol::upload::Links;
use protocol::{Clock, Id, Timestamp, event, model};
use rustc_hash::FxHashMap;
use store::conversation::LISTED_PARTICIPANTS;

use crate::cache::{Activity, Conversation, Summary};
use crate::change::{Membership, Message, MessageChange, Read};

/// The most participants of an activity that an event names.
const MEMBERS: usize = 100;

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

    /// Somebody without their status: not everybody who sees them is to see whether they are there.
    fn author<'b>(&self, id: Id, summary: Option<&'b Summary>) -> UserSummary<'b> {
        let Some(summary) = summary else { return UserSummary::gone(id) };
        UserSummary::author(id, &summary.name, self.link(summary.avatar.as_deref()))
    }

    /// `message:new`.
    pub(crate) fn message(
        &self,
        message: &Message<'_>,
        sender: Option<&Summary>,
        clock: Clock,
    ) -> Result<Bytes, serde_json::Error> {
        let payload = model::Message {
            mongo_id: message.id,
            id: message.id,
            conversation_id: message.conversation,
            seq: message.seq,
            sender: self.author(message.sender, sender),
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

    /// `message:update`.
    pub(crate) fn edit(
        &self,
        change: &MessageChange<'_>,
        text: &str,
        sender: Option<&Summary>,
        clock: Clock,
    ) -> Result<Bytes, serde_json::Error> {
        let payload = MessageUpdate {
            mongo_id: change.id,
            id: change.id,
            message_id: change.id,
            conversation_id: change.conversation,
            seq: change.seq,
            sender: self.author(change.sender, sender),
            content: text.into(),
            created_at: change.created_at,
            updated_at: change.at,
            edited_at: change.at,
        };
        event::encode(event::MESSAGE_UPDATE, &payload, Some(clock))
    }

    /// `activity:join` and `activity:leave`.
    pub(crate) fn members(
        &self,
        membership: Membership,
        activity: &Activity,
        users: &FxHashMap<Id, Summary>,
        clock: Clock,
    ) -> Result<Bytes, serde_json::Error> {
        let participants = members_named(activity).iter();
        let payload = ActivityMembers {
            activity_id: membership.activity,
            user_id: membership.user,
            updated_participants: participants.map(|&user| self.author(user, users.get(&user))).collect(),
            participant_count: activity.participants.len() as i64,
        };
        event::encode(members_event(membership), &payload, Some(clock))
    }

    /// `conversation:update` for the participants. Where one has blocked the other, or that is not known, neither is
    /// told whether the other is there.
    pub(crate) fn conversation(
        &self,
        id: Id,
        conversation: &Conversation,
        users: &FxHashMap<Id, Summary>,
        clock: Clock,
    ) -> Result<Bytes, serde_json::Error> {
        let mut payload = skeleton(id, conversation);
        let open = conversation.is_open() == Some(true);
        let participant = |user: Id| {
            let summary = users.get(&user);
            let status = summary.filter(|_| open).map(|summary| summary.status.as_str().into());
            UserSummary { status, ..self.author(user, summary) }
        };
        payload.participants =
            named(&conversation.participants).iter().map(|&user| participant(user)).collect();
        payload.participant_count = conversation.participants.len() as i64;
        event::encode(event::CONVERSATION_UPDATE, &payload, Some(clock))
    }
}

/// Those participants of a conversation whom its event names, as many as a list of conversations does: the event goes
/// to all of up to a thousand, and naming them all would make a gigabyte of one change.
pub(crate) fn named(participants: &[Id]) -> &[Id] {
    participants.get(..LISTED_PARTICIPANTS).unwrap_or(participants)
}

/// Those participants of an activity whom its events name.
pub(crate) fn members_named(activity: &Activity) -> &[Id] {
    activity.participants.get(..MEMBERS).unwrap_or(&activity.participants)
}

/// The name of the event of a membership.
pub(crate) fn members_event(membership: Membership) -> &'static str {
    if membership.joined { event::ACTIVITY_JOIN } else { event::ACTIVITY_LEAVE }
}

/// `message:delete`.
pub(crate) fn deletion(change: &MessageChange<'_>, clock: Clock) -> Result<Bytes, serde_json::Error> {
    let payload = MessageDelete {
        mongo_id: change.id,
        id: change.id,
        message_id: change.id,
        conversation_id: change.conversation,
        seq: change.seq,
        user_id: change.sender,
        deleted_at: change.at,
        is_deleted: true,
    };
    event::encode(event::MESSAGE_DELETE, &payload, Some(clock))
}

/// `message:read`.
pub(crate) fn read(read: &Read, clock: Clock) -> Result<Bytes, serde_json::Error> {
    let payload = model::MessageRead {
        message_id: read.message,
        user_id: read.reader,
        conversation_id: read.conversation,
        read_at: read.at,
        seq: read.seq,
    };
    event::encode(event::MESSAGE_READ, &payload, Some(clock))
}

/// `user:status`; with `last_seen` where that is theirs to know who are told.
pub(crate) fn status(
    user: Id,
    summary: &Summary,
    last_seen: Option<Timestamp>,
    clock: Clock,
) -> Result<Bytes, serde_json::Error> {
    let payload = model::UserStatus { user_id: user, status: summary.status.as_str().into(), last_seen };
    event::encode(event::USER_STATUS, &payload, Some(clock))
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
        participant_count: 0,
        created_by: conversation.created_by,
        activity_id: conversation.activity_id,
        created_at: conversation.created_at,
        updated_at: conversation.updated_at,
        is_active: conversation.is_active,
    }
}

#[cfg(test)]
mod tests {
    use protocol::token::Tokens;
    use serde_json::Value;

    use super::*;

    fn payload(event: &Bytes) -> Value {
        serde_json::from_slice::<Value>(event).unwrap()[1].clone()
    }

    fn clock() -> Clock {
        Clock { time: 1, change: 0, event: 0 }
    }

    #[test]
    fn of_a_thousand_participants_some_are_named_and_all_are_counted() {
        let everybody: Vec<Id> = (0..1_000).map(|_| Id::mint()).collect();
        let links = Links::new(Tokens::new(&[7; 32]), None);
        let conversation = Conversation {
            participants: everybody.as_slice().into(),
            name: None,
            kind: "group".to_owned(),
            created_by: None,
            activity_id: None,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            is_active: true,
            blocked: Some(false),
        };
        let (pen, users) = (Pen::new(&links), FxHashMap::default());
        let told = payload(&pen.conversation(Id::mint(), &conversation, &users, clock()).unwrap());
        assert_eq!(told["participants"].as_array().unwrap().len(), LISTED_PARTICIPANTS);
        assert_eq!(told["participantCount"], 1_000);
        let removed = payload(&removal(Id::mint(), &conversation, clock()).unwrap());
        assert_eq!(
            (&removed["participants"], &removed["participantCount"]),
            (&Value::Array(vec![]), &0.into())
        );

        let activity = Activity { host: everybody[0], participants: everybody.as_slice().into() };
        let membership = Membership { activity: Id::mint(), user: everybody[1], joined: true };
        let told = payload(&pen.members(membership, &activity, &users, clock()).unwrap());
        assert_eq!(told["updatedParticipants"].as_array().unwrap().len(), MEMBERS);
        assert_eq!(told["participantCount"], 1_000);
    }
}
