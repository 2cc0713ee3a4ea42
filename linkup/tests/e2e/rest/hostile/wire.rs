//! Requests that break off, drag on, or can be read in two ways.

use std::time::Duration;

use api::Config;
use futures_util::future::join_all;

use super::Besieged;
use super::raw::{Then, say, statuses};
use crate::rest::access::world::World;
use crate::rest::access::{quiet_node, quiet_node_with};
use crate::rest::fixture::{Node, config};

/// What a client says, and which answers it may get: any of these, or none where there is a zero.
struct Case {
    what: &'static str,
    words: Vec<u8>,
    then: Then,
    answers: &'static [u16],
}

fn case(what: &'static str, words: impl Into<Vec<u8>>, then: Then, answers: &'static [u16]) -> Case {
    Case { what, words: words.into(), then, answers }
}

/// The head of a request for signing in, with these lines in it.
fn login(lines: &str) -> String {
    format!("POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{lines}\r\n\r\n")
}

async fn try_all(node: &Node, cases: Vec<Case>) {
    let tried = join_all(cases.iter().map(async |case| {
        let answer = say(node.address, &case.words, case.then).await;
        let found = statuses(&answer);
        let good = match found.first() {
            Some(status) => case.answers.contains(status),
            None => case.answers.contains(&0),
        };
        let rest_is_good = found.iter().skip(1).all(|status| *status == 400);
        (!good || !rest_is_good).then(|| format!("{}: {found:?}: {answer}", case.what))
    }));
    let wrong: Vec<String> = tried.await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A node that does not wait for long.
async fn hasty_node() -> Node {
    let short = Duration::from_millis(500);
    quiet_node_with(Config { head_timeout: short, body_timeout: short, upload_timeout: short, ..config() })
        .await
}

/// The heads of requests that write, by somebody who may.
struct Writes<'a>(&'a World);

impl Writes<'_> {
    fn head(&self, target: &str, lines: &str) -> String {
        let token = &self.0.ada.token;
        format!("POST {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{lines}\r\n\r\n")
    }

    fn message(&self, line: &str) -> String {
        let target = format!("/api/conversations/{}/messages", self.0.group);
        self.head(&target, &format!("content-type: application/json\r\n{line}"))
    }

    fn file(&self, line: &str) -> String {
        self.head("/api/uploads", &format!("content-type: text/plain\r\n{line}"))
    }
}

const CHUNKED: &str = "transfer-encoding: chunked";

/// Bodies that are not there to their ends, though what is there of them could be taken for the whole.
fn broken_bodies(writes: &Writes<'_>) -> Vec<Case> {
    const BODY: &str = "{\"content\":\"cut\"}";
    let endings = [(Then::Ends, &[0, 400][..]), (Then::Waits, &[408]), (Then::Leaves, &[0])];
    let cases = endings.map(|(then, answers)| {
        [
            ("a body that is cut short", writes.message("content-length: 100") + BODY),
            ("no body at all", writes.message("content-length: 100")),
            ("chunks without an end", writes.message(CHUNKED) + "11\r\n" + BODY + "\r\n"),
            ("a chunk that is cut short", writes.message(CHUNKED) + "64\r\n" + BODY),
            ("a file that is cut short", writes.file("content-length: 1000000") + "text"),
            ("a file without an end", writes.file(CHUNKED) + "4\r\ntext\r\n"),
        ]
        .map(|(what, words)| case(what, words, then, answers))
    });
    cases.into_iter().flatten().collect()
}

fn broken_heads(writes: &Writes<'_>) -> Vec<Case> {
    let head = writes.message("content-length: 17");
    let endings = [(Then::Ends, &[0, 400][..]), (Then::Waits, &[0, 408]), (Then::Leaves, &[0])];
    let cases = endings.map(|(then, answers)| {
        [
            ("nothing", ""),
            ("half a line", &head[..12]),
            ("half a head", &head[..60]),
            ("a head without its end", head.trim_end()),
        ]
        .map(|(what, words)| case(what, words, then, answers))
    });
    cases.into_iter().flatten().collect()
}

fn slow(writes: &Writes<'_>) -> Vec<Case> {
    let head = "GET /api/auth/me HTTP/1.1\r\n";
    vec![
        case("a slow body", writes.message("content-length: 1000"), Then::DragsOn("{\"content\":\""), &[408]),
        case("slow chunks", writes.message(CHUNKED), Then::DragsOn("1\r\n \r\n"), &[408]),
        case("a slow file", writes.file("content-length: 1000"), Then::DragsOn("text"), &[408]),
        case("a slow head", head, Then::DragsOn("x: y\r\n"), &[0, 408]),
        case("a slow line", "GET /", Then::DragsOn("a"), &[0, 408]),
        case("empty lines", "\r\n", Then::DragsOn("\r\n"), &[0, 400, 408]),
    ]
}

