//! What the tests are made of.
//!
//! | module | holds |
//! |---|---|
//! | [`mongo`] | the one `mongod` of this test process |
//! | [`stack`] | all parts in this process, each of which can be stopped or crashed |
//! | [`cluster`] | all parts as processes, joined by NATS |
//! | [`process`] | the `linkup` program as a process of its own |
//! | [`socket`] | a client that remembers everything it was sent, in order |
//! | [`rest`] | a client of the REST API |
//! | [`contract`] | the api's document, held against every answer |
//! | [`people`] | registered users with their conversations |
//! | [`crowd`] | thousands of users at once |
//! | [`traffic`] | many senders at once, and the judgement of what arrived |
//! | [`unlucky`] | a bus that loses things |
//! | [`tap`] | a connection on which certain requests are counted |
//! | [`relay`] | a connection that can fall silent or break |
//! | [`turn`] | which tests may not run beside which |
//! | [`cutter`] | a connection to MongoDB that breaks just before an answer |
//! | [`node`] | scripts in Node.js |
//! | [`nats_server`] | a real NATS server |

pub(crate) mod cluster;
pub(crate) mod contract;
pub(crate) mod crowd;
pub(crate) mod cutter;
pub(crate) mod mongo;
#[path = "../../../bus/tests/support/nats_server.rs"]
pub(crate) mod nats_server;
pub(crate) mod node;
pub(crate) mod people;
pub(crate) mod process;
pub(crate) mod relay;
pub(crate) mod rest;
pub(crate) mod socket;
pub(crate) mod stack;
pub(crate) mod tap;
pub(crate) mod traffic;
pub(crate) mod turn;
pub(crate) mod unlucky;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(crate) use mongo::{database, mongo_uri};

/// How long something that should happen at once may take on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// What signs the tokens of all tests.
pub(crate) const SECRET: &str = "a secret of the tests, of no use elsewhere";

/// Waits until `look` finds what it looks for. Fails with `what` when the time is up.
pub(crate) async fn eventually<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        sleep(INTERVAL).await;
    }
}
