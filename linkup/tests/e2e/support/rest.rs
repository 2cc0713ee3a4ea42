//! A client of the REST API.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::contract;

/// Makes requests to one address, as one user or as nobody. Clones share their connections. Every answer of the api
/// must be as the api's document says, or else the test fails.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Null where the body is no JSON.
    pub(crate) body: Value,
    /// The body as it came.
    pub(crate) bytes: Bytes,
}

impl Rest {
    /// A client of the server at `base` (`http://host:port`), as nobody.
    pub(crate) fn new(base: &str) -> Self {
        // A server closes what is idle for ten seconds; a request at that very moment would fail.
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(5))
            .build(HttpConnector::new());
        Self { client, base: base.to_owned(), token: None }
    }

    /// The same client as the user whose token it is.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    /// `POST path` with this JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `PUT path` with this JSON.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// `DELETE path`, with this JSON or without a body.
    pub(crate) async fn delete(&self, path: &str, body: Option<&Value>) -> Reply {
        self.call(Method::DELETE, path, body).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = body.map(ToString::to_string);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        self.send(request.body(Full::from(body.unwrap_or_default())).unwrap()).await
    }

    /// Makes any request; its address must be whole.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let what = format!("{method} {}", request.uri());
        let response = self.client.request(request).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap_or_else(|error| panic!("{what}: {error:?}")).to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        let reply = Reply { status: parts.status, headers: parts.headers, body, bytes };
        contract::hold(&method, &path, &reply);
        reply
    }
}

impl Reply {
    /// The body of a success. Fails the test with what the server said otherwise.
    pub(crate) fn ok(self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.body);
        self.body
    }
}
