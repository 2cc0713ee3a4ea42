//! Whatever comes over the wire is answered, or cut off, in time; nothing of it is taken for what it is not, nothing is
//! written that was refused, and the node goes on.
//!
//! | module | shows |
//! |---|---|
//! | [`operators`] | no text and no object becomes an operator, in any field or parameter |
//! | [`json`] | bodies that are no JSON, or only just |
//! | [`methods`] | methods, paths and media types that nobody expects |
//! | [`wire`] | requests that break off, drag on, or can be read in two ways |
//! | [`edge`] | the same through a gateway, and what it must keep from the api |
//! | [`document`] | the operations as the api's document tells them, with bodies in which everything is right |
//! | [`raw`] | connections on which anything can be said |

pub(super) mod document;
mod edge;
mod json;
mod methods;
mod operators;
mod raw;
mod wire;

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};

use super::access::world::{World, digest};
use super::fixture::{Node, Person};
use crate::support::rest::Reply;
use crate::support::{SOON, eventually};

const JSON: &str = "application/json";

/// A request with any body and media type, as somebody.
pub(super) async fn request(
    node: &Node,
    caller: &Person,
    method: &Method,
    path: &str,
    media_type: Option<&str>,
    body: impl Into<Bytes>,
) -> Reply {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", node.address))
        .header(AUTHORIZATION, format!("Bearer {}", caller.token));
    if let Some(media_type) = media_type {
        request = request.header(CONTENT_TYPE, media_type);
    }
    let request = request.body(Full::new(body.into()));
    node.rest.send(request.unwrap_or_else(|error| panic!("{method} {path}: {error}"))).await
}

/// A world at which hostile requests are made, and what it was like before.
struct Besieged<'a> {
    node: &'a Node,
    world: World,
    before: BTreeMap<String, String>,
}

impl<'a> Besieged<'a> {
    async fn on(node: &'a Node) -> Self {
        let world = World::make(node).await;
        Self { node, world, before: digest(&node.store).await }
    }

    /// Fails unless everything is as it was, and the node answers.
    async fn stands(&self, after: &str) {
        // What was begun and broke off may still be on its way out.
        eventually(&format!("everything is as before, after {after}"), SOON, async || {
            (digest(&self.node.store).await == self.before).then_some(())
        })
        .await;
        let messages = self.world.ada.messages(self.world.group, "").await;
        assert_eq!(messages.len(), 2, "after {after}");
    }
}

/// Fails unless a request was refused because of this field, or of something within it.
fn assert_names(reply: &Reply, field: &str, what: &str) {
    let message = reply.body["message"].as_str().unwrap_or_default();
    let named = message.strip_prefix(field).is_some_and(|rest| rest.starts_with([':', '.', '[']));
    assert!(
        reply.status == 400 && named && message.contains(": "),
        "{what}: {} {}",
        reply.status,
        reply.body
    );
}
