//! What MongoDB says of itself: its members, its oplog, its load. Asked every few seconds, for metrics.
//!
//! | module | holds |
//! |---|---|
//! | `members` | what an answer to `replSetGetStatus` tells |
//! | `server` | what an answer to `serverStatus` tells |
//! | `gauges` | `linkup_mongodb_*` |

mod gauges;
mod members;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{ReadPreference, SelectionCriteria};
use service::metrics::Registry;
use service::shutdown::Shutdown;
use tokio::time::{Instant, sleep, timeout};

use crate::Store;
use gauges::Gauges;
use members::{Members, Roster};
use server::{Operations, Server};

/// How often MongoDB is asked how it is.
const INTERVAL: Duration = Duration::from_secs(5);
/// How often it is seen whether any member answers, and MongoDB asked how it is while something is wrong: what ends is
/// to be seen soon, and the alert on MongoDB to fire before those on everything that cannot do its job without it.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The same where it is only whether anybody answers.
const UP_TIMEOUT: Duration = Duration::from_secs(1);
/// MongoDB's code for what a user may not do.
const UNAUTHORIZED: i32 = 13;

/// `linkup_mongodb_*`, but for what is this process's own. Clones are the same.
#[derive(Clone, Debug)]
pub struct Status {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    gauges: Gauges,
    /// In seconds; 0 until it is known.
    oplog_window: AtomicU64,
    /// Whether it was said that this user may not ask.
    complained: AtomicBool,
}

/// What came of a question.
enum Answer {
    Told(Document),
    /// It answered, and told nothing.
    Refused,
    Silence,
}

/// What is remembered between two rounds of questions.
#[derive(Default)]
struct Memory {
    roster: Roster,
    operations: Operations,
}

impl Status {
    /// Makes the handles.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let (oplog_window, complained) = (AtomicU64::default(), AtomicBool::default());
        Self { inner: Arc::new(Inner { gauges: Gauges::new(registry), oplog_window, complained }) }
    }

    /// The time between the first and the last entry of the oplog, as it was last told; `None` until then.
    #[must_use]
    pub fn oplog_window(&self) -> Option<Duration> {
        match self.inner.oplog_window.load(Ordering::Relaxed) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        }
    }

    /// Asks once, and shows what was answered. Returns whether all is well: there is a primary, and a majority.
    async fn look(&self, store: &Store, memory: &mut Memory) -> bool {
        // Of a primary that has just died, or that hangs, the others know.
        let mut answers = self.ask_all(store, ReadPreference::PrimaryPreferred { options: None }).await;
        if answers.iter().all(|answer| matches!(answer, Answer::Silence)) {
            answers = self.ask_all(store, ReadPreference::Secondary { options: None }).await;
        }
        let gauges = &self.inner.gauges;
        let [server, members, config] = answers;
        if let Answer::Told(config) = config {
            memory.roster = Roster::read(&config);
        }
        let is_well = match members {
            Answer::Told(status) => {
                let members = Members::read(&status, &memory.roster);
                gauges.show_members(&members);
                members.primary > 0 && members.margin >= 0
            }
            // This much everybody is told.
            Answer::Refused => {
                let has_primary = self.knows_primary(store).await;
                gauges.show_primary(has_primary);
                has_primary
            }
            Answer::Silence => {
                gauges.show_members(&Members::silent(&memory.roster));
                false
            }
        };
        match server {
            Answer::Told(status) => {
                let server = Server::read(&status);
                if let Some(window) = server.oplog_window {
                    self.inner.oplog_window.store(window.max(1), Ordering::Relaxed);
                }
                gauges.show_operations(memory.operations.advance(&server));
                gauges.show_server(&server);
            }
            Answer::Refused => {}
            Answer::Silence => self.show_no_server(),
        }
        is_well
    }

    /// No server tells its load. The oplog is as long as it was: whoever asks how much time is left asks just now.
    fn show_no_server(&self) {
        let oplog_window = self.oplog_window().map(|window| window.as_secs());
        self.inner.gauges.show_server(&Server { oplog_window, ..Server::default() });
    }

    /// Nobody answers.
    fn show_silence(&self, memory: &Memory) {
        self.show_no_server();
        self.inner.gauges.show_members(&Members::silent(&memory.roster));
        self.inner.gauges.show_up(false);
    }

    /// Whether any member answers, whatever it says: the primary, or else another.
    async fn is_up(store: &Store) -> bool {
        Self::answers(store, ReadPreference::PrimaryPreferred { options: None }).await
            || Self::answers(store, ReadPreference::Secondary { options: None }).await
    }

    async fn answers(store: &Store, whom: ReadPreference) -> bool {
        let admin = store.client().database("admin");
        let whom = SelectionCriteria::ReadPreference(whom);
        let asked = admin.run_command(doc! {"ping": 1}).selection_criteria(whom);
        match timeout(UP_TIMEOUT, asked.into_future()).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => matches!(error.kind.as_ref(), ErrorKind::Command(_)),
            Err(_) => false,
        }
    }

    /// Whether a member that answers knows a primary.
    async fn knows_primary(&self, store: &Store) -> bool {
        let whom = ReadPreference::PrimaryPreferred { options: None };
        let answer = self.ask(store, doc! {"hello": 1}, &whom).await;
        matches!(answer, Answer::Told(hello) if hello.contains_key("primary"))
    }

    /// All questions at once, to one member each.
    async fn ask_all(&self, store: &Store, whom: ReadPreference) -> [Answer; 3] {
        let [server, members, config] =
            [server::question(), doc! {"replSetGetStatus": 1}, doc! {"replSetGetConfig": 1}]
                .map(|question| self.ask(store, question, &whom));
        let (server, members, config) = tokio::join!(server, members, config);
        [server, members, config]
    }

    async fn ask(&self, store: &Store, question: Document, whom: &ReadPreference) -> Answer {
        let admin = store.client().database("admin");
        let asked =
            admin.run_command(question).selection_criteria(SelectionCriteria::ReadPreference(whom.clone()));
        match timeout(TIMEOUT, asked.into_future()).await {
            Ok(Ok(answer)) => Answer::Told(answer),
            Ok(Err(error)) => match error.kind.as_ref() {
                ErrorKind::Command(command) => {
                    if command.code == UNAUTHORIZED && !self.inner.complained.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            "LinkUp's user may not read MongoDB's status, so some metrics stay 0: grant it the role \
                             clusterMonitor"
                        );
                    }
                    Answer::Refused
                }
                _ => Answer::Silence,
            },
            Err(_) => Answer::Silence,
        }
    }
}

/// Asks MongoDB how it is, at once and again and again until `shutdown`.
pub async fn watch(store: &Store, status: &Status, shutdown: &Shutdown) {
    let mut memory = Memory::default();
    let watching = async {
        let (mut is_well, mut looked) = (false, Instant::now());
        loop {
            if !Status::is_up(store).await {
                status.show_silence(&memory);
                is_well = false;
            } else if !is_well || looked.elapsed() >= INTERVAL {
                is_well = status.look(store, &mut memory).await;
                // Not before: a member that answers does not make those of before true.
                status.inner.gauges.show_up(true);
                looked = Instant::now();
            }
            sleep(LOOK_INTERVAL).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = watching => {}
    }
}
