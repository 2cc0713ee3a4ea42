//! Cross-origin requests from the configured frontends, and from no others.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Request, Response, StatusCode};

use crate::transport::{Body, body};

/// The origins that browsers may call from. The page that the gateway itself serves needs no permission.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<HeaderValue>,
}

impl Cors {
    pub(crate) fn new(origins: Vec<HeaderValue>) -> Self {
        Self { origins }
    }

    /// The request's origin, if it is one of the configured.
    pub(crate) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        headers.get(ORIGIN).filter(|origin| self.origins.contains(origin)).cloned()
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
            let methods = HeaderValue::from_static("GET, POST, PUT, DELETE, HEAD");
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            let allowed = HeaderValue::from_static("authorization, content-type");
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
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
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors() -> Cors {
        Cors::new(vec![HeaderValue::from_static("http://localhost:3000")])
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
    }

    #[test]
    fn others_are_not_and_nothing_but_a_preflight_is_answered() {
        assert!(!preflight("http://evil.example").headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(cors().preflight(&Request::builder().method(Method::OPTIONS).body(()).unwrap()).is_none());
        assert!(cors().preflight(&Request::builder().body(()).unwrap()).is_none());
    }
}
