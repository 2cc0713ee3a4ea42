//! What a whole gateway tells operators: whether it can do its job, and how long messages are under way.
//!
//! The api node and the streamer are played here; the bus is the one inside a process.

#![allow(clippy::unwrap_used, reason = "a helper that cannot go on has failed its test")]

#[path = "transport/client.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod client;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bus::{Bus as _, InProcess, Publisher as _};
use bytes::Bytes;
use gateway::Config;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use protocol::bus::{Content, Delivery, Downlink, Envelope, Uplink};
use protocol::command::{Answer, Answers, Batch, READY_PATH};
use protocol::token::Tokens;
use protocol::{Clock, Id, UnixMicros, event};
use serde_json::json;
use serde_json::value::to_raw_value;
use service::config::Env;
use service::monitoring::Monitoring;
use service::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use client::{Client, DEADLINE, handshake, http};

const SECRET: &str = "a secret of the tests, and of no other use";

/// How many things a gateway cannot do without: an api node, the bus, a streamer, and that it serves at all.
const CHECKS: usize = 4;

/// What an orchestrator may count on: two seconds, and here one more for a machine that is busy with other tests.
const PROMISED: Duration = Duration::from_secs(3);

/// A gateway, and what the parts that it needs are made to do.
struct World {
    gateway: SocketAddr,
    monitoring: Monitoring,
    shutdown: Shutdown,
    running: JoinHandle<()>,
    api_can_commit: Arc<AtomicBool>,
    streamer_speaks: Arc<AtomicBool>,
    /// What the streamer is to publish.
    events: mpsc::UnboundedSender<(Id, Option<UnixMicros>)>,
}

/// Answers as an api node.
async fn answer(request: Request<Incoming>, can_commit: bool) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Full::default());
    if head.uri.path() == READY_PATH {
        if !can_commit {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            *response.body_mut() = Full::from(r#"{"message":"the database is away"}"#);
        }
        return response;
    }
    let batch: Batch = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    let done = |_| Answer::Ok(to_raw_value(&json!({ "epoch": 1 })).unwrap());
    let answers = Answers { answers: batch.commands.iter().map(done).collect() };
    *response.body_mut() = Full::from(serde_json::to_vec(&answers).unwrap());
    response
}

