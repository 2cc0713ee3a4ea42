//! The types of fields. A type says what it accepts, how it is stored, and how the OpenAPI document describes it.
//!
//! | module | holds |
//! |---|---|
//! | `texts` | texts, lines, passwords and e-mail addresses |

mod texts;

use std::borrow::Cow;

use serde_json::json;

pub use serde_json::Value;

pub use texts::{AnyPassword, Email, Line, NewPassword, Password, Text};

use super::{Input, Invalid};
use crate::id::distinct;
use crate::{Id, Timestamp};

/// Why a field is refused, as the field sees it: without its own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where within the field; empty for the field itself.
    within: String,
    text: Cow<'static, str>,
}

impl Problem {
    /// The problem of the field of this name.
    #[must_use]
    pub fn of(self, field: &'static str) -> Invalid {
        let field = if self.within.is_empty() {
            Cow::Borrowed(field)
        } else {
            format!("{field}{}", self.within).into()
        };
        Invalid { field, problem: self.text }
    }
}

impl From<&'static str> for Problem {
    fn from(text: &'static str) -> Self {
        Self { within: String::new(), text: text.into() }
    }
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self { within: String::new(), text: text.into() }
    }
}

/// A type that a field of a body or query can have.
pub trait Field: Sized {
    /// Whether the field must be there.
    const REQUIRED: bool;

    /// Reads the value; `None` where the field is missing.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn read(value: Option<Value>) -> Result<Self, Problem>;

    /// Its JSON Schema.
    fn schema() -> Value;

    /// What a query's text means.
    fn from_text(text: &str) -> Value {
        text.into()
    }
}

const REQUIRED: &str = "is required";

/// The value of a field that must be there.
fn present(value: Option<Value>) -> Result<Value, Problem> {
    value.filter(|value| !value.is_null()).ok_or_else(|| REQUIRED.into())
}

/// The text of a field that must be there.
///
/// # Errors
///
/// When it is missing or something else.
pub fn text(value: Option<Value>) -> Result<String, Problem> {
    match present(value)? {
        Value::String(text) => Ok(text),
        _ => Err("must be a string".into()),
    }
}

/// A declared object within a body.
///
/// # Errors
///
/// When it is missing or something else, and what is wrong within it.
pub fn object<T: Input>(value: Option<Value>) -> Result<T, Problem> {
    match present(value)? {
        Value::Object(object) => T::from_object(object)
            .map_err(|invalid| Problem { within: format!(".{}", invalid.field), text: invalid.problem }),
        _ => Err("must be an object".into()),
    }
}

/// What is wrong with a text that is none of these.
#[must_use]
pub fn no_choice(texts: &[&str]) -> Problem {
    format!("must be one of: {}", texts.join(", ")).into()
}

/// The schema of a fixed set of texts.
#[must_use]
pub fn choices(texts: &[&str]) -> Value {
    json!({"type": "string", "enum": texts})
}

/// May be missing, or null.
impl<T: Field> Field for Option<T> {
    const REQUIRED: bool = false;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        value.filter(|value| !value.is_null()).map(|value| T::read(Some(value))).transpose()
    }
    fn schema() -> Value {
        T::schema()
    }
    fn from_text(text: &str) -> Value {
        T::from_text(text)
    }
}

/// A field of an update: missing leaves it as it is, null takes it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patch<T> {
    /// It was not there.
    Keep,
    /// It was null.
    Clear,
    /// It was given.
    Set(T),
}

impl<T> Patch<T> {
    /// What is to be set: nothing, no value, or a value.
    pub fn into_option(self) -> Option<Option<T>> {
        match self {
            Self::Keep => None,
            Self::Clear => Some(None),
            Self::Set(value) => Some(Some(value)),
        }
    }
}

impl<T: Field> Field for Patch<T> {
    const REQUIRED: bool = false;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        match value {
            None => Ok(Self::Keep),
            Some(Value::Null) => Ok(Self::Clear),
            Some(value) => T::read(Some(value)).map(Self::Set),
        }
    }
    fn schema() -> Value {
        json!({"anyOf": [T::schema(), {"type": "null"}]})
    }
    fn from_text(text: &str) -> Value {
        T::from_text(text)
    }
}

impl Field for Id {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        text(value)?.parse().map_err(|_| "is not a valid identifier".into())
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-9a-fA-F]{24}$"})
    }
}

/// At most `MAX` identifiers, sorted and without repetitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids<const MAX: usize>(pub Vec<Id>);

impl<const MAX: usize> Field for Ids<MAX> {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        const PROBLEM: &str = "must be an array of identifiers";
        let Value::Array(items) = present(value)? else { return Err(PROBLEM.into()) };
        if items.len() > MAX {
            return Err(format!("must not have more than {MAX} items").into());
        }
        let parse = |item: &Value| item.as_str().and_then(|text| text.parse().ok()).ok_or(PROBLEM);
        let ids = items.iter().map(parse).collect::<Result<Vec<Id>, _>>()?;
        Ok(Self(distinct(ids)))
    }
    fn schema() -> Value {
        json!({"type": "array", "items": Id::schema(), "maxItems": MAX})
    }
}

