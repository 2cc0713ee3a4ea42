//! The REST API, as far as a run needs it.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use protocol::Id;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::Error;

/// Between the parts of an upload's form.
const BOUNDARY: &str = "linkup-loadtest-boundary";
/// The smallest picture there is, a GIF of one pixel: what follows it is filled up to the length asked for.
const PICTURE: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x01D\0;";

/// A client of the REST API.
#[derive(Clone, Debug)]
pub struct Rest {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

/// A message, as far as it is of interest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Stored {
    /// The identifier.
    #[serde(rename = "_id")]
    pub id: String,
    /// Its number, where it has one.
    #[serde(default)]
    pub seq: Option<i64>,
    /// Its text.
    #[serde(default)]
    pub content: String,
}

/// Whatever has an identifier, under one of its two names or both.
#[derive(Debug, Deserialize)]
struct Identified {
    #[serde(rename = "_id", default)]
    stored: Option<Id>,
    #[serde(default)]
    id: Option<Id>,
}

impl Identified {
    fn get(&self, call: &str) -> Result<Id, Error> {
        let problem = || Error::Rest { call: call.to_owned(), problem: "an answer without an id".to_owned() };
        self.stored.or(self.id).ok_or_else(problem)
    }
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
    /// When the server cannot be reached or refuses. The same for all that follow.
    pub async fn register(&self, name: &str, email: &str, password: &str) -> Result<(Id, String), Error> {
        let body = json!({"name": name, "email": email, "password": password});
        let registered: Registered = self.post("/api/auth/register", None, &body).await?;
        Ok((registered.user.get("POST /api/auth/register")?, registered.token))
    }

    /// Makes a conversation of the owner of `token` and others, who are all in `participants`. A direct one that is
    /// there already is found.
    ///
    /// # Errors
    ///
    /// As above.
    pub async fn converse(&self, token: &str, participants: &[Id], name: Option<&str>) -> Result<Id, Error> {
        let body = match name {
            Some(name) => json!({"participants": participants, "name": name}),
            None => json!({"participants": participants}),
        };
        let conversation: Identified = self.post("/api/conversations", Some(token), &body).await?;
        conversation.get("POST /api/conversations")
    }

    /// Sends a message. Returns its number.
    ///
    /// # Errors
    ///
    /// As above.
    pub async fn send(&self, token: &str, conversation: Id, content: &str) -> Result<i64, Error> {
        let path = format!("/api/conversations/{conversation}/messages");
        let stored: Stored = self.post(&path, Some(token), &json!({"content": content})).await?;
        Ok(stored.seq.unwrap_or_default())
    }

    /// The identifier of a conversation's newest message.
    ///
    /// # Errors
    ///
    /// As above.
    pub async fn newest(&self, token: &str, conversation: Id) -> Result<Option<String>, Error> {
        let path = format!("/api/conversations/{conversation}/messages?limit=20");
        let page: Vec<Stored> = self.get(&path, token).await?;
        Ok(page.into_iter().max_by_key(|stored| stored.seq).map(|stored| stored.id))
    }

    /// The messages of a conversation behind number `after`, at most a hundred.
    ///
    /// # Errors
    ///
    /// As above.
    pub async fn messages_after(
        &self,
        token: &str,
        conversation: Id,
        after: i64,
    ) -> Result<Vec<Stored>, Error> {
        self.get(&format!("/api/conversations/{conversation}/messages?limit=100&after={after}"), token).await
    }

    /// The how-manieth hundred messages of a conversation, from 1, counted from the newest.
    ///
    /// # Errors
    ///
    /// As above.
    pub async fn messages_page(
        &self,
        token: &str,
        conversation: Id,
        page: usize,
    ) -> Result<Vec<Stored>, Error> {
        self.get(&format!("/api/conversations/{conversation}/messages?limit=100&page={page}"), token).await
    }

    /// The conversations of the owner of `token`.
    ///
    /// # Errors
    ///
    /// As above.
    pub async fn conversations(&self, token: &str) -> Result<(), Error> {
        self.get::<IgnoredAny>("/api/conversations", token).await.map(drop)
    }

    /// Uploads a picture of so many bytes.
    ///
    /// # Errors
    ///
    /// As above.
    pub async fn upload(&self, token: &str, bytes: usize) -> Result<(), Error> {
        let mut body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"load.gif\"\r\n\
             Content-Type: image/gif\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(PICTURE);
        body.extend(std::iter::repeat_n(0, bytes.saturating_sub(PICTURE.len())));
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.call::<IgnoredAny>(Method::POST, "/api/uploads", Some(token), Some((&kind, body)))
            .await
            .map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T, Error> {
        self.call(Method::GET, path, Some(token), None).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::Rest { call: format!("POST {path}"), problem: error.to_string() })?;
        self.call(Method::POST, path, token, Some(("application/json", body))).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<T, Error> {
        let call = format!("{method} {path}");
        let error = |problem: String| Error::Rest { call: call.clone(), problem };
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some((kind, body)) => {
                request = request.header(CONTENT_TYPE, kind);
                Bytes::from(body)
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body)).map_err(|e| error(e.to_string()))?;
        let response = self.client.request(request).await.map_err(|e| error(chain(&e)))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|e| error(e.to_string()))?.to_bytes();
        if !status.is_success() {
            let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
            return Err(error(format!("{status}: {text}")));
        }
        serde_json::from_slice(&body).map_err(|e| error(format!("unreadable answer: {e}")))
    }
}

/// An error with its causes: hyper's own text for a refused connection is only "client error (Connect)".
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
