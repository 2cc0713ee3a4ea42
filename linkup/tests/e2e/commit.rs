//! Group commit: every message once, in order and without a gap, whatever happens between the api and MongoDB.
//!
//! | module | shows |
//! |---|---|
//! | [`order`] | many senders, two nodes, batches |
//! | [`retry`] | messages that are sent again |
//! | [`faults`] | answers that are lost, inserts that land late |
//! | [`link`] | a connection to MongoDB that can be interfered with |

mod faults;
pub(crate) mod link;
mod order;
mod retry;

use protocol::Id;
use serde_json::{Value, json};

use crate::support::rest::Rest;

/// A `send` command as a gateway writes it.
fn command(message: Id, sender: Id, conversation: Id, payload: &Value) -> Value {
    json!({"send": {"message": message, "sender": sender, "conversation": conversation, "payload": payload}})
}

/// Sends a batch as a gateway does.
async fn batch(gateway: &Rest, commands: &[Value]) -> Vec<Value> {
    let answers = gateway.post(protocol::command::PATH, &json!({"commands": commands})).await.ok();
    answers["answers"].as_array().unwrap().clone()
}
