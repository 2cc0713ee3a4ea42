//! The answers of an HTTP server, as far as opening a WebSocket and Engine.IO's polling need them.

use std::fmt::Write;

use super::target::Target;

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// The longest body, in bytes: a poll carries many events.
const MAX_BODY: usize = 16 << 20;
/// How many headers are read.
const MAX_HEADERS: usize = 64;

/// The example of RFC 6455, section 1.3, with the answer that belongs to it. The key only guards against caches, and
/// with a constant one the answer can be checked without a hash.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What the server answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    /// The status line's code and reason.
    pub(super) status: (u16, String),
    /// Whether it agrees to a WebSocket.
    pub(super) accepted: bool,
    /// The body. Nothing behind a 101.
    pub(super) body: &'a [u8],
    /// How long head and body are.
    pub(super) length: usize,
}

/// The answer at the start of `bytes`; `None` until it is whole.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn answer(bytes: &[u8]) -> Result<Option<Answer<'_>>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD => {
            return Err("a head without an end".to_owned());
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let status = (response.code.unwrap_or_default(), response.reason.unwrap_or_default().to_owned());
    let header = |name: &str| {
        response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    };
    let accepted = status.0 == 101 && header("sec-websocket-accept") == Some(ACCEPT);
    if status.0 == 101 {
        return Ok(Some(Answer { status, accepted, body: &[], length: head }));
    }
    if header("transfer-encoding").is_some() {
        return Err("a chunked answer, which this client does not read".to_owned());
    }
    let size =
        header("content-length").map_or(Some(0), |value| str::from_utf8(value).ok()?.trim().parse().ok());
    let Some(size) = size.filter(|size: &usize| *size <= MAX_BODY) else {
        return Err("an answer without a usable length".to_owned());
    };
    let Some(body) = bytes.get(head..head + size) else { return Ok(None) };
    Ok(Some(Answer { status, accepted, body, length: head + size }))
}

/// Asks for a WebSocket at `path`.
pub(super) fn upgrade(out: &mut String, target: &Target, path: &str) {
    let host = target.authority();
    // Writing to a String does not fail.
    let _ = write!(
        out,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
    );
}

/// Asks for `path`, over a connection that is kept.
pub(super) fn get(out: &mut String, target: &Target, path: &str) {
    let host = target.authority();
    let _ = write!(out, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
}

/// Sends `body` to `path`, over a connection that is kept.
pub(super) fn post(out: &mut String, target: &Target, path: &str, body: &str) {
    let (host, length) = (target.authority(), body.len());
    let _ = write!(
        out,
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain;charset=UTF-8\r\n\
         Content-Length: {length}\r\n\r\n{body}",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhelloHTTP";
        for cut in [0, 10, 40, text.len() - 5] {
            assert_eq!(answer(&text[..cut]), Ok(None), "{cut}");
        }
        let answer = answer(text).unwrap().unwrap();
        assert_eq!((answer.status.0, answer.body, answer.length), (200, &b"hello"[..], text.len() - 4));
    }

    #[test]
    fn an_upgrade_is_accepted_only_with_the_key_that_belongs_to_ours() {
        let head = |accept: &str| {
            format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {accept}\r\n\r\n")
        };
        let good = head(str::from_utf8(ACCEPT).unwrap());
        assert!(answer(good.as_bytes()).unwrap().unwrap().accepted);
        assert!(!answer(head("x").as_bytes()).unwrap().unwrap().accepted);
    }

    #[test]
    fn answers_that_cannot_be_read_are_told() {
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(MAX_HEAD));
        for (text, problem) in [
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "chunked"),
            ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "usable length"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", "usable length"),
            ("no http", "invalid"),
            (&endless, "without an end"),
        ] {
            assert!(answer(text.as_bytes()).unwrap_err().contains(problem), "{problem}");
        }
    }
}
