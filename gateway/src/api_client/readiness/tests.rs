use std::convert::Infallible;
use std::sync::Mutex;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, header};
use hyper_util::rt::TokioIo;
use protocol::token::Tokens;
use service::health::Health;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// Long enough for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a node does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Ready,
    Refusing,
    Broken,
    Silent,
    /// Silent to one question, ready from the next on.
    Hesitating,
}

/// Stands in for an api node.
struct Node {
    url: String,
    mood: Arc<Mutex<Mood>>,
    _serving: AbortOnDropHandle<()>,
}

async fn answer(request: Request<Incoming>, mood: Mood) -> Response<Full<Bytes>> {
    assert_eq!(request.uri().path(), READY_PATH);
    let token = request.headers()[header::AUTHORIZATION].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    tokens().verify_internal(token).unwrap();
    let (status, body) = match mood {
        Mood::Ready => (StatusCode::OK, ""),
        Mood::Refusing => (StatusCode::SERVICE_UNAVAILABLE, r#"{"message":"the database has\nno primary"}"#),
        Mood::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "?"),
        Mood::Silent | Mood::Hesitating => std::future::pending().await,
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}

impl Node {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mood = Arc::new(Mutex::new(Mood::Ready));
        let shown = Arc::clone(&mood);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mood = Arc::clone(&shown);
                tokio::spawn(async move {
                    let service = service_fn(async |request| {
                        let now = {
                            let mut mood = mood.lock().unwrap();
                            let now = *mood;
                            if now == Mood::Hesitating {
                                *mood = Mood::Ready;
                            }
                            now
                        };
                        Ok::<_, Infallible>(answer(request, now).await)
                    });
                    let serving = hyper::server::conn::http1::Builder::new();
                    drop(serving.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { url, mood, _serving: AbortOnDropHandle::new(serving) }
    }

    fn turn(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

fn tokens() -> Tokens {
    Tokens::new(&[7; 32])
}

struct Watched {
    health: Health,
    nodes: Arc<Nodes>,
    away: Arc<Away>,
    _watching: AbortOnDropHandle<()>,
}

fn watched(urls: Vec<String>) -> Watched {
    let (health, nodes) = (Health::default(), Arc::new(Nodes::new(urls)));
    let away = Arc::<Away>::default();
    let badge = Arc::new(Badge::new(tokens()));
    let watching = watch(Arc::clone(&nodes), badge, Arc::clone(&away), health.check("api"));
    Watched { health, nodes, away, _watching: AbortOnDropHandle::new(tokio::spawn(watching)) }
}

impl Watched {
    /// Waits until the check says this, and tells how long that took.
    async fn until(&self, reason: Option<&str>) -> Duration {
        let begun = Instant::now();
        let reason = reason.map(|reason| format!("no api node is ready: {reason}"));
        loop {
            let failing = self.health.failing().into_iter().next().map(|(_, reason)| reason);
            if failing == reason {
                assert_eq!(self.away.is_away(), reason.is_some());
                return begun.elapsed();
            }
            assert!(begun.elapsed() < DEADLINE, "{failing:?} and not {reason:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn the_check_follows_the_node_and_tells_its_words() {
    let node = Node::start().await;
    let watched = watched(vec![node.url.clone()]);
    watched.until(None).await;
    for (mood, reason) in [
        (Mood::Refusing, "the database has no primary"),
        (Mood::Broken, "it answered with status 500 Internal Server Error"),
        (Mood::Silent, "it did not answer in time"),
    ] {
        node.turn(mood);
        watched.until(Some(reason)).await;
        node.turn(Mood::Ready);
        watched.until(None).await;
    }
    assert!(INTERVAL + ANSWER_TIMEOUT < Duration::from_secs(2), "what the contract allows");
}

#[tokio::test]
async fn a_node_that_is_ready_and_does_not_commit_is_not_enough() {
    let node = Node::start().await;
    let watched = watched(vec![node.url.clone()]);
    watched.until(None).await;
    let begun = Instant::now();
    for is_failing in [true, false] {
        watched.away.answered(watched.away.epoch(), is_failing);
        while watched.health.is_ready() == is_failing {
            assert!(begun.elapsed() < DEADLINE);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_node_that_is_not_there_is_told_as_that() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    watched(vec![url]).until(Some("it could not be reached")).await;
}

#[tokio::test]
async fn one_node_that_is_ready_is_enough_and_is_preferred() {
    let nodes = [Node::start().await, Node::start().await, Node::start().await];
    let watched = watched(nodes.iter().map(|node| node.url.clone()).collect());
    watched.until(None).await;
    let [first, ..] = watched.nodes.for_lane(0)[..] else { panic!("three nodes") };
    let ready = (first + 1) % nodes.len();
    nodes.iter().for_each(|node| node.turn(Mood::Refusing));
    watched.until(Some("the database has no primary")).await;
    assert_eq!(watched.nodes.for_lane(0)[0], first, "nobody is better");
    nodes[ready].turn(Mood::Ready);
    watched.until(None).await;
    let begun = Instant::now();
    while watched.nodes.for_lane(0)[0] != ready {
        assert!(begun.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The others say nothing at all, which keeps nobody waiting.
    nodes.iter().for_each(|node| node.turn(Mood::Silent));
    watched.until(Some("it did not answer in time")).await;
    nodes[ready].turn(Mood::Ready);
    watched.until(None).await;
}

#[tokio::test]
async fn one_late_answer_moves_nobody_and_two_do() {
    let nodes = [Node::start().await, Node::start().await];
    let watched = watched(nodes.iter().map(|node| node.url.clone()).collect());
    watched.until(None).await;
    let [first, _] = watched.nodes.for_lane(0)[..] else { panic!("two nodes") };
    nodes[first].turn(Mood::Hesitating);
    let begun = Instant::now();
    // It has hesitated, and the round in which it did is over.
    while *nodes[first].mood.lock().unwrap() == Mood::Hesitating
        || begun.elapsed() < INTERVAL * 2 + ANSWER_TIMEOUT
    {
        assert_eq!(watched.nodes.for_lane(0)[0], first);
        assert!(begun.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    nodes[first].turn(Mood::Silent);
    while watched.nodes.for_lane(0)[0] == first {
        assert!(begun.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
