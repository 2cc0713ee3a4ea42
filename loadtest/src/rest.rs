//! The few REST calls that it takes to register people and make their conversations.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use protocol::Id;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Error;

/// A client of the REST API.
#[derive(Clone, Debug)]
pub struct Rest {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

/// Whatever has an identifier.
#[derive(Debug, Deserialize)]
struct Identified {
    id: Id,
}

#[derive(Debug, Deserialize)]
struct Registered {
    user: Identified,
    token: String,
}

impl Rest {
    /// Speaks to the server at `base` (`http://host:port`).
    #[must_use]
    pub fn new(base: String) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), base }
    }

    /// Registers a user. Returns identifier and token.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses.
    pub async fn register(&self, name: &str, email: &str, password: &str) -> Result<(Id, String), Error> {
        let body = json!({"name": name, "email": email, "password": password});
        let registered: Registered = self.post("/api/auth/register", None, &body).await?;
        Ok((registered.user.id, registered.token))
    }

    /// Makes the direct conversation between the owner of `token` and `other`, or finds it.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses.
    pub async fn converse(&self, token: &str, me: Id, other: Id) -> Result<Id, Error> {
        let body = json!({"participants": [me, other]});
        let conversation: Identified = self.post("/api/conversations", Some(token), &body).await?;
        Ok(conversation.id)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let error = |problem: String| Error::Rest { call: format!("POST {path}"), problem };
        let body = serde_json::to_vec(body).map_err(|e| error(e.to_string()))?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body.into())).map_err(|e| error(e.to_string()))?;
        let response = self.client.request(request).await.map_err(|e| error(chain(&e)))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|e| error(e.to_string()))?.to_bytes();
        if !status.is_success() {
            let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
            return Err(error(format!("{status}: {text}")));
        }
        protocol::json::read(&body).map_err(|e| error(format!("unreadable answer: {e}")))
    }
}

/// An error with its causes: hyper's own text for a refused connection is only "client error (Connect)".
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
