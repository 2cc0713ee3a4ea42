//! Each kind of file comes back as it was sent.

use std::time::Duration;

use api::Config;
use hyper::Method;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use serde_json::{Value, json};
use service::throttle::Rate;

use super::super::fixture::{Node, config, id};
use super::{PNG, fetch, picture, send, send_form, upload, uploaded, url};
use crate::support::mongo_uri;

#[tokio::test]
async fn every_kind_comes_back_as_it_was_sent() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let text = "Grüße 😀\n".repeat(50_000).into_bytes();
    let long = picture(900_000);
    for (sent, kind, served, shown, bytes) in [
        ("image/png", "image/png", "image/png", true, PNG),
        ("image/png", "image/png", "image/png", true, &long),
        ("", "image/png", "image/png", true, PNG),
        ("application/octet-stream", "image/gif", "image/gif", true, b"GIF89a\x01\0\x01\0"),
        ("image/jpg", "image/jpeg", "image/jpeg", true, b"\xFF\xD8\xFF\xE0\0\x10JFIF\0"),
        ("image/webp", "image/webp", "image/webp", true, b"RIFF\x24\0\0\0WEBPVP8 \0"),
        ("image/avif", "image/avif", "image/avif", true, b"\0\0\0\x1Cftypavif\0\0\0\0mif1avifmiaf"),
        ("audio/mpeg", "audio/mpeg", "audio/mpeg", true, b"ID3\x04\0\0\0\0\0\0"),
        ("audio/webm;codecs=opus", "audio/webm", "audio/webm", true, b"\x1A\x45\xDF\xA3\x42\x82\x84webm"),
        ("video/mp4", "video/mp4", "video/mp4", true, b"\0\0\0\x18ftypisom\0\0\x02\0isommp41"),
        ("application/pdf", "application/pdf", "application/pdf", false, b"%PDF-1.7\n%\xE2\xE3\n"),
        ("application/zip", "application/zip", "application/zip", false, b"PK\x03\x04\x14\0\0\0"),
        ("text/plain; charset=utf-8", "text/plain", "text/plain; charset=utf-8", false, &text),
        // It may be said, but not done.
        ("text/plain", "text/plain", "text/plain; charset=utf-8", false, b"<script>alert(1)</script>"),
    ] {
        let upload = upload(&node, &ada, sent, bytes).await.ok();
        assert_eq!((&upload["contentType"], &upload["size"]), (&json!(kind), &json!(bytes.len())));
        assert!(upload.get("name").is_none() && url(&upload).contains(&id(&upload).to_string()), "{upload}");
        let reply = fetch(&node, Method::GET, &url(&upload), &[]).await;
        assert!(reply.status == 200 && reply.bytes == bytes, "{sent}: {}", reply.status);
        assert_eq!((reply.headers[CONTENT_TYPE].as_bytes(), kind_of(&reply)), (served.as_bytes(), shown));
        assert_eq!(reply.headers[CONTENT_LENGTH], bytes.len().to_string());
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("accept-ranges", "bytes"),
        ] {
            assert_eq!(reply.headers[name], value, "{sent}");
        }
    }
}

/// Whether browsers are told to show it.
fn kind_of(reply: &crate::support::rest::Reply) -> bool {
    reply.headers[CONTENT_DISPOSITION].to_str().unwrap().starts_with("inline; ")
}

#[tokio::test]
async fn files_keep_their_names() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let x_filename = HeaderName::from_static("x-filename");
    for (header, value, name, told) in [
        (CONTENT_DISPOSITION, "attachment; filename=\"a b.png\"", "a b.png", "inline; filename=\"a b.png\""),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"_\"; filename*=UTF-8''..%2F%C3%A4%22.png",
            "ä\".png",
            "inline; filename=\"__.png\"; filename*=UTF-8''%C3%A4%22.png",
        ),
        (
            x_filename,
            "C:\\me\\100%25.png",
            "100%.png",
            "inline; filename=\"100_.png\"; filename*=UTF-8''100%25.png",
        ),
    ] {
        let upload = send(&node, &ada, &[(header, value)], PNG.to_vec()).await.ok();
        assert_eq!(upload["name"], name);
        let reply = fetch(&node, Method::GET, &url(&upload), &[]).await;
        assert_eq!(reply.headers[CONTENT_DISPOSITION], told);
    }
    let upload = upload(&node, &ada, "image/png", PNG).await.ok();
    let reply = fetch(&node, Method::GET, &url(&upload), &[]).await;
    assert_eq!(reply.headers[CONTENT_DISPOSITION], format!("inline; filename=\"{}.png\"", id(&upload)));
}

#[tokio::test]
async fn forms_are_read_as_browsers_send_them() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let long = picture(800_000);
    for bytes in [PNG, &long] {
        // The name of another part is in a file, and another file is in another part.
        let parts: [(&str, Option<&str>, &[u8]); 3] = [
            ("name=\"title\"", None, b"name=\"file\""),
            ("name=\"file\"; filename=\"Gr\u{fc}\u{df}e %22.png\"", Some("image/png"), bytes),
            ("name=\"other\"; filename=\"b.html\"", Some("text/html"), b"<p>"),
        ];
        let upload = send_form(&node, &ada, &parts).await.ok();
        assert_eq!((&upload["name"], &upload["size"]), (&json!("Grüße %22.png"), &json!(bytes.len())));
        let reply = fetch(&node, Method::GET, &url(&upload), &[]).await;
        assert!(reply.bytes == bytes, "{} bytes", reply.bytes.len());
    }
    // A blob has no name of its own, and may have no type.
    let blob: [(&str, Option<&str>, &[u8]); 1] = [("name=\"file\"; filename=\"blob\"", None, PNG)];
    assert_eq!(send_form(&node, &ada, &blob).await.ok()["contentType"], "image/png");
    let blob: [(&str, Option<&str>, &[u8]); 1] = [("name=\"file\"", Some("application/octet-stream"), PNG)];
    assert_eq!(send_form(&node, &ada, &blob).await.ok().get("name"), None);
}

#[tokio::test]
async fn uploads_can_be_attached_and_are_shown_with_a_link() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let (bytes, url) = uploaded(&node, &ada, 100).await;
    let path = format!("/api/conversations/{conversation}/messages");
    ada.rest.post(&path, &json!({"contentType": "image", "attachmentUrl": url})).await.ok();
    let messages = bob.messages(conversation, "").await;
    let shown = messages[0]["attachmentUrl"].as_str().unwrap();
    assert!(fetch(&node, Method::GET, shown, &[]).await.bytes == bytes);
}

#[tokio::test]
async fn uploads_are_for_users_and_counted() {
    let rate = Rate { count: 2, per: Duration::from_secs(3600) };
    let node = Node::with(&mongo_uri().await, Config { upload_rate_per_user: rate, ..config() }).await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let nobody = node.rest.post("/api/uploads", &Value::Null).await;
    assert_eq!((nobody.status.as_u16(), &nobody.body["code"]), (401, &json!("unauthorized")));
    for status in [201, 201, 429] {
        let reply = upload(&node, &ada, "image/png", PNG).await;
        assert_eq!(reply.status, status, "{}", reply.body);
        assert_eq!(reply.headers.contains_key(RETRY_AFTER), status == 429);
    }
    assert_eq!(upload(&node, &bob, "image/png", PNG).await.status, 201);
}
