//! The OpenAPI 3.1 document. It is made of what the api itself works with: the table of endpoints, the declarations of
//! input and the types of answers. So it cannot tell anything else than they do.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use protocol::Id;
use protocol::code::ApiError;
use protocol::input::Field;
use protocol::model::{Activity, Conversation, Message, Session, Success, Upload, User};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, whole};
use crate::endpoint::{Access, ENDPOINTS, Endpoint, RequestBody, Shape};

const DESCRIPTION: &str = "\
The REST API of LinkUp, a chat in real time.

**Authentication.** `POST /api/auth/register` and `POST /api/auth/login` give a token; every other request carries it as \
`Authorization: Bearer <token>`, except where an operation says that it needs none. The same token opens the socket.

**Errors.** Every answer with a status of 400 or more, 416 excepted, is a JSON object with a `message` in words and a \
`code` out of a fixed set. The message of a `bad_request` begins with the name of the field that is refused. With 429 and \
503, `Retry-After` tells after how many seconds to try again.

**Requests.** Fields and parameters that are not declared here are ignored. HEAD works wherever GET does. Every answer \
has an `X-Request-Id`, by which it is found in the logs.";

/// The document, as JSON.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let paths = paths(&mut schemas);
    reference::<ApiError>(&mut schemas);
    let mut schemas = schemas.take_definitions(true);
    if let Some(error) = schemas.remove("ApiError") {
        schemas.insert("Error".to_owned(), error);
    }
    schemas.values_mut().for_each(leave_out_nulls);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "LinkUp",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearerAuth": []}],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "ClientError": failure("The request cannot be fulfilled as it is."),
                "ServerError": failure("The request may be good; the server could not fulfil it."),
            },
            "headers": headers(),
            "securitySchemes": {"bearerAuth": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The `token` that registering and signing in give.",
            }},
        },
    })
}

/// The document as it is served.
pub(crate) fn answer() -> Answer {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    let mut answer = Answer::new(whole(TEXT.clone()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // It is the same for everybody, and changes only with a new version.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    answer
}

/// What the public may know.
fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().filter(|endpoint| matches!(endpoint.access, Access::Anyone | Access::User))
}

fn paths(schemas: &mut SchemaGenerator) -> Map<String, Value> {
    let mut paths = Map::new();
    for endpoint in endpoints() {
        let item = paths.entry(endpoint.path).or_insert_with(|| {
            let parameters = path_parameters(endpoint.path);
            if parameters.is_empty() { json!({}) } else { json!({ "parameters": parameters }) }
        });
        item[endpoint.verb.as_str().to_ascii_lowercase()] = operation(endpoint, schemas);
    }
    paths
}

fn operation(endpoint: &Endpoint, schemas: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": endpoint.name(),
        "summary": endpoint.summary,
        "tags": [tag(endpoint.path)],
        "responses": responses(endpoint, schemas),
    });
    if let Some(parameters) = endpoint.query {
        operation["parameters"] = parameters().into();
    }
    let content = match endpoint.body {
        RequestBody::None => None,
        RequestBody::Json(schema) => Some(json!({"application/json": {"schema": schema()}})),
        RequestBody::File => Some(file_body()),
    };
    if let Some(content) = content {
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    if endpoint.access == Access::Anyone {
        operation["security"] = json!([]);
    }
    operation
}

/// What a path is about: its first part after `/api`.
fn tag(path: &str) -> &str {
    let part = path.trim_start_matches("/api/").split('/').next().unwrap_or_default();
    part.split('.').next().unwrap_or_default()
}

/// Each once, in the order of the table.
fn tags() -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for name in endpoints().map(|endpoint| tag(endpoint.path)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.into_iter().map(|name| json!({ "name": name })).collect()
}

fn path_parameters(path: &str) -> Vec<Value> {
    let parameter = |name: &str| {
        let (schema, description) = match name {
            "seal" => {
                (json!({"type": "string", "pattern": SEAL}), "Signs the address, and tells when it expires.")
            }
            "other" => (Id::schema(), "The other user."),
            _ => (Id::schema(), "Which one."),
        };
        json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema})
    };
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(parameter).collect()
}

