//! The operations as the api's document tells them, with bodies in which everything is right.

use hyper::Method;
use protocol::Id;
use serde_json::{Map, Value, json};

use crate::rest::access::world::{PASSWORD, World};

/// An operation of the document.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) method: Method,
    /// With parameters in braces.
    pub(crate) template: String,
    /// The parameters of its query, with their schemas.
    pub(crate) query: Vec<(String, Value)>,
    /// The schema of its body, if that is JSON.
    pub(crate) body: Option<Value>,
    /// Whether its body is a file.
    pub(crate) takes_file: bool,
}

/// All of them.
pub(crate) fn operations() -> Vec<Operation> {
    let document = api::openapi::document();
    let mut all = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(name) = operation["operationId"].as_str() else { continue };
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let content = &operation["requestBody"]["content"];
            let schema = &content[super::JSON]["schema"];
            all.push(Operation {
                name: name.to_owned(),
                method: Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap(),
                template: template.clone(),
                query: parameters
                    .map(|parameter| (text(&parameter["name"]), parameter["schema"].clone()))
                    .collect(),
                body: schema.is_object().then(|| schema.clone()),
                takes_file: content["multipart/form-data"].is_object(),
            });
        }
    }
    assert!(all.len() > 30, "the document was read: {}", all.len());
    all
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Operation {
    /// Its path, leading to what Ada has.
    pub(crate) fn path(&self, world: &World) -> String {
        let id = match self.template.split('/').nth(2) {
            Some("users") => world.ada.id,
            Some("conversations") => world.group,
            Some("messages") => world.message,
            Some("activities") => world.activity,
            _ => world.upload,
        };
        self.path_with(id, world.eve.id, &world.seal)
    }

    /// Its path with these in it.
    pub(crate) fn path_with(&self, id: impl ToString, other: impl ToString, seal: &str) -> String {
        self.template
            .replace("{id}", &id.to_string())
            .replace("{other}", &other.to_string())
            .replace("{seal}", seal)
    }

    /// The declared fields of its body, with their schemas.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let properties = self.body.as_ref().and_then(|schema| schema["properties"].as_object());
        properties.cloned().unwrap_or_default()
    }

    /// A body in which everything is there and right.
    pub(crate) fn example(&self, world: &World) -> Value {
        self.fields().into_iter().map(|(name, schema)| (name, example(&schema, world))).collect()
    }

    /// Whether the caller's token is no good any more when it was carried out.
    pub(crate) fn ends_sessions(&self) -> bool {
        ["change_password", "end_sessions", "delete_user"].contains(&self.name.as_str())
    }
}

/// A schema without the null that takes a value away.
pub(crate) fn plain(schema: &Value) -> &Value {
    schema["anyOf"].get(0).unwrap_or(schema)
}

/// A value that is right.
pub(crate) fn example(schema: &Value, world: &World) -> Value {
    let schema = plain(schema);
    if let Some(choices) = schema["enum"].as_array() {
        return choices[0].clone();
    }
    match schema["type"].as_str().unwrap() {
        "array" => json!([example(&schema["items"], world)]),
        "object" => {
            let properties = schema["properties"].as_object().unwrap();
            properties.iter().map(|(name, schema)| (name.clone(), example(schema, world))).collect()
        }
        "integer" => schema["minimum"].clone(),
        "boolean" => true.into(),
        _ => example_text(schema, world).into(),
    }
}

fn example_text(schema: &Value, world: &World) -> String {
    match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("email"), _) => format!("{}@example.org", Id::mint()),
        (Some("date-time"), _) => "2999-01-01T00:00:00Z".to_owned(),
        (Some("uri-reference"), _) => "https://example.org/a.png".to_owned(),
        (None, Some(pattern)) if pattern.ends_with("{24}$") => world.bob.id.to_string(),
        (None, Some(_)) => format!("handle-{}", Id::mint()),
        _ => PASSWORD.to_owned(),
    }
}

/// Every place within a value: the field it belongs to and the pointer to it. The value itself is none of them.
pub(crate) fn places(value: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    visit(value, "", &mut found);
    found
        .into_iter()
        .map(|pointer| (pointer[1..].split('/').next().unwrap_or_default().to_owned(), pointer))
        .collect()
}

fn visit(value: &Value, at: &str, found: &mut Vec<String>) {
    let within: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, value)| (format!("{at}/{name}"), value)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(n, value)| (format!("{at}/{n}"), value)).collect()
        }
        _ => return,
    };
    for (pointer, value) in within {
        visit(value, &pointer, found);
        found.push(pointer);
    }
}
