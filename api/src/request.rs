//! Bodies, queries and tokens of requests, checked.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use protocol::body::Invalid;
use protocol::{ErrorCode, Timestamp};
use store::message::Page;

use crate::answer::Failure;

/// The largest body of a REST request: the longest message, every character of it escaped, and room to spare.
pub(crate) const MAX_BODY: usize = 64 << 10;

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

/// Reads a body of at most `limit` bytes that arrives within `timeout`.
pub(crate) async fn body(body: Incoming, limit: usize, timeout: Duration) -> Result<Bytes, Failure> {
    let too_large = || Failure::new(ErrorCode::TooLarge, "The body is too large");
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Invalid::new("body", "was cut short").into()),
        Err(_) => Err(Failure::new(ErrorCode::RequestTimeout, "The body did not arrive in time")),
    }
}

/// The parameters of a query string. Unknown ones are ignored, of repeated ones the first counts.
pub(crate) struct Query<'a>(Vec<(std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>);

/// Pages are found by skipping what comes before, which MongoDB reads to do so: further back, lists of messages go on
/// with `before`, and searches with more words.
const PAGES: RangeInclusive<u32> = 1..=100;
const LIMITS: RangeInclusive<u32> = 1..=100;
const DEFAULT_LIMIT: u32 = 20;
/// The longest search, in bytes.
const MAX_SEARCH: usize = 200;

impl<'a> Query<'a> {
    pub(crate) fn parse(query: Option<&'a str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// How many items a page has.
    pub(crate) fn limit(&self) -> Result<u32, Invalid> {
        let problem = Invalid::new("limit", "must be a whole number from 1 to 100");
        self.number("limit", LIMITS, problem).map(|limit| limit.unwrap_or(DEFAULT_LIMIT))
    }

    /// How many items come before the page.
    pub(crate) fn skip(&self, limit: u32) -> Result<u64, Invalid> {
        let problem = Invalid::new("page", "must be a whole number from 1 to 100");
        let page = self.number("page", PAGES, problem)?.unwrap_or(1);
        Ok(u64::from(page - 1) * u64::from(limit))
    }

    /// What to search for; empty where nothing is.
    pub(crate) fn search(&self) -> Result<&str, Invalid> {
        match self.text("search").unwrap_or_default() {
            text if text.len() > MAX_SEARCH => Err(Invalid::new("search", "is too long")),
            // No name has any, and MongoDB takes no pattern with a NUL in it.
            text if text.contains(char::is_control) => {
                Err(Invalid::new("search", "must not contain control characters"))
            }
            text => Ok(text),
        }
    }

    /// Which messages are asked for.
    pub(crate) fn messages(&self, limit: u32) -> Result<Page, Invalid> {
        match (self.text("before"), self.text("after")) {
            (Some(_), Some(_)) => Err(Invalid::new("before", "cannot be combined with after")),
            (Some(before), None) => before_page(before),
            (None, Some(after)) => after
                .parse()
                .ok()
                .filter(|seq| *seq >= 0)
                .map(Page::AfterSeq)
                .ok_or(Invalid::new("after", "must be a seq, 0 or more")),
            (None, None) => Ok(Page::Newest { skip: self.skip(limit)? }),
        }
    }

    fn number(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
        problem: Invalid,
    ) -> Result<Option<u32>, Invalid> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().ok().filter(|number| range.contains(number)).map(Some).ok_or(problem)
    }
}

/// No conversation has as many messages, and as milliseconds it is a day in 1973: a larger number is a time.
const MAX_SEQ: i64 = 100_000_000_000;

fn before_page(text: &str) -> Result<Page, Invalid> {
    match text.parse::<i64>() {
        Ok(seq @ 0..=MAX_SEQ) => return Ok(Page::BeforeSeq(seq)),
        // What `Date.now()` and `getTime()` give.
        Ok(millis) if millis > MAX_SEQ => return Ok(Page::BeforeTime(Timestamp::from_millis(millis))),
        _ => {}
    }
    let problem = Invalid::new("before", "must be a time (ISO 8601, or milliseconds) or a seq");
    Timestamp::parse(text).map(Page::BeforeTime).ok_or(problem)
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

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        let query = Query::parse(Some("limit=101&page=0"));
        assert_eq!(query.limit().unwrap_err().field, "limit");
        assert_eq!(query.skip(20).unwrap_err().field, "page");
        assert_eq!(Query::parse(Some("page=3&limit=10")).skip(10), Ok(20));
        assert_eq!(Query::parse(Some("page=100")).skip(20), Ok(1980));
        assert_eq!(Query::parse(Some("page=101")).skip(20).unwrap_err().field, "page");
        assert_eq!(Query::parse(None).limit(), Ok(20));
        assert!(Query::parse(Some("limit[$gt]=1&limit=-1")).limit().is_err());
    }

    #[test]
    fn a_search_has_no_control_characters() {
        assert_eq!(Query::parse(Some("search=a+b")).search(), Ok("a b"));
        for text in ["search=%00", "search=a%0Ab", "search=%7F"] {
            assert_eq!(Query::parse(Some(text)).search().unwrap_err().field, "search", "{text}");
        }
    }

    #[test]
    fn pages_of_messages() {
        let page = |text| Query::parse(Some(text)).messages(20);
        assert_eq!(page(""), Ok(Page::Newest { skip: 0 }));
        assert_eq!(page("before=7"), Ok(Page::BeforeSeq(7)));
        assert_eq!(page("after=0"), Ok(Page::AfterSeq(0)));
        let time = Timestamp::from_millis(1_795_407_990_123);
        assert_eq!(page("before=2026-11-23T04:26:30.123Z"), Ok(Page::BeforeTime(time)));
        assert_eq!(page("before=1795407990123"), Ok(Page::BeforeTime(time)));
        for (text, field) in [
            ("before=x", "before"),
            ("before=-1", "before"),
            ("after=-1", "after"),
            ("after=", "after"),
            ("before=1&after=1", "before"),
        ] {
            assert_eq!(page(text).unwrap_err().field, field, "{text}");
        }
    }
}