/// When the address expires, in hexadecimal digits, and its signature in base64url.
const SEAL: &str = "^[0-9a-f]+-[A-Za-z0-9_-]{43}$";

/// A file, in a form or as it is.
fn file_body() -> Value {
    let form = json!({"type": "object", "properties": {"file": bytes()}, "required": ["file"]});
    json!({"multipart/form-data": {"schema": form}, "*/*": {"schema": bytes()}})
}

/// What is not text.
fn bytes() -> Value {
    json!({"type": "string", "contentMediaType": "application/octet-stream"})
}

fn responses(endpoint: &Endpoint, schemas: &mut SchemaGenerator) -> Value {
    let mut responses = json!({
        "4XX": {"$ref": "#/components/responses/ClientError"},
        "5XX": {"$ref": "#/components/responses/ServerError"},
    });
    for &(status, shape) in endpoint.answers {
        responses[status.to_string()] = response(status, shape, schemas);
    }
    responses
}

fn response(status: u16, shape: Shape, schemas: &mut SchemaGenerator) -> Value {
    let description = match status {
        201 => "It was made.",
        206 => "The part of the file that was asked for.",
        304 => "The file is the one that the caller has.",
        416 => "The file has no such part.",
        _ => "What was asked for.",
    };
    if !(200..300).contains(&status) {
        return json!({ "description": description });
    }
    let (media_type, schema) = match shape {
        Shape::File => ("*/*", bytes()),
        _ => ("application/json", schema(shape, schemas)),
    };
    json!({"description": description, "content": {media_type: {"schema": schema}}})
}

fn schema(shape: Shape, schemas: &mut SchemaGenerator) -> Value {
    match shape {
        Shape::Session => reference::<Session>(schemas),
        Shape::User => reference::<User>(schemas),
        Shape::Users => reference::<Vec<User>>(schemas),
        Shape::Conversation => reference::<Conversation<'_>>(schemas),
        Shape::Conversations => reference::<Vec<Conversation<'_>>>(schemas),
        Shape::Message => reference::<Message<'_>>(schemas),
        Shape::Messages => reference::<Vec<Message<'_>>>(schemas),
        Shape::Activity => reference::<Activity<'_>>(schemas),
        Shape::Activities => reference::<Vec<Activity<'_>>>(schemas),
        Shape::Upload => reference::<Upload>(schemas),
        Shape::Success => reference::<Success>(schemas),
        Shape::File => bytes(),
        Shape::Object => json!({"type": "object"}),
    }
}

/// A reference to the schema of `T`, which becomes a component; a list is spelt out.
fn reference<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<T>().to_value()
}

/// A field that may be missing is an `Option` that is left out when there is nothing to tell, so it is never null.
fn leave_out_nulls(component: &mut Value) {
    let required = component["required"].as_array().cloned().unwrap_or_default();
    let properties = component.get_mut("properties").and_then(Value::as_object_mut);
    for (_, property) in properties.into_iter().flatten().filter(|(name, _)| !required.contains(&json!(name)))
    {
        let Some(property) = property.as_object_mut() else { continue };
        if let Some(Value::Array(types)) = property.get_mut("type") {
            types.retain(|name| name != "null");
            if let [name] = types.as_slice() {
                let name = name.clone();
                property.insert("type".to_owned(), name);
            }
        }
        if let Some(Value::Array(choices)) = property.get_mut("anyOf") {
            choices.retain(|choice| choice["type"] != "null");
            if let [Value::Object(choice)] = choices.as_slice() {
                let choice = choice.clone();
                property.remove("anyOf");
                property.extend(choice);
            }
        }
    }
}

/// The answer when something went wrong.
fn failure(description: &str) -> Value {
    json!({
        "description": description,
        "headers": {
            "Retry-After": {"$ref": "#/components/headers/RetryAfter"},
            "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
        },
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    })
}

