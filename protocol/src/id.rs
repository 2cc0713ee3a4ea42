//! Identifiers: 12 bytes, written as 24 lower-case hexadecimal digits, as MongoDB's ObjectId is.
//!
//! LinkUp has its own type because the gateway mints and compares identifiers but never sees the
//! MongoDB driver.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The identifier of a user, conversation, message, gateway or request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; 12]);

/// Text that is not 24 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier: 24 hexadecimal digits are expected")]
pub struct InvalidId;

impl Id {
    /// The identifier made of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// The bytes of this identifier.
    #[must_use]
    pub const fn bytes(self) -> [u8; 12] {
        self.0
    }

    /// A new identifier: seconds since 1970, five bytes drawn once per process, and a counter, in the
    /// layout of an ObjectId. Two processes agree on one only if they draw the same forty random bits.
    #[must_use]
    pub fn mint() -> Self {
        static PROCESS: OnceLock<([u8; 5], AtomicU32)> = OnceLock::new();
        let (process, counter) = PROCESS.get_or_init(|| {
            let mut seed = [0_u8; 8];
            // Without entropy the identifiers of two processes could collide; the clock's nanoseconds
            // are the best that is left, and a collision is still answered by the unique index.
            if getrandom::fill(&mut seed).is_err() {
                let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
                seed.copy_from_slice(&u64::to_be_bytes(nanos as u64 ^ u64::from(std::process::id())));
            }
            let [a, b, c, d, e, f, g, h] = seed;
            ([a, b, c, d, e], AtomicU32::new(u32::from_be_bytes([0, f, g, h])))
        });
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()) as u32;
        let count = counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..9].copy_from_slice(process);
        bytes[9..].copy_from_slice(&count[1..]);
        Self(bytes)
    }
}

/// Each of these identifiers once, in order.
#[must_use]
pub fn distinct(ids: impl IntoIterator<Item = Id>) -> Vec<Id> {
    let mut ids: Vec<Id> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0_u8; 24];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        fn digit(c: u8) -> Result<u8, InvalidId> {
            (c as char).to_digit(16).map(|d| d as u8).ok_or(InvalidId)
        }
        let text: &[u8; 24] = text.as_bytes().try_into().map_err(|_| InvalidId)?;
        let mut bytes = [0; 12];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex;
        impl Visitor<'_> for Hex {
            type Value = Id;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("24 hexadecimal digits")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                text.parse().map_err(E::custom)
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Hex)
        } else {
            <[u8; 12]>::deserialize(deserializer).map(Self)
        }
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9a-f]{24}$", "description": "An identifier."})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_round_trip() {
        let id = Id::mint();
        assert_eq!(id.to_string().parse::<Id>(), Ok(id));
        assert_eq!(serde_json::from_str::<Id>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        let packed = postcard::to_stdvec(&id).unwrap();
        assert_eq!(packed.len(), 12);
        assert_eq!(postcard::from_bytes::<Id>(&packed).unwrap(), id);
    }

    #[test]
    fn minted_identifiers_differ() {
        let ids: Vec<Id> = (0..1000).map(|_| Id::mint()).collect();
        let mut unique = ids.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), ids.len());
    }

    #[test]
    fn other_text_is_refused() {
        for text in
            ["", "zz", "0123456789abcdef0123456", "0123456789abcdef0123456789", "0123456789abcdeg01234567"]
        {
            assert_eq!(text.parse::<Id>(), Err(InvalidId), "{text}");
        }
        assert!(serde_json::from_str::<Id>("{\"$ne\":null}").is_err());
    }
}
