//! The `rust_socketio` client talks to a running LinkUp.
//!
//! `linkup-rust-socketio-client BASE TOKEN EXPIRY NEWER_TOKEN CONVERSATION`: connects, sends with an acknowledgement
//! and receives; then somebody has to cut its connection, and to say "after the cut" once it has come back. TOKEN
//! expires in the second EXPIRY of the Unix epoch; by then the client has refreshed it by `user:connect` with
//! NEWER_TOKEN, so that it sends and receives once more. Ends with status 0 if everything was as it should be.

use std::error::Error;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rust_socketio::client::Client;
use rust_socketio::{ClientBuilder, Payload, RawClient};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

fn first(payload: &Payload) -> Option<Value> {
    match payload {
        Payload::Text(values) => values.first().cloned(),
        _ => None,
    }
}

/// Sends an event, and waits for its acknowledgement.
fn ask(client: &Client, event: &str, payload: Value) -> Result<Value, Box<dyn Error>> {
    let (told, answer) = channel();
    client.emit_with_ack(event, payload, PATIENCE, move |payload: Payload, _: RawClient| {
        drop(told.send(first(&payload)));
    })?;
    let mut answer = answer.recv_timeout(PATIENCE)?.ok_or("an acknowledgement without a value")?;
    // The library hands over the list of the acknowledgement's arguments.
    if answer.is_array() {
        answer = answer[0].take();
    }
    if answer["ok"] != true {
        return Err(format!("{event} was answered by {answer}").into());
    }
    Ok(answer)
}

fn arrives(messages: &Receiver<Value>, content: &str) -> Result<(), Box<dyn Error>> {
    loop {
        if messages.recv_timeout(PATIENCE)?["content"] == content {
            return Ok(());
        }
    }
}

/// Sends with an acknowledgement, and receives.
fn talk(
    client: &Client,
    messages: &Receiver<Value>,
    conversation: &str,
    content: &str,
) -> Result<(), Box<dyn Error>> {
    let answer = ask(client, "message:send", json!({ "conversationId": conversation, "content": content }))?;
    if answer["message"]["content"] != content {
        return Err(format!("another message was acknowledged: {answer}").into());
    }
    arrives(messages, content)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, token, expiry, newer_token, conversation] = &arguments[..] else {
        return Err("BASE TOKEN EXPIRY NEWER_TOKEN CONVERSATION".into());
    };
    let expired = UNIX_EPOCH + Duration::from_secs(expiry.parse()?);
    let (sender, messages) = channel();
    let (opened, opens) = channel();
    let client = ClientBuilder::new(base.as_str())
        .auth(json!({ "token": token }))
        .on("message:new", move |payload, _| {
            if let Some(message) = first(&payload) {
                drop(sender.send(message));
            }
        })
        .on("open", move |_, _| opened.send(()).unwrap_or_default())
        .reconnect(true)
        .reconnect_on_disconnect(true)
        .reconnect_delay(100, 500)
        .connect()?;
    opens.recv_timeout(PATIENCE)?;
    talk(&client, &messages, conversation, "from Rust")?;
    println!("connected, sent and received");

    opens.recv_timeout(PATIENCE)?;
    println!("came back");
    arrives(&messages, "after the cut")?;

    ask(&client, "user:connect", json!({ "token": newer_token }))?;
    if SystemTime::now() >= expired {
        return Err("it was too late to refresh the token".into());
    }
    let beyond = expired + Duration::from_millis(1_500);
    thread::sleep(beyond.duration_since(SystemTime::now()).unwrap_or_default());
    talk(&client, &messages, conversation, "with the newer token")?;
    if opens.try_recv().is_ok() {
        return Err("it was cut off when the first token expired".into());
    }
    println!("all checks passed");
    client.disconnect()?;
    Ok(())
}
