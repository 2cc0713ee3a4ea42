//! The same through a gateway, and what it must keep from the api.

use futures_util::future::join_all;
use serde_json::json;

use super::raw::{Then, say, statuses};
use crate::support::people::register;
use crate::support::stack::{Stack, tokens};

/// Targets that would lead to the endpoint for gateways if anything were left out, decoded or tidied up on the way.
const INWARD: &[&str] = &[
    "/internal/commands",
    "/internal/commands?/api/",
    "//internal/commands",
    "/api/../internal/commands",
    "/api/..%2finternal/commands",
    "/api/%2e%2e/internal/commands",
    "/api/%2e%2e%2finternal%2fcommands",
    "/api/..;/internal/commands",
    "/api//internal/commands",
    "/api/internal/commands",
    "/api\\..\\internal\\commands",
    "/api/./../internal/commands",
    "/%61pi/../internal/commands",
    "/socket.io/../internal/commands",
    "http://api/internal/commands",
    "http://x/api/../internal/commands",
];

#[tokio::test]
async fn nothing_from_outside_reaches_what_is_for_gateways() {
    let stack = Stack::start().await;
    let base = stack.base();
    let ada = register(&base, "Ada").await;
    let address = base.trim_start_matches("http://").parse().unwrap();
    let body = json!({"commands": [{"connect": {"user": ada.id, "generation": 0}}]}).to_string();
    // Even with a token that would open it.
    for token in [tokens().sign_internal().unwrap(), ada.token.clone()] {
        for target in INWARD {
            let words = format!(
                "POST {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
                 connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = say(address, words.as_bytes(), Then::Waits).await;
            let refused = statuses(&answer).iter().all(|status| [400, 404, 405].contains(status));
            assert!(refused && !answer.contains("answers"), "{target}: {answer}");
        }
    }
    ada.rest.get("/api/auth/me").await.ok();
}

#[tokio::test]
async fn no_request_becomes_another_clients_whatever_its_length_is_said_to_be() {
    let stack = Stack::start().await;
    let base = stack.base();
    let [ada, eve] = [register(&base, "Ada").await, register(&base, "Eve").await];
    let address = base.trim_start_matches("http://").parse().unwrap();
    // If any of this were left on a connection between gateway and api, it would become the beginning of Ada's next
    // request, or its answer hers.
    let hidden = format!("GET /api/users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nx: ", eve.token);
    let begin = "POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let (length, chunked) = (format!("content-length: {}", hidden.len() + 5), "transfer-encoding: chunked");
    for _ in 0..3 {
        let shapes = [
            format!("{begin}{length}\r\n{chunked}\r\n\r\n0\r\n\r\n{hidden}"),
            format!("{begin}{chunked}\r\n{length}\r\n\r\n0\r\n\r\n{hidden}"),
            format!("{begin}content-length: 4\r\n{chunked}\r\n\r\n60\r\n{hidden}\r\n0\r\n\r\n"),
            format!("{begin}{chunked}\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n{hidden}"),
            format!("{begin}{chunked}, identity\r\n{length}\r\n\r\n0\r\n\r\n{hidden}"),
            format!("{begin}content-length: 0\r\n{length}\r\n\r\n{hidden}"),
            format!("{begin}content-length: 0, {}\r\n\r\n{hidden}", hidden.len()),
            format!("{begin}transfer-encoding:\x0bchunked\r\n{length}\r\n\r\n0\r\n\r\n{hidden}"),
            format!("{begin}connection: content-length\r\n{length}\r\n\r\n0\r\n\r\n{hidden}"),
            format!("{begin}connection: transfer-encoding\r\n{chunked}\r\n\r\n0\r\n\r\n{hidden}"),
        ];
        let attacks = join_all(shapes.iter().map(|words| say(address, words.as_bytes(), Then::Ends)));
        let victims = join_all((0..20).map(|_| ada.rest.get("/api/auth/me")));
        let (answers, replies) = tokio::join!(attacks, victims);
        for (words, answer) in shapes.iter().zip(answers) {
            assert!(statuses(&answer).iter().all(|status| *status < 500), "{words}: {answer}");
        }
        for reply in replies.into_iter().chain(join_all((0..20).map(|_| ada.rest.get("/api/auth/me"))).await)
        {
            assert_eq!(reply.ok()["id"], ada.id);
        }
    }
}

#[tokio::test]
async fn a_body_that_is_none_is_the_clients_fault() {
    let stack = Stack::start().await;
    let base = stack.base();
    let address = base.trim_start_matches("http://").parse().unwrap();
    let begin = "POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    for body in ["no size\r\n", "2\r\n{}}\r\n0\r\n\r\n", "fffffffffffffffff\r\n"] {
        let words = format!("{begin}transfer-encoding: chunked\r\n\r\n{body}");
        let answer = say(address, words.as_bytes(), Then::Ends).await;
        assert!(statuses(&answer) == [400] && answer.contains("\"body: was cut short\""), "{body}: {answer}");
    }
    // Nobody takes that for a node that is away.
    register(&base, "Ada").await.rest.get("/api/auth/me").await.ok();
}