/// A list of at most `MAX` items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

impl<T: Field, const MAX: usize> Field for List<T, MAX> {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        let Value::Array(items) = present(value)? else { return Err("must be an array".into()) };
        if items.len() > MAX {
            return Err(format!("must not have more than {MAX} items").into());
        }
        let read = |(at, item)| {
            T::read(Some(item)).map_err(|problem| Problem {
                within: format!("[{at}]{}", problem.within),
                text: problem.text,
            })
        };
        items.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }
    fn schema() -> Value {
        json!({"type": "array", "items": T::schema(), "maxItems": MAX})
    }
}

impl Field for bool {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        present(value)?.as_bool().ok_or_else(|| "must be true or false".into())
    }
    fn schema() -> Value {
        json!({"type": "boolean"})
    }
    fn from_text(text: &str) -> Value {
        text.parse::<bool>().map_or_else(|_| text.into(), Value::Bool)
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<const MIN: i64, const MAX: i64>(pub i64);

impl<const MIN: i64, const MAX: i64> Field for Whole<MIN, MAX> {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        let number = present(value)?.as_i64().filter(|number| (MIN..=MAX).contains(number));
        number.map(Self).ok_or_else(|| {
            if MAX == i64::MAX {
                format!("must be a whole number, {MIN} or more").into()
            } else {
                format!("must be a whole number from {MIN} to {MAX}").into()
            }
        })
    }
    fn schema() -> Value {
        let mut schema = json!({"type": "integer", "minimum": MIN});
        if MAX != i64::MAX {
            schema["maximum"] = MAX.into();
        }
        schema
    }
    fn from_text(text: &str) -> Value {
        text.parse::<i64>().map_or_else(|_| text.into(), Value::from)
    }
}

/// A point in time in ISO 8601, from 1970 to 9999.
impl Field for Timestamp {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        Self::parse(&text(value)?)
            .ok_or_else(|| "must be a time in ISO 8601, such as 2026-11-23T04:26:30Z".into())
    }
    fn schema() -> Value {
        json!({"type": "string", "format": "date-time"})
    }
}

/// The address of a picture or file: http or https, or of an upload here.
///
/// That an upload's address was really given out by us is checked by [`crate::upload::Links`], which has the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link(pub String);

/// The longest address, in bytes.
pub const MAX_LINK: usize = 2_048;

impl Field for Link {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        let link = text(value)?;
        if link.len() > MAX_LINK {
            return Err("is too long".into());
        }
        let good = is_web(&link) || link.starts_with("/api/uploads/");
        if !good || link.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("must be an http or https address, or one that POST /api/uploads gave".into());
        }
        Ok(Self(link))
    }
    fn schema() -> Value {
        json!({"type": "string", "format": "uri-reference", "maxLength": MAX_LINK})
    }
}

/// Whether it is an http or https address, whatever the case of its scheme, with something behind it.
fn is_web(link: &str) -> bool {
    let behind = |scheme: &str| {
        let (start, rest) = link.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    behind("http://").or_else(|| behind("https://")).is_some_and(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Field>(value: Value) -> Result<T, String> {
        T::read(Some(value)).map_err(|problem| problem.of("f").to_string())
    }

    #[test]
    fn identifiers_are_deduplicated_and_items_are_named() {
        let id = Id::mint();
        assert_eq!(read::<Ids<2>>(json!([id, id])).unwrap().0, [id]);
        assert!(read::<Ids<1>>(json!([id, id])).is_err() && read::<Ids<1>>(json!([{"$gt": ""}])).is_err());
        let refused = read::<List<Line<1, 2>, 2>>(json!(["a", "abc"])).unwrap_err();
        assert_eq!(refused, "f[1]: must have 1 to 2 characters");
    }

    #[test]
    fn numbers_are_whole_and_within_their_range() {
        for bad in [json!(0), json!(1.5), json!("2"), json!(1e300), json!(true), json!(u64::MAX)] {
            assert!(read::<Whole<1, 9>>(bad).is_err());
        }
        assert_eq!(read::<Whole<1, 9>>(Whole::<1, 9>::from_text("9")), Ok(Whole(9)));
        assert!(read::<Whole<1, 9>>(Whole::<1, 9>::from_text("9x")).is_err());
    }

    #[test]
    fn links_are_web_addresses_or_uploads() {
        for good in ["https://example.org/a.png", "HTTP://x", "/api/uploads/x"] {
            assert!(read::<Link>(json!(good)).is_ok(), "{good}");
        }
        let long = format!("https://{}", "x".repeat(MAX_LINK));
        for bad in
            ["javascript:alert(1)", "//evil", "https://", "data:x", "https://a b", "/api/users", &long, "é"]
        {
            assert!(read::<Link>(json!(bad)).is_err(), "{bad}");
        }
    }
}
