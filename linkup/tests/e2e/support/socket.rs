//! A client of the sockets that remembers everything it was sent, in order. It shares no code with LinkUp.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::SOON;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Socket.IO v5 over Engine.IO v4.
    SocketIo,
    /// JSON arrays at `/ws`, the token in the first message.
    Plain,
    /// The same, the token in the handshake's `Authorization` header.
    PlainHeader,
}

/// An event that the server sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) payload: Value,
    pub(crate) clock: Option<String>,
}

/// Why a connection did not come to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// The server refused, in these words. `/ws` is closed with the code.
    Refused { message: String, code: Option<u16> },
    /// There was no answer, or the connection broke.
    Broken(String),
}

/// What a client comes back with, to have what it missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Comeback {
    pub(crate) pid: String,
    /// Of the last event that it got, if it got any.
    pub(crate) offset: Option<String>,
}

/// An open connection of one user.
#[derive(Debug)]
pub(crate) struct Socket {
    dialect: Dialect,
    pid: Option<String>,
    recovered: bool,
    tasks: [AbortHandle; 2],
    outgoing: mpsc::UnboundedSender<Message>,
    shared: Arc<Shared>,
    next_ack: AtomicU64,
    closed: watch::Receiver<Option<u16>>,
}

#[derive(Debug, Default)]
struct Shared {
    events: Mutex<Vec<Event>>,
    acks: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
}

/// A frame from the server, understood.
enum Incoming {
    Event(Event),
    Ack(u64, Value),
    Ping,
    Other,
}

impl Socket {
    /// Connects to `base` (`http://host:port`) as the user of `token`.
    pub(crate) async fn connect(base: &str, dialect: Dialect, token: &str) -> Result<Self, ConnectError> {
        Self::come_back(base, dialect, token, None).await
    }

    /// The same, as a client that was connected before and was cut off.
    pub(crate) async fn come_back(
        base: &str,
        dialect: Dialect,
        token: &str,
        from: Option<&Comeback>,
    ) -> Result<Self, ConnectError> {
        let connecting = async {
            let mut stream = handshake(base, dialect, token, from).await?;
            let connected = authenticate(&mut stream, dialect, token, from).await?;
            Ok(Self::start(stream, dialect, &connected, from))
        };
        timeout(SOON, connecting).await.unwrap_or_else(|_| Err(ConnectError::Broken("no answer".to_owned())))
    }

    fn start(stream: Stream, dialect: Dialect, connected: &Value, from: Option<&Comeback>) -> Self {
        let pid = connected["pid"].as_str().map(str::to_owned);
        let recovered = match dialect {
            // As the stock client tells it.
            Dialect::SocketIo => from.is_some_and(|from| pid.as_ref() == Some(&from.pid)),
            Dialect::Plain | Dialect::PlainHeader => connected["recovered"] == true,
        };
        let (sink, stream) = stream.split();
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (close, closed) = watch::channel(None);
        let shared = Arc::<Shared>::default();
        let writing = tokio::spawn(write(sink, queue));
        let reading = read(stream, dialect, Arc::clone(&shared), outgoing.clone());
        let writer = writing.abort_handle();
        let reader = tokio::spawn(async move {
            let code = reading.await;
            // The connection is closed from this side too, as every client does.
            writing.abort();
            close.send_replace(Some(code));
        });
        let tasks = [writer, reader.abort_handle()];
        Self { dialect, pid, recovered, tasks, outgoing, shared, next_ack: AtomicU64::new(1), closed }
    }

    /// Whether the server gave it what it had missed.
    pub(crate) fn recovered(&self) -> bool {
        self.recovered
    }

