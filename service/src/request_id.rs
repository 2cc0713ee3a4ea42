//! By what a request is found again in the logs of everything that it passes.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The header that holds it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest that is taken over, in bytes: room for any usual form of one.
const MAX: usize = 128;

/// The identifier that these headers hold, if it is one that a log or a shell would not stumble over.
#[must_use]
pub fn given(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(REQUEST_ID).filter(|id| is_well_formed(id.as_bytes()))
}

fn is_well_formed(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
    (1..=MAX).contains(&id.len()) && id.iter().all(plain)
}

/// An identifier's own digits as the header's value.
#[must_use]
pub fn minted(id: impl std::fmt::Display) -> HeaderValue {
    // Hexadecimal digits always are a header's value.
    HeaderValue::try_from(id.to_string()).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_taken_over_unless_it_is_odd() {
        let with = |id: &'static str| {
            let headers = [(REQUEST_ID, HeaderValue::from_static(id))].into_iter().collect();
            given(&headers).cloned()
        };
        assert_eq!(with("abc-1.2_3").unwrap(), "abc-1.2_3");
        for odd in ["", "a b", "a;b", "{}", "x\"y"] {
            assert_eq!(with(odd), None, "{odd}");
        }
    }
}
