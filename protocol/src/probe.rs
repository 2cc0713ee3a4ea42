//! What a probe asks the api for, and is given: two accounts that can do nothing but exchange messages with each other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Id;
use crate::input::{Field, Problem, field};

/// Where a probe asks.
pub const PATH: &str = "/api/probe";

/// The longest name of a probe.
pub const MAX_NAME: usize = 32;

/// The name of a probe: its own accounts belong to it. 1 to 32 plain letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(String);

/// A text that is no name of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {MAX_NAME} plain letters, digits or hyphens")]
pub struct NoName;

impl Name {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Name {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for Name {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        let good = (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(plain);
        if good { Ok(Self(text.to_owned())) } else { Err(NoName) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Field for Name {
    const REQUIRED: bool = true;

    fn read(value: Option<field::Value>) -> Result<Self, Problem> {
        field::text(value)?.parse().map_err(|problem: NoName| problem.to_string().into())
    }

    fn schema() -> field::Value {
        json!({"type": "string", "pattern": "^[A-Za-z0-9-]{1,32}$"})
    }
}

crate::input! {
    /// The body of `POST /api/probe`.
    pub struct Ask {
        /// The probe's name.
        name / "name": Name,
    }
}

/// What the answer holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accounts {
    /// The two users.
    pub users: [Account; 2],
    /// Their conversation.
    pub conversation_id: Id,
}

/// One of the two users.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Who.
    pub id: Id,
    /// With which they connect. Never printed.
    pub token: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Input;

    #[test]
    fn names_are_plain_and_short() {
        for good in ["default", "a", "EU-west-1", "-", &"x".repeat(MAX_NAME)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a_b", "a:b", "é", "a\n", "$ne", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(bad.parse::<Name>(), Err(NoName), "{bad:?}");
        }
        assert_eq!(Ask::from_json(br#"{"name": "x"}"#).unwrap().name.as_str(), "x");
        for bad in ["{}", r#"{"name": null}"#, r#"{"name": {"$ne": ""}}"#, r#"{"name": "a.b"}"#] {
            assert_eq!(Ask::from_json(bad.as_bytes()).unwrap_err().field, "name", "{bad}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let account = Account { id: Id::mint(), token: "secret".to_owned() };
        assert!(!format!("{account:?}").contains("secret"));
    }
}