fn headers() -> Value {
    json!({
        "RetryAfter": {
            "description": "After how many seconds to try again. There with 429 and 503.",
            "schema": {"type": "integer", "minimum": 1},
        },
        "RequestId": {
            "description": "What the request is called in the logs.",
            "schema": {"type": "string"},
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::endpoint::Verb;

    /// Everything in `value` that refers to something.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    fn names(value: &Value) -> BTreeSet<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    /// The properties of a component: all of them, and those that are always there.
    fn properties<'a>(document: &'a Value, component: &str) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
        let schema = &document["components"]["schemas"][component];
        let required = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        (names(&schema["properties"]), required.collect())
    }

    #[test]
    fn every_public_endpoint_is_described_and_no_other() {
        let document = document();
        let mut operations = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for verb in [Verb::Get, Verb::Post, Verb::Put, Verb::Delete] {
                let operation = &item[verb.as_str().to_ascii_lowercase()];
                if let Some(name) = operation["operationId"].as_str() {
                    assert!(operations.insert(name), "{name} is there twice");
                    let endpoint = ENDPOINTS.iter().find(|endpoint| endpoint.name() == name).unwrap();
                    assert_eq!((endpoint.path, endpoint.verb), (path.as_str(), verb));
                    assert_eq!(operation["security"].is_array(), endpoint.access == Access::Anyone, "{name}");
                }
            }
        }
        let public: Vec<String> = endpoints().map(Endpoint::name).collect();
        assert_eq!(operations, public.iter().map(String::as_str).collect());
        let is_public = |endpoint: &&Endpoint| !matches!(endpoint.access, Access::Gateway | Access::Probe);
        assert_eq!(public.len(), ENDPOINTS.iter().filter(is_public).count());
        for hidden in ["internal", "probe"] {
            assert!(!document["paths"].to_string().contains(hidden));
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_component_is_used() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for kind in ["schemas", "responses", "headers"] {
            for name in names(&document["components"][kind]) {
                assert!(found.contains(&format!("#/components/{kind}/{name}")), "{kind} {name}");
            }
        }
    }

    #[test]
    fn answers_say_what_is_always_there() {
        let document = document();
        let (all, always) = properties(&document, "Conversation");
        let optional: Vec<&str> = all.difference(&always).copied().collect();
        assert_eq!(optional, ["activityId", "createdBy", "messages"]);
        // Of what is flattened into it, too.
        assert!(always.is_superset(&["_id", "type", "participants", "isActive", "lastMessage"].into()));
        let (all, always) = properties(&document, "Error");
        assert_eq!((&all, &all), (&["code", "message"].into(), &always));
        // What is always there may be null, and what may be missing is never null.
        let conversation = &document["components"]["schemas"]["Conversation"]["properties"];
        assert_eq!(conversation["name"]["type"], json!(["string", "null"]));
        assert_eq!(conversation["messages"]["type"], "array");
        assert_eq!(conversation["activityId"]["$ref"], "#/components/schemas/Id");
        assert_eq!(conversation["activityId"]["description"], "The activity it belongs to.");
    }

    #[test]
    fn requests_are_as_declared() {
        let document = document();
        let register = &document["paths"]["/api/auth/register"]["post"];
        let body = &register["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(body["required"], json!(["name", "email", "password"]));
        let other = &document["paths"]["/api/users/{id}/friends/{other}"]["parameters"][1];
        assert_eq!(
            (&other["name"], &other["in"], &other["required"]),
            (&json!("other"), &json!("path"), &json!(true))
        );
        let upload = &document["paths"]["/api/uploads"]["post"]["requestBody"]["content"];
        assert_eq!(names(upload), ["*/*", "multipart/form-data"].into());
    }

    #[test]
    fn the_document_is_for_everybody_and_may_be_kept_for_a_while() {
        let answer = answer();
        assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=300");
        assert_eq!(document()["paths"]["/api/openapi.json"]["get"]["security"], json!([]));
    }
}