    /// Breaks the connection without a word; what had arrived by then, and what to come back with.
    pub(crate) async fn cut(self) -> (Vec<Event>, Comeback) {
        self.tasks.iter().for_each(AbortHandle::abort);
        while !self.tasks.iter().all(AbortHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        (self.events(), self.comeback())
    }

    /// What a client that is cut off now comes back with.
    pub(crate) fn comeback(&self) -> Comeback {
        let events = self.shared.events.lock().unwrap();
        let offset = events.iter().rev().find_map(|event| event.clock.clone());
        Comeback { pid: self.pid.clone().expect("the server gives a pid"), offset }
    }

    /// Sends an event and asks for nothing.
    pub(crate) fn emit(&self, name: &str, payload: &Value) {
        self.send_event(name, payload, None);
    }

    /// Sends an event and asks for an acknowledgement, which the future brings; `None` if the connection ended
    /// before it came. The event is sent before this returns.
    pub(crate) fn ask(&self, name: &str, payload: &Value) -> impl Future<Output = Option<Value>> + use<> {
        let id = self.next_ack.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.shared.acks.lock().unwrap().insert(id, sender);
        self.send_event(name, payload, Some(id));
        let mut closed = self.closed.clone();
        async move {
            tokio::select! {
                biased;
                answer = receiver => answer.ok(),
                _ = closed.wait_for(Option::is_some) => None,
                () = tokio::time::sleep(2 * SOON) => panic!("an acknowledgement did not come"),
            }
        }
    }

    fn send_event(&self, name: &str, payload: &Value, ack: Option<u64>) {
        let text = match (self.dialect, ack) {
            (Dialect::SocketIo, ack) => {
                format!("42{}{}", ack.map(|id| id.to_string()).unwrap_or_default(), json!([name, payload]))
            }
            (_, Some(id)) => json!([name, payload, id]).to_string(),
            (_, None) => json!([name, payload]).to_string(),
        };
        self.send_text(text);
    }

    /// Sends any text frame.
    pub(crate) fn send_text(&self, text: String) {
        // A connection that is gone is noticed by its end, not here.
        drop(self.outgoing.send(Message::text(text)));
    }

    /// Everything that arrived so far, in order.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.shared.events.lock().unwrap().clone()
    }

    /// The messages of a conversation that arrived so far, in order.
    pub(crate) fn messages(&self, conversation: &str) -> Vec<Value> {
        let events = self.shared.events.lock().unwrap();
        let of =
            |event: &&Event| event.name == "message:new" && event.payload["conversationId"] == conversation;
        events.iter().filter(of).map(|event| event.payload.clone()).collect()
    }

    /// The numbers of these messages.
    pub(crate) fn seqs(&self, conversation: &str) -> Vec<i64> {
        self.messages(conversation).iter().map(|message| message["seq"].as_i64().unwrap()).collect()
    }

    /// The code that the connection was closed with; 1006 if it just broke. `None` while it is open.
    pub(crate) fn close_code(&self) -> Option<u16> {
        *self.closed.borrow()
    }

    /// Waits for the connection's end and tells its code.
    pub(crate) async fn closed(&self) -> u16 {
        let mut closed = self.closed.clone();
        let code = timeout(SOON, closed.wait_for(Option::is_some)).await.expect("the connection stays open");
        code.ok().and_then(|code| *code).unwrap_or(ABNORMAL)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        drop(self.outgoing.send(Message::Close(None)));
    }
}

/// What browsers tell of a connection that broke without a close frame.
const ABNORMAL: u16 = 1006;

