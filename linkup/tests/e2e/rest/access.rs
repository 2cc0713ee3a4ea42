//! Whoever has no business somewhere is refused, and nothing changes: every endpoint, and every kind of stranger.
//!
//! | module | holds |
//! |---|---|
//! | [`table`] | what each endpoint says to whom |
//! | [`strangers`] | tokens that are no good |
//! | [`world`] | people, and what they have |

mod strangers;
mod table;
pub(crate) mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::Config;
use api::endpoint::{Access, ENDPOINTS, Endpoint};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use protocol::code::text;
use protocol::probe::Name;

use self::strangers::{GATEWAY, PROBE, bad_tokens};
use self::table::{Body, Expect, Rightful, Row, rows};
use self::world::{World, digest};
use super::fixture::{Node, Person, config, tokens};
use crate::support::mongo_uri;
use crate::support::rest::Reply;

/// A node that writes nothing by itself while a test looks.
pub(crate) async fn quiet_node() -> Node {
    quiet_node_with(config()).await
}

/// The same with other settings.
pub(super) async fn quiet_node_with(config: Config) -> Node {
    let config = Config { view_interval: Duration::from_secs(60 * 60), ..config };
    Node::with(&mongo_uri().await, config).await
}

#[tokio::test]
async fn whoever_has_no_business_somewhere_is_refused_and_changes_nothing() {
    let rows = rows();
    let endpoints: BTreeMap<String, &Endpoint> =
        ENDPOINTS.iter().map(|endpoint| (endpoint.name(), endpoint)).collect();
    let tried: BTreeSet<&str> = rows.iter().map(|row| row.operation).collect();
    let declared: BTreeSet<&str> = endpoints.keys().map(String::as_str).collect();
    assert_eq!(tried, declared, "every endpoint needs a row in the table of this test, and no other has one");
    let node = quiet_node().await;
    let mut world = World::make(&node).await;
    for row in &rows {
        let before = digest(&node.store).await;
        let attempt = Attempt { node: &node, world: &world, row, endpoint: endpoints[row.operation] };
        attempt.bad_tokens().await;
        attempt.people().await;
        attempt.rightful().await;
        if digest(&node.store).await != before {
            world = World::make(&node).await;
        }
    }
}

/// One way to call one endpoint.
struct Attempt<'a> {
    node: &'a Node,
    world: &'a World,
    row: &'a Row,
    endpoint: &'a Endpoint,
}

impl Attempt<'_> {
    /// Without a good token nobody gets anywhere, whatever else is right or wrong about the request.
    async fn bad_tokens(&self) {
        let open = self.row.open.is_some();
        assert_eq!(
            open,
            self.endpoint.access == Access::Anyone,
            "{}: say why it is open",
            self.row.operation
        );
        if open {
            return;
        }
        for bad in bad_tokens(self.world) {
            if matches!((self.endpoint.access, bad.what), (Access::Gateway, GATEWAY) | (Access::Probe, PROBE))
            {
                continue;
            }
            let message = match (self.endpoint.access, bad.message) {
                // For a gateway's or a probe's endpoint no token of a user is good, be there such a user or not.
                (Access::Gateway | Access::Probe, text::USER_NOT_FOUND) => text::INVALID_TOKEN,
                (_, message) => message,
            };
            let expected = Expect::Refused(401, "unauthorized", message);
            let authorization = bad.authorization.as_deref();
            self.check(bad.what, &self.world.ada, authorization, &expected).await;
        }
    }

    /// People whose tokens are good, and who have no right to what is asked for.
    async fn people(&self) {
        let world = self.world;
        for (what, person, expected) in [
            ("a member", &world.bob, &self.row.member),
            ("an outsider", &world.eve, &self.row.outsider),
            ("a former member", &world.rex, &self.row.removed),
            ("somebody blocked", &world.max, &self.row.blocked),
        ] {
            let expected = expected.as_ref();
            let expected = expected.unwrap_or_else(|| panic!("{}: what of {what}?", self.row.operation));
            let authorization = format!("Bearer {}", person.token);
            self.check(what, person, Some(&authorization), expected).await;
        }
    }

    /// The same request by whoever may make it, so that it is not refused for another reason.
    async fn rightful(&self) {
        let caller = &self.world.ada;
        let bearer = |token: &str| Some(format!("Bearer {token}"));
        let authorization = match self.row.rightful {
            Rightful::Ada => bearer(&caller.token),
            Rightful::Gateway => bearer(&tokens().sign_internal().unwrap()),
            Rightful::Probe => bearer(&tokens().sign_probe(&Name::default()).unwrap()),
            Rightful::Anyone => None,
            Rightful::Nobody(told) => {
                return self.check("Ada", caller, bearer(&caller.token).as_deref(), &told).await;
            }
        };
        let reply = self.call(caller, authorization.as_deref()).await;
        assert!(reply.status.is_success(), "{}: {} {}", self.row.operation, reply.status, reply.body);
    }

    /// Makes the request for `caller`, with these words in the header, and looks at what comes of it.
    async fn check(&self, what: &str, caller: &Person, authorization: Option<&str>, expected: &Expect) {
        let (status, code, message) = match *expected {
            Expect::NotApplicable(why) => {
                return assert!(
                    !why.is_empty(),
                    "{}: say why there is nothing to refuse",
                    self.row.operation
                );
            }
            Expect::Blind => (200, "", ""),
            Expect::Refused(status, code, message) => (status, code, message),
        };
        let before = digest(&self.node.store).await;
        let reply = self.call(caller, authorization).await;
        let what = format!("{} as {what}: {} {}", self.row.operation, reply.status, reply.body);
        assert_eq!(reply.status.as_u16(), status, "{what}");
        if status >= 400 {
            assert_eq!(
                (&reply.body["code"], &reply.body["message"]),
                (&code.into(), &message.into()),
                "{what}"
            );
        }
        for secret in self.world.secrets() {
            assert!(!reply.body.to_string().contains(&secret), "{what} tells {secret}");
        }
        assert_eq!(digest(&self.node.store).await, before, "{what} has changed something");
    }

    async fn call(&self, caller: &Person, authorization: Option<&str>) -> Reply {
        let mut uri = format!("http://{}{}", self.node.address, self.endpoint.path);
        for part in (self.row.path)(self.world, caller) {
            let (from, to) = (uri.find('{').unwrap(), uri.find('}').unwrap());
            uri.replace_range(from..=to, &part);
        }
        assert!(!uri.contains('{'), "{}: {uri}", self.row.operation);
        let mut request = Request::builder().method(self.endpoint.verb.as_str()).uri(uri);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let (kind, body) = match self.row.body {
            Body::None => (None, Bytes::new()),
            Body::Json(json) => (Some("application/json"), json(self.world, caller).to_string().into()),
            Body::File => (Some("text/plain"), Bytes::from_static(b"a file")),
        };
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        self.node.rest.send(request.body(Full::new(body)).unwrap()).await
    }
}
