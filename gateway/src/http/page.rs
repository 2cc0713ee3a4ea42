//! The page at `/`, embedded in the binary.

use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use crate::transport::{Body, body};

/// A file of the page.
#[derive(Debug)]
pub(crate) struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Everything comes from here and talks to here; pictures may come from anywhere over HTTPS.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' https: data:; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

macro_rules! asset {
    ($path:literal, $type:expr, $file:literal) => {
        Asset { path: $path, content_type: $type, content: include_str!(concat!("../../page/", $file)) }
    };
}

static ASSETS: &[Asset] = &[
    asset!("/", HTML, "index.html"),
    asset!("/style.css", CSS, "style.css"),
    asset!("/live.css", CSS, "live.css"),
    asset!("/app.js", JS, "app.js"),
    asset!("/bubble.js", JS, "bubble.js"),
    asset!("/chat.js", JS, "chat.js"),
    asset!("/composer.js", JS, "composer.js"),
    asset!("/dom.js", JS, "dom.js"),
    asset!("/history.js", JS, "history.js"),
    asset!("/outbox.js", JS, "outbox.js"),
    asset!("/people.js", JS, "people.js"),
    asset!("/presence.js", JS, "presence.js"),
    asset!("/reads.js", JS, "reads.js"),
    asset!("/rest.js", JS, "rest.js"),
    asset!("/sidebar.js", JS, "sidebar.js"),
    asset!("/socket.js", JS, "socket.js"),
    asset!("/status.js", JS, "status.js"),
    asset!("/sync.js", JS, "sync.js"),
    asset!("/text.js", JS, "text.js"),
    asset!("/thread.js", JS, "thread.js"),
    asset!("/timeline.js", JS, "timeline.js"),
    asset!("/typing.js", JS, "typing.js"),
    asset!("/unread.js", JS, "unread.js"),
];

/// The file at a path.
pub(crate) fn asset(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

impl Asset {
    /// Answers with the file, or with 304 if the browser has it.
    pub(crate) fn answer(&self, request: &HeaderMap) -> Response<Body> {
        let etag = self.etag();
        let fresh = request.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
        let mut response = Response::new(body(if fresh { "" } else { self.content }));
        if fresh {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let fixed: [(HeaderName, HeaderValue); 5] = [
            (CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            // Ask each time: after an upgrade the files must fit each other.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        let headers = response.headers_mut();
        headers.extend(fixed.map(|(name, value)| (Some(name), value)));
        if let Ok(etag) = HeaderValue::try_from(etag) {
            headers.insert(ETAG, etag);
        }
        response
    }

    /// A name for this content: FNV-1a, which need not withstand an attacker here.
    fn etag(&self) -> String {
        let hash = self.content.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("\"{hash:x}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_names_is_served() {
        let names = |text: &'static str, before: &str| -> Vec<&'static str> {
            let parts = text.split(before).skip(1);
            parts.filter_map(|rest| rest.split(['"', '\'']).next()).collect()
        };
        for asset in ASSETS {
            let mut named = names(asset.content, "from \"./");
            named.extend(names(asset.content, "src=\"/"));
            named.extend(names(asset.content, "href=\"/"));
            for name in named {
                assert!(super::asset(&format!("/{name}")).is_some(), "{} names {name}", asset.path);
            }
        }
        let page = asset("/").unwrap().content;
        assert!(page.contains("/app.js") && page.contains("/style.css"));
    }

    #[test]
    fn a_known_file_is_not_sent_again() {
        let asset = asset("/").unwrap();
        let first = asset.answer(&HeaderMap::new());
        let known = [(IF_NONE_MATCH, first.headers()[ETAG].clone())].into_iter().collect();
        assert_eq!(asset.answer(&known).status(), StatusCode::NOT_MODIFIED);
    }
}