async fn handshake(
    base: &str,
    dialect: Dialect,
    token: &str,
    from: Option<&Comeback>,
) -> Result<Stream, ConnectError> {
    let path = match (dialect, from) {
        (Dialect::SocketIo, _) => "/socket.io/?EIO=4&transport=websocket".to_owned(),
        (Dialect::PlainHeader, Some(Comeback { pid, offset })) => {
            let offset = offset.as_ref().map(|offset| format!("&offset={offset}")).unwrap_or_default();
            format!("/ws?pid={pid}{offset}")
        }
        (Dialect::Plain | Dialect::PlainHeader, _) => "/ws".to_owned(),
    };
    let mut request = format!("{}{path}", base.replacen("http", "ws", 1)).into_client_request().unwrap();
    if dialect == Dialect::PlainHeader {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let (stream, _) =
        connect_async(request).await.map_err(|error| ConnectError::Broken(error.to_string()))?;
    Ok(stream)
}

/// What the server says to a client that it lets in.
async fn authenticate(
    stream: &mut Stream,
    dialect: Dialect,
    token: &str,
    from: Option<&Comeback>,
) -> Result<Value, ConnectError> {
    let mut auth = json!({ "token": token });
    if let Some(Comeback { pid, offset }) = from {
        auth["pid"] = json!(pid);
        if let Some(offset) = offset {
            auth["offset"] = json!(offset);
        }
    }
    let word = if from.is_some() { "resume" } else { "user:connect" };
    match dialect {
        Dialect::SocketIo => {
            let open = text(stream).await?;
            assert!(open.starts_with("0{"), "not an open packet: {open}");
            send(stream, format!("40{auth}")).await?;
        }
        Dialect::Plain => send(stream, json!([word, auth]).to_string()).await?,
        Dialect::PlainHeader => {}
    }
    let answer = text(stream).await?;
    let parsed: Value = serde_json::from_str(answer.trim_start_matches(['4', '0'])).unwrap_or_default();
    let (connected, refused) = match dialect {
        Dialect::SocketIo => (answer.starts_with("40{"), answer.starts_with("44{")),
        _ => (parsed[0] == "connect", parsed[0] == "connect_error"),
    };
    if connected {
        return Ok(if dialect == Dialect::SocketIo { parsed } else { parsed[1].clone() });
    }
    assert!(refused, "neither let in nor refused: {answer}");
    let (message, code) = match dialect {
        Dialect::SocketIo => (&parsed["message"], None),
        _ => (&parsed[1]["message"], Some(close_code(stream).await)),
    };
    Err(ConnectError::Refused { message: message.as_str().unwrap_or_default().to_owned(), code })
}

async fn send(stream: &mut Stream, text: String) -> Result<(), ConnectError> {
    stream.send(Message::text(text)).await.map_err(|error| ConnectError::Broken(error.to_string()))
}

/// The next text frame that is no heartbeat.
async fn text(stream: &mut Stream) -> Result<String, ConnectError> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) if text.as_str() == "2" => send(stream, "3".to_owned()).await?,
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => return Err(ConnectError::Broken(format!("{other:?}"))),
        }
    }
}

async fn close_code(stream: &mut Stream) -> u16 {
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Close(Some(frame)) = message {
            return frame.code.into();
        }
    }
    ABNORMAL
}

async fn write(mut sink: SplitSink<Stream, Message>, mut queue: mpsc::UnboundedReceiver<Message>) {
    while let Some(message) = queue.recv().await {
        if sink.send(message).await.is_err() {
            break;
        }
    }
}

/// Notes what arrives until the connection ends; the code that it was closed with.
async fn read(
    mut stream: SplitStream<Stream>,
    dialect: Dialect,
    shared: Arc<Shared>,
    outgoing: mpsc::UnboundedSender<Message>,
) -> u16 {
    let mut code = ABNORMAL;
    while let Some(Ok(message)) = stream.next().await {
        match message {
            Message::Text(text) => match understand(dialect, text.as_str()) {
                Incoming::Event(event) => shared.events.lock().unwrap().push(event),
                Incoming::Ack(id, answer) => {
                    let waiting = shared.acks.lock().unwrap().remove(&id);
                    let waiting = waiting.unwrap_or_else(|| panic!("nobody asked for acknowledgement {id}"));
                    drop(waiting.send(answer));
                }
                Incoming::Ping => drop(outgoing.send(Message::text("3"))),
                Incoming::Other => {}
            },
            Message::Close(frame) => code = frame.map_or(1005, |frame| frame.code.into()),
            _ => {}
        }
    }
    code
}

fn understand(dialect: Dialect, text: &str) -> Incoming {
    let json =
        |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    if dialect != Dialect::SocketIo {
        let frame = json(text);
        return match frame[0].as_str() {
            Some("ack") => Incoming::Ack(frame[2].as_u64().unwrap(), frame[1].clone()),
            _ => Incoming::Event(event(&frame)),
        };
    }
    if let Some(packet) = text.strip_prefix("42") {
        Incoming::Event(event(&json(packet)))
    } else if let Some(packet) = text.strip_prefix("43") {
        let (id, answer) = packet.split_at(packet.find('[').unwrap());
        Incoming::Ack(id.parse().unwrap(), json(answer)[0].clone())
    } else if text == "2" {
        Incoming::Ping
    } else {
        Incoming::Other
    }
}

fn event(frame: &Value) -> Event {
    Event {
        name: frame[0].as_str().unwrap_or_default().to_owned(),
        payload: frame[1].clone(),
        clock: frame[2].as_str().map(str::to_owned),
    }
}
