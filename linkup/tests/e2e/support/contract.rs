//! What the api's document says of its answers, held against every answer that a test gets.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use hyper::Method;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use jsonschema::Validator;
use protocol::code::ApiError;
use serde_json::{Map, Value, json};

use super::rest::Reply;

/// The OpenAPI document, ready to be compared with.
pub(crate) struct Contract {
    paths: Vec<Template>,
    error: Body,
}

/// A path with parameters in braces.
struct Template {
    parts: Vec<String>,
    /// By method, in capitals.
    operations: BTreeMap<String, Responses>,
}

/// By status, or by its hundreds: `200`, `4XX`.
type Responses = BTreeMap<String, Body>;

/// What the body of an answer must be.
#[derive(Clone)]
enum Body {
    Nothing,
    Json(Arc<Validator>),
    File,
}

/// Fails the test unless the answer is as the document says.
pub(crate) fn hold(method: &Method, path: &str, reply: &Reply) {
    static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::new(&api::openapi::document()));
    if let Err(problem) = CONTRACT.check(method, path, reply) {
        let body = String::from_utf8_lossy(&reply.bytes);
        panic!("{method} {path} was answered against the document: {}: {problem}: {body}", reply.status);
    }
}

impl Contract {
    pub(crate) fn new(document: &Value) -> Self {
        let mut document = document.clone();
        close(&mut document);
        let mut compiler = Compiler { document: &document, done: BTreeMap::new() };
        let error = compiler.body(&document["components"]["responses"]["ClientError"]);
        let template = |(path, item): (&String, &Value)| Template {
            parts: path.split('/').map(str::to_owned).collect(),
            operations: object(item)
                .iter()
                .filter(|(_, operation)| operation["responses"].is_object())
                .map(|(method, operation)| (method.to_ascii_uppercase(), compiler.responses(operation)))
                .collect(),
        };
        let paths = object(&document["paths"]).iter().map(template).collect();
        Self { paths, error }
    }

    /// Compares the answer to a request. What is not the api's is not looked at.
    pub(crate) fn check(&self, method: &Method, path: &str, reply: &Reply) -> Result<(), String> {
        // What probes ask for is not in the document.
        let is_for_api = (path == "/api" || path.starts_with("/api/")) && path != protocol::probe::PATH;
        // Browsers ask the edge, not the api, whether they may call.
        let is_preflight = method == Method::OPTIONS && reply.status == 204 && reply.bytes.is_empty();
        if !is_for_api || is_preflight {
            return Ok(());
        }
        check_headers(reply)?;
        let Some(template) = self.find(path) else { return self.check_refusal(method, reply, &[404]) };
        let name = if method == Method::HEAD { &Method::GET } else { method };
        let Some(responses) = template.operations.get(name.as_str()) else {
            // The identifiers of the path may be looked at first.
            return self.check_refusal(method, reply, &[405, 400]);
        };
        let status = reply.status.as_u16();
        let exact = responses.get(&status.to_string());
        let body = exact.or_else(|| responses.get(&format!("{}XX", status / 100)));
        let body = body.ok_or("the document has no such status")?;
        if method == Method::HEAD { Body::Nothing.check(reply) } else { body.check(reply) }
    }

    /// Compares with an error: one of these, or too many requests, or a fault.
    fn check_refusal(&self, method: &Method, reply: &Reply, statuses: &[u16]) -> Result<(), String> {
        let status = reply.status.as_u16();
        if !statuses.contains(&status) && status != 429 && status < 500 {
            return Err(format!("the document has no such path or method; {statuses:?} was expected"));
        }
        if method == Method::HEAD { Body::Nothing.check(reply) } else { self.error.check(reply) }
    }

    /// Of the templates that fit the one with the fewest parameters.
    fn find(&self, path: &str) -> Option<&Template> {
        let parts: Vec<&str> = path.split('/').collect();
        self.paths
            .iter()
            .filter(|template| template.fits(&parts))
            .min_by_key(|template| template.parameters())
    }
}

impl Template {
    fn fits(&self, parts: &[&str]) -> bool {
        let fits = |(wanted, part): (&String, &&str)| {
            if is_parameter(wanted) { !part.is_empty() } else { wanted == part }
        };
        self.parts.len() == parts.len() && self.parts.iter().zip(parts).all(fits)
    }

