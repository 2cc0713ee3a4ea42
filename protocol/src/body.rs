//! What a client may say about a message, checked the same way for REST and sockets; and the words that documents are
//! made of.

use serde::{Deserialize, Serialize};

use crate::Id;
use crate::input::{Field, Input, Invalid, Line, Link, Problem, Text, field};

/// The longest text of a message, in characters (Unicode scalar values), each of at most four bytes.
pub const MAX_CONTENT_CHARS: usize = 4_000;
/// The longest `clientMessageId`, in characters.
pub const MAX_CLIENT_MESSAGE_ID: usize = 64;

crate::choice! {
    /// The kinds of messages.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum ContentType {
        /// A text.
        #[default]
        Text = "text",
        /// An image, at `attachmentUrl`.
        Image = "image",
        /// Any other file, at `attachmentUrl`.
        File = "file",
    }
}

crate::choice! {
    /// Who sees a profile.
    pub enum Privacy {
        /// Everybody sees all of it.
        Public = "public",
        /// Friends see all of it, others name, handle and picture.
        FriendsOnly = "friends-only",
        /// Friends see all of it, others nothing: they do not even find it.
        Private = "private",
    }
}

crate::choice! {
    /// The types of activities.
    pub enum ActivityType {
        /// Learning.
        Academic = "academic",
        /// Something that people like to do.
        Hobby = "hobby",
        /// Something that does them good.
        Wellness = "wellness",
        /// Being together.
        Social = "social",
    }
}

/// A sender's own identifier of a message: 1 to 64 characters, taken as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientMessageId(pub String);

impl Field for ClientMessageId {
    const REQUIRED: bool = true;
    fn read(value: Option<field::Value>) -> Result<Self, Problem> {
        match field::text(value)? {
            text if text.is_empty() => Err("must not be empty".into()),
            text if text.chars().count() > MAX_CLIENT_MESSAGE_ID => Err("is too long".into()),
            text => Ok(Self(text)),
        }
    }
    fn schema() -> field::Value {
        Line::<1, MAX_CLIENT_MESSAGE_ID>::schema()
    }
}

crate::input! {
    /// The body of `POST /api/conversations/:id/messages`, and the payload of `message:send`.
    pub struct SendMessage {
        /// The text; may be missing or empty beside an attachment only.
        content / "content": Option<Text<0, MAX_CONTENT_CHARS>>,
        /// What kind of message; text where nothing is said.
        content_type / "contentType": Option<ContentType>,
        /// Address of the attached image or file.
        attachment_url / "attachmentUrl": Option<Link>,
        /// The client's own identifier: sending the same again is answered with the stored message.
        client_message_id / "clientMessageId": Option<ClientMessageId>,
    }
}

crate::input! {
    /// What of a socket's `message:send` chooses its lane.
    struct Target {
        /// Where the message belongs.
        conversation / "conversationId": Id,
    }
}

crate::input! {
    /// The payload of a socket's `message:send`, as far as it is known: [`Target`] and [`SendMessage`] in one.
    struct Sent {
        /// Where the message belongs.
        conversation / "conversationId": Id,
        /// As in [`SendMessage`], like all that follows.
        content / "content": Option<Text<0, MAX_CONTENT_CHARS>>,
        /// The kind.
        content_type / "contentType": Option<ContentType>,
        /// The attachment.
        attachment_url / "attachmentUrl": Option<Link>,
        /// The client's own identifier.
        client_message_id / "clientMessageId": Option<ClientMessageId>,
    }
}

crate::choice! {
    /// What somebody may say about themself.
    pub enum Status {
        /// There.
        Online = "online",
        /// Connected, but not attending.
        Away = "away",
        /// Wishes to look as if not connected.
        Offline = "offline",
    }
}

crate::input! {
    /// The payload of a client's `message:read`.
    pub struct ReadMessage {
        /// What was read; everything before it is read too.
        message_id / "messageId": Id,
        /// Where; not needed.
        conversation_id / "conversationId": Option<Id>,
    }
}

crate::input! {
    /// The payload of a client's `conversation:typing`.
    pub struct SetTyping {
        /// Where.
        conversation_id / "conversationId": Id,
        /// Whether the user is typing now.
        is_typing / "isTyping": bool,
    }
}

