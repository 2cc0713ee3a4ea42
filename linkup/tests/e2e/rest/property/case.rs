//! What is generated: requests that look right, with values that are right, nearly right, or nasty.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::rest::hostile::document::{Operation, plain};

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// To what is the caller's own.
    Own,
    /// To what is others'.
    Others,
    /// To what is not there.
    Nowhere,
    /// Somewhere with this in place of an identifier.
    Odd(String),
}

#[derive(Clone, Debug)]
enum Payload {
    Json(Value),
    Bytes(Vec<u8>),
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) place: Place,
    parameters: Vec<(String, String)>,
    payload: Payload,
    media_type: &'static str,
}

impl Case {
    /// The query with its question mark, every byte of it escaped.
    pub(super) fn query(&self) -> String {
        let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let pairs: Vec<String> = self
            .parameters
            .iter()
            .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
            .collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    pub(super) fn body(&self) -> Vec<u8> {
        match &self.payload {
            Payload::Json(json) => json.to_string().into_bytes(),
            Payload::Bytes(bytes) => bytes.clone(),
        }
    }

    pub(super) fn media_type(&self) -> &'static str {
        self.media_type
    }
}

/// Requests for one operation. `known` are identifiers that there are.
pub(super) fn cases(operation: &Operation, known: &[String]) -> BoxedStrategy<Case> {
    let required = |name: &String| {
        let required = operation.body.as_ref().and_then(|schema| schema["required"].as_array());
        required.is_some_and(|names| names.contains(&json!(name)))
    };
    let parameters = some(operation.query.iter().map(|(name, schema)| (name, 0.4, near(schema, known))));
    let parameters = parameters.prop_map(|all| {
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        all.into_iter().map(|(name, value)| (name, text(value))).collect()
    });
    let (declared, object) = (operation.fields(), |all: Map<String, Value>| Payload::Json(all.into()));
    let likely = |name: &String, likely: f64| if required(name) { 0.97 } else { likely };
    let right = some(declared.iter().map(|(name, schema)| (name, likely(name, 0.4), fitting(schema, known))));
    let wrong = some(declared.iter().map(|(name, schema)| (name, 0.8, near(schema, known))));
    let bytes = vec(any::<u8>(), 0..200);
    let payload = prop_oneof![
        5 => right.prop_map(object),
        5 => wrong.prop_map(object),
        1 => any_json().prop_map(Payload::Json),
        1 => bytes.clone().prop_map(Payload::Bytes),
    ];
    let (payload, media_types) = if operation.takes_file {
        let form = bytes.prop_map(|bytes| Payload::Bytes(form(&bytes)));
        (
            prop_oneof![payload, form].boxed(),
            &["text/plain", "image/png", "multipart/form-data; boundary=x"][..],
        )
    } else {
        (payload.boxed(), &["application/json", "application/json; charset=utf-8"][..])
    };
    (place(), parameters, payload, select(media_types))
        .prop_map(|(place, parameters, payload, media_type)| Case { place, parameters, payload, media_type })
        .boxed()
}

/// Some of these fields, each as likely as it says.
fn some<'a>(
    fields: impl Iterator<Item = (&'a String, f64, BoxedStrategy<Value>)>,
) -> BoxedStrategy<Map<String, Value>> {
    let fields: Vec<_> =
        fields.map(|(name, likely, value)| (weighted(likely, Just(name.clone())), value)).collect();
    fields.prop_map(|all| all.into_iter().filter_map(|(name, value)| Some((name?, value))).collect()).boxed()
}

fn place() -> impl Strategy<Value = Place> {
    let odd = select(&["$ne", "%00", "null", "0123456789abcdef0123456g", "%ff", "a.b"][..]);
    prop_oneof![
        6 => Just(Place::Own),
        2 => Just(Place::Others),
        1 => Just(Place::Nowhere),
        1 => odd.prop_map(|odd| Place::Odd(odd.to_owned())),
    ]
}

/// A form with these bytes as its file, and as its beginning.
fn form(bytes: &[u8]) -> Vec<u8> {
    let head = b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    [head, bytes, b"\r\n--x--\r\n"].concat()
}

