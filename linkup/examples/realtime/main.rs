//! What the gateway costs, as a ratio to servers that do less, in the same run on the same machine:
//!
//! ```sh
//! cargo run --release -p linkup --example realtime
//! ```
//!
//! - *Fan-out*: a gateway alone, as a process of its own, with a streamer and an api that only play their parts, sends
//!   events of 300 bytes to a thousand Socket.IO connections. CPU is that of the gateway; latency counts from the time
//!   at which an event was due.
//! - *A slow client*: the same with larger events, without and with one more client that does not read.
//! - *Idle connections and connects*: a gateway as a process of its own, behind it api, streamer, NATS and MongoDB. A
//!   connection counts as open when it is admitted, and once more when its user's presence is committed. Memory is what
//!   the gateway's resident memory grew by, once the connections have been idle for a while.
//!
//! The same clients then do the same to two peers: fastwebsockets written the obvious way, and socketioxide. They
//! authenticate nobody and keep no presence. All servers have the same allocator (mimalloc, without huge pages), the
//! same runtime and the same cores, which they share with the clients.
//!
//! It takes under five minutes. `--quick` only sees that everything works and nothing is lost. `--fanout` measures the
//! fan-out of LinkUp's gateway alone, at the highest rate, and prints one line of JSON: for
//! `linkup/benches/alternate.py`, which compares builds. The gateway takes settings that are not given here from this
//! program's environment.
//!
//! | module | holds |
//! |---|---|
//! | [`fanout`], [`slow`], [`idle`] | the measurements |
//! | [`table`] | the results |
//! | [`crowd`] | the clients |
//! | [`feed`] | events, and the streamer that is played |
//! | [`api`] | the api that is played |
//! | [`process`], [`role`] | servers as processes: this program again, in another role |
//! | [`peer`] | the peers |
//! | [`stack`] | MongoDB, NATS, users, and the launcher's roles |

mod api;
mod crowd;
mod fanout;
mod feed;
mod idle;
#[path = "../../../bus/tests/support/nats_server.rs"]
mod nats_server;
mod peer;
mod process;
mod role;
mod slow;
mod stack;
mod table;

use std::time::{Duration, Instant};

use crowd::Crowd;
use fanout::Fanout;
use feed::Feed;
use loadtest::engine::target::Target;
use loadtest::process::Observed;
use nats_server::NatsServer;
use process::Server;
use role::{BARE, OXIDE, ROLE};
use stack::{People, Stack};
use table::Measured;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The event that everybody gets.
const EVENT: &str = protocol::event::MESSAGE_NEW;

/// How much is measured.
struct Scale {
    /// How many connections get every event, how many of those there are each second, and for how long.
    listeners: usize,
    rates: &'static [u32],
    measured: Duration,
    /// How many connections are idle, and how long: LinkUp's gateway and the peers, whose heartbeats are of no
    /// interest.
    stages: &'static [(usize, Duration)],
    peer_hold: Duration,
}

const FULL: Scale = Scale {
    listeners: 1_000,
    rates: &[100, 300],
    measured: Duration::from_secs(10),
    stages: &[(1_000, Duration::from_secs(25)), (15_000, Duration::from_secs(50))],
    peer_hold: Duration::from_secs(5),
};
const QUICK: Scale = Scale {
    listeners: 200,
    rates: &[50],
    measured: Duration::from_secs(2),
    stages: &[(200, Duration::from_secs(1)), (1_000, Duration::from_secs(1))],
    peer_hold: Duration::from_millis(100),
};
/// The one that `--fanout` measures.
const HIGHEST_RATE: &[u32] = &[300];
/// How many come and go before the first measurement of idle connections.
const EARLY: usize = crowd::AT_ONCE;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => run(&FULL).await,
        ["--quick"] => run(&QUICK).await,
        ["--fanout"] => fan_out_alone(&Scale { rates: HIGHEST_RATE, ..FULL }).await,
        [ROLE, role] => role::play(role).await,
        _ => Err("the only options are --quick and --fanout".into()),
    }
}

async fn run(scale: &Scale) -> Result<(), Failure> {
    let nats = NatsServer::start().await;
    let idle = scale.stages.iter().map(|(connections, _)| *connections).max().unwrap_or(0);
    let people = People::new(EARLY, scale.listeners.max(idle))?;
    let ours = linkup(scale, &nats, &people).await?;
    let bare = peer(scale, BARE, &people).await?;
    let oxide = peer(scale, OXIDE, &people).await?;
    table::print(&ours, &bare, &oxide);
    check(&ours)
}

