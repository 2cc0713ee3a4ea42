//! Files over HTTP: what is taken, what is refused and leaves nothing behind, and how files are served.
//!
//! | module | shows |
//! |---|---|
//! | [`taken`] | each kind of file comes back as it was sent |
//! | [`refused`] | what is refused, and that nothing of it stays |
//! | [`served`] | links, parts of files, and what browsers may keep |

mod refused;
mod served;
mod taken;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use hyper::{Method, Request};
use serde_json::Value;

use super::fixture::{Node, Person};
use crate::support::rest::Reply;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

/// A file that begins like a picture and is as long as is wanted. Every byte depends on where it is.
fn picture(length: usize) -> Vec<u8> {
    PNG.iter().copied().chain((PNG.len()..length).map(|n| (n * 31 % 251) as u8)).take(length).collect()
}

/// Uploads a body with these headers.
async fn send(node: &Node, person: &Person, headers: &[(HeaderName, &str)], body: Vec<u8>) -> Reply {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{}/api/uploads", node.address))
        .header(AUTHORIZATION, format!("Bearer {}", person.token));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    node.rest.send(request.body(Full::new(Bytes::from(body))).unwrap()).await
}

/// Uploads a file of this type.
async fn upload(node: &Node, person: &Person, kind: &str, body: &[u8]) -> Reply {
    send(node, person, &[(CONTENT_TYPE, kind)], body.to_vec()).await
}

/// Uploads a picture of this length, and returns what it is and where.
async fn uploaded(node: &Node, person: &Person, length: usize) -> (Vec<u8>, String) {
    let bytes = picture(length);
    let url = url(&upload(node, person, "image/png", &bytes).await.ok());
    (bytes, url)
}

fn url(upload: &Value) -> String {
    upload["url"].as_str().unwrap().to_owned()
}

/// Fetches what is at a path, as nobody.
async fn fetch(node: &Node, method: Method, path: &str, headers: &[(HeaderName, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(format!("http://{}{path}", node.address));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    node.rest.send(request.body(Full::default()).unwrap()).await
}

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

/// A form as browsers make it: for each part what its disposition says, its type if it has one, and its bytes.
fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (disposition, kind, bytes) in parts {
        body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n").bytes());
        body.extend(kind.iter().flat_map(|kind| format!("Content-Type: {kind}\r\n").into_bytes()));
        body.extend(b"\r\n");
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

/// Uploads a form.
async fn send_form(node: &Node, person: &Person, parts: &[(&str, Option<&str>, &[u8])]) -> Reply {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    send(node, person, &[(CONTENT_TYPE, &kind)], form(parts)).await
}