crate::input! {
    /// The payload of a client's `user:status`.
    pub struct SetStatus {
        /// What the user is now, as far as this connection is concerned.
        status / "status": Status,
    }
}

/// A checked message that is to be sent. Its JSON is a body that is accepted, and comes to the same message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewMessage {
    /// The text; empty only beside an attachment.
    pub content: String,
    /// What kind of message.
    #[serde(default)]
    pub content_type: ContentType,
    /// Address of the attached image or file, as the client gave it or as it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment_url: Option<String>,
    /// The client's own identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<String>,
}

impl NewMessage {
    /// Checks a JSON object.
    ///
    /// # Errors
    ///
    /// The first field that is refused.
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        Self::new(SendMessage::from_json(json)?)
    }

    /// Checks it again, once it comes from elsewhere.
    ///
    /// # Errors
    ///
    /// The first field that is refused.
    pub fn checked(self) -> Result<Self, Invalid> {
        fn again<T: Field>(name: &'static str, text: Option<String>) -> Result<T, Invalid> {
            T::read(text.map(field::Value::String)).map_err(|problem| problem.of(name))
        }
        Self::new(SendMessage {
            content: again("content", Some(self.content))?,
            content_type: Some(self.content_type),
            attachment_url: again("attachmentUrl", self.attachment_url)?,
            client_message_id: again("clientMessageId", self.client_message_id)?,
        })
    }

    fn new(sent: SendMessage) -> Result<Self, Invalid> {
        let content = match (sent.content, &sent.attachment_url) {
            (Some(Text(content)), None) if content.trim().is_empty() => {
                return Err(Invalid::new("content", "must not be empty"));
            }
            (None, None) => return Err(Invalid::new("content", "is required")),
            (content, _) => content.map_or_else(String::new, |content| content.0),
        };
        Ok(Self {
            content,
            content_type: sent.content_type.unwrap_or_default(),
            attachment_url: sent.attachment_url.map(|link| link.0),
            client_message_id: sent.client_message_id.map(|id| id.0),
        })
    }
}

/// Reads a socket's `message:send`: where the message belongs, and what it says.
///
/// # Errors
///
/// What [`conversation_id`] refuses, and then what [`NewMessage::parse`] does.
pub fn sent(json: &str) -> Result<(Id, NewMessage), Invalid> {
    if let Ok(Sent { conversation, content, content_type, attachment_url, client_message_id }) =
        Sent::from_json(json.as_bytes())
        && let Ok(message) =
            NewMessage::new(SendMessage { content, content_type, attachment_url, client_message_id })
    {
        return Ok((conversation, message));
    }
    // One reading does for all that is good. Which of two problems is told must not depend on that.
    Ok((conversation_id(json)?, NewMessage::parse(json.as_bytes())?))
}

