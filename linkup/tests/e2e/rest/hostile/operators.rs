//! No text and no object that a client sends becomes an operator, in any field of any body and any parameter of any
//! query.

use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use store::bson::{Bson, Document, doc};

use super::document::{Operation, operations, places};
use super::{Besieged, JSON, assert_names, request};
use crate::rest::access::quiet_node;
use crate::rest::access::world::{World, person};
use crate::rest::fixture::{Node, Person};
use crate::support::rest::Reply;

/// What MongoDB, its drivers or its extended JSON would take for more than an object.
fn operators() -> Vec<Value> {
    vec![
        json!({"$ne": null}),
        json!({"$gt": ""}),
        json!({"$where": "sleep(10000) || true"}),
        json!({"$regex": ".*"}),
        json!({"$exists": true}),
        json!({"$in": [null, ""]}),
        json!({"$set": {"settings.privacy": "public"}}),
        json!({"$oid": "0123456789abcdef01234567"}),
        json!({"$date": {"$numberLong": "0"}}),
        json!({"$numberLong": "1"}),
        json!({"$serde_json::private::RawValue": "\"text\""}),
        json!({"$serde_json::private::Number": "1"}),
        json!({"__proto__": {"admin": true}}),
        json!([{"$gt": ""}]),
    ]
}

/// Texts that some language or other takes for more than a text.
fn texts() -> Vec<String> {
    let long = "$".repeat(60_000);
    let texts = [
        "$ne",
        "$where: 1",
        "settings.privacy",
        "a.$[].b",
        "\0",
        "name\0$ne",
        "__proto__",
        "{\"$gt\":\"\"}",
        "'; return true; //",
        "\u{feff}\u{202e}\u{2028}",
        &long,
    ];
    texts.map(str::to_owned).to_vec()
}

#[tokio::test]
async fn an_operator_is_refused_in_every_field_of_every_body() {
    let node = quiet_node().await;
    let besieged = Besieged::on(&node).await;
    let (world, mut tried) = (&besieged.world, 0);
    for operation in operations().iter().filter(|operation| operation.body.is_some()) {
        let (good, path) = (operation.example(world), operation.path(world));
        for (field, pointer) in places(&good) {
            // An object is no better for what it stands in place of, be that a text, a number or a list.
            for operator in operators() {
                // An object of unknown fields, where an object is declared, is an object: see below.
                if good.pointer(&pointer).unwrap().is_object() && operator.is_object() {
                    continue;
                }
                let mut body = good.clone();
                *body.pointer_mut(&pointer).unwrap() = operator;
                let reply = send(&node, &world.ada, operation, &path, &body).await;
                assert_names(&reply, &field, &format!("{} {path} {body}", operation.method));
                tried += 1;
            }
        }
        // In place of the whole body.
        for operator in operators() {
            let reply = send(&node, &world.ada, operation, &path, &json!([operator])).await;
            assert_names(&reply, "body", &operation.name);
        }
    }
    assert!(tried > 300, "only {tried} fields were tried");
    besieged.stands("operators").await;
    for operator in operators().into_iter().filter(Value::is_object) {
        let settings = besieged.world.ada.change(&json!({"settings": operator})).await["settings"].clone();
        assert_eq!(settings, json!({"notifications": true, "privacy": "public"}), "{operator}");
    }
    assert_no_odd_names(&node).await;
}

#[tokio::test]
async fn a_text_stays_a_text_in_every_field_of_every_body() {
    let node = quiet_node().await;
    let world = World::make(&node).await;
    let mut taken = 0;
    for operation in operations().iter().filter(|operation| operation.body.is_some()) {
        let good = operation.example(&world);
        for (field, pointer) in places(&good) {
            if !good.pointer(&pointer).unwrap().is_string() {
                continue;
            }
            for text in texts() {
                let mut body = good.clone();
                *body.pointer_mut(&pointer).unwrap() = text.into();
                let other = if operation.ends_sessions() { Some(person(&node, "Zoe").await) } else { None };
                let caller = other.as_ref().unwrap_or(&world.ada);
                let path = match &other {
                    Some(other) => operation.path_with(other.id, other.id, ""),
                    None => operation.path(&world),
                };
                let reply = send(&node, caller, operation, &path, &body).await;
                let status = reply.status.as_u16();
                taken += usize::from(status < 300);
                assert!(status < 500, "{} {field}: {status} {}", operation.name, reply.body);
                if status == 400 {
                    assert_names(&reply, &field, &operation.name);
                }
            }
        }
    }
    assert!(taken > 50, "only {taken} texts were taken");
    assert_no_odd_names(&node).await;
}

/// Values of parameters, as they stand in a query.
const VALUES: &[&str] = &[
    "",
    "%7B%22$ne%22:null%7D",
    "$ne",
    "$where",
    "a.b",
    "%00",
    "%ff%fe",
    "%",
    "%zz",
    "-1",
    "0",
    "-0",
    "1e400",
    "1.5",
    "9223372036854775807",
    "9223372036854775808",
    "NaN",
    "null",
    "[]",
    "true",
    "%F0%9F%98%80",
    "%D9%A1",
];

#[tokio::test]
async fn parameters_of_queries_are_what_they_are_declared_to_be() {
    let node = quiet_node().await;
    let besieged = Besieged::on(&node).await;
    let world = &besieged.world;
    for operation in operations().iter().filter(|operation| !operation.query.is_empty()) {
        let path = operation.path(world);
        for (name, schema) in &operation.query {
            for value in VALUES {
                let reply = world.ada.rest.get(&format!("{path}?{name}={value}")).await;
                let what = format!("{path}?{name}={value}");
                if reply.status.as_u16() != 200 {
                    assert_names(&reply, name, &what);
                }
                // Only a text may be an operator's name, and is a text then.
                let is_text =
                    schema["type"] == "string" && schema["format"].is_null() && schema["enum"].is_null();
                assert!(!value.contains('$') || is_text || reply.status == 400, "{what}: {}", reply.body);
            }
            // Of names that only look like it, nothing is known; of a name that is there twice, the first counts.
            let good = world.ada.rest.get(&path).await.ok();
            for odd in [
                format!("{name}[$ne]=1"),
                format!("{name}[]=$"),
                format!("{name}.$gt=1"),
                format!("{name}%00=x"),
            ] {
                assert_eq!(world.ada.rest.get(&format!("{path}?{odd}")).await.ok(), good, "{odd}");
            }
        }
        let many = "&limit=1".repeat(5_000);
        assert!(world.ada.rest.get(&format!("{path}?limit=2{many}")).await.status.is_success());
    }
    besieged.stands("queries").await;
}

async fn send(node: &Node, caller: &Person, operation: &Operation, path: &str, body: &Value) -> Reply {
    request(node, caller, &operation.method, path, Some(JSON), body.to_string()).await
}

/// Fails if any document has a field whose name could come from a client: every name that we give is a plain word.
async fn assert_no_odd_names(node: &Node) {
    let database = node.store.database();
    for name in database.list_collection_names().await.unwrap() {
        let documents: Vec<Document> =
            database.collection(&name).find(doc! {}).await.unwrap().try_collect().await.unwrap();
        for document in &documents {
            check_names(&name, &Bson::Document(document.clone()));
        }
    }
}

fn check_names(within: &str, value: &Bson) {
    match value {
        Bson::Document(document) => {
            for (name, value) in document {
                let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                assert!(plain && !name.starts_with("__"), "{within}.{name}");
                check_names(&format!("{within}.{name}"), value);
            }
        }
        Bson::Array(items) => items.iter().for_each(|item| check_names(within, item)),
        _ => {}
    }
}