    fn parameters(&self) -> usize {
        self.parts.iter().filter(|part| is_parameter(part)).count()
    }
}

fn is_parameter(part: &str) -> bool {
    part.starts_with('{')
}

/// What every answer of the api says, whatever it is.
fn check_headers(reply: &Reply) -> Result<(), String> {
    let has = |name| reply.headers.get(name).is_some_and(|value| !value.is_empty());
    if reply.headers.get(X_CONTENT_TYPE_OPTIONS).is_none_or(|value| value != "nosniff") {
        return Err("it lacks `x-content-type-options: nosniff`".to_owned());
    }
    if !has(CACHE_CONTROL) {
        return Err("it does not say whether it may be kept".to_owned());
    }
    if reply.headers.get("x-request-id").is_none_or(|value| value.is_empty()) {
        return Err("it does not name its request".to_owned());
    }
    match reply.status.as_u16() {
        429 | 503 => {
            let text = reply.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let seconds = text.and_then(|text| text.parse::<u64>().ok());
            seconds
                .filter(|seconds| *seconds > 0)
                .map(drop)
                .ok_or("it does not say when to come back".to_owned())
        }
        405 if !has(ALLOW) => Err("it does not say which methods would do".to_owned()),
        _ => Ok(()),
    }
}

impl Body {
    fn check(&self, reply: &Reply) -> Result<(), String> {
        let media_type =
            reply.headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or_default());
        match self {
            Self::Nothing if reply.bytes.is_empty() => Ok(()),
            Self::Nothing => Err("it should have no body".to_owned()),
            Self::File if media_type.is_empty() => Err("it does not say what it is".to_owned()),
            Self::File => Ok(()),
            Self::Json(_) if media_type != "application/json" => {
                Err(format!("it is {media_type:?}, not JSON"))
            }
            Self::Json(validator) => check_json(validator, reply),
        }
    }
}

fn check_json(validator: &Validator, reply: &Reply) -> Result<(), String> {
    let body = serde_json::from_slice(&reply.bytes).map_err(|error| format!("it is no JSON: {error}"))?;
    let problems: Vec<String> =
        validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    let status = reply.status.as_u16();
    if status < 400 {
        return Ok(());
    }
    let error: ApiError = serde_json::from_value(body).map_err(|error| error.to_string())?;
    if error.code.status() == status {
        Ok(())
    } else {
        Err(format!("its code belongs to the status {}", error.code.status()))
    }
}

/// Forbids every property that is not listed. Where a schema is put together of several, each would forbid what the
/// others list; there are none such, and this says so if that changes.
fn close(value: &mut Value) {
    match value {
        Value::Object(map) => {
            assert!(!map.contains_key("allOf"), "an `allOf` cannot be closed part by part");
            if map.get("properties").is_some_and(Value::is_object) {
                map.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

/// Compiles each schema once, however many answers have it.
struct Compiler<'a> {
    document: &'a Value,
    done: BTreeMap<String, Arc<Validator>>,
}

impl Compiler<'_> {
    fn responses(&mut self, operation: &Value) -> Responses {
        let body = |(status, response): (&String, &Value)| (status.clone(), self.body(response));
        object(&operation["responses"]).iter().map(body).collect()
    }

    fn body(&mut self, response: &Value) -> Body {
        let response = match response["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => response,
        };
        let content = &response["content"];
        match &content["application/json"]["schema"] {
            Value::Null if content.is_null() => Body::Nothing,
            Value::Null => Body::File,
            schema => Body::Json(self.validator(schema)),
        }
    }

    fn validator(&mut self, schema: &Value) -> Arc<Validator> {
        let compile = || {
            let mut schema = schema.clone();
            // References are looked up from the root.
            schema["components"] = json!({ "schemas": self.document["components"]["schemas"] });
            let options = jsonschema::draft202012::options().should_validate_formats(true);
            Arc::new(options.build(&schema).unwrap_or_else(|error| panic!("{error}")))
        };
        self.done.entry(schema.to_string()).or_insert_with(compile).clone()
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("an object was expected: {value}"))
}