/// Reads the `conversationId` of a socket's `message:send`.
///
/// # Errors
///
/// When there is none, or it is not an identifier.
pub fn conversation_id(json: &str) -> Result<Id, Invalid> {
    Target::from_json(json.as_bytes()).map(|target| target.conversation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        NewMessage::parse(json.as_bytes()).expect_err(json).field.into_owned()
    }

    #[test]
    fn a_plain_text_is_accepted_and_unknown_fields_are_ignored() {
        let body =
            NewMessage::parse(br#"{"content":"hi\u0000 there","conversationId":"x","other":[1]}"#).unwrap();
        assert_eq!(body.content, "hi there");
        assert_eq!(body.content_type, ContentType::Text);
    }

    #[test]
    fn every_field_refuses_what_it_is_not() {
        assert_eq!(refused("[]"), "body");
        assert_eq!(refused("{}"), "content");
        assert_eq!(refused(r#"{"content":{"$ne":null}}"#), "content");
        assert_eq!(refused(r#"{"content":"  "}"#), "content");
        assert_eq!(refused(&format!(r#"{{"content":"{}"}}"#, "é".repeat(MAX_CONTENT_CHARS + 1))), "content");
        assert_eq!(refused(r#"{"content":"a","contentType":"video"}"#), "contentType");
        assert_eq!(refused(r#"{"content":"a","attachmentUrl":"javascript:alert(1)"}"#), "attachmentUrl");
        assert_eq!(refused(r#"{"content":"a","clientMessageId":{"$gt":""}}"#), "clientMessageId");
        assert_eq!(refused(r#"{"content":"a","clientMessageId":""}"#), "clientMessageId");
    }

    #[test]
    fn the_longest_content_is_accepted() {
        let json = format!(r#"{{"content":"{}"}}"#, "é".repeat(MAX_CONTENT_CHARS));
        assert!(NewMessage::parse(json.as_bytes()).is_ok());
    }

    #[test]
    fn an_attachment_may_come_without_a_text() {
        let body =
            NewMessage::parse(br#"{"contentType":"image","attachmentUrl":"https://example.org/a.png"}"#);
        assert_eq!(body.unwrap().content, "");
    }

    #[test]
    fn a_socket_names_its_conversation() {
        let id = Id::mint();
        assert_eq!(conversation_id(&format!(r#"{{"conversationId":"{id}","content":1}}"#)), Ok(id));
        for (json, field) in
            [("{}", "conversationId"), (r#"{"conversationId":{"$gt":""}}"#, "conversationId"), ("1", "body")]
        {
            assert_eq!(conversation_id(json).unwrap_err().field, field, "{json}");
        }
    }

    #[test]
    fn a_message_stays_as_it_is_when_it_is_written_and_read() {
        for json in [
            r#"{"content":" a\u0000\n\"b\" ","clientMessageId":"\u0001x"}"#,
            r#"{"contentType":"file","attachmentUrl":"HTTPS://example.org/a?b=\u00e9"}"#,
            r#"{"content":"","contentType":"image","attachmentUrl":"/api/uploads/x"}"#,
        ] {
            let message = NewMessage::parse(json.as_bytes()).unwrap();
            let written = serde_json::to_vec(&message).unwrap();
            assert_eq!(NewMessage::parse(&written).as_ref(), Ok(&message));
            assert_eq!(serde_json::from_slice::<NewMessage>(&written).unwrap().checked(), Ok(message));
        }
    }

    #[test]
    fn a_socket_is_told_the_same_whether_its_message_is_read_at_once_or_in_two() {
        let id = Id::mint();
        let whole = [
            format!(r#"{{"conversationId":"{id}","content":"a","other":{{"content":1}}}}"#),
            format!(r#"{{"conversationId":"{id}","attachmentUrl":"https://example.org","content":null}}"#),
            format!(r#"{{"conversationId":"{id}","content":"a","x":"\ud800","y":1e400}}"#),
        ];
        let deep = "[".repeat(200) + &"]".repeat(200);
        let refused = [
            ("conversationId: is required", r#"{"content":1,"content":2}"#.to_owned()),
            (
                "conversationId: must not be there twice",
                format!(r#"{{"conversationId":"{id}","conversationId":1,"content":"a","content":"b"}}"#),
            ),
            ("conversationId: must be a string", r#"{"conversationId":1,"content":{}}"#.to_owned()),
            ("conversationId: is required", format!(r#"{{"content":{deep}}}"#)),
            ("body: must be a JSON object", format!(r#"{{"conversationId":"{id}","content":{deep}}}"#)),
            ("body: must be a JSON object", format!(r#"{{"conversationId":"{id}","content":"\ud800"}}"#)),
            ("content: is required", format!(r#"{{"conversationId":"{id}"}}"#)),
            (
                "content: must not be there twice",
                format!(r#"{{"content":"a","conversationId":"{id}","content":"b"}}"#),
            ),
            (
                "contentType: must be one of: text, image, file",
                format!(r#"{{"conversationId":"{id}","content":"a","contentType":"x"}}"#),
            ),
        ];
        for json in whole.iter().chain(refused.iter().map(|(_, json)| json)) {
            let apart = conversation_id(json)
                .and_then(|id| NewMessage::parse(json.as_bytes()).map(|message| (id, message)));
            assert_eq!(sent(json), apart, "{json}");
        }
        assert!(whole.iter().all(|json| sent(json).is_ok_and(|(read, _)| read == id)));
        for (problem, json) in &refused {
            assert_eq!(sent(json).unwrap_err().to_string(), *problem, "{json}");
        }
    }
}
