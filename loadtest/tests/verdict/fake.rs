//! A tiny chat server that breaks its promises on request. It speaks both protocols and just enough REST;
//! its WebSocket frames are those of another implementation than the harness's.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastwebsockets::upgrade::{UpgradeFut, is_upgrade_request, upgrade};
use fastwebsockets::{Frame, OpCode, WebSocketError};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use protocol::Id;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// What goes wrong, once, at the message [`FAULTY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The message never reaches the other person.
    Lose,
    /// The message never reaches its sender's own socket.
    LoseEcho,
    /// The message comes twice.
    Double,
    /// The message is stored twice, each time under its own `seq`.
    StoreTwice,
    /// The message comes after the conversation's next one.
    Swap,
    /// A number of the conversation is left out.
    SkipSeq,
    /// The acknowledgement tells another `seq` than the message.
    Contradict,
    /// The message is answered with an error.
    Refuse,
    /// The message arrives but is never acknowledged.
    Silence,
    /// The sender's connection is closed after the message.
    HangUp,
    /// Something that is no packet comes behind the message.
    Garbage,
    /// The message also reaches somebody who is not in the conversation.
    Leak,
    /// The message is delivered and acknowledged, and not kept.
    Forget,
    /// Everything stands still for [`STALL`].
    Stall,
    /// From the first message on, one after the other at the rate of [`CAPACITY`].
    Capacity,
}

/// The message at which the fault strikes: in the middle of a run, in whatever conversation.
pub(crate) const FAULTY: usize = 100;
/// How long everything stands still.
pub(crate) const STALL: Duration = Duration::from_millis(400);
/// How many messages a second it takes then.
pub(crate) const CAPACITY: f64 = 400.0;
const PING_INTERVAL: Duration = Duration::from_millis(100);

enum Out {
    Text(String),
    Ping,
    Close,
}

type Outbox = mpsc::UnboundedSender<Out>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    SocketIo,
    Plain,
}

struct Chat {
    members: [Id; 2],
    seq: i64,
    held: Option<String>,
}

#[derive(Default)]
struct State {
    chats: HashMap<Id, Chat>,
    sockets: HashMap<Id, Vec<(Dialect, Outbox)>>,
    messages: usize,
    /// What is there over REST.
    kept: HashMap<Id, Vec<Value>>,
    /// When the next message can be taken, where that is limited.
    free_at: Option<Instant>,
}

/// The server. Lives until the runtime of its test ends.
pub(crate) struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    fault: Fault,
    state: Mutex<State>,
    pongs: AtomicUsize,
    left: AtomicUsize,
}

impl Fake {
    /// Starts a server with this fault.
    pub(crate) async fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            fault,
            state: Mutex::default(),
            pongs: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection.with_upgrades());
            }
        });
        Self { address, shared }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many signs of life it was given.
    pub(crate) fn pongs(&self) -> usize {
        self.shared.pongs.load(Ordering::Relaxed)
    }

    /// How many clients said that they leave: by a packet where there is one, and a close frame.
    pub(crate) fn left(&self) -> usize {
        self.shared.left.load(Ordering::Relaxed)
    }

    /// Returns once it has taken so many messages.
    pub(crate) async fn messages(&self, count: usize) {
        let taken = async {
            while self.shared.state.lock().await.messages < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(60), taken).await.expect("messages");
    }

    /// Makes users in pairs, and the seed file that tells of them.
    pub(crate) async fn seed(&self, users: usize) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        for _ in 0..users / 2 {
            let (members, chat) = ([Id::mint(), Id::mint()], Id::mint());
            self.shared.state.lock().await.chats.insert(chat, Chat { members, seq: 0, held: None });
            for user in members {
                // The token of a user is the user's identifier.
                let line = json!({"userId": user, "email": "", "token": user, "conversations": [chat]});
                writeln!(file, "{line}").unwrap();
            }
        }
        file
    }
}

