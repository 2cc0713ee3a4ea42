//! What is refused, and that nothing of it stays.

use std::time::Duration;

use api::Config;
use hyper::header::CONTENT_TYPE;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::fixture::{Node, Person, config};
use super::super::storage::files_left;
use super::{BOUNDARY, PNG, form, picture, send, send_form, upload};
use crate::support::{SOON, eventually, mongo_uri};

/// Enough for chunks to be written before the end is there.
const LONG: usize = 1_000_000;

async fn assert_nothing_left(node: &Node) {
    let gone = async || (files_left(&node.store).await == (0, 0)).then_some(());
    eventually("nothing of it is left", SOON, gone).await;
}

/// Waits until a part of a file has been written.
async fn some_is_written(node: &Node) {
    eventually("a chunk is there", SOON, async || (files_left(&node.store).await.1 > 0).then_some(())).await;
}

/// A node that takes files of a million bytes.
async fn small(upload_timeout: Duration) -> (Node, Person) {
    let config = Config { upload_max_bytes: LONG as u64, upload_timeout, ..config() };
    let node = Node::with(&mongo_uri().await, config).await;
    let ada = node.person("Ada").await;
    (node, ada)
}

/// Begins an upload by hand, with these further headers, each with its end of line.
async fn begin(node: &Node, person: &Person, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let head = format!(
        "POST /api/uploads HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n{headers}\r\n",
        person.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// What the server answers, which is JSON; it may go on reading.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = async {
        while !answer.ends_with(b"}") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed without an answer: {answer:?}");
        }
    };
    timeout(SOON, reading).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn files_that_are_not_what_they_are_said_to_be() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let page = b"<!doctype html><script>alert(document.domain)</script>";
    let drawing = b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>";
    let mut late = "a good text ".repeat(50_000).into_bytes();
    late.extend(b"\0<script>");
    let mut unfinished = "a good text ".repeat(50_000).into_bytes();
    unfinished.extend(b"\xC3");
    for (kind, bytes) in [
        ("image/png", &page[..]),
        ("text/html", page),
        ("application/octet-stream", page),
        ("image/svg+xml", drawing),
        ("", drawing),
        ("image/jpeg", PNG),
        ("text/plain", PNG),
        ("application/x-msdownload", b"MZ\x90\0\x03\0"),
        ("", b"MZ\x90\0\x03\0"),
        ("application/json", b"{}"),
        ("text/plain", &late),
        ("text/plain", &unfinished),
    ] {
        let reply = upload(&node, &ada, kind, bytes).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.body["code"]),
            (415, &json!("unsupported_media_type")),
            "{kind}"
        );
        assert!(reply.body["message"].as_str().unwrap().contains("PNG"), "{}", reply.body);
        let parts =
            [("name=\"file\"; filename=\"a.png\"", Some(kind).filter(|kind| !kind.is_empty()), bytes)];
        assert_eq!(send_form(&node, &ada, &parts).await.status, 415, "{kind}");
    }
    assert_nothing_left(&node).await;
}

#[tokio::test]
async fn nothing_is_no_file() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    for (kind, body, message) in [
        ("image/png", Vec::new(), "file: must not be empty"),
        (&kind, form(&[("name=\"file\"; filename=\"\"", None, b"")]), "file: must not be empty"),
        (&kind, form(&[("name=\"files\"; filename=\"a.png\"", None, PNG)]), "file: is required"),
        (&kind, form(&[]), "file: is required"),
        (&kind, Vec::new(), "body: was cut short"),
        (&kind, b"no form at all".to_vec(), "body: was cut short"),
        ("multipart/form-data", form(&[("name=\"file\"", None, PNG)]), "body: has no boundary"),
    ] {
        let reply = send(&node, &ada, &[(CONTENT_TYPE, kind)], body).await;
        assert_eq!((reply.status.as_u16(), &reply.body["code"]), (400, &json!("bad_request")));
        assert_eq!(reply.body["message"], message);
    }
    assert_nothing_left(&node).await;
}

#[tokio::test]
async fn files_that_are_too_large() {
    let (node, ada) = small(SOON).await;
    let too_large = |answer: &str| {
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("too_large"), "{answer}")
    };
    // It says so itself, and is answered before it is sent.
    let mut stream = begin(&node, &ada, &format!("content-length: {}\r\n", LONG + 1)).await;
    too_large(&answer(&mut stream).await);
    // Whoever reads the answer only when everything is sent is waited for, and then the connection ends.
    stream.write_all(&picture(LONG + 1)).await.unwrap();
    assert_eq!(timeout(SOON, stream.read(&mut [0])).await.unwrap().unwrap(), 0);
    let mut stream =
        begin(&node, &ada, &format!("expect: 100-continue\r\ncontent-length: {}\r\n", LONG + 1)).await;
    too_large(&answer(&mut stream).await);
    // It does not say so, and is cut off where it becomes too large.
    let mut stream = begin(&node, &ada, "transfer-encoding: chunked\r\n").await;
    let (half, rest) = (picture(LONG / 2), vec![7; LONG / 2 + 1]);
    for piece in [half, rest] {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
        stream.write_all(&piece).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    too_large(&answer(&mut stream).await);
    // Nor does what is within a form.
    let parts: [(&str, Option<&str>, &[u8]); 1] =
        [("name=\"file\"; filename=\"a.png\"", None, &picture(LONG + 1))];
    assert_eq!(send_form(&node, &ada, &parts).await.status, 413);
    let beside = [("name=\"other\"", None, &picture(3 << 19)[..]), ("name=\"file\"", None, PNG)];
    assert_eq!(send_form(&node, &ada, &beside).await.status, 413);
    assert_nothing_left(&node).await;
    // What is just as large as it may be is taken either way.
    assert_eq!(upload(&node, &ada, "image/png", &picture(LONG)).await.status, 201);
    let parts: [(&str, Option<&str>, &[u8]); 1] = [("name=\"file\"", None, &picture(LONG))];
    assert_eq!(send_form(&node, &ada, &parts).await.status, 201);
}

#[tokio::test]
async fn files_that_are_cut_short() {
    let (node, ada) = small(SOON).await;
    // The client tells that it will send no more, and still listens.
    let kind = format!("content-type: multipart/form-data; boundary={BOUNDARY}\r\n");
    let whole = form(&[("name=\"file\"; filename=\"a.png\"", Some("image/png"), &picture(LONG / 2))]);
    // Within the file, and within the last boundary behind it.
    for end in [LONG / 3, whole.len() - 4] {
        let mut stream = begin(&node, &ada, &format!("{kind}transfer-encoding: chunked\r\n")).await;
        stream.write_all(format!("{end:x}\r\n").as_bytes()).await.unwrap();
        stream.write_all(&whole[..end]).await.unwrap();
        stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("body: was cut short"), "{answer}");
        assert_nothing_left(&node).await;
    }
    // The client is gone.
    for kind in ["", &kind] {
        let mut stream = begin(&node, &ada, &format!("{kind}content-length: {LONG}\r\n")).await;
        let begun = if kind.is_empty() { picture(LONG / 2) } else { whole[..LONG / 3].to_vec() };
        stream.write_all(&begun).await.unwrap();
        some_is_written(&node).await;
        drop(stream);
        assert_nothing_left(&node).await;
    }
}

#[tokio::test]
async fn files_that_come_too_slowly() {
    let (node, ada) = small(Duration::from_millis(300)).await;
    let mut stream = begin(&node, &ada, &format!("content-length: {LONG}\r\n")).await;
    stream.write_all(&picture(LONG / 2)).await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
    assert_nothing_left(&node).await;
}
