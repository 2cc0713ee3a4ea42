//! The fields of a JSON body, each refused by its name when it is not what it should be. Since every field is
//! read as the type it must have, an operator object (`{"$ne": null}`) never gets anywhere near a query.

use protocol::Id;
use protocol::body::{Invalid, strip_control_characters};
use serde_json::{Map, Value};

/// The fields of a JSON object.
pub(crate) struct Fields(Map<String, Value>);

/// How long a text may be, in characters, and how to say so.
pub(crate) struct Length {
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) problem: &'static str,
}

pub(crate) const NAME: Length = Length { min: 1, max: 80, problem: "must have 1 to 80 characters" };
pub(crate) const PASSWORD: Length = Length { min: 8, max: 128, problem: "must have 8 to 128 characters" };
const EMAIL: Length = Length { min: 3, max: 254, problem: "is not a valid e-mail address" };

/// The most participants of a conversation.
pub(crate) const MAX_PARTICIPANTS: usize = 1_000;

impl Fields {
    /// Reads a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Invalid> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            _ => Err(Invalid::new("body", "must be a JSON object")),
        }
    }

    /// Whether the field is there, be it null.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// A text, or nothing where the field is missing or null.
    pub(crate) fn optional_text(
        &self,
        field: &'static str,
        length: &Length,
    ) -> Result<Option<&str>, Invalid> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if (length.min..=length.max).contains(&text.chars().count()) => {
                Ok(Some(text))
            }
            Some(Value::String(_)) => Err(Invalid::new(field, length.problem)),
            Some(_) => Err(Invalid::new(field, "must be a string")),
        }
    }

    /// A text that must be there.
    pub(crate) fn text(&self, field: &'static str, length: &Length) -> Result<&str, Invalid> {
        self.optional_text(field, length)?.ok_or(Invalid::new(field, "is required"))
    }

    /// A displayed name: without control characters and without blanks around it.
    pub(crate) fn optional_name(&self, field: &'static str) -> Result<Option<String>, Invalid> {
        let Some(text) = self.optional_text(field, &NAME)? else { return Ok(None) };
        let name = strip_control_characters(text.to_owned()).replace(['\n', '\r', '\t'], " ");
        let name = name.trim();
        if name.is_empty() {
            return Err(Invalid::new(field, NAME.problem));
        }
        Ok(Some(name.to_owned()))
    }

    /// A displayed name that must be there.
    pub(crate) fn name(&self, field: &'static str) -> Result<String, Invalid> {
        self.optional_name(field)?.ok_or(Invalid::new(field, "is required"))
    }

    /// An e-mail address, in lower case.
    pub(crate) fn email(&self, field: &'static str) -> Result<String, Invalid> {
        let email = self.text(field, &EMAIL)?.trim().to_lowercase();
        if is_email(&email) { Ok(email) } else { Err(Invalid::new(field, EMAIL.problem)) }
    }

    /// A list of identifiers without repetitions, or nothing where the field is missing or null.
    pub(crate) fn optional_ids(&self, field: &'static str) -> Result<Option<Vec<Id>>, Invalid> {
        let items = match self.0.get(field) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(Invalid::new(field, "must be an array of identifiers")),
        };
        if items.len() > MAX_PARTICIPANTS {
            return Err(Invalid::new(field, "must not have more than 1000 items"));
        }
        let mut ids = Vec::with_capacity(items.len());
        for item in items {
            let id: Option<Id> = item.as_str().and_then(|text| text.parse().ok());
            ids.push(id.ok_or(Invalid::new(field, "must be an array of identifiers"))?);
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(Some(ids))
    }
}

/// A simple check: something, an at sign, and a domain with a dot in it. Whether mail arrives there, only mail can tell.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    !local.is_empty()
        && local.len() <= 64
        && domain.split('.').count() >= 2
        && domain.split('.').all(|label| !label.is_empty())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && !domain.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn only_objects_are_bodies() {
        for body in ["", "{", "[]", "1", "null", "\"a\"", "{\"a\":1}x"] {
            assert!(Fields::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn wrong_types_are_refused_by_name() {
        let body = fields(r#"{"name":{"$ne":null},"email":["a@b.c"],"participants":"x","empty":""}"#);
        assert_eq!(body.name("name"), Err(Invalid::new("name", "must be a string")));
        assert_eq!(body.email("email"), Err(Invalid::new("email", "must be a string")));
        assert_eq!(body.name("other"), Err(Invalid::new("other", "is required")));
        assert!(body.text("empty", &PASSWORD).is_err());
        assert!(body.optional_ids("participants").is_err());
        assert!(fields(r#"{"participants":[{"$gt":""}]}"#).optional_ids("participants").is_err());
    }

    #[test]
    fn names_are_trimmed_and_counted_in_characters() {
        assert_eq!(fields(r#"{"name":" A\u0007\n "}"#).name("name").unwrap(), "A");
        assert!(fields(r#"{"name":" \n "}"#).name("name").is_err());
        let name = "é".repeat(80);
        assert_eq!(fields(&format!(r#"{{"name":"{name}"}}"#)).name("name").unwrap(), name);
        assert!(fields(&format!(r#"{{"name":"{name}x"}}"#)).name("name").is_err());
    }

    #[test]
    fn addresses_are_lower_cased_and_checked() {
        let email = |text: &str| fields(&serde_json::json!({"email": text}).to_string()).email("email");
        assert_eq!(email("Ada@Example.ORG").unwrap(), "ada@example.org");
        for text in ["ada", "@example.org", "ada@", "ada@example", "a b@example.org", "a@b@c.org", "a@b..org"]
        {
            assert!(email(text).is_err(), "{text}");
        }
    }

    #[test]
    fn identifiers_are_deduplicated() {
        let id = Id::mint();
        let body = fields(&format!(r#"{{"participants":["{id}","{id}"]}}"#));
        assert_eq!(body.optional_ids("participants").unwrap().unwrap(), [id]);
    }
}
