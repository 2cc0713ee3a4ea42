//! Passwords are hashed and compared off the asynchronous threads.

use std::sync::Arc;
use std::time::Duration;

use service::metrics::Histogram;
use store::password::{HashError, PasswordHash};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::answer::Failure;

/// How long a request waits for its turn to hash before it is told to come back.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// How many requests may wait for their turn, for each that has it. The last of them waits about a second; who comes
/// after is told at once to come back, rather than after a wait that would lead nowhere.
const WAITING_PER_TURN: usize = 32;

/// Hashes and verifies on at most half of the cores: each hash takes 19 MiB and a core, and the other half is for the
/// messages of those who are signed in already.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    /// Who may hash or wait to.
    places: Arc<Semaphore>,
    /// Who may hash now.
    turns: Arc<Semaphore>,
    /// How long it takes, waiting included.
    seconds: Histogram,
}

/// A place and a turn, both given back with it.
struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Passwords {
    pub(crate) fn new(seconds: Histogram) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_turns((cores / 2).max(1), seconds)
    }

    fn with_turns(turns: usize, seconds: Histogram) -> Self {
        let places = Arc::new(Semaphore::new(turns * (1 + WAITING_PER_TURN)));
        Self { places, turns: Arc::new(Semaphore::new(turns)), seconds }
    }

    pub(crate) async fn hash(&self, password: String) -> Result<PasswordHash, Failure> {
        self.work(move || PasswordHash::of(&password)).await
    }

    /// Whether `password` belongs to `hash`. Without a hash it takes as long and says no, so that the time of
    /// an answer does not tell whether an address is registered.
    pub(crate) async fn verify(&self, password: String, hash: Option<PasswordHash>) -> Result<bool, Failure> {
        let (hash, known) = match hash {
            Some(hash) => (hash, true),
            None => (PasswordHash::nobodys(), false),
        };
        self.work(move || hash.verify(&password).map(|right| right && known)).await
    }

    async fn work<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, HashError> + Send + 'static,
    {
        let asked = Instant::now();
        let turn = self.turn().await?;
        let worked = tokio::task::spawn_blocking(move || {
            // Held until the work is done, also when the client has gone away meanwhile.
            let _turn = turn;
            work()
        });
        let done = worked.await.map_err(Failure::fault)?.map_err(Failure::fault)?;
        self.seconds.record(asked.elapsed().as_secs_f64());
        Ok(done)
    }

    async fn turn(&self) -> Result<Turn, Failure> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Failure::unavailable())?;
        match tokio::time::timeout(TURN_TIMEOUT, self.turns.clone().acquire_owned()).await {
            Ok(turn) => Ok(Turn { _place: place, _turn: turn.map_err(Failure::fault)? }),
            Err(_) => Err(Failure::unavailable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use service::metrics::Registry;

    use super::*;

    #[tokio::test]
    async fn whoever_finds_no_place_to_wait_is_told_so_at_once() {
        let passwords = Passwords::with_turns(1, Histogram::noop());
        let _first = passwords.turn().await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING_PER_TURN).map(|_| Box::pin(passwords.turn())).collect();
        for one in &mut waiting {
            assert!(poll_once(one.as_mut()).is_pending());
        }
        let refused = passwords.turn().await.err().unwrap();
        assert_eq!(refused.error.code, protocol::ErrorCode::Unavailable);
        assert!(refused.response().headers().contains_key(hyper::header::RETRY_AFTER));
        // A place is free again when one of them goes away.
        waiting.pop();
        assert!(poll_once(Box::pin(passwords.turn()).as_mut()).is_pending());
    }

    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }

    #[tokio::test]
    async fn without_a_hash_the_answer_is_no() {
        let registry = Registry::new();
        let passwords = Passwords::new(registry.histogram("linkup_test_seconds", "Times", &[]));
        assert!(!passwords.verify("x".to_owned(), None).await.unwrap());
        let hash = passwords.hash("secret words".to_owned()).await.unwrap();
        assert!(passwords.verify("secret words".to_owned(), Some(hash)).await.unwrap());
        assert_eq!(registry.value("linkup_test_seconds_count", &[]), Some(3.0));
    }
}
