//! Declarations that have a field of every type.

use protocol::body::ClientMessageId;
use protocol::input::field::{self, Value};
use protocol::input::{
    AnyPassword, Email, Field, Ids, Input, Line, Link, List, NewPassword, Patch, Problem, Text, Whole,
};
use protocol::{Id, Timestamp, choice, input};

choice! {
    /// A fixed set of texts.
    pub enum Choice {
        /// One.
        One = "one",
        /// The other.
        Other = "the-other",
    }
}

input! {
    /// An object within a body, which has one within it.
    pub struct Nested {
        /// On or off.
        on / "on": Option<bool>,
        /// A choice.
        choice / "choice": Option<Choice>,
        /// One more.
        small / "small": Option<Small>,
    }
}

input! {
    /// A small object, and a body in which everything must be there.
    pub struct Small {
        /// A line.
        line / "line": Line<1, 8>,
        /// A number.
        number / "number": Whole<-5, 5>,
    }
}

input! {
    /// Everything, and nothing must be there.
    pub struct Everything {
        /// A line that may be empty.
        line / "line": Option<Line<0, 8>>,
        /// A name.
        name / "name": Option<Line<1, 80>>,
        /// A text that may be empty.
        note / "note": Option<Text<0, 8>>,
        /// A text.
        text / "text": Option<Text<1, 8>>,
        /// A new password.
        password / "password": Option<NewPassword>,
        /// A password.
        any_password / "anyPassword": Option<AnyPassword>,
        /// An e-mail address.
        email / "email": Option<Email>,
        /// An identifier.
        id / "id": Option<Id>,
        /// Identifiers.
        ids / "ids": Option<Ids<3>>,
        /// A list of lines.
        lines / "lines": Option<List<Line<1, 4>, 3>>,
        /// A list of objects.
        objects / "objects": Option<List<Small, 3>>,
        /// On or off.
        on / "on": Option<bool>,
        /// A number without an upper bound.
        number / "number": Option<Whole<0, { i64::MAX }>>,
        /// A time.
        time / "time": Option<Timestamp>,
        /// An address.
        link / "link": Option<Link>,
        /// A choice.
        choice / "choice": Option<Choice>,
        /// A sender's own identifier.
        own_id / "ownId": Option<ClientMessageId>,
        /// What may be taken away.
        patch / "patch": Patch<Line<1, 8>>,
        /// A list that may be taken away.
        patch_list / "patchList": Patch<List<Whole<1, 9>, 2>>,
        /// An object.
        nested / "nested": Option<Nested>,
    }
}

input! {
    /// The same types where they must be there.
    pub struct Anything {
        /// An object.
        nested / "nested": Nested,
        /// A choice.
        choice / "choice": Choice,
        /// Identifiers.
        ids / "ids": Ids<2>,
        /// On or off.
        on / "on": bool,
    }
}

impl Field for Nested {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        field::object(value)
    }
    fn schema() -> Value {
        Self::object_schema()
    }
}

impl Field for Small {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        field::object(value)
    }
    fn schema() -> Value {
        Self::object_schema()
    }
}
