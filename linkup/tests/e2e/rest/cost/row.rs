//! A request, and what it may cost.

use std::ops::RangeInclusive;

use api::endpoint::{Access, ENDPOINTS, Endpoint, Verb};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use protocol::probe::Name;
use serde_json::{Value, json};

use crate::rest::fixture::{Node, Person};
use crate::support::rest::Reply;

/// A request, and what it may cost.
pub(super) struct Row {
    pub(super) endpoint: &'static Endpoint,
    /// What is special about this one, if there are several.
    pub(super) case: String,
    /// How many commands it takes.
    pub(super) commands: RangeInclusive<usize>,
    /// Why it may put documents in order after reading them; empty where it may not.
    pub(super) may_sort: &'static str,
    /// Why it may read an index from its beginning; empty where it may not.
    pub(super) may_walk: &'static str,
    token: String,
    path: String,
    body: Body,
}

enum Body {
    Json(Value),
    File(Vec<u8>),
}

impl Row {
    /// The request of somebody to an endpoint, by its name. It takes exactly `commands`.
    pub(super) fn new(
        name: &str,
        case: impl Into<String>,
        who: &Person,
        path: impl Into<String>,
        commands: usize,
    ) -> Self {
        let endpoint = ENDPOINTS.iter().find(|endpoint| endpoint.name() == name).unwrap();
        let path = path.into();
        assert!(fits(endpoint.path, path.split('?').next().unwrap()), "{path} is not {}", endpoint.path);
        Self {
            endpoint,
            case: case.into(),
            commands: commands..=commands,
            may_sort: "",
            may_walk: "",
            token: who.token.clone(),
            path,
            body: Body::Json(json!({})),
        }
    }

    /// With this body.
    pub(super) fn with(self, body: Value) -> Self {
        Self { body: Body::Json(body), ..self }
    }

    /// With this file.
    pub(super) fn with_file(self, bytes: Vec<u8>) -> Self {
        Self { body: Body::File(bytes), ..self }
    }

    /// Up to so many commands, where batches share them.
    pub(super) fn up_to(self, most: usize) -> Self {
        Self { commands: *self.commands.start()..=most, ..self }
    }

    /// It may put documents in order after reading them.
    pub(super) fn may_sort(self, reason: &'static str) -> Self {
        Self { may_sort: reason, ..self }
    }

    /// It may read an index from its beginning.
    pub(super) fn may_walk(self, reason: &'static str) -> Self {
        Self { may_walk: reason, ..self }
    }

    /// Makes the request; it must succeed.
    pub(super) async fn ask(&self, node: &Node) -> Reply {
        let rest = match self.endpoint.access {
            Access::Gateway => node.gateway(),
            Access::Probe => node.probe(&Name::default()),
            Access::User | Access::Anyone => node.rest.with_token(&self.token),
        };
        let reply = match (&self.body, self.endpoint.verb) {
            (Body::File(bytes), _) => rest.send(self.upload(node, bytes.clone())).await,
            (_, Verb::Get) => rest.get(&self.path).await,
            (Body::Json(body), Verb::Post) => rest.post(&self.path, body).await,
            (Body::Json(body), Verb::Put) => rest.put(&self.path, body).await,
            (Body::Json(body), Verb::Delete) => rest.delete(&self.path, Some(body)).await,
        };
        assert!(reply.status.is_success(), "{self}: {}: {}", reply.status, reply.body);
        reply
    }

    fn upload(&self, node: &Node, bytes: Vec<u8>) -> Request<Full<Bytes>> {
        let request = Request::post(format!("http://{}{}", node.address, self.path))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "image/png");
        request.body(Full::new(Bytes::from(bytes))).unwrap()
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{} {}`", self.endpoint.verb.as_str(), self.endpoint.path)?;
        if self.case.is_empty() { Ok(()) } else { write!(f, " {}", self.case) }
    }
}

/// Whether a path is one of those that a template stands for.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let fits = |(wanted, part): (&&str, &&str)| wanted.starts_with('{') || wanted == part;
    template.len() == path.len() && template.iter().zip(&path).all(fits)
}
