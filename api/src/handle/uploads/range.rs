//! Which part of a file is asked for, and whether the caller has it already (RFC 9110).

use std::ops::Range;

use hyper::HeaderMap;
use hyper::header::{IF_NONE_MATCH, IF_RANGE, RANGE};

/// What is to be sent of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// None of it, for what was asked for is not in it.
    Nothing,
}

/// What of a file of `size` bytes with this entity tag is asked for. Of several parts, and of anything that cannot be
/// read, the whole file is the answer, as it is where the caller has a part of another file.
pub(super) fn wanted(headers: &HeaderMap, size: u64, etag: &str) -> Wanted {
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Wanted::All };
    // Tags are compared as a whole, and a time is none that we have given out.
    if headers.get(IF_RANGE).is_some_and(|condition| condition != etag) {
        return Wanted::All;
    }
    range.to_str().ok().and_then(|range| parse(range, size)).unwrap_or(Wanted::All)
}

/// Reads a range; `None` if it is none, or more than one.
fn parse(range: &str, size: u64) -> Option<Wanted> {
    let (unit, range) = range.split_once('=')?;
    let (from, to) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let range = match (from, to) {
        ("", "") => return None,
        ("", last) => size.saturating_sub(number(last)?)..size,
        (from, "") => number(from)?..size,
        (from, to) => {
            let (from, to) = (number(from)?, number(to)?);
            if to < from {
                return None;
            }
            from..size.min(to.saturating_add(1))
        }
    };
    Some(if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) })
}

/// A number of any length: one that is too large for us is beyond every file.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Whether the caller has the file with this entity tag.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    // No tag of ours has a comma in it, so others may be cut to pieces.
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    const ETAG: &str = "\"a\"";

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn one_range_is_answered_with_what_there_is_of_it() {
        let of = |range: &'static str| wanted(&headers(&[(RANGE, range)]), 100, ETAG);
        for (range, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=0-99", 0, 100),
            ("bytes=10-19", 10, 20),
            ("bytes=90-1000", 90, 100),
            ("bytes=99-", 99, 100),
            ("bytes=0-", 0, 100),
            ("bytes=-1", 99, 100),
            ("bytes=-1000", 0, 100),
            ("Bytes = 1-2", 1, 3),
            ("bytes=5-99999999999999999999999", 5, 100),
        ] {
            assert_eq!(of(range), Wanted::Part(from..to), "{range}");
        }
        for range in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(of(range), Wanted::Nothing, "{range}");
        }
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "bytes=0-1, -1",
            "bytes=+1-2",
            "bytes=--1",
            "bytes=1-2-3",
            "lines=0-1",
            "0-1",
        ] {
            assert_eq!(of(range), Wanted::All, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), 100, ETAG), Wanted::All);
        let mut two = headers(&[(RANGE, "bytes=0-1")]);
        two.append(RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(wanted(&two, 100, ETAG), Wanted::All);
    }

    #[test]
    fn a_part_of_another_file_is_not_sent() {
        let of = |condition| wanted(&headers(&[(RANGE, "bytes=0-1"), (IF_RANGE, condition)]), 100, ETAG);
        assert_eq!(of(ETAG), Wanted::Part(0..2));
        for condition in ["\"b\"", "W/\"a\"", "Tue, 24 Nov 2026 00:00:00 GMT", "*"] {
            assert_eq!(of(condition), Wanted::All, "{condition}");
        }
    }

    #[test]
    fn what_the_caller_has_is_found_in_lists() {
        let known = |list| is_known(&headers(&[(IF_NONE_MATCH, list)]), ETAG);
        assert!(known("\"a\"") && known("W/\"a\"") && known("*") && known("\"x,y\", \"b\" , \"a\""));
        assert!(!known("\"b\"") && !known("a") && !known("") && !is_known(&HeaderMap::new(), ETAG));
    }
}
