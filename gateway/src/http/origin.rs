//! Which pages may call: those of this host, and those of the configured origins.

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};

use crate::config::ANY_ORIGIN;

/// The host that a browser asked for, as the proxy before us saw it.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How near to us the page is that a browser sends a request for. Pages cannot set it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The configured origins ([`CLIENT_URL`](crate::config::CLIENT_URL)).
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    listed: Vec<HeaderValue>,
}

impl Origins {
    pub(crate) fn new(listed: Vec<HeaderValue>) -> Self {
        Self { listed }
    }

    /// Whether pages of every origin may call.
    fn any(&self) -> bool {
        self.listed.contains(&ANY_ORIGIN)
    }

    /// To whom a browser may show the answer to this request: its origin, if that is one of the configured, or
    /// [`ANY_ORIGIN`].
    pub(super) fn permitted(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        if self.any() { Some(ANY_ORIGIN) } else { Some(origin).filter(|_| self.lists(origin)).cloned() }
    }

    /// Whether a request may come from the page that it comes from. What names no origin comes from no page, from one
    /// of this host, or is of the kind that browsers send for any page without naming it, such as one for an image; of
    /// those they say how near the page is. `by_proxy` says that whoever sent it is believed about the host that it was
    /// sent to.
    pub(crate) fn admit(&self, headers: &HeaderMap, by_proxy: bool) -> bool {
        let is_good =
            |origin: &HeaderValue| self.any() || self.lists(origin) || is_own(origin, headers, by_proxy);
        if headers.contains_key(ORIGIN) {
            return headers.get_all(ORIGIN).iter().all(is_good);
        }
        let is_foreign = |site: &HeaderValue| site == "cross-site" || site == "same-site";
        self.any() || !headers.get_all(FETCH_SITE).iter().any(is_foreign)
    }

    fn lists(&self, origin: &HeaderValue) -> bool {
        self.listed.contains(origin)
    }
}

/// Whether a page of this origin came from the host that the request is for. The scheme is not compared: TLS may end
/// at a proxy.
fn is_own(origin: &HeaderValue, headers: &HeaderMap, by_proxy: bool) -> bool {
    let Some((scheme, from)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let own_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return false,
    };
    let bare = |host: &str| host.strip_suffix(own_port).unwrap_or(host).to_ascii_lowercase();
    let forwarded = headers.get_all(FORWARDED_HOST).iter().filter(|_| by_proxy);
    let hosts = headers.get(HOST).into_iter().chain(forwarded).filter_map(|host| host.to_str().ok());
    let from = bare(from);
    hosts.flat_map(|hosts| hosts.split(',')).any(|host| !host.is_empty() && bare(host.trim()) == from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn pages_of_this_host_and_of_the_configured_origins_are_admitted() {
        let origins = Origins::new(vec![HeaderValue::from_static("http://localhost:3000")]);
        for (origin, host, good) in [
            ("http://localhost:3000", "chat.example.org", true),
            ("https://chat.example.org", "chat.example.org", true),
            ("https://chat.example.org", "Chat.Example.org:443", true),
            ("http://127.0.0.1:5000", "127.0.0.1:5000", true),
            ("http://[::1]:5000", "[::1]:5000", true),
            ("https://chat.example.org:8443", "chat.example.org", false),
            ("http://127.0.0.1:5001", "127.0.0.1:5000", false),
            ("https://evil.example", "chat.example.org", false),
            ("https://evil.chat.example.org", "chat.example.org", false),
            ("https://localhost:3000", "chat.example.org", false),
            ("null", "chat.example.org", false),
            ("file://", "", false),
            ("http://", "", false),
        ] {
            let headers = headers(&[("origin", origin), ("host", host)]);
            assert_eq!(origins.admit(&headers, false), good, "{origin} at {host}");
        }
        assert!(origins.admit(&headers(&[("host", "chat.example.org")]), false), "no browser");
        let two = [("origin", "http://localhost:3000"), ("origin", "https://evil.example")];
        assert!(!origins.admit(&headers(&two), false));
    }

    #[test]
    fn a_foreign_page_cannot_call_by_what_names_no_origin() {
        let listed = Origins::new(vec![HeaderValue::from_static("http://localhost:3000")]);
        let any = Origins::new(vec![ANY_ORIGIN]);
        for (site, good) in
            [("cross-site", false), ("same-site", false), ("same-origin", true), ("none", true)]
        {
            let image = headers(&[("host", "chat.example.org"), ("sec-fetch-site", site)]);
            assert_eq!(listed.admit(&image, false), good, "{site}");
            assert!(any.admit(&image, false));
            let script = headers(&[("origin", "http://localhost:3000"), ("sec-fetch-site", site)]);
            assert!(listed.admit(&script, false), "{site}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_which_host_was_asked_for() {
        let origins = Origins::new(Vec::new());
        let headers = headers(&[
            ("origin", "https://chat.example.org"),
            ("host", "10.0.0.7:5000"),
            ("x-forwarded-host", "chat.example.org"),
        ]);
        assert!(origins.admit(&headers, true) && !origins.admit(&headers, false));
    }

    #[test]
    fn with_an_asterisk_every_page_is_admitted_and_answered_without_credentials() {
        let origins = Origins::new(vec![ANY_ORIGIN]);
        for origin in ["https://evil.example", "null"] {
            let headers = headers(&[("origin", origin), ("host", "chat.example.org")]);
            assert!(origins.admit(&headers, false));
            assert_eq!(origins.permitted(&headers), Some(ANY_ORIGIN));
        }
        assert_eq!(origins.permitted(&HeaderMap::new()), None);
    }
}
