//! JSON values exactly as they are written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON value from a client.
///
/// `Value` itself takes an object with the key `$serde_json::private::RawValue` for JSON within a text, and reads it
/// with a fresh bound on its depth: a body of 64 KB could be thousands of levels deep, more than a stack holds. Here
/// every key is a key, so that the bound of the one reader holds.
pub(super) struct Plain(pub(super) Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsWritten).map(Self)
    }
}

struct AsWritten;

impl<'de> Visitor<'de> for AsWritten {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Plain(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Plain(value))) = map.next_entry()? {
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Option<Value> {
        serde_json::from_str(text).map(|Plain(value)| value).ok()
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let value = json!({"a": [null, true, -1, u64::MAX, 1.5, "é\n"], "b": {"c": {}}});
        assert_eq!(read(&value.to_string()), Some(value));
        assert_eq!(read("{\"a\":1"), None);
    }

    #[test]
    fn no_key_is_more_than_a_key() {
        let mut text = "1".to_owned();
        for _ in 0..12 {
            let within = serde_json::to_string(&text).unwrap();
            text = format!(
                "{}{{\"$serde_json::private::RawValue\":{within}}}{}",
                "[".repeat(100),
                "]".repeat(100)
            );
        }
        let mut value = &read(&text).unwrap();
        while let Value::Array(items) = value {
            value = &items[0];
        }
        assert!(value["$serde_json::private::RawValue"].is_string(), "the text within is not read");
        assert_eq!(read(&format!("{}{}", "[".repeat(200), "]".repeat(200))), None);
    }
}
