use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use protocol::Clock;
use protocol::command::{Answer, Answers, Batch, Command};
use protocol::recovery::Recovery;
use protocol::token::Tokens;
use serde_json::{Value, json};
use service::client_address::TrustedProxies;
use service::metrics::Registry;
use service::throttle::Rate;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::super::{Arrival, Gate, Rates};
use super::*;
use crate::api_client::ApiClient;
use crate::config::Limits;
use crate::http::{Cors, Edge, Origins, Proxy};
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::transport::{Application as _, Config, Wire};

const MINUTE: Duration = Duration::from_secs(60);

/// The application, with a hub and an api that only note what they are told.
struct World {
    chat: Arc<Chat>,
    hub: mpsc::UnboundedReceiver<hub::Command>,
    api: Arc<Mutex<Vec<Command>>>,
    registry: Registry,
}

/// Takes connects of the first generation and everything else.
fn answer(command: &Command) -> Answer {
    match command {
        Command::Connect { generation: 1.., .. } => {
            Answer::Err(ApiError::new(ErrorCode::Unauthorized, text::USER_NOT_FOUND))
        }
        _ => Answer::Ok(to_raw_value(&json!({ "seq": 1 })).unwrap()),
    }
}

async fn node(request: Request<Incoming>, seen: &Mutex<Vec<Command>>) -> Response<Full<Bytes>> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let Batch { commands } = serde_json::from_slice(&body).unwrap();
    let answers = Answers { answers: commands.iter().map(answer).collect() };
    seen.lock().unwrap().extend(commands);
    Response::new(serde_json::to_vec(&answers).unwrap().into())
}

async fn world(limits: Limits) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = Arc::<Mutex<Vec<Command>>>::default();
    let seen = Arc::clone(&api);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let service = service_fn(async |request| Ok::<_, Infallible>(node(request, &seen).await));
                let serving = hyper::server::conn::http1::Builder::new();
                drop(serving.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    let (nodes, tokens) = (Arc::new(Nodes::new(vec![url])), Tokens::new(&[7; 32]));
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::new(&registry));
    let proxy = Proxy::new(Arc::clone(&nodes), TrustedProxies::default(), Arc::clone(&metrics));
    let (sender, hub) = mpsc::unbounded_channel();
    let origins = Origins::new(Vec::new());
    let chat = Chat {
        api: Arc::new(ApiClient::new(
            Arc::clone(&nodes),
            tokens.clone(),
            MINUTE,
            Arc::clone(&metrics),
            &registry,
        )),
        tokens,
        hub: sender,
        edge: Edge { cors: Cors::new(origins.clone()), proxy },
        gate: Gate::new(origins, TrustedProxies::default(), &limits, Arc::clone(&metrics)),
        rates: Rates::new(&limits, Arc::clone(&metrics)),
        node: None,
        metrics,
    };
    World { chat: Arc::new(chat), hub, api, registry }
}

/// A client that asks to be connected.
fn arrival() -> Arc<Arrival> {
    Arrival::new(&Metrics::new(&Registry::new()).connects)
}

/// A client that was let in.
fn client(user: Id) -> (Socket, Member) {
    let socket = Socket::detached(Wire::Plain, Config::default()).unwrap();
    assert!(socket.accept());
    socket.drain();
    let arrival = arrival();
    assert!(arrival.admit());
    (socket, Member { user, arrival })
}

impl World {
    fn say(&self, (socket, member): &(Socket, Member), name: &str, payload: &Value, ack: Option<u64>) {
        let payload = payload.to_string();
        let event =
            ClientEvent { name: name.into(), payload: &payload, args: &payload, attachments: &[], ack };
        self.chat.command(socket, member, &event);
    }

    /// Says something, and what is answered.
    async fn ask(&self, client: &(Socket, Member), name: &str, payload: &Value) -> Value {
        self.say(client, name, payload, Some(1));
        self.heard(client, 1).await.remove(0)
    }

