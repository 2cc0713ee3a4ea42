//! Fields of raw documents.

use mongodb::bson::raw::RawBsonRef;
use mongodb::bson::{RawArray, RawDocument};
use protocol::{Id, Timestamp};
use store::stream::StreamError;

/// A field that holds an identifier.
pub(crate) fn id(document: &RawDocument, field: &str) -> Result<Id, StreamError> {
    Ok(store::convert::id(document.get_object_id(field)?))
}

/// A field that holds a time.
pub(crate) fn date(document: &RawDocument, field: &str) -> Result<Timestamp, StreamError> {
    Ok(store::convert::time(document.get_datetime(field)?))
}

/// A field that holds a text, or null, or is absent.
pub(crate) fn optional_str<'a>(
    document: &'a RawDocument,
    field: &str,
) -> Result<Option<&'a str>, StreamError> {
    match document.get(field)? {
        Some(RawBsonRef::String(text)) => Ok(Some(text)),
        Some(RawBsonRef::Null) | None => Ok(None),
        Some(_) => Err(StreamError::Malformed),
    }
}

/// A field that holds a time, or null, or is absent.
pub(crate) fn optional_date(document: &RawDocument, field: &str) -> Result<Option<Timestamp>, StreamError> {
    match document.get(field)? {
        Some(RawBsonRef::DateTime(time)) => Ok(Some(store::convert::time(time))),
        Some(RawBsonRef::Null) | None => Ok(None),
        Some(_) => Err(StreamError::Malformed),
    }
}

/// A field that holds a whole number of either width: what is written by hand has 32 bits.
pub(crate) fn number(document: &RawDocument, field: &str) -> Result<i64, StreamError> {
    optional_number(document, field)?.ok_or(StreamError::Malformed)
}

/// The same, or is absent.
pub(crate) fn optional_number(document: &RawDocument, field: &str) -> Result<Option<i64>, StreamError> {
    match document.get(field)? {
        Some(RawBsonRef::Int64(number)) => Ok(Some(number)),
        Some(RawBsonRef::Int32(number)) => Ok(Some(number.into())),
        None => Ok(None),
        Some(_) => Err(StreamError::Malformed),
    }
}

/// An array of identifiers.
pub(crate) fn ids(array: &RawArray) -> Result<Vec<Id>, StreamError> {
    array
        .into_iter()
        .map(|item| match item? {
            RawBsonRef::ObjectId(oid) => Ok(store::convert::id(oid)),
            _ => Err(StreamError::Malformed),
        })
        .collect()
}

/// A field that holds an array of identifiers; empty where it is absent.
pub(crate) fn optional_ids(document: &RawDocument, field: &str) -> Result<Vec<Id>, StreamError> {
    match document.get(field)? {
        Some(RawBsonRef::Array(array)) => ids(array),
        Some(RawBsonRef::Null) | None => Ok(Vec::new()),
        Some(_) => Err(StreamError::Malformed),
    }
}
