//! Where the binary attachments of a packet stand in its JSON.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Malformed;

/// More attachments than this are never accepted.
pub(super) const MAX: usize = u64::BITS as usize;

/// Checks that each of `count` attachments stands in `json` exactly once, as `{"_placeholder":true,"num":n}`, and
/// nothing else does; `count` is at most [`MAX`]. Nesting is bounded, by serde_json.
pub(super) fn check(json: &str, count: usize) -> Result<(), Malformed> {
    let mut seen = 0;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let walk = Walk { seen: &mut seen, count };
    walk.deserialize(&mut deserializer).map_err(|_| Malformed("bad attachments"))?;
    if seen.count_ones() as usize == count {
        Ok(())
    } else {
        Err(Malformed("attachments are not all in use"))
    }
}

/// Looks through one value.
struct Walk<'a> {
    /// A bit for each attachment.
    seen: &'a mut u64,
    count: usize,
}

/// What a value is, as far as its object cares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    True,
    Number(u64),
    Other,
}

impl Walk<'_> {
    fn inner(&mut self) -> Walk<'_> {
        Walk { seen: self.seen, count: self.count }
    }

    fn mark<E: Error>(&mut self, number: Option<Found>) -> Result<(), E> {
        match number {
            Some(Found::Number(number)) if number < self.count as u64 && *self.seen & 1 << number == 0 => {
                *self.seen |= 1 << number;
                Ok(())
            }
            _ => Err(E::custom("no such attachment")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Found;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Found, E> {
        Ok(if value { Found::True } else { Found::Other })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Found, E> {
        Ok(Found::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut seq: S) -> Result<Found, S::Error> {
        while seq.next_element_seed(self.inner())?.is_some() {}
        Ok(Found::Other)
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Found, M::Error> {
        let (mut is_placeholder, mut number) = (false, None);
        while let Some(key) = map.next_key_seed(Key)? {
            let value = map.next_value_seed(self.inner())?;
            match key {
                Name::Placeholder => is_placeholder = value == Found::True,
                Name::Number => number = Some(value),
                Name::Other => {}
            }
        }
        if is_placeholder {
            self.mark(number)?;
        }
        Ok(Found::Other)
    }
}

/// A key of an object.
struct Key;

enum Name {
    Placeholder,
    Number,
    Other,
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Name;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Name, E> {
        Ok(match key {
            "_placeholder" => Name::Placeholder,
            "num" => Name::Number,
            _ => Name::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attachment_stands_exactly_once() {
        let cases = [
            ("[]", 0, true),
            (r#"["a",{"num":7}]"#, 0, true),
            (r#"["a",{"_placeholder":false,"num":7}]"#, 0, true),
            (r#"["a",{"_placeholder":true,"num":0}]"#, 1, true),
            (
                r#"["a",{"x":[{"num":1,"_placeholder":true}]},{"_placeholder":true,"num":0,"y":[1,-1,1.5,null,"s"]}]"#,
                2,
                true,
            ),
            (r#"["a",{"_placeholder":true,"num":0}]"#, 0, false),
            (r#"["a",{"_placeholder":true,"num":1}]"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":-1}]"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":0.0}]"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":"0"}]"#, 1, false),
            (r#"["a",{"_placeholder":true}]"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":18446744073709551615}]"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":64}]"#, 1, false),
            ("[\"a\"]", 1, false),
            (r#"["a",{"_placeholder":true,"num":0}]"#, 2, false),
            (r#"["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#, 1, false),
            (r#"["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#, 2, false),
        ];
        for (json, count, fine) in cases {
            assert_eq!(check(json, count).is_ok(), fine, "{json} {count}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(check(&deep, 0).is_err(), "a bound instead of a stack overflow");
    }
}
