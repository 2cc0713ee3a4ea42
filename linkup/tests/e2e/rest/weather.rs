//! MongoDB away, slow clients, stopping.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use api::Config;
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request, StatusCode};
use protocol::{Id, Timestamp};
use serde_json::{Value, json};
use service::metrics::Registry;
use store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fixture::{Node, Person, assert_each_once, assert_gapless, config, id};
use crate::commit::link::Link;
use crate::support::rest::{Reply, Rest};
use crate::support::{SOON, eventually, mongo_uri};

/// How long a request may take while MongoDB is away: as long as a command may, once to find out and once more.
const PATIENCE: Duration = Duration::from_secs(12);

/// One request of each kind, and what it is answered with in good weather.
struct Requests {
    node: Node,
    ada: Person,
    conversation: Id,
    message: Id,
    activity: Id,
}

impl Requests {
    const KINDS: [&str; 8] = ["list", "send", "mark", "edit", "create", "upload", "join", "register"];

    async fn of(node: Node) -> Self {
        let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
        let conversation = ada.conversation(&[&bob]).await;
        let message = id(&ada.say(conversation, "hi").await);
        let tea = json!({"title": "Tea", "activityType": "social", "dateTime": "2099-01-01T12:00:00Z"});
        let activity = id(&bob.rest.post("/api/activities", &tea).await.ok());
        Self { node, ada, conversation, message, activity }
    }

    async fn make(&self, kind: &str) -> Reply {
        let (rest, message) = (&self.ada.rest, self.message);
        match kind {
            "list" => rest.get("/api/conversations").await,
            "send" => {
                let path = format!("/api/conversations/{}/messages", self.conversation);
                rest.post(&path, &json!({"content": "hi"})).await
            }
            "mark" => rest.put(&format!("/api/messages/{message}/read"), &json!({})).await,
            "edit" => rest.put(&format!("/api/messages/{message}"), &json!({"content": "changed"})).await,
            "create" => {
                let tea =
                    json!({"title": "Tea", "activityType": "social", "dateTime": "2099-01-01T12:00:00Z"});
                rest.post("/api/activities", &tea).await
            }
            "upload" => {
                let request = Request::post(format!("http://{}/api/uploads", self.node.address))
                    .header(AUTHORIZATION, format!("Bearer {}", self.ada.token))
                    .header(CONTENT_TYPE, "text/plain");
                rest.send(request.body(Full::from("some text")).unwrap()).await
            }
            "join" => rest.post(&format!("/api/activities/{}/join", self.activity), &json!({})).await,
            _ => {
                let email = format!("{}@example.org", Id::mint());
                let account = json!({"name": "Eve", "email": email, "password": "correct horse"});
                rest.post("/api/auth/register", &account).await
            }
        }
    }
}

#[tokio::test]
async fn while_mongodb_is_away_answers_are_503_and_come_in_time() {
    let uri = mongo_uri().await;
    let link = Link::to(&uri).await;
    let impatient = Config { commit_timeout: Duration::from_secs(2), ..config() };
    let requests = Requests::of(Node::with(&link.uri(), impatient).await).await;
    for kind in Requests::KINDS {
        let reply = requests.make(kind).await;
        assert!(reply.status.is_success(), "{kind}: {}: {}", reply.status, reply.body);
    }
    link.down();
    let refused = Requests::KINDS.map(async |kind| {
        let began = Instant::now();
        let reply = requests.make(kind).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{kind}: {}", reply.body);
        assert_eq!(
            (&reply.body["code"], reply.headers[RETRY_AFTER].as_bytes()),
            (&json!("unavailable"), &b"1"[..]),
            "{kind}"
        );
        assert!(began.elapsed() < PATIENCE, "{kind}: {:?}", began.elapsed());
    });
    join_all(refused).await;
    link.up();
    for kind in Requests::KINDS {
        eventually(&format!("{kind} works again"), SOON, async || {
            let reply = requests.make(kind).await;
            let away = reply.status == StatusCode::SERVICE_UNAVAILABLE;
            assert!(away || reply.status.is_success(), "{kind}: {}: {}", reply.status, reply.body);
            (!away).then_some(())
        })
        .await;
    }
}

/// What a link is up to: the same in every run, and without a pattern.
struct Moods(u64);

impl Moods {
    fn next(&mut self, most: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % most)
    }
}

/// What became of attempts to send.
#[derive(Default)]
struct Doubts {
    given_up: AtomicUsize,
    /// Those that were stored all the same.
    found_again: AtomicUsize,
    acknowledged: AtomicUsize,
}

