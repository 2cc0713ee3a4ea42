//! LinkUp's identifiers and times to and from BSON.
//!
//! `protocol` knows no MongoDB, so its types serialise as text; documents name [`stored`] to hold them as
//! ObjectId and Date.

use mongodb::bson::DateTime;
use mongodb::bson::oid::ObjectId;
use protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};

/// An identifier as MongoDB stores it.
#[must_use]
pub fn oid(id: Id) -> ObjectId {
    ObjectId::from_bytes(id.bytes())
}

/// Identifiers as MongoDB stores them.
pub fn oids(ids: impl IntoIterator<Item = Id>) -> Vec<ObjectId> {
    ids.into_iter().map(oid).collect()
}

/// A stored identifier.
#[must_use]
pub fn id(oid: ObjectId) -> Id {
    Id::from_bytes(oid.bytes())
}

/// A time as MongoDB stores it.
#[must_use]
pub fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.millis())
}

/// A stored time.
#[must_use]
pub fn time(date: DateTime) -> Timestamp {
    Timestamp::from_millis(date.timestamp_millis())
}

/// A type with a counterpart in BSON.
pub trait Stored: Sized {
    /// The counterpart.
    type Bson: Serialize + for<'de> Deserialize<'de>;
    /// To be stored.
    fn to_stored(&self) -> Self::Bson;
    /// As it was stored.
    fn from_stored(stored: Self::Bson) -> Self;
}

impl Stored for Id {
    type Bson = ObjectId;
    fn to_stored(&self) -> ObjectId {
        oid(*self)
    }
    fn from_stored(stored: ObjectId) -> Self {
        id(stored)
    }
}

impl Stored for Timestamp {
    type Bson = DateTime;
    fn to_stored(&self) -> DateTime {
        date(*self)
    }
    fn from_stored(stored: DateTime) -> Self {
        time(stored)
    }
}

impl<T: Stored> Stored for Option<T> {
    type Bson = Option<T::Bson>;
    fn to_stored(&self) -> Self::Bson {
        self.as_ref().map(T::to_stored)
    }
    fn from_stored(stored: Self::Bson) -> Self {
        stored.map(T::from_stored)
    }
}

impl<T: Stored> Stored for Vec<T> {
    type Bson = Vec<T::Bson>;
    fn to_stored(&self) -> Self::Bson {
        self.iter().map(T::to_stored).collect()
    }
    fn from_stored(stored: Self::Bson) -> Self {
        stored.into_iter().map(T::from_stored).collect()
    }
}

/// For `#[serde(with = "stored")]`: the field is kept as its counterpart in BSON.
pub mod stored {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Stored;

    /// Writes the counterpart.
    ///
    /// # Errors
    ///
    /// The serialiser's.
    pub fn serialize<T: Stored, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_stored().serialize(serializer)
    }

    /// Reads the counterpart.
    ///
    /// # Errors
    ///
    /// The deserialiser's, a wrong BSON type among them.
    pub fn deserialize<'de, T: Stored, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::Bson::deserialize(deserializer).map(T::from_stored)
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{self, Bson};

    use super::*;

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Sample {
        #[serde(with = "stored")]
        one: Id,
        #[serde(with = "stored")]
        many: Vec<Id>,
        #[serde(with = "stored")]
        at: Timestamp,
        #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
        maybe: Option<Id>,
    }

    #[test]
    fn identifiers_and_times_become_object_ids_and_dates() {
        let sample =
            Sample { one: Id::mint(), many: vec![Id::mint()], at: Timestamp::from_millis(1), maybe: None };
        let document = bson::serialize_to_document(&sample).unwrap();
        assert_eq!(document.get("one"), Some(&Bson::ObjectId(oid(sample.one))));
        assert_eq!(document.get("at"), Some(&Bson::DateTime(DateTime::from_millis(1))));
        assert!(!document.contains_key("maybe"));
        assert_eq!(bson::deserialize_from_document::<Sample>(document).unwrap(), sample);
    }
}
