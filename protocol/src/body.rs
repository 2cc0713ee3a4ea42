//! What a client may say about a new message, checked the same way for REST and sockets.

use serde::Deserialize;
use serde_json::Value;

use crate::Id;

/// The longest text of a message, in characters (Unicode scalar values).
pub const MAX_CONTENT_CHARS: usize = 4_000;
/// The longest `clientMessageId`, in bytes.
pub const MAX_CLIENT_MESSAGE_ID: usize = 64;
/// The longest address of an attachment, in bytes.
pub const MAX_URL: usize = 2_048;

/// Input that was refused: which field, and why. The text is meant for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field's name, as the client wrote it.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Invalid {
    /// `field` is refused because of `problem`.
    #[must_use]
    pub const fn new(field: &'static str, problem: &'static str) -> Self {
        Self { field, problem }
    }
}

/// A checked request to send a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendMessage {
    /// The text; empty only beside an attachment.
    pub content: String,
    /// What kind of message.
    pub content_type: ContentType,
    /// Address of the attached image or file: http or https.
    pub attachment_url: Option<String>,
    /// The client's own identifier: sending the same again is answered with the stored message.
    pub client_message_id: Option<String>,
}

/// The kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ContentType {
    /// A text.
    #[default]
    Text,
    /// An image, at `attachmentUrl`.
    Image,
    /// Any other file, at `attachmentUrl`.
    File,
}

impl ContentType {
    /// The name in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::File => "file",
        }
    }
}

/// Fields as they come: any JSON, so that a wrong type is answered with the field's name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    content: Value,
    #[serde(default)]
    content_type: Value,
    #[serde(default)]
    attachment_url: Value,
    #[serde(default)]
    client_message_id: Value,
}

impl SendMessage {
    /// Checks a JSON object. Unknown fields are ignored.
    ///
    /// # Errors
    ///
    /// The first field that is refused.
    pub fn parse(json: &str) -> Result<Self, Invalid> {
        let raw: Raw = object(json)?;
        let attachment_url = optional_text(raw.attachment_url, "attachmentUrl", MAX_URL)?;
        if let Some(url) = &attachment_url
            && !(url.starts_with("https://") || url.starts_with("http://"))
        {
            return Err(Invalid::new("attachmentUrl", "must be an http or https address"));
        }
        let client_message_id =
            optional_text(raw.client_message_id, "clientMessageId", MAX_CLIENT_MESSAGE_ID)?;
        if client_message_id.as_deref() == Some("") {
            return Err(Invalid::new("clientMessageId", "must not be empty"));
        }
        let content_type = match raw.content_type {
            Value::Null => ContentType::Text,
            Value::String(text) => match text.as_str() {
                "text" => ContentType::Text,
                "image" => ContentType::Image,
                "file" => ContentType::File,
                _ => return Err(Invalid::new("contentType", "must be text, image or file")),
            },
            _ => return Err(Invalid::new("contentType", "must be a string")),
        };
        let content = match raw.content {
            Value::Null if attachment_url.is_some() => String::new(),
            Value::Null => return Err(Invalid::new("content", "is required")),
            Value::String(text) => strip_control_characters(text),
            _ => return Err(Invalid::new("content", "must be a string")),
        };
        if content.trim().is_empty() && attachment_url.is_none() {
            return Err(Invalid::new("content", "must not be empty"));
        }
        if content.chars().count() > MAX_CONTENT_CHARS {
            return Err(Invalid::new("content", "must not be longer than 4000 characters"));
        }
        Ok(Self { content, content_type, attachment_url, client_message_id })
    }

    /// Reads the `conversationId` of a socket's `message:send`.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not an identifier.
    pub fn conversation_id(json: &str) -> Result<Id, Invalid> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Target {
            #[serde(default)]
            conversation_id: Value,
        }
        let target: Target = object(json)?;
        match target.conversation_id {
            Value::String(text) => {
                text.parse().map_err(|_| Invalid::new("conversationId", "is not a valid identifier"))
            }
            Value::Null => Err(Invalid::new("conversationId", "is required")),
            _ => Err(Invalid::new("conversationId", "must be a string")),
        }
    }
}

/// Reads a JSON object. An array would do for serde where every field has a default, so it is refused here.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Invalid> {
    let problem = Invalid::new("body", "must be a JSON object");
    if json.trim_start().starts_with('{') {
        serde_json::from_str(json).map_err(|_| problem)
    } else {
        Err(problem)
    }
}

fn optional_text(value: Value, field: &'static str, max: usize) -> Result<Option<String>, Invalid> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.len() > max => Err(Invalid::new(field, "is too long")),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Invalid::new(field, "must be a string")),
    }
}

/// Control characters other than line breaks and tabs have no place in a text; everything else is stored as
/// it was given (escaping is the page's job).
#[must_use]
pub fn strip_control_characters(text: String) -> String {
    let unwanted = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    if text.contains(unwanted) { text.replace(unwanted, "") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> &'static str {
        SendMessage::parse(json).expect_err(json).field
    }

    #[test]
    fn a_plain_text_is_accepted_and_unknown_fields_are_ignored() {
        let body =
            SendMessage::parse(r#"{"content":"hi\u0000 there","conversationId":"x","other":[1]}"#).unwrap();
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
        assert!(SendMessage::parse(&json).is_ok());
    }

    #[test]
    fn an_attachment_may_come_without_a_text() {
        let body =
            SendMessage::parse(r#"{"contentType":"image","attachmentUrl":"https://example.org/a.png"}"#);
        assert_eq!(body.unwrap().content, "");
    }
}
