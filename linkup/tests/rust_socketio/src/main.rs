//! The `rust_socketio` client talks to a running LinkUp.
//!
//! `linkup-rust-socketio-client BASE TOKEN CONVERSATION`: connects, sends with an acknowledgement and receives; then somebody has
//! to cut its connection, and to say "after the cut" once it has come back. Ends with status 0 if everything was as it
//! should be.

use std::error::Error;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

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

fn send(client: &Client, conversation: &str, content: &str) -> Result<Value, Box<dyn Error>> {
    let (told, answer) = channel();
    let payload = json!({ "conversationId": conversation, "content": content });
    client.emit_with_ack("message:send", payload, PATIENCE, move |payload: Payload, _: RawClient| {
        drop(told.send(first(&payload)));
    })?;
    let mut answer = answer.recv_timeout(PATIENCE)?.ok_or("an acknowledgement without a value")?;
    // The library hands over the list of the acknowledgement's arguments.
    if answer.is_array() {
        answer = answer[0].take();
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

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, token, conversation] = &arguments[..] else { return Err("BASE TOKEN CONVERSATION".into()) };
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
    let answer = send(&client, conversation, "from Rust")?;
    if answer["ok"] != true || answer["message"]["content"] != "from Rust" {
        return Err(format!("not acknowledged: {answer}").into());
    }
    arrives(&messages, "from Rust")?;
    println!("connected, sent and received");

    opens.recv_timeout(PATIENCE)?;
    println!("came back");
    arrives(&messages, "after the cut")?;
    println!("all checks passed");
    client.disconnect()?;
    Ok(())
}