async fn answer(
    shared: Arc<Shared>,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if is_upgrade_request(&request) {
        let dialect = if request.uri().path() == "/ws" { Dialect::Plain } else { Dialect::SocketIo };
        let (response, socket) = upgrade(&mut request).unwrap();
        tokio::spawn(serve(shared, dialect, socket));
        return Ok(response.map(|_| Full::default()));
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (path, token) = (request.uri().path().to_owned(), request.headers().get("authorization").cloned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, answer) = match path.as_str() {
        path if path.ends_with("/messages") && token.is_some() => {
            let conversation = path.split('/').nth(3).unwrap().parse().unwrap();
            let after: i64 = query.split("after=").nth(1).unwrap().parse().unwrap();
            let kept = &shared.state.lock().await.kept;
            let kept = kept.get(&conversation).into_iter().flatten();
            let page = kept.filter(|message| message["seq"].as_i64().unwrap() > after).take(100);
            (StatusCode::OK, page.cloned().collect())
        }
        "/api/auth/register" if body["email"].is_string() && body["password"].is_string() => {
            let user = Id::mint();
            (StatusCode::CREATED, json!({"user": {"id": user}, "token": user}))
        }
        "/api/conversations" if token.is_some() => {
            let (chat, members) = (Id::mint(), serde_json::from_value(body["participants"].clone()).unwrap());
            shared.state.lock().await.chats.insert(chat, Chat { members, seq: 0, held: None });
            (StatusCode::CREATED, json!({"id": chat}))
        }
        _ => (StatusCode::BAD_REQUEST, json!({"message": "no", "code": "bad_request"})),
    };
    Ok(Response::builder().status(status).body(Full::new(answer.to_string().into())).unwrap())
}

async fn serve(shared: Arc<Shared>, dialect: Dialect, socket: UpgradeFut) {
    let (mut reader, mut writer) = socket.await.unwrap().split(tokio::io::split);
    reader.set_auto_close(false);
    reader.set_auto_pong(false);
    let (outbox, mut outgoing) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(out) = outgoing.recv().await {
            let frame = match out {
                Out::Text(text) => Frame::text(text.into_bytes().into()),
                Out::Ping => Frame::new(true, OpCode::Ping, None, b"beat".to_vec().into()),
                Out::Close => Frame::close(1001, b"enough"),
            };
            if writer.write_frame(frame).await.is_err() {
                return;
            }
        }
    });
    if dialect == Dialect::SocketIo {
        send(&outbox, r#"0{"sid":"a","upgrades":[],"pingInterval":100}"#);
    }
    let (mut user, mut has_said_goodbye) = (None, dialect == Dialect::Plain);
    let mut ignore = |_| async { Ok::<_, WebSocketError>(()) };
    while let Ok(frame) = reader.read_frame(&mut ignore).await {
        let text = match frame.opcode {
            OpCode::Text => String::from_utf8(frame.payload.to_vec()).unwrap(),
            OpCode::Pong if &*frame.payload == b"beat" => "3".to_owned(),
            OpCode::Close => {
                let sockets = &mut shared.state.lock().await.sockets;
                sockets.values_mut().for_each(|of| of.retain(|(_, other)| !other.same_channel(&outbox)));
                shared.left.fetch_add(usize::from(has_said_goodbye), Ordering::Relaxed);
                drop(outbox.send(Out::Close));
                return;
            }
            _ => return,
        };
        if dialect == Dialect::SocketIo && text == "41" {
            has_said_goodbye = true;
            continue;
        }
        match user {
            _ if text == "3" => drop(shared.pongs.fetch_add(1, Ordering::Relaxed)),
            None => user = authenticate(&shared, dialect, &outbox, &text).await,
            Some(user) => take(&shared, dialect, &outbox, user, &text).await,
        }
    }
}

async fn authenticate(shared: &Shared, dialect: Dialect, outbox: &Outbox, text: &str) -> Option<Id> {
    let (token, welcome, refusal) = match dialect {
        Dialect::SocketIo => (
            serde_json::from_str::<Value>(text.strip_prefix("40").unwrap()).unwrap()["token"].clone(),
            r#"40{"sid":"b"}"#,
            r#"44{"message":"Authentication error"}"#,
        ),
        Dialect::Plain => (
            serde_json::from_str::<Value>(text).unwrap()[1]["token"].clone(),
            r#"["connect",{"sid":"b"}]"#,
            r#"["connect_error",{"message":"Authentication error"}]"#,
        ),
    };
    let Ok(user) = serde_json::from_value(token) else {
        send(outbox, refusal);
        return None;
    };
    shared.state.lock().await.sockets.entry(user).or_default().push((dialect, outbox.clone()));
    send(outbox, welcome);
    let outbox = outbox.clone();
    tokio::spawn(async move {
        loop {
            sleep(PING_INTERVAL).await;
            let ping = if dialect == Dialect::SocketIo { Out::Text("2".to_owned()) } else { Out::Ping };
            if outbox.send(ping).is_err() {
                return;
            }
        }
    });
    Some(user)
}

