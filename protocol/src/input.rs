//! Declared input: every body and every query that a client sends is declared once, with [`input!`](crate::input!), and
//! that declaration is what checks it and what the OpenAPI document shows of it.
//!
//! ```
//! protocol::input! {
//!     /// A greeting.
//!     pub struct Greeting {
//!         /// Whom to greet.
//!         name / "name": protocol::input::Line<1, 80>,
//!         /// How often.
//!         times / "times": Option<protocol::input::Whole<1, 3>>,
//!     }
//! }
//! use protocol::input::Input;
//!
//! let greeting = Greeting::from_json(br#"{"name": " Ada ", "unknown": [1]}"#).unwrap();
//! assert_eq!((greeting.name.0.as_str(), greeting.times), ("Ada", None));
//! let refused = Greeting::from_query(Some("name=Ada&times=9")).unwrap_err();
//! assert_eq!(refused.to_string(), "times: must be a whole number from 1 to 3");
//! ```
//!
//! Unknown fields are ignored, a known field of the body that is there twice is refused. Since every field is read as
//! the type that it must have, an operator object (`{"$ne": null}`) gets nowhere near a query.
//!
//! | module | holds |
//! |---|---|
//! | [`field`] | the types of fields: what each accepts, and how it is described |
//! | `fields` | what is declared, picked out of an object as it is read |
//! | `plain` | JSON values exactly as they are written |

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value, json};

pub mod field;
mod fields;
mod plain;

use fields::Fields;

pub use field::{
    AnyPassword, Email, Field, Ids, Line, Link, List, NewPassword, Password, Patch, Problem, Text, Whole,
};

/// Input that was refused: which field, and why. The text is meant for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field's name, as the client wrote it; `settings.privacy` for a field within one.
    pub field: Cow<'static, str>,
    /// What is wrong with it.
    pub problem: Cow<'static, str>,
}

impl Invalid {
    /// `field` is refused because of `problem`.
    #[must_use]
    pub const fn new(field: &'static str, problem: &'static str) -> Self {
        Self { field: Cow::Borrowed(field), problem: Cow::Borrowed(problem) }
    }
}

/// A body that is no JSON object.
pub const NO_OBJECT: Invalid = Invalid::new("body", "must be a JSON object");

/// One field of a declaration.
#[derive(Clone, Copy)]
pub struct Declared {
    /// Its name in JSON and in queries.
    pub name: &'static str,
    /// Its documentation.
    pub doc: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Its JSON Schema.
    pub schema: fn() -> Value,
    /// How a query's text becomes the JSON that the field reads.
    pub from_text: fn(&str) -> Value,
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A declared body or query.
pub trait Input: Sized {
    /// Its fields, in the order of the declaration.
    const FIELDS: &'static [Declared];

    /// Reads the fields' values, as many as there are [`Input::FIELDS`] and in the same order.
    ///
    /// # Errors
    ///
    /// The first field that is refused.
    fn from_values(values: Vec<Option<Value>>) -> Result<Self, Invalid>;

    /// Reads a JSON object.
    ///
    /// # Errors
    ///
    /// The first field that is refused; `body` where it is no JSON object at all.
    fn from_json(json: &[u8]) -> Result<Self, Invalid> {
        let mut fields = Fields::new(Self::FIELDS);
        let values = crate::json::read_seed(json, &mut fields);
        match (values, fields.repeated) {
            (_, Some(name)) => Err(Invalid::new(name, "must not be there twice")),
            (Ok(values), None) => Self::from_values(values),
            (Err(_), None) => Err(NO_OBJECT),
        }
    }

    /// Reads a query string. Of a repeated parameter the first counts.
    ///
    /// # Errors
    ///
    /// The first field that is refused.
    fn from_query(query: Option<&str>) -> Result<Self, Invalid> {
        let mut values = vec![None; Self::FIELDS.len()];
        for (name, text) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if let Some(at) = Self::FIELDS.iter().position(|field| field.name == name)
                && values[at].is_none()
            {
                values[at] = Some((Self::FIELDS[at].from_text)(&text));
            }
        }
        Self::from_values(values)
    }

    /// Reads an object within a body.
    ///
    /// # Errors
    ///
    /// The first field that is refused.
    fn from_object(mut object: Map<String, Value>) -> Result<Self, Invalid> {
        Self::from_values(Self::FIELDS.iter().map(|field| object.remove(field.name)).collect())
    }

    /// The JSON Schema of a body.
    #[must_use]
    fn object_schema() -> Value {
        let described = |field: &Declared| {
            let mut schema = (field.schema)();
            schema["description"] = field.doc.trim().into();
            (field.name.to_owned(), schema)
        };
        let properties: Map<String, Value> = Self::FIELDS.iter().map(described).collect();
        let required: Vec<&str> =
            Self::FIELDS.iter().filter(|field| field.required).map(|field| field.name).collect();
        let mut schema = json!({"type": "object", "properties": properties});
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        schema
    }

    /// The OpenAPI parameters of a query.
    #[must_use]
    fn parameters() -> Vec<Value> {
        let parameter = |field: &Declared| {
            json!({
                "name": field.name, "in": "query", "required": field.required,
                "description": field.doc.trim(), "schema": (field.schema)(),
            })
        };
        Self::FIELDS.iter().map(parameter).collect()
    }
}

