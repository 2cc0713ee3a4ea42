//! Texts as they are read in LinkUp.

use protocol::body::NewMessage;
use protocol::command::{Answer, Answers, Batch, Command};
use protocol::model::{Message, ReadBy, UserSummary};
use protocol::{Id, Timestamp};
use serde::Deserialize;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

/// What people say.
const TEXT: &str = "Shall we meet at the library at five, or is half past better for you? 😀";
const OWN_ID: &str = "9b2f0c1e-7a3d-4f7e-9a51-3c1d2b7e8f90";

/// A message's body: as the declaration reads it, field by field.
#[derive(Deserialize)]
#[allow(dead_code, reason = "they are only read")]
pub(crate) struct MessageBody {
    content: Value,
}

/// A new conversation's.
#[derive(Deserialize)]
#[allow(dead_code, reason = "they are only read")]
pub(crate) struct ConversationBody {
    participants: Value,
    name: Value,
}

/// What a client of the REST API needs of a conversation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "they are only read")]
pub(crate) struct Conversation {
    id: Id,
    participants: Vec<UserSummary<'static>>,
    last_message: Option<Message<'static>>,
    unread_count: i64,
    updated_at: Timestamp,
}

/// What clients send.
pub(crate) fn payload(number: usize) -> String {
    json!({"conversationId": Id::mint(), "content": format!("{number}: {TEXT}"), "clientMessageId": OWN_ID})
        .to_string()
}

pub(crate) fn send<P>(payload: P) -> Command<P> {
    let [message, sender, conversation] = [(); 3].map(|()| Id::mint());
    Command::Send { message, sender, conversation, payload, received: None }
}

fn written(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("it is written")
}

pub(crate) fn batch(count: usize) -> Vec<u8> {
    let message = |number| NewMessage::parse(payload(number).as_bytes()).expect("it is good");
    written(&Batch { commands: (0..count).map(|number| send(message(number))).collect() })
}

pub(crate) fn reads(count: usize) -> Vec<u8> {
    let read = |_| Command::Read { user: Id::mint(), message: Id::mint() };
    written(&Batch::<NewMessage> { commands: (0..count).map(read).collect() })
}

pub(crate) fn message(number: usize) -> Message<'static> {
    let (id, user, now) = (Id::mint(), Id::mint(), Timestamp::now());
    Message {
        mongo_id: id,
        id,
        conversation_id: user,
        seq: number as i64,
        sender: UserSummary::author(user, "Ada Lovelace", None),
        content: format!("{number}: {TEXT}").into(),
        content_type: "text".into(),
        attachment_url: None,
        client_message_id: Some(OWN_ID.into()),
        read_by: vec![ReadBy { user_id: user, read_at: now }],
        read_count: None,
        created_at: now,
        updated_at: now,
        edited_at: None,
        is_deleted: false,
    }
}

pub(crate) fn answers(count: usize) -> Vec<u8> {
    let answer = |number| Answer::Ok(to_raw_value(&message(number)).expect("it is written"));
    written(&Answers { answers: (0..count).map(answer).collect() })
}

pub(crate) fn messages(count: usize) -> Vec<u8> {
    written(&(0..count).map(message).collect::<Vec<_>>())
}

pub(crate) fn conversations(count: usize) -> Vec<u8> {
    let conversation = |number| {
        let (id, now) = (Id::mint(), Timestamp::now());
        let person = UserSummary {
            status: Some("online".into()),
            ..UserSummary::author(Id::mint(), "Ada Lovelace", None)
        };
        json!({
            "_id": id, "id": id, "name": "Tea on Sunday", "type": "group", "participants": vec![person; 4], "participantCount": 4,
            "createdBy": id, "createdAt": now, "updatedAt": now, "isActive": true, "lastMessage": message(number), "unreadCount": 3,
        })
    };
    written(&(0..count).map(conversation).collect::<Vec<_>>())
}

/// The longest messages, by what they are made of.
pub(crate) fn message_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let body = |unit: &str, count: usize| format!("{{\"content\":\"{}\"}}", unit.repeat(count)).into_bytes();
    vec![
        ("ASCII", body("Shall we? ", 400)),
        ("Greek", body("Καλημέρα! ", 400)),
        ("emoji", body("😀", 4_000)),
        ("escaped Greek", body("\\u03b1", 4_000)),
        ("lines in quotes", body("\\\"yes\\\"\\n", 666)),
    ]
}

pub(crate) fn participants(count: usize) -> Vec<u8> {
    let ids: Vec<Id> = (0..count).map(|_| Id::mint()).collect();
    written(&json!({"participants": ids, "name": "Tea on Sunday"}))
}
