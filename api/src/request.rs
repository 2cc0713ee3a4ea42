//! Bodies, queries and tokens of requests, checked.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use protocol::input::{Field, Invalid, Problem, Whole, field};
use protocol::upload::{Given, Links};
use protocol::{ErrorCode, Timestamp};
use serde_json::{Value, json};
use service::leftover::discard;

use crate::answer::Failure;

/// The token of the `Authorization` header, if there is one.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Refuses a body that does not say it is JSON.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<(), Failure> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Failure::new(ErrorCode::UnsupportedMediaType, "The body must be application/json"))
    }
}

/// What of a body that is too large is read on and dropped, in bytes: a connection that is closed while the other side
/// still sends is reset, and with it goes the answer.
const DISCARDED: u64 = 4 << 20;

/// Reads a body of at most `limit` bytes that arrives within `timeout`.
pub(crate) async fn body(mut body: Incoming, limit: usize, timeout: Duration) -> Result<Bytes, Failure> {
    let read = async {
        if body.size_hint().lower() > limit as u64 {
            return Ok(None);
        }
        let mut read = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                if read.len() + data.len() > limit {
                    return Ok(None);
                }
                read.extend_from_slice(&data);
            }
        }
        Ok::<_, hyper::Error>(Some(read.freeze()))
    };
    match tokio::time::timeout(timeout, read).await {
        Ok(Ok(Some(read))) => Ok(read),
        Ok(Ok(None)) => {
            discard(body, DISCARDED, timeout);
            Err(Failure::new(ErrorCode::TooLarge, "The body is too large"))
        }
        Ok(Err(_)) => Err(Invalid::new("body", "was cut short").into()),
        Err(_) => Err(Failure::new(ErrorCode::RequestTimeout, "The body did not arrive in time")),
    }
}

/// The address of a picture or file as it is stored. An upload's must be one that was given out here, or whoever names
/// any upload would be given an address of it.
pub(crate) fn stored_link(links: &Links, link: String, field: &'static str) -> Result<String, Invalid> {
    match links.recognise(&link, Timestamp::now()) {
        Given::Upload(stored) => Ok(stored),
        Given::Expired => Err(Invalid::new(field, "has expired: take it from a new answer")),
        Given::Other if link.starts_with('/') => Err(Invalid::new(field, "is not the address of an upload")),
        Given::Other => Ok(link),
    }
}

/// Pages are found by skipping what comes before, which MongoDB reads to do so: further back, lists of messages go on
/// with `before`, and searches with more words.
pub(crate) type PageNumber = Whole<1, 100>;
/// How many items a page has.
pub(crate) type Limit = Whole<1, 100>;

const DEFAULT_LIMIT: u32 = 20;

/// How many items a page has, and how many come before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) skip: u64,
    pub(crate) limit: u32,
}

impl Window {
    pub(crate) fn new(page: Option<PageNumber>, limit: Option<Limit>) -> Self {
        let limit = limit.map_or(DEFAULT_LIMIT, |limit| u32::try_from(limit.0).unwrap_or(DEFAULT_LIMIT));
        let before = page.map_or(0, |page| u64::try_from(page.0 - 1).unwrap_or_default());
        Self { skip: before * u64::from(limit), limit }
    }
}

/// A place in a conversation, as `before` tells it: a message's number, or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Seq(i64),
    Time(Timestamp),
}

/// No conversation has as many messages, and as milliseconds it is a day in 1973: a larger number is a time.
const MAX_SEQ: i64 = 100_000_000_000;

impl Field for Place {
    const REQUIRED: bool = true;

    fn read(value: Option<Value>) -> Result<Self, Problem> {
        let text = field::text(value)?;
        match text.parse::<i64>() {
            Ok(seq @ 0..=MAX_SEQ) => return Ok(Self::Seq(seq)),
            // What `Date.now()` and `getTime()` give.
            Ok(millis) if (MAX_SEQ..=MAX_TIME).contains(&millis) => {
                return Ok(Self::Time(Timestamp::from_millis(millis)));
            }
            _ => {}
        }
        let problem = || "must be a time (ISO 8601, or milliseconds) or a seq".into();
        Timestamp::parse(&text).map(Self::Time).ok_or_else(problem)
    }

    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// The end of the year 9999, in milliseconds.
const MAX_TIME: i64 = 253_402_300_799_999;

/// Words to search for. No name has control characters in it, and MongoDB takes no pattern with a NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) String);

/// The longest search, in bytes, and the most words of it.
const MAX_SEARCH: usize = 200;
const MAX_WORDS: usize = 10;

impl Field for Words {
    const REQUIRED: bool = true;

    fn read(value: Option<Value>) -> Result<Self, Problem> {
        match field::text(value)? {
            text if text.len() > MAX_SEARCH => Err("is too long".into()),
            text if text.split_whitespace().count() > MAX_WORDS => Err("has too many words".into()),
            text if text.contains(char::is_control) => Err("must not contain control characters".into()),
            text => Ok(Self(text)),
        }
    }

    fn schema() -> Value {
        json!({"type": "string", "maxLength": MAX_SEARCH})
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn tokens_are_read_whatever_the_case_of_the_scheme() {
        let bearer_of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(bearer_of("Bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(bearer_of("bearer a").as_deref(), Some("a"));
        for value in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer_of(value), None, "{value}");
        }
    }

    #[test]
    fn json_is_recognised_by_its_essence() {
        let check = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            check_json(&headers).is_ok()
        };
        assert!(check("application/json") && check("Application/JSON; charset=utf-8"));
        assert!(!check("text/plain") && !check("application/jsonp") && !check(""));
        assert!(check_json(&HeaderMap::new()).is_err());
    }

    fn place(text: &str) -> Result<Place, Problem> {
        Place::read(Some(text.into()))
    }

    #[test]
    fn windows_follow_each_other() {
        assert_eq!(Window::new(None, None), Window { skip: 0, limit: 20 });
        assert_eq!(Window::new(Some(Whole(3)), Some(Whole(10))), Window { skip: 20, limit: 10 });
    }

    #[test]
    fn a_place_is_a_number_or_a_time() {
        let time = Timestamp::from_millis(1_795_407_990_123);
        assert_eq!(place("7"), Ok(Place::Seq(7)));
        assert_eq!(place("2026-11-23T04:26:30.123Z"), Ok(Place::Time(time)));
        assert_eq!(place("1795407990123"), Ok(Place::Time(time)));
        for text in ["x", "-1", "", "9223372036854775807", "1e9"] {
            assert!(place(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_search_has_no_control_characters() {
        assert!(Words::read(Some("a b".into())).is_ok());
        let long = "x".repeat(MAX_SEARCH + 1);
        for text in ["\0", "a\nb", "\u{7f}", &long, &"x ".repeat(MAX_WORDS + 1)] {
            assert!(Words::read(Some(text.into())).is_err(), "{text}");
        }
    }
}
