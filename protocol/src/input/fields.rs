//! What is declared, picked out of an object as it is read.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::Declared;
use super::plain::Plain;

/// Picks the declared fields out of a JSON object as it is read, and builds nothing for the others.
pub(super) struct Fields {
    declared: &'static [Declared],
    /// One that is there twice.
    pub(super) repeated: Option<&'static str>,
}

impl Fields {
    pub(super) const fn new(declared: &'static [Declared]) -> Self {
        Self { declared, repeated: None }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Fields {
    type Value = Vec<Option<Value>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // This may be the second attempt at the same text.
        self.repeated = None;
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Fields {
    type Value = Vec<Option<Value>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.declared.len()];
        while let Some(at) = map.next_key_seed(Place(self.declared))? {
            let Some(at) = at else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if values[at].replace(map.next_value::<Plain>()?.0).is_some() {
                self.repeated = Some(self.declared[at].name);
            }
        }
        Ok(values)
    }
}

/// Finds a key's place among the declared ones, without keeping it.
struct Place(&'static [Declared]);

impl<'de> DeserializeSeed<'de> for Place {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|field| field.name == name))
    }
}
