//! The parts that run in this process: started one after the other, and stopped the other way round.

use std::future::Future;
use std::time::Duration;

use service::shutdown::Shutdown;
use tokio::task::{Id, JoinSet};
use tracing::{error, warn};

/// Every part bounds its own draining; this bounds a part that does not.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// Running parts, in the order in which they were started.
#[derive(Debug)]
pub struct Parts {
    tasks: JoinSet<()>,
    running: Vec<Running>,
    stop_deadline: Duration,
}

#[derive(Debug)]
struct Running {
    id: Id,
    name: &'static str,
    shutdown: Shutdown,
}

impl Default for Parts {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), running: Vec::new(), stop_deadline: STOP_DEADLINE }
    }
}

impl Parts {
    /// Starts a part, which is stopped before those that were started before it: it may rely on them to its
    /// end. `run` gets the token that stops it.
    pub fn start<F>(&mut self, name: &'static str, run: impl FnOnce(Shutdown) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shutdown = Shutdown::new();
        let id = self.tasks.spawn(run(shutdown.clone())).id();
        self.running.push(Running { id, name, shutdown });
    }

    /// Waits until a part ends by itself, and tells which. May be dropped and called again.
    pub async fn ended(&mut self) -> &'static str {
        let joined = self.tasks.join_next_with_id().await;
        let id = match joined {
            Some(Ok((id, ()))) => id,
            Some(Err(panicked)) => {
                let id = panicked.id();
                error!(error = %panicked, "a part failed");
                id
            }
            // Nothing runs, so nothing will end.
            None => return std::future::pending().await,
        };
        let at = self.running.iter().position(|part| part.id == id);
        at.map_or("part", |at| self.running.remove(at).name)
    }

    /// Stops the parts, the last one first, waiting for each to end before the next is told.
    pub async fn stop(mut self) {
        while let Some(part) = self.running.last() {
            let (id, name) = (part.id, part.name);
            part.shutdown.cancel();
            let deadline = self.stop_deadline;
            let ended = async {
                while self.running.iter().any(|part| part.id == id) {
                    self.ended().await;
                }
            };
            if tokio::time::timeout(deadline, ended).await.is_err() {
                warn!(part = name, "does not stop, and is left behind");
                self.running.retain(|part| part.id != id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn parts_stop_one_after_the_other_the_last_one_first() {
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut parts = Parts::default();
        for name in ["first", "second", "third"] {
            let order = order.clone();
            parts.start(name, |shutdown| async move {
                shutdown.cancelled().await;
                tokio::task::yield_now().await;
                order.lock().unwrap().push(name);
            });
        }
        parts.stop().await;
        assert_eq!(*order.lock().unwrap(), ["third", "second", "first"]);
    }

    #[tokio::test]
    async fn a_part_that_ends_or_panics_is_named() {
        let mut parts = Parts::default();
        parts.start("lasting", |shutdown| async move { shutdown.cancelled().await });
        parts.start("ending", |_| async {});
        assert_eq!(parts.ended().await, "ending");
        parts.start("panicking", |_| async { panic!("on purpose") });
        assert_eq!(parts.ended().await, "panicking");
        parts.stop().await;
    }

    #[tokio::test]
    async fn a_part_that_hears_nothing_holds_up_nobody_for_ever() {
        let mut parts = Parts { stop_deadline: Duration::from_millis(50), ..Parts::default() };
        parts.start("other", |shutdown| async move { shutdown.cancelled().await });
        parts.start("deaf", |_| std::future::pending());
        parts.stop().await;
    }
}
