//! The edge as clients see it: the stock Socket.IO client, the plain WebSocket, and what passes through to the api.

mod pass_through;

use std::time::Duration;

use protocol::Id;
use serde_json::json;

use crate::support::people::register;
use crate::support::socket::{ConnectError, Dialect, Socket};
use crate::support::stack::{Stack, tokens};
use crate::support::traffic::acknowledged;
use crate::support::{SOON, eventually, node};

/// The script bounds itself; this is in case it cannot.
const PATIENCE: Duration = Duration::from_secs(90);

/// A good token of somebody who does not exist.
fn token_of_nobody() -> String {
    tokens().sign(Id::mint(), Duration::from_secs(600)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_client_connects_sends_receives_and_comes_back() {
    let mut stack = Stack::start().await;
    let mut script = node::start("socketio.mjs", &[&stack.base(), &token_of_nobody()], &[]).await;
    script.line("restart the gateway").await;
    stack.restart_gateway(0).await;
    let output = script.success(PATIENCE).await;
    assert!(output.contains("all checks passed"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_websocket_takes_its_token_from_the_first_message_or_the_handshake() {
    let stack = Stack::start().await;
    let base = stack.base();
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let conversation = ada.talk_to(&[&bob]).await;
    let sockets = [
        ada.connect(&base, Dialect::Plain).await,
        ada.connect(&base, Dialect::PlainHeader).await,
        bob.connect(&base, Dialect::PlainHeader).await,
        bob.connect(&base, Dialect::SocketIo).await,
    ];
    let payload = json!({ "conversationId": conversation, "content": "hello" });
    let stored = acknowledged(sockets[0].ask("message:send", &payload).await);
    for socket in &sockets {
        eventually("the message arrives", SOON, async || (socket.seqs(&conversation) == [1]).then_some(()))
            .await;
        assert_eq!(socket.messages(&conversation)[0], stored);
        assert!(socket.events().iter().all(|event| event.clock.is_some()), "every event carries its clock");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_websocket_is_refused_with_4401_and_the_specifications_words() {
    let stack = Stack::start().await;
    let base = stack.base();
    for dialect in [Dialect::Plain, Dialect::PlainHeader] {
        for (token, message) in
            [("nonsense", "Authentication error"), (token_of_nobody().as_str(), "User not found")]
        {
            let refused = Socket::connect(&base, dialect, token).await.unwrap_err();
            let expected = ConnectError::Refused { message: message.to_owned(), code: Some(4401) };
            assert_eq!(refused, expected, "{dialect:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_send_without_an_acknowledgement_is_an_error_event() {
    let stack = Stack::start().await;
    let ada = register(&stack.base(), "Ada").await;
    for dialect in [Dialect::SocketIo, Dialect::Plain] {
        let socket = ada.connect(&stack.base(), dialect).await;
        socket.emit("message:send", &json!({ "conversationId": Id::mint(), "content": "x" }));
        let event = eventually("the failure is told", SOON, async || socket.events().pop()).await;
        assert_eq!(
            (event.name.as_str(), event.payload),
            ("error", json!({ "message": "Failed to send message" }))
        );
        assert_eq!(event.clock, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_gateway_tells_its_sockets_to_come_back() {
    let mut stack = Stack::start().await;
    let ada = register(&stack.base(), "Ada").await;
    for dialect in [Dialect::SocketIo, Dialect::Plain] {
        let socket = ada.connect(&stack.base(), dialect).await;
        stack.restart_gateway(0).await;
        assert_eq!(socket.closed().await, 1001, "{dialect:?}");
        drop(ada.connect(&stack.base(), dialect).await);
    }
}