/// A value for a field: right, at the edge of what is right, or anything.
fn near(schema: &Value, known: &[String]) -> BoxedStrategy<Value> {
    let fits = fitting(schema, known);
    prop_oneof![4 => fits.clone(), 2 => edge(schema, fits), 2 => select(nasty()), 1 => any_json()].boxed()
}

/// A value of the type that a schema wants, within its bounds.
fn fitting(schema: &Value, known: &[String]) -> BoxedStrategy<Value> {
    let schema = plain(schema);
    if let Some(choices) = schema["enum"].as_array() {
        return select(choices.clone()).boxed();
    }
    match schema["type"].as_str().unwrap() {
        "array" => vec(fitting(&schema["items"], known), 1..4).prop_map(Value::Array).boxed(),
        "object" => {
            let fields = schema["properties"].as_object().unwrap().iter();
            some(fields.map(|(name, schema)| (name, 0.7, fitting(schema, known))))
                .prop_map(Value::from)
                .boxed()
        }
        "integer" => {
            let (least, most) = (schema["minimum"].as_i64().unwrap(), schema["maximum"].as_i64());
            (least..=most.unwrap_or(1_000)).prop_map(Value::from).boxed()
        }
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        _ => text(schema, known).prop_map(Value::from).boxed(),
    }
}

fn text(schema: &Value, known: &[String]) -> BoxedStrategy<String> {
    const TIMES: &str =
        "(19[7-9]|20[0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}Z";
    match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("email"), _) => "[a-z]{1,9}@[a-z]{1,4}\\.[a-z]{2}".boxed(),
        (Some("date-time"), _) => TIMES.boxed(),
        (Some("uri-reference"), _) => "https?://[!-~]{1,12}".boxed(),
        (None, Some(pattern)) if pattern.ends_with("{24}$") => select(known.to_vec()).boxed(),
        (None, Some(_)) => "[a-zA-Z0-9][a-zA-Z0-9._-]{5,38}".boxed(),
        _ => "[a-zé😀]\\PC{7,18}".boxed(),
    }
}

/// A value at the very edge of what a schema allows, or one step beyond.
fn edge(schema: &Value, fitting: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let schema = plain(schema);
    let bound = |name: &str| schema[name].as_i64();
    match schema["type"].as_str().unwrap() {
        "array" => {
            let most = bound("maxItems").unwrap_or(1) as usize;
            let many = fitting.prop_map(move |items| {
                let item = items.get(0).cloned().unwrap_or_default();
                json!(vec![item; most + 1])
            });
            prop_oneof![many, Just(json!([]))].boxed()
        }
        "integer" => {
            let (least, most) = (bound("minimum").unwrap(), bound("maximum").unwrap_or(i64::MAX - 1));
            select(vec![least - 1, least, most, most + 1]).prop_map(Value::from).boxed()
        }
        "string" if schema["maxLength"].is_u64() => {
            let (least, most) = (bound("minLength").unwrap_or(0), bound("maxLength").unwrap());
            let lengths =
                select(vec![(least - 1).max(0) as usize, least as usize, most as usize, most as usize + 1]);
            let text = (lengths, select(&['x', 'é', '😀', '\n'][..]));
            text.prop_map(|(length, c)| Value::from(c.to_string().repeat(length))).boxed()
        }
        _ => any::<String>().prop_map(Value::from).boxed(),
    }
}

/// Values that have led others astray.
fn nasty() -> Vec<Value> {
    vec![
        Value::Null,
        json!(""),
        json!(" "),
        json!("\0"),
        json!("$ne"),
        json!("a.b"),
        json!("\u{feff}\u{202e}"),
        json!({}),
        json!([]),
        json!([null]),
        json!({"$ne": null}),
        json!({"$gt": ""}),
        json!({"$where": "1"}),
        json!([{"$in": []}]),
        json!(-1),
        json!(0.1),
        json!(1e300),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(true),
        json!("9223372036854775808"),
        json!("NaN"),
        json!("0000-00-00T00:00:00Z"),
        json!("9999-12-31T23:59:59.999Z"),
        json!("1969-12-31T23:59:59Z"),
    ]
}

/// Any JSON that is not too large.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((any::<String>(), inner), 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}