/// Takes a `message:send`: stores it, delivers it and acknowledges it, or does as the fault says.
async fn take(shared: &Shared, dialect: Dialect, outbox: &Outbox, user: Id, text: &str) {
    let (id, body) = match dialect {
        Dialect::SocketIo => {
            let bracket = text.find('[').unwrap();
            let event: Value = serde_json::from_str(&text[bracket..]).unwrap();
            (text[2..bracket].to_owned(), event[1].clone())
        }
        Dialect::Plain => {
            let event: Value = serde_json::from_str(text).unwrap();
            (event[2].to_string(), event[1].clone())
        }
    };
    let acknowledge = |answer: Value| match dialect {
        Dialect::SocketIo => send(outbox, &format!("43{id}[{answer}]")),
        Dialect::Plain => send(outbox, &format!(r#"["ack",{answer},{id}]"#)),
    };
    let conversation: Id = serde_json::from_value(body["conversationId"].clone()).unwrap();
    let mut state = shared.state.lock().await;
    state.messages += 1;
    let fault = if state.messages == FAULTY { shared.fault } else { Fault::None };
    if fault == Fault::Stall {
        // Held on to the state, so that everybody waits.
        sleep(STALL).await;
    }
    if shared.fault == Fault::Capacity {
        let now = Instant::now();
        let free_at = state.free_at.map_or(now, |at| at.max(now)) + Duration::from_secs_f64(1.0 / CAPACITY);
        state.free_at = Some(free_at);
        sleep_until(free_at).await;
    }
    if fault == Fault::Refuse {
        return acknowledge(json!({"ok": false, "error": {"code": "unavailable", "message": "try again"}}));
    }
    let chat = state.chats.get_mut(&conversation).unwrap();
    assert!(chat.members.contains(&user), "a stranger writes");
    chat.seq += if fault == Fault::SkipSeq { 2 } else { 1 };
    let message = |seq: i64| {
        json!({"_id": Id::mint(), "conversationId": conversation, "seq": seq, "content": body["content"],
            "sender": {"_id": user, "id": user, "name": "N"}, "readBy": []})
    };
    let first = message(chat.seq);
    let mut events = vec![event(&first)];
    let mut kept = vec![first.clone()];
    match fault {
        Fault::Double => events.push(event(&first)),
        Fault::StoreTwice => {
            chat.seq += 1;
            kept.push(message(chat.seq));
            events.push(event(&kept[1]));
        }
        Fault::Swap => chat.held = events.pop(),
        _ => events.extend(chat.held.take()),
    }
    let members = chat.members;
    if fault != Fault::Forget {
        state.kept.entry(conversation).or_default().extend(kept);
    }
    for member in members {
        let forgotten = if member == user { Fault::LoseEcho } else { Fault::Lose };
        for (dialect, socket) in state.sockets.get(&member).into_iter().flatten() {
            for event in events.iter().filter(|_| fault != forgotten) {
                let prefix = if *dialect == Dialect::SocketIo { "42" } else { "" };
                send(socket, &format!("{prefix}{event}"));
            }
        }
    }
    if fault == Fault::Leak {
        let stranger = state.sockets.iter().find(|(user, _)| !members.contains(user));
        for (dialect, socket) in &stranger.unwrap().1[..1] {
            let prefix = if *dialect == Dialect::SocketIo { "42" } else { "" };
            send(socket, &format!("{prefix}{}", events[0]));
        }
    }
    match fault {
        Fault::Silence => {}
        Fault::Contradict => {
            acknowledge(json!({"ok": true, "message": {"seq": first["seq"].as_i64().unwrap() + 1}}));
        }
        _ => acknowledge(json!({"ok": true, "message": first})),
    }
    match fault {
        Fault::HangUp => drop(outbox.send(Out::Close)),
        Fault::Garbage => send(outbox, "{]"),
        _ => {}
    }
}

fn event(message: &Value) -> String {
    json!(["message:new", message, "ff-1-0"]).to_string()
}

/// To a socket that is gone, nothing.
fn send(outbox: &Outbox, text: &str) {
    drop(outbox.send(Out::Text(text.to_owned())));
}