/// Declares a body or query: a struct whose fields are read from JSON or a query string. See
/// [`crate::input`](mod@crate::input).
#[macro_export]
macro_rules! input {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident {
            $( $(#[doc = $doc:literal])* $field:ident / $key:literal : $type:ty ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        $visibility struct $name {
            $( $(#[doc = $doc])* $visibility $field: $type ),*
        }

        impl $crate::input::Input for $name {
            const FIELDS: &'static [$crate::input::Declared] = &[
                $( $crate::input::Declared {
                    name: $key,
                    doc: concat!($($doc, "\n"),*),
                    required: <$type as $crate::input::Field>::REQUIRED,
                    schema: <$type as $crate::input::Field>::schema,
                    from_text: <$type as $crate::input::Field>::from_text,
                } ),*
            ];

            fn from_values(
                values: ::std::vec::Vec<::std::option::Option<$crate::input::field::Value>>,
            ) -> ::std::result::Result<Self, $crate::input::Invalid> {
                let mut values = values.into_iter();
                ::std::result::Result::Ok(Self {
                    $( $field: <$type as $crate::input::Field>::read(values.next().flatten())
                        .map_err(|problem: $crate::input::Problem| problem.of($key))? ),*
                })
            }
        }
    };
}

/// Declares a field with a fixed set of texts.
#[macro_export]
macro_rules! choice {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal ),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $name { $( $(#[$variant_meta])* $variant ),* }

        #[allow(dead_code, reason = "not every choice needs all of them")]
        impl $name {
            /// All of them, in the order of the declaration.
            $visibility const ALL: &'static [Self] = &[$( Self::$variant ),*];

            /// The text in JSON and in the database.
            #[must_use]
            $visibility const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text ),* }
            }

            /// The one with this text.
            #[must_use]
            $visibility fn parse(text: &str) -> ::std::option::Option<Self> {
                match text { $( $text => ::std::option::Option::Some(Self::$variant), )* _ => ::std::option::Option::None }
            }
        }

        impl $crate::input::Field for $name {
            const REQUIRED: bool = true;

            fn read(
                value: ::std::option::Option<$crate::input::field::Value>,
            ) -> ::std::result::Result<Self, $crate::input::Problem> {
                let text = $crate::input::field::text(value)?;
                Self::parse(&text).ok_or_else(|| $crate::input::field::no_choice(&[$( $text ),*]))
            }

            fn schema() -> $crate::input::field::Value {
                $crate::input::field::choices(&[$( $text ),*])
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::choice! {
        /// A colour.
        enum Colour { Red = "red", Green = "green" }
    }

    crate::input! {
        /// Something within.
        struct Inner {
            /// A colour.
            colour / "colour": Option<Colour>,
        }
    }

    crate::input! {
        /// Something.
        struct Outer {
            /// A name.
            name / "name": Line<1, 5>,
            /// May be taken away.
            note / "note": Patch<Text<0, 5>>,
            /// Within.
            inner / "inner": Option<Inner>,
            /// On or off.
            on / "on": Option<bool>,
        }
    }

    impl Field for Inner {
        const REQUIRED: bool = true;
        fn read(value: Option<Value>) -> Result<Self, Problem> {
            field::object(value)
        }
        fn schema() -> Value {
            Self::object_schema()
        }
    }

    fn refused(json: &str) -> String {
        Outer::from_json(json.as_bytes()).expect_err(json).to_string()
    }

    #[test]
    fn what_is_declared_is_read_and_what_is_not_is_ignored() {
        let read = Outer::from_json(
            br#"{"x":{"y":[1]},"name":"Ada","note":null,"inner":{"colour":"red"},"on":true}"#,
        );
        let read = read.unwrap();
        assert_eq!((read.name.0.as_str(), read.on), ("Ada", Some(true)));
        assert!(matches!(read.note, Patch::Clear));
        assert_eq!(read.inner.unwrap().colour, Some(Colour::Red));
        assert!(matches!(Outer::from_json(br#"{"name":"A"}"#).unwrap().note, Patch::Keep));
    }

    #[test]
    fn what_is_refused_is_named() {
        for (json, problem) in [
            ("", "body: must be a JSON object"),
            ("[]", "body: must be a JSON object"),
            ("{", "body: must be a JSON object"),
            ("{\"name\":\"A\"}x", "body: must be a JSON object"),
            ("{}", "name: is required"),
            (r#"{"name":null}"#, "name: is required"),
            (r#"{"name":{"$ne":null}}"#, "name: must be a string"),
            (r#"{"name":"abcdef"}"#, "name: must have 1 to 5 characters"),
            (r#"{"name":"A","name":"B"}"#, "name: must not be there twice"),
            (r#"{"name":"A","inner":{"colour":"blue"}}"#, "inner.colour: must be one of: red, green"),
            (r#"{"name":"A","inner":[]}"#, "inner: must be an object"),
            (r#"{"name":"A","on":"true"}"#, "on: must be true or false"),
        ] {
            assert_eq!(refused(json), problem, "{json}");
        }
        let nested = format!(r#"{{"name":"A","x":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        assert!(Outer::from_json(nested.as_bytes()).is_ok_and(|read| read.name.0 == "A"), "ignored unread");
        let nested = format!(r#"{{"name":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(refused(&nested), "body: must be a JSON object");
        assert!(Outer::from_json(b"{\"name\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_query_is_read_by_the_same_declaration() {
        let read = Outer::from_query(Some("on=false&name=A%20B&name=C")).unwrap();
        assert_eq!((read.name.0.as_str(), read.on), ("A B", Some(false)));
        assert_eq!(Outer::from_query(None).unwrap_err().to_string(), "name: is required");
    }

    #[test]
    fn a_declaration_describes_itself() {
        let schema = Outer::object_schema();
        assert_eq!(schema["required"], json!(["name"]));
        let name = json!({"type": "string", "minLength": 1, "maxLength": 5, "description": "A name."});
        assert_eq!(schema["properties"]["name"], name);
        assert_eq!(schema["properties"]["inner"]["properties"]["colour"]["enum"], json!(["red", "green"]));
        assert_eq!(Outer::parameters()[3]["schema"]["type"], "boolean");
    }
}
