//! What is answered to commands.

use std::time::Duration;

use gateway::config::Limits;
use protocol::Id;
use serde_json::{Value, json};
use service::throttle::Rate;

use super::{refusals, stack, times};
use crate::support::people::register;
use crate::support::socket::{Dialect, Socket};
use crate::support::stack::Stack;
use crate::support::traffic::acknowledged;
use crate::support::{SOON, eventually};

/// A command that costs nothing, and its answer.
async fn ask(socket: &Socket) -> Value {
    let payload = json!({ "conversationId": Id::mint(), "isTyping": false });
    socket.ask("conversation:typing", &payload).await.expect("the connection is closed")
}

fn is_too_many(answer: &Value) -> bool {
    let words = answer["error"]["message"].as_str().unwrap_or_default();
    answer["ok"] == false
        && answer["error"]["code"] == "too_many_requests"
        && words.starts_with("Too many commands; try again in ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_is_acknowledged_where_that_was_asked_for() {
    let stack = Stack::start().await;
    let base = stack.base();
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let conversation = ada.talk_to(&[&bob]).await;
    let message = ada.say(&conversation, "hello").await;
    for dialect in [Dialect::SocketIo, Dialect::Plain] {
        let socket = bob.connect(&base, dialect).await;
        let answer = async |name: &str, payload: Value| socket.ask(name, &payload).await.unwrap();
        let typing = json!({ "conversationId": conversation, "isTyping": true });
        assert_eq!(answer("conversation:typing", typing).await, json!({ "ok": true }));
        let away = json!({ "status": "away" });
        assert_eq!(answer("user:status", away).await, json!({ "ok": true, "status": "away" }));
        let read = answer("message:read", json!({ "messageId": message["id"] })).await;
        assert_eq!(read["ok"], true, "{read}");
        assert_eq!(read["read"]["messageId"], message["id"]);
        assert_eq!((&read["read"]["userId"], &read["read"]["seq"]), (&json!(bob.id), &json!(1)));
        assert_eq!(read["read"]["conversationId"], json!(conversation));
        let hello = json!({ "conversationId": conversation, "content": "hello" });
        acknowledged(Some(answer("message:send", hello).await));

        let unknown = answer("message:explode", json!({})).await;
        let error = json!({ "code": "not_found", "message": "Unknown event" });
        assert_eq!(unknown, json!({ "ok": false, "error": error }));
        let unreadable = answer("message:read", json!({ "messageId": Id::mint() })).await;
        assert_eq!((&unreadable["ok"], &unreadable["error"]["code"]), (&json!(false), &json!("not_found")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_commands_are_told_which_field_it_is_and_disturb_nothing() {
    let stack = Stack::start().await;
    let ada = register(&stack.base(), "Ada").await;
    for dialect in [Dialect::SocketIo, Dialect::Plain] {
        let socket = ada.connect(&stack.base(), dialect).await;
        for (name, payload, words) in [
            ("message:send", json!({}), "conversationId: is required"),
            ("message:send", json!("hello"), "body: must be a JSON object"),
            ("message:read", json!({}), "messageId: is required"),
            ("message:read", json!({ "messageId": { "$gt": "" } }), "messageId: "),
            ("message:read", json!({ "messageId": Id::mint(), "conversationId": 7 }), "conversationId: "),
            ("conversation:typing", json!({ "conversationId": Id::mint() }), "isTyping: is required"),
            ("conversation:typing", json!({ "conversationId": "x", "isTyping": true }), "conversationId: "),
            ("conversation:typing", json!(null), "body: must be a JSON object"),
            ("user:status", json!({ "status": "busy" }), "status: must be one of: online, away, offline"),
            ("user:connect", json!({}), "token: is required"),
            ("user:connect", json!({ "token": ["x"] }), "token: must be a string"),
        ] {
            let answer = socket.ask(name, &payload).await.unwrap();
            assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!("bad_request")));
            let told = answer["error"]["message"].as_str().unwrap();
            assert!(told.starts_with(words), "{name} {payload}: {told}");
            socket.emit(name, &payload);
        }
        assert_eq!(ask(&socket).await, json!({ "ok": true }));
        // Without an acknowledgement only a client that would wait in vain is told.
        let told: Vec<Value> = socket
            .events()
            .into_iter()
            .filter(|event| event.name == "error")
            .map(|event| event.payload["message"].clone())
            .collect();
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(told[..2], [json!("Failed to send message"), json!("Failed to send message")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_sends_too_much_is_refused_and_closed_if_it_goes_on() {
    let stack = stack(|config| config.limits.command_rate_per_connection = times(5)).await;
    let (base, before) = (stack.base(), [refusals(&stack, "connection_commands"), refusals(&stack, "flood")]);
    let ada = register(&base, "Ada").await;
    for dialect in [Dialect::SocketIo, Dialect::Plain] {
        let (socket, other) = (ada.connect(&base, dialect).await, ada.connect(&base, dialect).await);
        for _ in 0..5 {
            assert_eq!(ask(&socket).await, json!({ "ok": true }));
        }
        for _ in 0..49 {
            let answer = ask(&socket).await;
            assert!(is_too_many(&answer), "{answer}");
        }
        socket.emit("message:send", &json!({ "conversationId": Id::mint(), "content": "x" }));
        let event = eventually("the failure is told", SOON, async || {
            socket.events().into_iter().find(|event| event.name == "error")
        })
        .await;
        assert_eq!(event.payload, json!({ "message": "Failed to send message" }));
        socket.emit("message:read", &json!({ "messageId": Id::mint() }));
        assert_eq!(socket.closed().await, 4429, "{dialect:?}");
        assert_eq!(ask(&other).await, json!({ "ok": true }), "another connection of hers");
        // Whoever comes back begins anew.
        assert_eq!(ask(&ada.connect(&base, dialect).await).await, json!({ "ok": true }));
    }
    assert!(
        refusals(&stack, "connection_commands") >= before[0] + 100.0
            && refusals(&stack, "flood") >= before[1] + 2.0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_connections_share_what_the_user_may_send() {
    let stack = stack(|config| {
        config.limits.command_rate_per_user = Rate { count: 6, per: Duration::from_secs(6) };
    })
    .await;
    let (base, before) = (stack.base(), refusals(&stack, "user_commands"));
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let sockets = [ada.connect(&base, Dialect::SocketIo).await, ada.connect(&base, Dialect::Plain).await];
    let mut n = 0..;
    eventually("there are too many", SOON, async || {
        is_too_many(&ask(&sockets[n.next()? % 2]).await).then_some(())
    })
    .await;
    assert!(n.start >= 7, "six are good: {n:?}");
    assert!(refusals(&stack, "user_commands") > before);
    assert_eq!(ask(&bob.connect(&base, Dialect::Plain).await).await, json!({ "ok": true }));
    for socket in &sockets {
        eventually("it is served again", SOON, async || (ask(socket).await["ok"] == true).then_some(()))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_says_over_and_over_what_was_read_is_not_refused() {
    let stack = stack(|config| config.limits = Limits::default()).await;
    let base = stack.base();
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let conversation = ada.talk_to(&[&bob]).await;
    let mut messages = Vec::new();
    for n in 0..12 {
        messages.push(ada.say(&conversation, &format!("message {n}")).await["id"].clone());
    }
    // Two sockets in a tab, each of which says it of every message whenever the page is drawn, in three tabs.
    let mut answers = Vec::new();
    for _ in 0..3 {
        for dialect in [Dialect::SocketIo, Dialect::SocketIo] {
            let socket = bob.connect(&base, dialect).await;
            for message in messages.iter().cycle().take(82) {
                let payload = json!({ "messageId": message, "conversationId": conversation });
                answers.push(socket.ask("message:read", &payload).await.unwrap());
            }
        }
    }
    assert!(answers.iter().all(|answer| answer["ok"] == true), "{answers:?}");
}
