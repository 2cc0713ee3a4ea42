//! The launcher as a stranger runs it, killed while people talk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::people::{Person, register};
use crate::support::process::Process;
use crate::support::rest::Rest;
use crate::support::socket::{Dialect, Socket};
use crate::support::{SOON, eventually};

/// How many acknowledgements come before the launcher is killed.
const BEFORE: usize = 300;
/// How many unanswered sends a connection has.
const WINDOW: usize = 16;

/// The messages that were acknowledged: content by number.
type Acknowledged = Arc<Mutex<BTreeMap<i64, Value>>>;

async fn launch(data: &Path) -> (Process, String) {
    let data = data.to_string_lossy();
    let mut launcher = Process::linkup(&["--data-dir", &data], &[("PORT", "0"), ("ADMIN_PORT", "0")]);
    let base = launcher.line("LinkUp is ready: ").await;
    (launcher, base)
}

/// Sends without a pause until the connection breaks, and notes what is acknowledged.
async fn talk(socket: Socket, conversation: String, acknowledged: Acknowledged) {
    let mut waiting = std::collections::VecDeque::new();
    loop {
        let content = format!("message {}", protocol::Id::mint());
        let payload = json!({ "conversationId": conversation, "content": content });
        waiting.push_back(socket.ask("message:send", &payload));
        if waiting.len() < WINDOW {
            continue;
        }
        let Some(mut answer) = waiting.pop_front().unwrap().await else { return };
        assert_eq!(answer["ok"], true, "{answer}");
        let message = answer["message"].take();
        let earlier = acknowledged.lock().unwrap().insert(message["seq"].as_i64().unwrap(), message);
        assert!(earlier.is_none(), "a number was given twice");
    }
}

/// Everybody's connections, talking.
async fn talk_all(base: &str, people: &[Person], conversation: &str, noted: &Acknowledged) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for person in people {
        for dialect in [Dialect::Plain, Dialect::SocketIo] {
            let socket = person.connect(base, dialect).await;
            tasks.spawn(talk(socket, conversation.to_owned(), Arc::clone(noted)));
        }
    }
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_message_outlives_a_launcher_that_is_killed_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let (mut launcher, mut base) = launch(folder.path()).await;
    let people = [register(&base, "Ada").await, register(&base, "Bob").await];
    let conversation = people[0].talk_to(&[&people[1]]).await;
    let noted = Acknowledged::default();
    for round in 1..=2 {
        let mut talking = talk_all(&base, &people, &conversation, &noted).await;
        eventually("people talk", SOON, async || {
            (noted.lock().unwrap().len() >= round * BEFORE).then_some(())
        })
        .await;
        launcher.kill().await;
        while let Some(ended) = talking.join_next().await {
            ended.unwrap();
        }
        (launcher, base) = launch(folder.path()).await;
        // The same users, with the tokens that they have.
        let ada = Person { rest: Rest::new(&base).with_token(&people[0].token), ..people[0].clone() };
        let stored = ada.messages_after(&conversation, 0).await;
        let seqs: Vec<i64> = stored.iter().map(|message| message["seq"].as_i64().unwrap()).collect();
        assert_eq!(seqs, (1..=stored.len() as i64).collect::<Vec<_>>(), "a gap, or something twice");
        for (seq, message) in &*noted.lock().unwrap() {
            let kept = &stored[usize::try_from(*seq).unwrap() - 1];
            assert_eq!(
                (&kept["_id"], &kept["content"]),
                (&message["_id"], &message["content"]),
                "number {seq}"
            );
        }
    }
    let status = launcher.terminate().await;
    assert!(status.success(), "{status}\n{}", launcher.output());
}
