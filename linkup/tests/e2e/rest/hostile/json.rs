//! Bodies that are no JSON, or only just.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::json;

use super::document::{Operation, operations, plain};
use super::{Besieged, JSON, assert_names, request};
use crate::rest::access::quiet_node;
use crate::rest::access::world::World;
use crate::rest::fixture::Node;
use crate::support::rest::Reply;

/// Which field is named when a body is refused.
enum Named {
    /// The body as a whole.
    Body,
    /// The declared field that has the odd value.
    Field,
}

/// `[[[…]]]`
fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// `{"a":{"a":…1}}`
fn nested_objects(depth: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))
}

/// Lists within lists, and again and again a text that holds the JSON of more of them: for `serde_json` a text under
/// that key can be JSON of its own, with a depth of its own.
fn nested_in_texts() -> String {
    let mut json = nested(100);
    for _ in 0..12 {
        let text = serde_json::to_string(&json).unwrap();
        json = format!("{}{{\"$serde_json::private::RawValue\":{text}}}{}", "[".repeat(100), "]".repeat(100));
    }
    json
}

/// Values that are no text, number, list or truth value; what stands for `FIELD` in a body.
fn values() -> Vec<(String, Named)> {
    vec![
        (nested(100), Named::Field),
        (nested(3_500), Named::Body),
        (nested(5_000), Named::Body),
        (nested(30_000), Named::Body),
        (nested_objects(5_000), Named::Body),
        (nested_in_texts(), Named::Field),
        ("1e400".to_owned(), Named::Body),
        ("-1e400".to_owned(), Named::Body),
        ("9223372036854775808".to_owned(), Named::Field),
        ("-9223372036854775809".to_owned(), Named::Field),
        (format!("1{}", "0".repeat(50_000)), Named::Body),
        (format!("0.{}1", "0".repeat(50_000)), Named::Field),
        ("-0".to_owned(), Named::Field),
        ("-0.0".to_owned(), Named::Field),
        ("01".to_owned(), Named::Body),
        ("NaN".to_owned(), Named::Body),
        ("Infinity".to_owned(), Named::Body),
        ("undefined".to_owned(), Named::Body),
        ("'text'".to_owned(), Named::Body),
        ("\"\\ud800\"".to_owned(), Named::Body),
        ("\"\\udc00\\ud800\"".to_owned(), Named::Body),
        ("\"\\x41\"".to_owned(), Named::Body),
        ("\"\n\"".to_owned(), Named::Body),
        ("\"unended".to_owned(), Named::Body),
    ]
}

#[tokio::test]
async fn odd_values_are_refused_in_every_body() {
    let node = quiet_node().await;
    let besieged = Besieged::on(&node).await;
    for operation in operations().iter().filter(|operation| operation.body.is_some()) {
        let fields = operation.fields();
        let (text, _) = fields.iter().find(|(_, schema)| plain(schema)["type"] == "string").unwrap();
        let mut good = operation.example(&besieged.world);
        good[text] = "the value".into();
        for (value, named) in values() {
            let body = good.to_string().replace("\"the value\"", &value);
            let what = format!("{} {text}: {}", operation.name, &value[..value.len().min(100)]);
            let name = match named {
                Named::Body => "body",
                Named::Field => text,
            };
            let size = body.len();
            let reply = send(&besieged.world, &node, operation, body).await;
            assert_names_unless_large(&reply, size, name, &what);
        }
    }
    besieged.stands("odd values").await;
}

