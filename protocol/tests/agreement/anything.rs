//! A JSON value with all that a parser gives of it: the order of keys, repeated ones, the type and the bits of numbers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

#[derive(Debug)]
#[allow(dead_code, reason = "they are compared as they are printed")]
pub(crate) enum Anything {
    Null,
    Bool(bool),
    /// Not below 0, whatever the parser calls it: the types that are read ask for the value.
    Whole(u64),
    Negative(i64),
    /// Its bits.
    Float(u64),
    Text(String),
    List(Vec<Anything>),
    Object(Vec<(String, Anything)>),
}

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Keeper)
    }
}

struct Keeper;

impl<'de> Visitor<'de> for Keeper {
    type Value = Anything;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Anything, E> {
        Ok(Anything::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Anything, E> {
        Ok(Anything::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Anything, E> {
        Ok(u64::try_from(value).map_or(Anything::Negative(value), Anything::Whole))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Anything, E> {
        Ok(Anything::Whole(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Anything, E> {
        Ok(Anything::Float(value.to_bits()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Anything, E> {
        Ok(Anything::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Anything, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Anything::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Anything, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = object.next_entry()? {
            entries.push(entry);
        }
        Ok(Anything::Object(entries))
    }
}
