//! Texts, lines, passwords and e-mail addresses.

use serde_json::{Value, json};

use super::{Field, Problem, text};

/// A text of `MIN` to `MAX` characters (Unicode scalar values, so of at most four times as many bytes), which may have
/// several lines. Control characters other than line breaks and tabs are left out; everything else is stored as it was
/// given, since escaping is the page's job. Where `MIN` is not 0 there must be more than blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const MIN: usize, const MAX: usize>(pub String);

impl<const MIN: usize, const MAX: usize> Field for Text<MIN, MAX> {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        let text = strip_control_characters(text(value)?);
        if MIN > 0 && text.trim().is_empty() {
            return Err("must not be empty".into());
        }
        within(MIN, MAX, &text)?;
        Ok(Self(text))
    }
    fn schema() -> Value {
        sized(MIN, MAX)
    }
}

/// A text of one line, `MIN` to `MAX` characters, without blanks around it: a name, a title, a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<const MIN: usize, const MAX: usize>(pub String);

impl<const MIN: usize, const MAX: usize> Field for Line<MIN, MAX> {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        let text = strip_control_characters(text(value)?);
        // Line and paragraph separators break lines, too.
        let line = text.replace(['\n', '\r', '\t', '\u{2028}', '\u{2029}'], " ").trim().to_owned();
        within(MIN, MAX, &line)?;
        Ok(Self(line))
    }
    fn schema() -> Value {
        sized(MIN, MAX)
    }
}

fn within(min: usize, max: usize, text: &str) -> Result<(), Problem> {
    // A text of so many bytes has too many characters; a long one need not be counted.
    if text.len() <= 4 * max && (min..=max).contains(&text.chars().count()) {
        return Ok(());
    }
    Err(if min == 0 {
        format!("must not be longer than {max} characters").into()
    } else {
        format!("must have {min} to {max} characters").into()
    })
}

fn sized(min: usize, max: usize) -> Value {
    json!({"type": "string", "minLength": min, "maxLength": max})
}

/// Control characters other than line breaks and tabs have no place in a text.
fn strip_control_characters(text: String) -> String {
    let unwanted = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    // Those of Unicode's second block begin with 0xC2. To look for bytes, all of them, is many times faster than for
    // characters.
    let suspicious = |found: bool, byte: u8| found | (byte < b' ') | (byte == 0x7f) | (byte == 0xc2);
    if text.bytes().fold(false, suspicious) && text.contains(unwanted) {
        text.replace(unwanted, "")
    } else {
        text
    }
}

/// A password of `MIN` to 128 characters, taken as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Password<const MIN: usize>(pub String);

/// A new password.
pub type NewPassword = Password<8>;
/// A password that is only compared: whatever one could ever have been.
pub type AnyPassword = Password<1>;

const MAX_PASSWORD: usize = 128;

impl<const MIN: usize> std::fmt::Debug for Password<MIN> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

impl<const MIN: usize> Field for Password<MIN> {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        let password = text(value)?;
        within(MIN, MAX_PASSWORD, &password)?;
        Ok(Self(password))
    }
    fn schema() -> Value {
        sized(MIN, MAX_PASSWORD)
    }
}

/// An e-mail address, in lower case. A simple check: something, an at sign, and a domain with a dot in it. Whether mail
/// arrives there, only mail can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(pub String);

/// The longest address that mail servers take (RFC 5321, section 4.5.3.1.3, without the angle brackets).
const MAX_EMAIL: usize = 254;

impl Field for Email {
    const REQUIRED: bool = true;
    fn read(value: Option<Value>) -> Result<Self, Problem> {
        let email = text(value)?.trim().to_lowercase();
        let Some((local, domain)) = email.split_once('@') else { return Err(NO_EMAIL.into()) };
        let good = email.len() <= MAX_EMAIL
            && (1..=64).contains(&local.len())
            && domain.split('.').count() >= 2
            && domain.split('.').all(|label| !label.is_empty())
            && !email.contains(|c: char| c.is_whitespace() || c.is_control())
            && !domain.contains('@');
        if good { Ok(Self(email)) } else { Err(NO_EMAIL.into()) }
    }
    fn schema() -> Value {
        json!({"type": "string", "format": "email", "maxLength": MAX_EMAIL})
    }
}

const NO_EMAIL: &str = "is not a valid e-mail address";

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Field>(value: Value) -> Result<T, String> {
        T::read(Some(value)).map_err(|problem| problem.of("f").to_string())
    }

    #[test]
    fn texts_are_stored_as_given_but_for_control_characters() {
        assert_eq!(read::<Text<1, 9>>(json!(" a\u{0}\u{7}\n<b> ")).unwrap().0, " a\n<b> ");
        assert_eq!(read::<Line<1, 9>>(json!(" a\u{7}\nb\u{2028} ")).unwrap().0, "a b");
        assert!(read::<Text<1, 9>>(json!(" \n")).is_err() && read::<Line<1, 9>>(json!(" \n")).is_err());
        assert!(read::<Text<0, 9>>(json!("")).is_ok());
        assert_eq!(read::<Text<1, 3>>(json!("ééé")).unwrap().0, "ééé");
        assert_eq!(read::<Text<1, 3>>(json!("éééé")).unwrap_err(), "f: must have 1 to 3 characters");
        assert_eq!(read::<Text<0, 3>>(json!("éééé")).unwrap_err(), "f: must not be longer than 3 characters");
    }

    #[test]
    fn every_control_character_is_found_and_no_other() {
        for c in (0..=0x2ff).filter_map(char::from_u32) {
            let kept = !c.is_control() || matches!(c, '\n' | '\t' | '\r');
            let expected = if kept { format!("a{c}b") } else { "ab".to_owned() };
            assert_eq!(strip_control_characters(format!("a{c}b")), expected, "{c:?}");
        }
    }

    #[test]
    fn addresses_are_lower_cased_and_checked() {
        assert_eq!(read::<Email>(json!("Ada@Example.ORG")).unwrap().0, "ada@example.org");
        for text in ["ada", "@example.org", "ada@", "ada@example", "a b@example.org", "a@b@c.org", "a@b..org"]
        {
            assert!(read::<Email>(json!(text)).is_err(), "{text}");
        }
    }
}