#[tokio::test]
async fn what_is_not_declared_is_skipped_however_odd_it_is() {
    let node = quiet_node().await;
    let besieged = Besieged::on(&node).await;
    for operation in operations().iter().filter(|operation| operation.body.is_some()) {
        let fields = operation.fields();
        let (last, _) = fields.iter().next_back().unwrap();
        let mut wrong = operation.example(&besieged.world);
        wrong[last] = json!([{"$ne": null}]);
        for value in [
            &nested(3_500),
            &nested(30_000),
            &nested_objects(5_000),
            &nested_in_texts(),
            "1e400",
            "\"\\ud800\"",
        ] {
            // It has been read to the end if what comes behind is seen.
            let body = format!("{{\"unknown\":{value},{}", &wrong.to_string()[1..]);
            let what = format!("{} {}", operation.name, &value[..value.len().min(100)]);
            let size = body.len();
            let reply = send(&besieged.world, &node, operation, body).await;
            assert_names_unless_large(&reply, size, last, &what);
        }
    }
    besieged.stands("odd values in fields that nobody knows").await;
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let node = quiet_node().await;
    let besieged = Besieged::on(&node).await;
    for operation in operations().iter().filter(|operation| operation.body.is_some()) {
        let good = operation.example(&besieged.world).to_string();
        let fields = operation.fields();
        let (first, _) = fields.iter().next().unwrap();
        let cut = good.as_bytes()[..good.len() - 1].to_vec();
        let with = |before: &[u8], after: &[u8]| [before, good.as_bytes(), after].concat();
        for (what, body, named) in [
            ("nothing", Vec::new(), "body"),
            ("blanks", b" \n\t".to_vec(), "body"),
            ("a null", b"null".to_vec(), "body"),
            ("a text", b"\"a\"".to_vec(), "body"),
            ("a number", b"7".to_vec(), "body"),
            ("a list", b"[]".to_vec(), "body"),
            ("a zero byte", b"\0".to_vec(), "body"),
            ("a form", b"name=Ada&password=x".to_vec(), "body"),
            ("half of it", good.as_bytes()[..good.len() / 2].to_vec(), "body"),
            ("all but the end", cut, "body"),
            ("a byte order mark", with(b"\xef\xbb\xbf", b""), "body"),
            ("a comment", with(b"/* hello */", b""), "body"),
            ("something behind it", with(b"", b"x"), "body"),
            ("itself behind it", with(b"", good.as_bytes()), "body"),
            ("a zero byte behind it", with(b"", b"\0"), "body"),
            ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect(), "body"),
            ("no UTF-8", format!("{{\"{first}\":\"").bytes().chain(*b"\xff\xfe\"}").collect(), "body"),
            ("overlong UTF-8", format!("{{\"{first}\":\"").bytes().chain(*b"\xc0\x80\"}").collect(), "body"),
            ("no UTF-8 in a name", b"{\"\xff\":1}".to_vec(), "body"),
            ("a field twice", format!("{{\"{first}\":null,\"{first}\":null}}").into_bytes(), first),
            (
                "a field twice, written in two ways",
                format!("{{\"{first}\":null,\"\\u{:04x}{}\":null}}", first.as_bytes()[0], &first[1..])
                    .into_bytes(),
                first,
            ),
        ] {
            let reply = send(&besieged.world, &node, operation, body).await;
            assert_names(&reply, named, &format!("{} {what}", operation.name));
        }
    }
    besieged.stands("bodies that are no JSON").await;
}

#[tokio::test]
async fn bodies_that_are_too_large_or_of_another_type_are_not_read() {
    let node = quiet_node().await;
    let besieged = Besieged::on(&node).await;
    let world = &besieged.world;
    for operation in operations().iter().filter(|operation| operation.body.is_some()) {
        let (path, good) = (operation.path(world), operation.example(world).to_string());
        for media_type in [
            None,
            Some(""),
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("multipart/form-data; boundary=x"),
            Some("application/jsonp"),
            Some("application/json-patch+json"),
            Some("text/plain; application/json"),
            Some("application/json, text/plain"),
            Some("*/*"),
        ] {
            let reply = request(&node, &world.ada, &operation.method, &path, media_type, good.clone()).await;
            let found = (reply.status.as_u16(), &reply.body["code"]);
            assert_eq!(found, (415, &"unsupported_media_type".into()), "{} {media_type:?}", operation.name);
        }
        let large = format!("{{\"unknown\":\"{}\"}}", "x".repeat(64 << 10));
        let reply = send(world, &node, operation, large).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.body["code"]),
            (413, &"too_large".into()),
            "{}",
            operation.name
        );
    }
    besieged.stands("bodies of other types").await;
}

/// Bodies of this size are read by all.
const SMALL: usize = 8 << 10;

/// Fails unless a request was refused because of this field, or because that endpoint reads no body of this size.
fn assert_names_unless_large(reply: &Reply, size: usize, field: &str, what: &str) {
    if reply.status == StatusCode::PAYLOAD_TOO_LARGE {
        assert!(size > SMALL, "{what}: {size} bytes");
    } else {
        assert_names(reply, field, what);
    }
}

async fn send(world: &World, node: &Node, operation: &Operation, body: impl Into<Bytes>) -> Reply {
    request(node, &world.ada, &operation.method, &operation.path(world), Some(JSON), body).await
}
