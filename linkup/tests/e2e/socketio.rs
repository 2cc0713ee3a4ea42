//! The edge as clients see it: the stock Socket.IO client, the plain WebSocket, and what passes through to the api.
//!
//! | module | shows |
//! |---|---|
//! | [`pass_through`] | what passes through to the api, and what does not |

mod pass_through;

use std::time::Duration;

use protocol::{Id, Timestamp, upload};
use serde_json::{Value, json};

use crate::support::people::register;
use crate::support::socket::{ConnectError, Dialect, Socket};
use crate::support::stack::{Stack, links, tokens};
use crate::support::traffic::acknowledged;
use crate::support::{SOON, eventually, node};

/// The script bounds itself; this is in case it cannot.
const PATIENCE: Duration = Duration::from_secs(90);

/// A good token of somebody who does not exist.
fn token_of_nobody() -> String {
    tokens().sign(Id::mint(), 0, Duration::from_secs(600)).unwrap()
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
        let event = eventually("the failure is told", SOON, async || {
            socket.events().into_iter().find(|event| event.name == "error")
        })
        .await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_an_ended_session_is_refused_and_a_new_one_is_not() {
    let stack = Stack::start().await;
    let base = stack.base();
    let ada = register(&base, "Ada").await;
    let email = ada.rest.get("/api/auth/me").await.ok()["email"].clone();
    drop(ada.connect(&base, Dialect::Plain).await);
    ada.rest.delete("/api/auth/sessions", None).await.ok();
    let login = json!({ "email": email, "password": "correct horse" });
    let session = ada.rest.post("/api/auth/login", &login).await.ok();
    for dialect in [Dialect::SocketIo, Dialect::Plain, Dialect::PlainHeader] {
        let refused = Socket::connect(&base, dialect, &ada.token).await.unwrap_err();
        let code = (dialect != Dialect::SocketIo).then_some(4401);
        assert_eq!(refused, ConnectError::Refused { message: "Authentication error".to_owned(), code });
        drop(Socket::connect(&base, dialect, session["token"].as_str().unwrap()).await.unwrap());
    }
}

/// What a socket was told of a conversation, in order: for an update whether it is active, for a message its text.
fn told(socket: &Socket, conversation: &str) -> Vec<Value> {
    let events = socket.events();
    let of = events.iter().filter_map(|event| match event.name.as_str() {
        "conversation:update" if event.payload["id"] == conversation => Some(&event.payload["isActive"]),
        "message:new" if event.payload["conversationId"] == conversation => Some(&event.payload["content"]),
        _ => None,
    });
    of.cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_are_told_of_a_conversation_that_is_archived_and_that_comes_back() {
    let stack = Stack::start().await;
    let base = stack.base();
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let conversation = ada.talk_to(&[&bob]).await;
    let sockets = [
        ada.connect(&base, Dialect::SocketIo).await,
        ada.connect(&base, Dialect::Plain).await,
        bob.connect(&base, Dialect::Plain).await,
    ];
    ada.say(&conversation, "before").await;
    ada.rest.delete(&format!("/api/conversations/{conversation}"), None).await.ok();
    bob.say(&conversation, "after").await;
    let expected = [json!("before"), json!(false), json!(true), json!("after")];
    for socket in &sockets {
        eventually("everything is told", SOON, async || {
            told(socket, &conversation).ends_with(&[json!("after")]).then_some(())
        })
        .await;
        // That it was made may have been told before.
        assert!(told(socket, &conversation).ends_with(&expected), "{:?}", told(socket, &conversation));
        let updates = socket.events().into_iter().filter(|event| event.name == "conversation:update");
        assert!(updates.map(|event| event.payload).all(|update| {
            update["participants"].as_array().unwrap().len() == 2 && update["type"] == "direct"
        }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uploads_address_arrives_in_a_form_that_opens_it() {
    let stack = Stack::start().await;
    let base = stack.base();
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let conversation = ada.talk_to(&[&bob]).await;
    let (from, to) = (ada.connect(&base, Dialect::Plain).await, bob.connect(&base, Dialect::SocketIo).await);
    let stored = upload::stored(Id::mint());
    let shown = links().shown(&stored, Timestamp::now()).into_owned();
    ada.rest.put(&format!("/api/users/{}", ada.id), &json!({ "avatar": shown })).await.ok();
    let send = |address: &str| json!({ "conversationId": conversation, "contentType": "image", "attachmentUrl": address });
    let sent = acknowledged(from.ask("message:send", &send(&shown)).await);
    assert_eq!(sent["attachmentUrl"], json!(shown));
    eventually("the picture arrives", SOON, async || (to.seqs(&conversation) == [1]).then_some(())).await;
    let arrived = to.messages(&conversation).remove(0);
    assert_eq!((&arrived["attachmentUrl"], &arrived["sender"]["avatar"]), (&json!(shown), &json!(shown)));
    // What somebody made up opens nothing.
    let answer = from.ask("message:send", &send(&stored)).await.unwrap();
    assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!("bad_request")));
}