#[tokio::test]
async fn requests_that_break_off_or_drag_on_are_not_waited_for() {
    let node = hasty_node().await;
    let besieged = Besieged::on(&node).await;
    let writes = Writes(&besieged.world);
    let cases = [broken_bodies(&writes), broken_heads(&writes), slow(&writes)];
    try_all(&node, cases.into_iter().flatten().collect()).await;
    besieged.stands("requests that break off").await;
}

fn large_heads() -> Vec<Case> {
    let many = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let long = "a".repeat(1 << 20);
    [
        ("200 headers", format!("GET / HTTP/1.1\r\n{}\r\n", many(200)), &[431][..]),
        ("100,000 headers", format!("GET / HTTP/1.1\r\n{}\r\n", many(100_000)), &[0, 431]),
        ("a long header", format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"), &[0, 431]),
        ("a long name", format!("GET / HTTP/1.1\r\n{long}: x\r\n\r\n"), &[0, 400, 431]),
        ("a long target", format!("GET /{long} HTTP/1.1\r\n\r\n"), &[0, 414, 431]),
        ("a long method", format!("{long} / HTTP/1.1\r\n\r\n"), &[0, 400, 431]),
        ("long trailers", login(CHUNKED) + "0\r\n" + &many(50_000), &[0, 400]),
    ]
    .map(|(what, words, answers)| case(what, words, Then::Waits, answers))
    .into()
}

fn large_bodies() -> Vec<Case> {
    let chunk = format!("ffff\r\n{}\r\n", "x".repeat(0xffff));
    let on_request = "content-length: 100000000\r\nexpect: 100-continue";
    [
        ("a body of 100 MB", login("content-length: 100000000"), &[413][..]),
        ("a body of 100 MB on request", login(on_request), &[413]),
        ("the largest body", login("content-length: 18446744073709551614"), &[400, 413, 431]),
        ("chunks that are too many", login(CHUNKED) + &chunk + &chunk, &[413]),
        ("a vast chunk", login(CHUNKED) + "ffffffffffffffff\r\n{", &[400, 408, 413]),
        ("a chunk beyond numbers", login(CHUNKED) + "fffffffffffffffff\r\n", &[400]),
        ("a long extension", login(CHUNKED) + "1;" + &"a".repeat(1 << 20), &[0, 400]),
    ]
    .map(|(what, words, answers)| case(what, words, Then::Waits, answers))
    .into()
}

#[tokio::test]
async fn what_is_too_much_is_refused_before_it_is_read() {
    let node = hasty_node().await;
    let besieged = Besieged::on(&node).await;
    try_all(&node, [large_heads(), large_bodies()].into_iter().flatten().collect()).await;
    besieged.stands("too much").await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let node = hasty_node().await;
    let besieged = Besieged::on(&node).await;
    let get = |lines: &str| format!("GET /api/auth/me HTTP/1.1\r\n{lines}\r\n\r\n");
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    try_all(
        &node,
        vec![
            case("TLS", hello, Then::Ends, &[0, 400]),
            case("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Then::Ends, &[0, 400]),
            case("HTTP/9", "GET /api/auth/me HTTP/9.9\r\n\r\n", Then::Ends, &[0, 400]),
            case("HTTP/0.9", "GET /api/auth/me\r\n\r\n", Then::Ends, &[0, 400]),
            case("HTTP/1.0", "GET /api/auth/me HTTP/1.0\r\n\r\n", Then::Waits, &[401]),
            case("zero bytes", vec![0; 1000], Then::Ends, &[0, 400]),
            case("bytes", (0..=255).cycle().take(5_000).collect::<Vec<u8>>(), Then::Ends, &[0, 400]),
            case("a space before a colon", get("host : x"), Then::Ends, &[400]),
            case("no colon", get("host"), Then::Ends, &[400]),
            case("no name", get(": x"), Then::Ends, &[400]),
            case("a folded line", get("host: x\r\n y"), Then::Ends, &[400]),
            case("a zero byte in a header", get("host: x\0y"), Then::Ends, &[400]),
            case("a lone carriage return", get("host: x\ry: z"), Then::Ends, &[400]),
            case("a space in the target", "GET /api/auth me HTTP/1.1\r\n\r\n", Then::Ends, &[400]),
            case("a zero byte in the target", "GET /api/auth/\0me HTTP/1.1\r\n\r\n", Then::Ends, &[400]),
            case(
                "no UTF-8 in a token",
                [b"GET /api/auth/me HTTP/1.1\r\nauthorization: Bearer \xff\xfe\r\n\r\n".to_vec()].concat(),
                Then::Ends,
                &[401],
            ),
            case(
                "no host",
                "GET /api/auth/me HTTP/1.1\r\nconnection: close\r\n\r\n",
                Then::Waits,
                &[400, 401],
            ),
        ],
    )
    .await;
    besieged.stands("what is no HTTP").await;
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused() {
    let node = hasty_node().await;
    let besieged = Besieged::on(&node).await;
    // Where a body ends decides whether this is a request, or some of it.
    let hidden = Writes(&besieged.world).head("/api/auth/sessions", "x: y").replace("POST", "DELETE");
    let two_lengths = format!("content-length: 0\r\ncontent-length: {}", hidden.len());
    let cases = [
        ("two lengths", &two_lengths[..], ""),
        ("two lengths in one", "content-length: 0, 0", ""),
        ("a signed length", "content-length: +0", ""),
        ("a negative length", "content-length: -1", ""),
        ("a hexadecimal length", "content-length: 0x0", ""),
        ("a length in words", "content-length: none", ""),
        ("no length", "content-length:", ""),
        ("a length beyond numbers", "content-length: 18446744073709551616", ""),
        ("another encoding", "transfer-encoding: gzip", ""),
        ("chunks within gzip", "transfer-encoding: chunked, gzip", ""),
        ("chunks and identity", "transfer-encoding: chunked\r\ntransfer-encoding: identity", ""),
        ("chunks that are none", "transfer-encoding: xchunked", ""),
        ("a space before the colon", "transfer-encoding : chunked", ""),
        ("a size that is none", CHUNKED, "0x0\r\n\r\n"),
        ("a signed size", CHUNKED, "+0\r\n\r\n"),
        ("a size with a blank", CHUNKED, " 0\r\n\r\n"),
        ("a chunk longer than it says", CHUNKED, "1\r\n{}\r\n0\r\n\r\n"),
        ("bare line feeds in chunks", CHUNKED, "0\n\n"),
    ];
    let cases = cases.map(|(what, line, body)| case(what, login(line) + body + &hidden, Then::Ends, &[400]));
    let old = login(CHUNKED).replace("1.1", "1.0") + "0\r\n\r\n" + &hidden;
    let old = case("chunks in HTTP/1.0", old, Then::Ends, &[400]);
    try_all(&node, cases.into_iter().chain([old]).collect()).await;
    besieged.stands("what can be read in two ways").await;
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_a_row() {
    let node = quiet_node().await;
    let besieged = Besieged::on(&node).await;
    let (ada, eve) = (&besieged.world.ada, &besieged.world.eve);
    let next = format!(
        "GET /api/auth/me HTTP/1.1\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        eve.token
    );
    // A body that nobody reads is no request, whatever it looks like.
    let body = Writes(&besieged.world).head("/api/auth/sessions", "x: y").replace("POST", "DELETE");
    for (first, status) in [
        (format!("GET /api/auth/me HTTP/1.1\r\nauthorization: Bearer {}\r\n", ada.token), 200),
        ("GET /api/openapi.json HTTP/1.1\r\n".to_owned(), 200),
        ("POST /api/conversations HTTP/1.1\r\ncontent-type: application/json\r\n".to_owned(), 401),
        ("POST /api/auth/login HTTP/1.1\r\ncontent-type: text/plain\r\n".to_owned(), 415),
        ("PUT /api/nothing HTTP/1.1\r\n".to_owned(), 404),
        ("PATCH /api/users HTTP/1.1\r\n".to_owned(), 405),
    ] {
        let chunked = format!("{first}{CHUNKED}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n{next}", body.len());
        for words in [format!("{first}content-length: {}\r\n\r\n{body}{next}", body.len()), chunked] {
            let answer = say(node.address, words.as_bytes(), Then::Waits).await;
            assert_eq!(statuses(&answer), [status, 200], "{answer}");
            let (first, second) = answer.split_at(answer.rfind("HTTP/1.1").unwrap());
            assert!(!first.contains(&eve.id.to_string()), "{first}");
            assert!(second.contains(&eve.id.to_string()), "{second}");
        }
    }
    besieged.stands("requests in a row").await;
}