    /// The next frames that a client is sent.
    async fn heard(&self, (socket, _): &(Socket, Member), count: usize) -> Vec<Value> {
        let mut frames = Vec::new();
        let all = async {
            while frames.len() < count {
                frames.extend(socket.drain().iter().map(|frame| json(frame)));
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(MINUTE, all).await.expect("they are sent");
        frames
    }
}

/// What a text frame says; an acknowledgement without its wrapping.
fn json(frame: &[u8]) -> Value {
    assert_eq!(frame[0], 0x81, "a text");
    let text = &frame[if frame[1] == 126 { 4 } else { 2 }..];
    let mut array: Value = serde_json::from_slice(text).unwrap();
    if array[0] == "ack" { array[1].take() } else { array }
}

fn error(code: &str, message: &str) -> Value {
    json!({ "ok": false, "error": { "code": code, "message": message } })
}

#[tokio::test]
async fn nothing_is_taken_from_a_client_that_is_not_let_in_yet() {
    let mut world = world(Limits::default()).await;
    let (socket, member) = client(Id::mint());
    let client = (socket, Member { arrival: arrival(), ..member });
    let payload = json!({ "conversationId": Id::mint(), "isTyping": true, "status": "away" });
    for name in ["message:send", "message:read", "conversation:typing", "user:status", "user:connect", "x"] {
        let answer = world.ask(&client, name, &payload).await;
        assert_eq!(answer, error("unauthorized", "Not connected yet"), "{name}");
    }
    assert!(world.hub.try_recv().is_err() && world.api.lock().unwrap().is_empty());
}

#[tokio::test]
async fn typing_and_status_are_for_the_hub() {
    let mut world = world(Limits::default()).await;
    let (ada, conversation) = (Id::mint(), Id::mint());
    let client = client(ada);
    let typing = json!({ "conversationId": conversation, "isTyping": true });
    assert_eq!(world.ask(&client, "conversation:typing", &typing).await, json!({ "ok": true }));
    let told = world.hub.try_recv().unwrap();
    assert!(matches!(told, hub::Command::Typing { user, conversation: c, is_typing: true, .. }
        if user == ada && c == conversation));
    for (status, is) in
        [("online", Presence::Online), ("away", Presence::Away), ("offline", Presence::Offline)]
    {
        let answer = world.ask(&client, "user:status", &json!({ "status": status })).await;
        assert_eq!(answer, json!({ "ok": true, "status": status }));
        let told = world.hub.try_recv().unwrap();
        assert!(matches!(told, hub::Command::Status { socket, user, presence }
            if socket == client.0.id() && user == ada && presence == is));
    }
}

#[tokio::test]
async fn what_is_said_to_be_read_over_and_over_goes_to_the_api_once() {
    let world = world(Limits::default()).await;
    let (ada, message) = (Id::mint(), Id::mint());
    let (tab, other) = (client(ada), client(ada));
    let read = json!({ "messageId": message, "conversationId": Id::mint() });
    for _ in 0..5 {
        world.say(&tab, "message:read", &read, Some(1));
        world.say(&other, "message:read", &read, None);
    }
    world.say(&tab, "message:read", &json!({ "messageId": Id::mint() }), Some(2));
    let expected = json!({ "ok": true, "read": { "seq": 1 } });
    assert_eq!(world.heard(&tab, 6).await, vec![expected; 6]);
    let seen = world.api.lock().unwrap();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(matches!(&seen[0], Command::Read { user, message: m } if *user == ada && *m == message));
    assert!(other.0.drain().is_empty());
}

#[tokio::test]
async fn a_newer_token_is_taken_once_the_api_has_vouched_for_it() {
    let mut world = world(Limits::default()).await;
    let ada = Id::mint();
    let client = client(ada);
    let sign = |user, generation| world.chat.tokens.sign(user, generation, MINUTE).unwrap();
    let refused = error("unauthorized", "Authentication error");
    for (whose, token) in
        [("somebody else's", sign(Id::mint(), 0)), ("an ended", sign(ada, 1)), ("no", "x".to_owned())]
    {
        let payload = json!({ "token": token });
        assert_eq!(world.ask(&client, "user:connect", &payload).await, refused, "{whose} token");
        world.say(&client, "user:connect", &payload, None);
        let told = world.heard(&client, 1).await;
        assert_eq!(told, [json!(["error", { "message": "Authentication error" }])], "{whose} token");
    }
    assert!(world.hub.try_recv().is_err(), "the hub is told of none of them");
    let payload = json!({ "token": sign(ada, 0) });
    assert_eq!(world.ask(&client, "user:connect", &payload).await, json!({ "ok": true }));
    let told = world.hub.try_recv().unwrap();
    assert!(matches!(told, hub::Command::Refreshed { user, generation: 0, .. } if user == ada));
}

#[tokio::test]
async fn one_command_too_many_is_refused_and_who_does_not_stop_is_closed() {
    let rate = Rate { count: 2, per: Duration::from_secs(60 * 60) };
    let world = world(Limits { command_rate_per_connection: rate, ..Limits::default() }).await;
    let client = client(Id::mint());
    let status = json!({ "status": "away" });
    for _ in 0..2 {
        assert_eq!(world.ask(&client, "user:status", &status).await["ok"], true);
    }
    let answer = world.ask(&client, "user:status", &status).await;
    assert_eq!(answer, error("too_many_requests", "Too many commands; try again in 1800s"));
    world.say(&client, "message:send", &json!({}), None);
    let told = world.heard(&client, 1).await;
    assert_eq!(told, [json!(["error", { "message": "Failed to send message" }])]);
    for name in ["message:read", "conversation:typing", "user:status", "anything"].iter().cycle().take(18) {
        world.say(&client, name, &status, None);
    }
    assert!(client.0.drain().is_empty(), "the others are dropped");
    world.say(&client, "user:status", &status, Some(1));
    let [frame] = &client.0.drain()[..] else { panic!("one frame") };
    assert_eq!((frame[0], u16::from_be_bytes([frame[2], frame[3]])), (0x88, close::TOO_MANY));
}

#[tokio::test]
async fn a_user_connects_and_comes_back_only_so_often() {
    let mut world = world(Limits::default()).await;
    let (ada, bob) = (Id::mint(), Id::mint());
    let mut connect = |user| {
        let token = world.chat.tokens.sign(user, 0, MINUTE).unwrap();
        let pid = Recovery::begin(Clock::ZERO).pid(&world.chat.tokens, user).unwrap();
        let socket = Socket::detached(Wire::Plain, Config::default()).unwrap();
        let session = world.chat.connect(&socket, &json!({ "token": token, "pid": pid }).to_string());
        let resumes = world.hub.try_recv().ok().map(|told| match told {
            hub::Command::Open { resume, .. } => resume.is_some(),
            told => panic!("{told:?}"),
        });
        assert_eq!(session.is_some(), resumes.is_some());
        (resumes, socket)
    };
    let mut before = Vec::new();
    // Some become possible again meanwhile.
    let refused = loop {
        match connect(ada) {
            (Some(resumes), _) => before.push(resumes),
            (None, socket) => break socket,
        }
        assert!(before.len() < 1_000);
    };
    assert!(before.len() >= 100);
    assert_eq!(before.iter().position(|resumes| !resumes).map(|first| first >= 30), Some(true));
    let [frame] = &refused.drain()[..] else { panic!("one frame") };
    assert_eq!((frame[0], u16::from_be_bytes([frame[2], frame[3]])), (0x88, close::TOO_MANY));
    assert_eq!(connect(bob).0, Some(true), "somebody else");
}

#[tokio::test]
async fn whoever_sends_too_much_at_once_is_refused() {
    let rate = Rate { count: 100, per: Duration::from_secs(60 * 60) };
    let world = world(Limits { command_rate_per_user: rate, ..Limits::default() }).await;
    let client = client(Id::mint());
    let large = json!({ "conversationId": Id::mint(), "content": "x", "ignored": "x".repeat(60_000) });
    for _ in 0..3 {
        assert_eq!(world.ask(&client, "message:send", &large).await["ok"], true);
    }
    let answer = world.ask(&client, "message:send", &large).await;
    assert_eq!(answer["error"]["code"], "too_many_requests", "{answer}");
    let typing = json!({ "conversationId": Id::mint(), "isTyping": true });
    assert_eq!(world.ask(&client, "conversation:typing", &typing).await["ok"], true);
}

fn counted(world: &World, name: &str, labels: &[(&str, &str)]) -> f64 {
    world.registry.value(name, labels).unwrap_or_else(|| panic!("{name} {labels:?}"))
}

#[tokio::test]
async fn commands_are_counted_by_whose_fault_it_is_and_a_message_by_how_long_it_waited() {
    let rate = Rate { count: 4, per: Duration::from_secs(60 * 60) };
    let world = world(Limits { command_rate_per_connection: rate, ..Limits::default() }).await;
    let client = client(Id::mint());
    let before = UnixMicros::now();
    let message = json!({ "conversationId": Id::mint(), "content": "hi" });
    assert_eq!(world.ask(&client, "message:send", &message).await["ok"], true);
    assert_eq!(world.ask(&client, "message:send", &json!({})).await["ok"], false);
    assert_eq!(world.ask(&client, "something", &json!({})).await["ok"], false);
    Reply { socket: client.0.clone(), ack: None, kind: Kind::Send, metrics: Arc::clone(&world.chat.metrics) }
        .fail(&ApiError::new(ErrorCode::Unavailable, "The service is unavailable"));
    assert_eq!(world.heard(&client, 1).await[0][0], "error");
    assert_eq!(world.ask(&client, "user:status", &json!({ "status": "away" })).await["ok"], true);
    assert_eq!(world.ask(&client, "user:status", &json!({ "status": "away" })).await["ok"], false);
    let commands = |command, result| {
        counted(&world, "linkup_gateway_commands_total", &[("command", command), ("result", result)])
    };
    assert_eq!(
        ["ok", "rejected", "failed", "refused"].map(|result| commands("send", result)),
        [1., 1., 1., 0.]
    );
    assert_eq!(commands("unknown", "rejected"), 1.0);
    assert_eq!((commands("status", "ok"), commands("status", "refused")), (1.0, 1.0));
    assert_eq!(counted(&world, "linkup_gateway_refused_total", &[("policy", "connection_commands")]), 1.0);
    assert_eq!(counted(&world, "linkup_gateway_events_total", &[("event", "error")]), 1.0);

    let stage = [("stage", "gateway_queue")];
    assert_eq!(counted(&world, "linkup_message_stage_seconds_count", &stage), 1.0);
    assert_eq!(counted(&world, "linkup_gateway_api_batches_total", &[("result", "first_try")]), 1.0);
    assert_eq!(counted(&world, "linkup_gateway_api_commands_total", &[("result", "first_try")]), 1.0);
    assert_eq!(counted(&world, "linkup_gateway_api_call_seconds_count", &[]), 1.0);
    assert_eq!(counted(&world, "linkup_batcher_batch_items_count", &[("batcher", "gateway_send")]), 1.0);
    assert_eq!(counted(&world, "linkup_gateway_send_waiting_bytes", &[]), 0.0);
    assert_eq!(counted(&world, "linkup_gateway_send_waiting_limit_bytes", &[]), 67_108_864.0);
    assert_eq!(counted(&world, "linkup_gateway_hub_queue_commands", &[]), 1.0, "nobody takes it here");
    let seen = world.api.lock().unwrap();
    let [Command::Send { received: Some(received), .. }] = seen[..] else { panic!("{seen:?}") };
    assert!((before..=UnixMicros::now()).contains(&received));
}

#[tokio::test]
async fn whoever_is_not_let_in_is_counted_by_why_and_once() {
    let world = world(Limits::default()).await;
    let connect = |generation, token: Option<&str>| {
        let signed = world.chat.tokens.sign(Id::mint(), generation, MINUTE).unwrap();
        let socket = Socket::detached(Wire::Plain, Config::default()).unwrap();
        let auth = json!({ "token": token.unwrap_or(&signed) }).to_string();
        let session = world.chat.connect(&socket, &auth);
        (socket, session)
    };
    let (bad, unknown, left) = (connect(0, Some("x")), connect(1, None), connect(0, None));
    let counts = || {
        let outcomes = ["bad_token", "unknown_user", "gone", "admitted", "away"];
        outcomes.map(|outcome| counted(&world, "linkup_gateway_connects_total", &[("outcome", outcome)]))
    };
    let told = async {
        while counts()[1] < 1.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(MINUTE, told).await.unwrap();
    for (socket, session) in [bad, unknown, left] {
        world.chat.disconnect(&socket, session);
    }
    assert_eq!(counts(), [1.0, 1.0, 1.0, 0.0, 0.0]);
}