async fn start_api(can_commit: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let can_commit = Arc::clone(&can_commit);
            tokio::spawn(async move {
                let service = service_fn(async |request| {
                    Ok::<_, Infallible>(answer(request, can_commit.load(Ordering::SeqCst)).await)
                });
                let serving = hyper::server::conn::http1::Builder::new();
                drop(serving.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    address
}

/// Speaks as a streamer to the one gateway that there is, while it is to.
async fn stream(
    bus: InProcess,
    speaks: Arc<AtomicBool>,
    mut events: mpsc::UnboundedReceiver<(Id, Option<UnixMicros>)>,
) {
    let (mut publisher, mut uplinks) = bus.attach_streamer().await.unwrap();
    let (mut gateway, mut counter, mut time) = (None, 0, 1);
    let mut beat = tokio::time::interval(Duration::from_millis(100));
    loop {
        let body = tokio::select! {
            _ = beat.tick() => Some(Downlink::Beat { position: at(time) }),
            Some(uplink) = uplinks.recv() => {
                gateway = Some(uplink.gateway());
                match uplink {
                    Uplink::Register { request, .. } => {
                        Some(Downlink::Registered { request, live_from: at(time), incomplete: Vec::new() })
                    }
                    _ => None,
                }
            }
            Some((user, received)) = events.recv() => {
                time += 1;
                let json = event::encode(event::MESSAGE_NEW, &json!({}), Some(at(time))).unwrap();
                let content = Content::Event(json);
                let envelope = Envelope { clock: at(time), recipients: vec![user], content, received };
                Some(Downlink::Events(vec![envelope]))
            }
        };
        if let (Some(body), Some(gateway), true) = (body, gateway, speaks.load(Ordering::SeqCst)) {
            counter += 1;
            let delivery = Delivery { term: 1, counter, sent: UnixMicros::now(), body };
            publisher.publish(gateway, &delivery).await.unwrap();
        }
    }
}

fn at(time: u64) -> Clock {
    Clock { time, change: 0, event: 0 }
}

async fn world() -> World {
    world_with(true).await
}

async fn world_with(streamer: bool) -> World {
    let [api_can_commit, streamer_speaks] = [true, streamer].map(|is| Arc::new(AtomicBool::new(is)));
    let api = start_api(Arc::clone(&api_can_commit)).await;
    let pairs = [("JWT_SECRET", SECRET), ("API_URLS", &format!("http://{api}"))];
    let mut env = Env::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let config = Config::from_env(&mut env);
    env.finish().unwrap();
    let monitoring = Monitoring::default();
    let bus = InProcess::new(&monitoring.registry);
    let (events, queue) = mpsc::unbounded_channel();
    tokio::spawn(stream(bus.clone(), Arc::clone(&streamer_speaks), queue));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = listener.local_addr().unwrap();
    let (shutdown, watched) = (Shutdown::new(), monitoring.clone());
    let stop = shutdown.clone();
    let running = tokio::spawn(async move {
        gateway::run(listener, bus, config, watched, stop).await.unwrap();
    });
    World { gateway, monitoring, shutdown, running, api_can_commit, streamer_speaks, events }
}

impl World {
    /// Waits until there are all checks, and exactly these fail, for these reasons. Tells how long that took.
    async fn until(&self, failing: &[(&str, &str)]) -> Duration {
        let begun = Instant::now();
        loop {
            let health = &self.monitoring.health;
            let checks = health.readiness()["checks"].as_object().map_or(0, serde_json::Map::len);
            let now = health.failing();
            let now: Vec<_> = now.iter().map(|(name, reason)| (*name, reason.as_str())).collect();
            if checks == CHECKS && now == failing {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < DEADLINE, "{now:?} and not {failing:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The first line of the answer to a handshake that is refused.
    async fn refused(&self) -> String {
        let request = handshake("/ws", "").replace("keep-alive, Upgrade", "close, Upgrade");
        http(self.gateway, &request).await.lines().next().unwrap_or_default().to_owned()
    }

    /// A client that is let in.
    async fn connect(&self, user: Id) -> Client {
        let token = Tokens::new(SECRET.as_bytes()).sign(user, 0, Duration::from_secs(600)).unwrap();
        let header = format!("Authorization: Bearer {token}\r\n");
        let mut client = Client::open_with(self.gateway, "/ws", &header, b"").await;
        assert!(client.text().await.starts_with("[\"connect\","));
        client
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.monitoring.registry.value(name, labels).unwrap_or_else(|| panic!("{name} {labels:?}"))
    }
}

#[tokio::test]
async fn what_the_gateway_needs_shows_in_its_health_and_an_outage_closes_no_socket() {
    let world = world().await;
    world.until(&[]).await;
    assert!(world.monitoring.health.stuck().is_empty());
    let mut client = world.connect(Id::mint()).await;

    world.api_can_commit.store(false, Ordering::SeqCst);
    let took = world.until(&[("api", "no api node is ready: the database is away")]).await;
    assert!(took < PROMISED, "{took:?}");
    assert!(world.refused().await.contains(" 503 "), "nobody is let in who could do nothing");
    assert_eq!(world.value("linkup_gateway_refused_total", &[("policy", "away")]), 1.0);
    client.assert_well().await;
    world.api_can_commit.store(true, Ordering::SeqCst);
    let took = world.until(&[]).await;
    assert!(took < PROMISED, "{took:?}");
    world.connect(Id::mint()).await;

    world.streamer_speaks.store(false, Ordering::SeqCst);
    let took = world.until(&[("streamer", "the streamer is silent")]).await;
    assert!(took < PROMISED, "{took:?}");
    client.assert_well().await;
    world.streamer_speaks.store(true, Ordering::SeqCst);
    let took = world.until(&[]).await;
    assert!(took < PROMISED, "{took:?}");
    client.assert_well().await;

    world.shutdown.cancel();
    world.until(&[("serving", "draining")]).await;
    assert_eq!(client.closed().await, 1001);
    drop(client);
    let World { running, monitoring, .. } = world;
    tokio::time::timeout(DEADLINE, running).await.expect("it drains").unwrap();
    assert!(!monitoring.health.is_ready());
}

#[tokio::test]
async fn before_a_streamer_speaks_the_gateway_says_so() {
    let world = world_with(false).await;
    world.until(&[("streamer", "no streamer has spoken yet")]).await;
    world.streamer_speaks.store(true, Ordering::SeqCst);
    let took = world.until(&[]).await;
    assert!(took < PROMISED, "{took:?}");
    world.shutdown.cancel();
}

#[tokio::test]
async fn messages_are_timed_from_their_receipt_to_the_socket() {
    let world = world().await;
    world.until(&[]).await;
    let ada = Id::mint();
    let mut client = world.connect(ada).await;
    let ago = UnixMicros::from_micros(UnixMicros::now().micros() - 3_000_000);
    // A message, and something whose beginning nobody knows.
    for received in [Some(ago), None] {
        world.events.send((ada, received)).unwrap();
        assert!(client.text().await.starts_with("[\"message:new\","));
    }
    // The writer counts when it has written.
    let begun = Instant::now();
    while world.value("linkup_message_delivery_seconds_count", &[]) < 1.0 {
        assert!(begun.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sum = world.value("linkup_message_delivery_seconds_sum", &[]);
    assert!((3.0..10.0).contains(&sum), "{sum}");
    assert_eq!(world.value("linkup_message_delivery_seconds_count", &[]), 1.0);
    assert_eq!(world.value("linkup_message_stage_seconds_count", &[("stage", "socket")]), 1.0);
    assert_eq!(world.value("linkup_message_stage_seconds_count", &[("stage", "bus")]), 2.0);
    assert_eq!(world.value("linkup_gateway_events_total", &[("event", "message:new")]), 2.0);
    assert_eq!(world.value("linkup_gateway_connects_total", &[("outcome", "admitted")]), 1.0);
    assert_eq!(world.value("linkup_gateway_gaps_total", &[("reason", "new_streamer")]), 1.0);
    world.shutdown.cancel();
}
