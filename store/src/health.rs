//! Whether MongoDB takes writes.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use service::health::Check;
use service::shutdown::Shutdown;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::stream::cluster_time;
use crate::{Store, StoreError};

/// How often MongoDB is asked. With [`TIMEOUT`] and [`STUCK`] this bounds how late a fault is noticed: 1.5 seconds.
const INTERVAL: Duration = Duration::from_millis(500);
/// A MongoDB that takes longer than this to answer at all cannot serve requests either.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long a majority may not move while there is something that it has not got.
const STUCK: Duration = Duration::from_secs(1);

impl Store {
    /// Whether a MongoDB that takes writes answers within a second. One command, which is not measured.
    ///
    /// # Errors
    ///
    /// When none does.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.written().await.map(drop)
    }

    async fn written(&self) -> Result<Written, StoreError> {
        // The driver sends it to a primary, and waits for one where there is none.
        let hello = self.database().run_command(doc! {"hello": 1});
        let hello = timeout(TIMEOUT, hello.into_future()).await.map_err(|_| StoreError::TimedOut)??;
        if hello.get_bool("isWritablePrimary").unwrap_or(false) {
            Ok(Written::read(&hello))
        } else {
            Err(StoreError::NotReplicated("there is no primary".to_owned()))
        }
    }
}

/// Has `check` tell whether MongoDB takes writes, until `shutdown`.
///
/// Seen within two seconds: a MongoDB that cannot be reached, or does not answer; a replica set without a primary; and
/// a primary that has lost its majority. Such a primary answers for ten more seconds before it steps down, and only
/// what it writes tells: nobody follows. So this is seen from the first write on, and the server itself writes every
/// ten seconds, every gateway every five; while nobody writes nobody misses anything.
///
/// Not seen: a server that answers but cannot write, such as one whose disk is full or whose writes are locked.
pub async fn watch(store: &Store, check: &Check, shutdown: &Shutdown) {
    let mut majority = Majority::default();
    let watching = async {
        loop {
            match store.written().await {
                Ok(written) if !majority.is_stuck(written, Instant::now()) => check.pass(),
                // Whatever it looks like: a majority has just acknowledged something. A server that is only slow is not
                // away.
                _ if store.commands.acknowledged_within(STUCK) => check.pass(),
                Ok(_) => check.fail("no majority follows"),
                Err(error) => {
                    if check.holds() {
                        // The driver's own words, such as those on certificates and credentials.
                        warn!(%error, "MongoDB is out of reach");
                    }
                    check.fail(if error.is_unavailable() {
                        "no primary answers"
                    } else {
                        "it refuses the command"
                    });
                }
            }
            sleep(INTERVAL).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = watching => {}
    }
}

/// How far a primary has written, and how much of it a majority has; cluster times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Written {
    last: u64,
    majority: u64,
}

impl Written {
    /// Where the answer does not say, a majority has everything.
    fn read(hello: &Document) -> Self {
        let time = |name| {
            let time = hello.get_document("lastWrite").ok()?.get_document(name).ok()?;
            time.get("ts").and_then(Bson::as_timestamp).map(cluster_time)
        };
        let last = time("opTime").unwrap_or_default();
        Self { last, majority: time("majorityOpTime").unwrap_or(last) }
    }
}

/// Whether a majority follows.
#[derive(Debug, Default)]
struct Majority {
    /// What it had when it was last seen to move, and since when it has not.
    waits: Option<(u64, Instant)>,
}

impl Majority {
    fn is_stuck(&mut self, written: Written, now: Instant) -> bool {
        match self.waits {
            _ if written.majority >= written.last => self.waits = None,
            Some((had, since)) if had == written.majority => return now - since >= STUCK,
            _ => self.waits = Some((written.majority, now)),
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::Timestamp;

    use super::*;

    #[test]
    fn a_majority_is_stuck_while_it_does_not_move_and_something_is_left() {
        let (mut majority, began) = (Majority::default(), Instant::now());
        let mut at = |millis, last, had| {
            majority.is_stuck(Written { last, majority: had }, began + Duration::from_millis(millis))
        };
        assert!(!at(0, 5, 5));
        // Behind, but it moves.
        assert!(!at(500, 9, 5) && !at(1_000, 12, 8) && !at(1_500, 14, 9));
        // From here on it does not.
        assert!(!at(2_000, 15, 9) && at(2_500, 16, 9) && at(9_000, 16, 9));
        assert!(!at(9_500, 16, 12) && !at(10_000, 16, 16));
        // Nobody has written, so there is nothing to wait for.
        assert!(!at(20_000, 16, 16) && !at(30_000, 17, 16));
    }

    #[test]
    fn an_answer_tells_how_far_it_has_written() {
        let time = |time| doc! {"ts": Timestamp { time, increment: 1 }, "t": 3_i64};
        let hello = doc! {"lastWrite": {"opTime": time(8), "majorityOpTime": time(7)}};
        let written = Written::read(&hello);
        assert_eq!((written.last >> 32, written.majority >> 32), (8, 7));
        let silent = Written::read(&doc! {"lastWrite": {"opTime": time(8)}});
        assert_eq!(silent.last, silent.majority);
        assert_eq!(Written::read(&doc! {}), Written::default());
    }
}