impl Doubts {
    /// Sends a message again and again until it is acknowledged.
    async fn insist(&self, rest: &Rest, path: &str, name: &str) -> Value {
        let body = json!({"content": name, "clientMessageId": name});
        eventually(&format!("{name} is acknowledged"), SOON * 2, async || {
            let now = Timestamp::now();
            let reply = rest.post(path, &body).await;
            if reply.status == StatusCode::SERVICE_UNAVAILABLE {
                self.given_up.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            let message = reply.ok();
            let earlier = Timestamp::parse(message["createdAt"].as_str().unwrap()).unwrap() < now;
            self.found_again.fetch_add(usize::from(earlier), Ordering::Relaxed);
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            Some(message)
        })
        .await
    }
}

/// Cuts a link again and again: at any moment, and between a message and its answer. A few messages get through in
/// between.
async fn cut(link: &Link, doubts: &Doubts) {
    let mut moods = Moods(1);
    loop {
        let before = link.interfered();
        link.swallow_answers(1);
        eventually("a message is stored and its answer lost", SOON, async || {
            (link.interfered() > before).then_some(())
        })
        .await;
        for _ in 0..2 {
            link.down();
            // Not to wait for anything: the moment is what is tried out.
            tokio::time::sleep(moods.next(120)).await;
            link.up();
            tokio::time::sleep(moods.next(120)).await;
        }
        let before = doubts.acknowledged.load(Ordering::Relaxed);
        eventually("a message gets through", SOON, async || {
            (doubts.acknowledged.load(Ordering::Relaxed) > before).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_is_absent_or_found_again() {
    const SENDERS: usize = 4;
    const EACH: usize = 15;
    let uri = mongo_uri().await;
    let link = Link::to(&uri).await;
    // So impatient that it gives messages up which may have been stored, or will be.
    let hasty = Config { commit_timeout: Duration::from_millis(60), ..config() };
    let (good, bad) = (Node::on(&uri).await, Node::with(&link.uri(), hasty).await);
    let (ada, bob) = (good.person("Ada").await, good.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let path = &format!("/api/conversations/{conversation}/messages");
    let doubts = &Doubts::default();
    let senders = (0..SENDERS).map(|sender| {
        let rest = bad.rest.with_token(if sender % 2 == 0 { &ada.token } else { &bob.token });
        async move {
            let mut acknowledged = Vec::new();
            for n in 0..EACH {
                acknowledged.push(doubts.insist(&rest, path, &format!("{sender} {n}")).await);
            }
            acknowledged
        }
    });
    let acknowledged = tokio::select! {
        sent = join_all(senders) => sent.concat(),
        () = cut(&link, doubts) => unreachable!(),
    };
    let counts = [&doubts.given_up, &doubts.found_again].map(|count| count.load(Ordering::Relaxed));
    assert!(counts.iter().all(|count| *count > 0), "given up and found again: {counts:?}");
    let stored = bob.everything(conversation).await;
    assert_gapless(&stored, SENDERS * EACH);
    assert_each_once(&stored, (0..SENDERS).flat_map(|s| (0..EACH).map(move |n| format!("{s} {n}"))));
    for answer in acknowledged {
        let message = stored.iter().find(|message| message["_id"] == answer["_id"]).unwrap();
        assert_eq!((&message["seq"], &message["content"]), (&answer["seq"], &answer["content"]));
    }
}

#[tokio::test]
async fn nodes_may_start_at_the_same_time_and_again() {
    let store = Store::connect(&mongo_uri().await, "api-test", "api", &Registry::new()).await.unwrap();
    for _ in 0..2 {
        for prepared in join_all((0..8).map(|_| store.prepare())).await {
            prepared.unwrap();
        }
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_reported_with_what_to_do() {
    let error = Store::connect("mongodb://127.0.0.1:9/linkup", "api-test", "api", &Registry::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("127.0.0.1:9") && error.contains("MONGODB_URI"), "{error}");
    let error = Store::connect("http://127.0.0.1", "api-test", "api", &Registry::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("mongodb://host"), "{error}");
}

/// Sends bytes, and returns all that comes back until the server closes.
async fn talk(node: &Node, bytes: &str) -> String {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn slow_clients_are_not_waited_for() {
    let short = Duration::from_millis(200);
    let hasty = Config { body_timeout: short, ..config() };
    let node = Node::with(&mongo_uri().await, hasty).await;
    let head = "POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n";
    let answer = talk(&node, &format!("{head}\r\n{{")).await;
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.ends_with(r#""code":"request_timeout"}"#),
        "{answer}"
    );
    // A head that never ends: the connection closes.
    let hasty = Config { head_timeout: short, ..config() };
    let node = Node::with(&mongo_uri().await, hasty).await;
    talk(&node, head).await;
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_takes_nothing_new() {
    let node = Node::alone().await;
    let address = node.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = json!({"email": "a@example.org", "password": "whatever"}).to_string();
    let head = format!(
        "POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body, so the request is under way.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let stopping = tokio::spawn(node.stop());
    eventually("new connections are refused", SOON, async || TcpStream::connect(address).await.err()).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    stopping.await.unwrap();
}
