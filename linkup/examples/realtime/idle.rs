//! Measures what connections cost that do nothing but give signs of life, and how fast they are opened.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::Store;
use store::bson::doc;
use tokio::time::sleep;

use super::Failure;
use super::crowd::Crowd;
use super::process::Server;

/// How many times everybody comes and goes before the first measurement.
const WARM_UPS: u32 = 10;
/// How long to wait for memory to come to rest.
const SETTLE: Duration = Duration::from_secs(10);
/// How long presence may take to be committed.
const PRESENCE: Duration = Duration::from_secs(30);
const PRESENCE_INTERVAL: Duration = Duration::from_millis(50);
/// The name of those who come before the first measurement, and are not counted.
pub(crate) const EARLY: &str = "Early";

/// What so many connections cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    pub(crate) connections: usize,
    /// How many of them were opened just before, and how many each second.
    pub(crate) opened: usize,
    pub(crate) connects: f64,
    /// The same, counted until everybody's presence was committed. `None` where there is none, or it did not come.
    pub(crate) presences: Option<f64>,
    /// Resident bytes of the server for each.
    pub(crate) bytes: f64,
    /// CPU of the server while they are held, in percent of one core.
    pub(crate) cpu: f64,
}

/// Opens connections up to each of these numbers, and holds them for a while.
///
/// `early` come first and leave again, several times over, so that what a server needs once, and for handshakes, is not
/// taken for what a connection costs.
pub(crate) async fn measure(
    server: &Server,
    (early, tokens): (&[Arc<str>], &[Arc<str>]),
    stages: &[(usize, Duration)],
    store: Option<&Store>,
) -> Result<(Vec<Idle>, Crowd), Failure> {
    let target = server.target().await?;
    for _ in 0..WARM_UPS {
        let mut crowd = Crowd::of(target.clone(), Instant::now())?;
        crowd.join(early).await?;
    }
    let before = server.observed.settled_bytes(SETTLE).await?;
    let (mut crowd, mut results) = (Crowd::of(target, Instant::now())?, Vec::new());
    for &(connections, hold) in stages {
        let (joining, start) = (&tokens[crowd.len()..connections], Instant::now());
        let connects = crowd.join(joining).await?;
        let presences = match store {
            Some(store) => online(store, connections).await?.then(|| joining.len() as f64 / seconds(start)),
            None => None,
        };
        server.observed.settled_bytes(SETTLE).await?;
        let (cpu, held) = (server.observed.cpu_seconds()?, Instant::now());
        sleep(hold).await;
        let cpu = (server.observed.cpu_seconds()? - cpu) / seconds(held) * 100.0;
        let bytes = server.observed.resident_bytes()? as f64 - before as f64;
        let (opened, bytes) = (joining.len(), bytes / connections as f64);
        results.push(Idle { connections, opened, connects, presences, bytes, cpu });
    }
    Ok((results, crowd))
}

/// Waits until so many users are online in the database.
async fn online(store: &Store, wanted: usize) -> Result<bool, Failure> {
    let deadline = Instant::now() + PRESENCE;
    loop {
        let filter = doc! { "status": "online", "name": { "$ne": EARLY } };
        if store.users().count_documents(filter).await? >= wanted as u64 {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Ok(false);
        }
        sleep(PRESENCE_INTERVAL).await;
    }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}
