//! What must hold of a value that was accepted.

use std::fmt::Debug;

use protocol::body::{
    ClientMessageId, ContentType, MAX_CLIENT_MESSAGE_ID, MAX_CONTENT_CHARS, NewMessage, SendMessage,
};
use protocol::input::field::MAX_LINK;
use protocol::input::{Email, Field, Ids, Line, Link, List, Password, Patch, Text, Whole};
use protocol::{Id, Timestamp};

use crate::declared::{Anything, Choice, Everything, Nested, Small};

/// The end of the year 9999, in milliseconds.
const LAST_MILLIS: i64 = 253_402_300_799_999;

/// A value of which something can be said.
pub trait Sound {
    /// Checks what must hold.
    ///
    /// # Panics
    ///
    /// When it does not.
    fn check(&self);
}

/// Checks every field of a declaration.
macro_rules! every_field {
    ($($name:ty { $($field:ident),* })*) => {
        $(impl Sound for $name {
            fn check(&self) {
                // A field that is left out here is an error.
                let Self { $($field),* } = self;
                $($field.check();)*
            }
        })*
    };
}

every_field! {
    Everything {
        line, name, note, text, password, any_password, email, id, ids, lines, objects, on, number, time, link, choice,
        own_id, patch, patch_list, nested
    }
    Anything { nested, choice, ids, on }
    Nested { on, choice, small }
    Small { line, number }
    SendMessage { content, content_type, attachment_url, client_message_id }
}

impl<T: Sound> Sound for Option<T> {
    fn check(&self) {
        self.iter().for_each(T::check);
    }
}

impl<T: Sound> Sound for Patch<T> {
    fn check(&self) {
        if let Self::Set(value) = self {
            value.check();
        }
    }
}

impl<T: Sound, const MAX: usize> Sound for List<T, MAX> {
    fn check(&self) {
        assert!(self.0.len() <= MAX, "{} items", self.0.len());
        self.0.iter().for_each(T::check);
    }
}

impl<const MAX: usize> Sound for Ids<MAX> {
    fn check(&self) {
        assert!(self.0.len() <= MAX, "{} identifiers", self.0.len());
        assert!(self.0.is_sorted_by(|one, next| one < next), "{:?}", self.0);
    }
}

impl Sound for Id {
    fn check(&self) {
        assert_eq!(self.to_string().parse(), Ok(*self));
    }
}

impl Sound for bool {
    fn check(&self) {}
}

impl<const MIN: i64, const MAX: i64> Sound for Whole<MIN, MAX> {
    fn check(&self) {
        assert!((MIN..=MAX).contains(&self.0), "{}", self.0);
    }
}

impl<const MIN: usize, const MAX: usize> Sound for Line<MIN, MAX> {
    fn check(&self) {
        let line = &self.0;
        assert!((MIN..=MAX).contains(&line.chars().count()), "{line:?}");
        assert!(!line.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{line:?}");
        assert_eq!(line.trim(), line);
        stays(self, line);
    }
}

impl<const MIN: usize, const MAX: usize> Sound for Text<MIN, MAX> {
    fn check(&self) {
        let text = &self.0;
        assert!((MIN..=MAX).contains(&text.chars().count()), "{text:?}");
        assert!(!text.contains(|c: char| c.is_control() && !"\n\r\t".contains(c)), "{text:?}");
        assert!(MIN == 0 || !text.trim().is_empty(), "{text:?}");
        stays(self, text);
    }
}

impl Sound for Email {
    fn check(&self) {
        let (local, domain) = self.0.split_once('@').expect("an at sign");
        assert!(!local.is_empty() && self.0.len() <= 254, "{self:?}");
        assert!(
            domain.split('.').count() >= 2 && domain.split('.').all(|label| !label.is_empty()),
            "{self:?}"
        );
        assert!(!self.0.contains(|c: char| c.is_whitespace() || c.is_control()), "{self:?}");
        assert!(!domain.contains('@') && self.0.to_lowercase() == self.0, "{self:?}");
        stays(self, &self.0);
    }
}

impl Sound for Link {
    fn check(&self) {
        let start = self.0.to_ascii_lowercase();
        let known = ["http://", "https://", "/api/uploads/"].iter().any(|known| start.starts_with(known));
        assert!(known && self.0.len() <= MAX_LINK, "{self:?}");
        assert!(!self.0.contains(|c: char| c.is_whitespace() || c.is_control()), "{self:?}");
        stays(self, &self.0);
    }
}

impl Sound for Timestamp {
    fn check(&self) {
        assert!((0..=LAST_MILLIS).contains(&self.millis()), "{self:?}");
        stays(self, &self.to_string());
    }
}

impl<const MIN: usize> Sound for Password<MIN> {
    fn check(&self) {
        assert!((MIN..=128).contains(&self.0.chars().count()));
    }
}

impl Sound for ClientMessageId {
    fn check(&self) {
        assert!((1..=MAX_CLIENT_MESSAGE_ID).contains(&self.0.chars().count()), "{self:?}");
    }
}

impl Sound for ContentType {
    fn check(&self) {
        stays(self, self.as_str());
    }
}

impl Sound for Choice {
    fn check(&self) {
        stays(self, self.as_str());
    }
}

impl Sound for NewMessage {
    fn check(&self) {
        let Self { content, content_type, attachment_url, client_message_id } = self;
        Text::<0, MAX_CONTENT_CHARS>(content.clone()).check();
        assert!(attachment_url.is_some() || !content.trim().is_empty(), "{self:?}");
        content_type.check();
        attachment_url.clone().map(Link).check();
        client_message_id.clone().map(ClientMessageId).check();
    }
}

/// What was accepted and is given back is accepted as it is.
fn stays<T: Field + PartialEq + Debug>(value: &T, text: &str) {
    assert_eq!(T::read(Some(text.into())).as_ref(), Ok(value));
}
