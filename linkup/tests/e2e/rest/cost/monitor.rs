//! A store that says what it sends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use mongodb::bson::Document;
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use mongodb::options::ClientOptions;
use service::metrics::Registry;
use store::Store;

/// What is sent whether anybody asks for anything or not.
const BACKGROUND: [&str; 3] = ["hello", "ping", "endSessions"];

/// The commands that a store sends.
#[derive(Clone, Default)]
pub(super) struct Monitor(Arc<Mutex<Vec<Document>>>);

impl Monitor {
    /// A prepared store on this database, and what it sends from now on.
    pub(super) async fn connect(uri: &str) -> (Self, Store) {
        let monitor = Self::default();
        let noted = monitor.clone();
        let note = move |event| {
            if let CommandEvent::Started(started) = event
                && !BACKGROUND.contains(&started.command_name.as_str())
            {
                noted.0.lock().unwrap().push(started.command);
            }
        };
        let configure = |options: &mut ClientOptions| {
            options.command_event_handler = Some(EventHandler::callback(note));
        };
        let store = Store::connect_with(uri, "cost-test", "api", &Registry::new(), configure).await.unwrap();
        store.prepare().await.unwrap();
        (monitor, store)
    }

    /// What was sent since something began to be watched.
    pub(super) fn so_far(&self) -> Vec<Document> {
        self.0.lock().unwrap().clone()
    }

    /// What is sent while something is done, and what came of it.
    pub(super) async fn watch<T>(&self, action: impl Future<Output = T>) -> (T, Vec<Document>) {
        self.0.lock().unwrap().clear();
        let done = action.await;
        (done, std::mem::take(&mut *self.0.lock().unwrap()))
    }
}

/// What a command does, and to what: `find users`.
pub(super) fn name(command: &Document) -> String {
    let (name, about) = command.iter().next().unwrap();
    let about = match about.as_str() {
        Some(about) => about,
        // An aggregation of no collection has a number there, and what continues a cursor its identifier.
        None => command.get_str("collection").unwrap_or("-"),
    };
    format!("{name} {about}")
}

/// How often each command was sent.
pub(super) fn tally(commands: &[Document]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for command in commands {
        *tally.entry(name(command)).or_default() += 1;
    }
    tally
}