/// Measures the fan-out of LinkUp's gateway, and nothing else.
async fn fan_out_alone(scale: &Scale) -> Result<(), Failure> {
    let nats = NatsServer::start().await;
    let people = People::new(0, scale.listeners)?;
    let (gateway, mut streamer) = gateway_alone(scale, &nats, &people).await?;
    let (target, observed) = (gateway.target().await?, gateway.observed);
    let (fanout, lost) = fan_out(scale, &people, target, observed, &mut streamer).await?;
    gateway.kill().await?;
    fanout.iter().for_each(|fanout| println!("{}", fanout.json()));
    check(&Measured { idle: Vec::new(), fanout, slow: None, lost })
}

/// A gateway as a process of its own; what is behind it is played.
async fn gateway_alone(
    scale: &Scale,
    nats: &NatsServer,
    people: &People,
) -> Result<(Server, feed::Streamer), Failure> {
    let (url, api) = (nats.url(), format!("http://{}", api::start().await?));
    let streamer = feed::Streamer::start(&url, people.ids[..scale.listeners].to_vec()).await?;
    Ok((stack::gateway(&url, &api).await?, streamer))
}

/// Measures LinkUp's gateway: first alone, then with everything behind it.
async fn linkup(scale: &Scale, nats: &NatsServer, people: &People) -> Result<Measured, Failure> {
    eprintln!("linkup: fan-out …");
    let (gateway, mut streamer) = gateway_alone(scale, nats, people).await?;
    let (target, observed) = (gateway.target().await?, gateway.observed);
    let (fanout, mut lost) = fan_out(scale, people, target, observed, &mut streamer).await?;
    eprintln!("linkup: beside a client that does not read …");
    let slow = slow::measure(&gateway, people, scale.listeners, &mut streamer, scale.measured).await?;
    gateway.kill().await?;
    drop(streamer);
    eprintln!("linkup: idle connections …");
    let stack = Stack::start(nats, people).await?;
    let tokens = (&people.early[..], &people.tokens[..]);
    let (idle, crowd) = idle::measure(&stack.gateway, tokens, scale.stages, Some(&stack.store)).await?;
    lost = lost.or(crowd.lost());
    drop(crowd);
    stack.stop().await?;
    Ok(Measured { idle, fanout, slow: Some(slow), lost })
}

/// Measures one of the peers.
async fn peer(scale: &Scale, role: &str, people: &People) -> Result<Measured, Failure> {
    eprintln!("{role} …");
    let server = Server::start(role, &[]).await?;
    let stages: Vec<_> =
        scale.stages.iter().map(|(connections, _)| (*connections, scale.peer_hold)).collect();
    let tokens = (&people.early[..], &people.tokens[..]);
    let (idle, crowd) = idle::measure(&server, tokens, &stages, None).await?;
    drop(crowd);
    server.kill().await?;
    // A fresh one, as LinkUp's gateway was.
    let mut server = Server::start(role, &[]).await?;
    let (target, observed) = (server.target().await?, server.observed);
    let (fanout, lost) = fan_out(scale, people, target, observed, &mut server).await?;
    server.kill().await?;
    Ok(Measured { idle, fanout, slow: None, lost })
}

/// Has a crowd listen to `feed`; also returned is how connections ended that should not have.
async fn fan_out(
    scale: &Scale,
    people: &People,
    target: Target,
    observed: Observed,
    feed: &mut impl Feed,
) -> Result<(Vec<Fanout>, Option<String>), Failure> {
    let epoch = Instant::now();
    let mut crowd = Crowd::of(target, epoch)?;
    crowd.join(&people.tokens[..scale.listeners]).await?;
    let results = fanout::measure(feed, &crowd, observed, (scale.rates, scale.measured, epoch)).await?;
    Ok((results, crowd.lost()))
}

/// What must hold however slow the machine is.
fn check(ours: &Measured) -> Result<(), Failure> {
    if let Some(how) = &ours.lost {
        return Err(format!("connections ended: {how}").into());
    }
    if let Some(wrong) = ours.fanout.iter().find(|fanout| fanout.tally.wrong > 0) {
        return Err(format!("{} deliveries went wrong", wrong.tally.wrong).into());
    }
    if let Some(slow) = &ours.slow
        && slow.without.wrong + slow.with.wrong > 0
    {
        return Err("deliveries beside a client that does not read went wrong".into());
    }
    if ours.idle.iter().any(|idle| idle.presences.is_none()) {
        return Err("not everybody's presence was committed".into());
    }
    Ok(())
}
