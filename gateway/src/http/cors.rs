//! Cross-origin requests from the configured frontends, and from no others.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, VARY,
};
use hyper::{Method, Request, Response, StatusCode};

use super::Origins;
use crate::config::ANY_ORIGIN;
use crate::transport::{Body, body};

/// What the api's routes are called with.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, HEAD");
/// What a browser sends only with permission: the token, what a body is, a part of a file, and a name for the request.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-disposition, content-type, range, x-filename, x-request-id",
);
/// What a browser hides from the page without permission.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "retry-after, x-request-id, location, content-range, accept-ranges, content-disposition",
);
/// How long a browser need not ask again, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origins that browsers may call from. The page that the gateway itself serves needs no permission.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Origins,
}

impl Cors {
    pub(crate) fn new(origins: Origins) -> Self {
        Self { origins }
    }

    /// To which origin a browser may show the answer.
    pub(crate) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.origins.permitted(headers)
    }

    /// The answer to a preflight; `None` for every other request. A foreign origin gets an answer without
    /// permission, which the browser turns into an error on its side.
    pub(crate) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let is_preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        let mut response = Response::new(body(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let origin = self.allowed(request.headers());
        if origin.is_some() {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        self.mark(&mut response, origin);
        Some(response)
    }

    /// Permits the browser to hand the answer to `origin`.
    pub(crate) fn mark(&self, response: &mut Response<Body>, origin: Option<HeaderValue>) {
        let headers = response.headers_mut();
        // Also without an origin: a cache must not give this answer to a page of another origin.
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            if origin != ANY_ORIGIN {
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::ORIGIN;

    use super::*;

    fn cors() -> Cors {
        Cors::new(Origins::new(vec![HeaderValue::from_static("http://localhost:3000")]))
    }

    fn preflight(origin: &str) -> Response<Body> {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .header(ORIGIN, origin)
            .header(ACCESS_CONTROL_REQUEST_METHOD, "PUT")
            .body(())
            .unwrap();
        cors().preflight(&request).unwrap()
    }

    #[test]
    fn the_frontend_is_allowed_with_credentials() {
        let response = preflight("http://localhost:3000");
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET, POST, PUT, DELETE, HEAD");
        let allowed = response.headers()[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
        assert!(
            ["authorization", "content-type", "range", "x-request-id"]
                .iter()
                .all(|name| allowed.contains(name))
        );
    }

    #[test]
    fn answers_are_kept_apart_by_origin_and_show_their_headers_to_the_allowed_one_only() {
        for (origin, allowed) in [("http://localhost:3000", true), ("http://evil.example", false)] {
            let headers = [(ORIGIN, HeaderValue::from_static(origin))].into_iter().collect();
            let mut response = Response::new(body(""));
            // The api may vary its answer by something else too.
            response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
            cors().mark(&mut response, cors().allowed(&headers));
            let vary: Vec<_> = response.headers().get_all(VARY).iter().collect();
            assert_eq!(vary, ["Accept", "Origin"]);
            let exposed = response.headers().get(ACCESS_CONTROL_EXPOSE_HEADERS);
            let exposed = exposed.map(|names| names.to_str().unwrap().split(", ").collect::<Vec<_>>());
            let expected = [
                "retry-after",
                "x-request-id",
                "location",
                "content-range",
                "accept-ranges",
                "content-disposition",
            ];
            assert_eq!(exposed, allowed.then(|| expected.to_vec()));
            assert_eq!(response.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS), allowed);
        }
    }

    #[test]
    fn others_are_not_and_nothing_but_a_preflight_is_answered() {
        assert!(!preflight("http://evil.example").headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(cors().preflight(&Request::builder().method(Method::OPTIONS).body(()).unwrap()).is_none());
        assert!(cors().preflight(&Request::builder().body(()).unwrap()).is_none());
    }
}
