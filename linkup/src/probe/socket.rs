//! One user's connection: Socket.IO over a WebSocket, as a client that does nothing but send and receive messages.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::{HeaderValue, USER_AGENT};
use protocol::event::MESSAGE_NEW;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::accounts::AGENT;
use super::dial::{Dialer, Stream};
use super::outcome::Problem;
use super::packet::{self, PONG, Packet};

const PATH: &str = "/socket.io/?EIO=4&transport=websocket";
/// Ten times what any event of the probe's conversation takes.
const MAX_MESSAGE: usize = 64 << 10;
/// How long a connection may take to be closed in an orderly way.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type WebSocket = WebSocketStream<Box<dyn Stream>>;

/// A connection whose user is let in. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct Socket {
    outgoing: mpsc::UnboundedSender<String>,
    waiting: Arc<Mutex<Waiting>>,
    driving: JoinHandle<()>,
    /// How many acknowledgements were asked for.
    asked: u64,
}

/// When something came, and what.
type Arrival<T> = oneshot::Sender<(Instant, T)>;

/// What is waited for. There is one of each at most, so nothing piles up, however much others send.
#[derive(Debug, Default)]
struct Waiting {
    ack: Option<(u64, Arrival<Value>)>,
    /// The message with this content.
    message: Option<(String, Arrival<()>)>,
    /// Why the connection ended.
    ended: Option<Problem>,
}

impl Socket {
    /// Connects as the user of this token, who is let in when this returns.
    pub(super) async fn connect(dialer: &Dialer, token: &str) -> Result<Self, Problem> {
        let address = format!("{}{PATH}", dialer.target.address("ws"));
        let mut request = address.into_client_request().map_err(|error| Problem::own(error.to_string()))?;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let config =
            WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
        let connecting = client_async_with_config(request, dialer.dial().await?, Some(config));
        let (mut stream, _) = connecting.await.map_err(of_handshake)?;
        log_in(&mut stream, token).await?;
        let (outgoing, queue) = mpsc::unbounded_channel();
        let waiting = Arc::<Mutex<Waiting>>::default();
        let driving = tokio::spawn(drive(stream, queue, Arc::clone(&waiting)));
        Ok(Self { outgoing, waiting, driving, asked: 0 })
    }

    /// Whether it is still there, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        !self.driving.is_finished()
    }

    /// Why it ended.
    pub(super) fn problem(&self) -> Problem {
        let ended = lock(&self.waiting).ended.clone();
        ended.unwrap_or_else(|| Problem::cut("the connection was cut"))
    }

    /// Sends an event now; when it was acknowledged, and how. An error where the connection ended before.
    pub(super) fn ask(&mut self, name: &str, payload: &Value) -> oneshot::Receiver<(Instant, Value)> {
        self.asked += 1;
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).wait(|waiting| waiting.ack = Some((self.asked, sender)));
        // A connection that is gone is noticed by what is not answered.
        drop(self.outgoing.send(packet::event(self.asked, name, payload)));
        receiver
    }

    /// When a new message with this content arrives. An error where the connection ended before.
    pub(super) fn expect(&self, content: String) -> oneshot::Receiver<(Instant, ())> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).wait(|waiting| waiting.message = Some((content, sender)));
        receiver
    }

    /// Closes it, and waits for that.
    pub(super) async fn close(self) {
        drop(self.outgoing);
        drop(timeout(2 * CLOSE_TIMEOUT, self.driving).await);
    }
}

impl Waiting {
    /// Nobody waits for what will not come any more.
    fn wait(&mut self, begin: impl FnOnce(&mut Self)) {
        if self.ended.is_none() {
            begin(self);
        }
    }

    fn end(&mut self, problem: Problem) {
        *self = Self { ended: Some(problem), ..Self::default() };
    }

    fn take(&mut self, packet: Packet) {
        let now = Instant::now();
        match packet {
            Packet::Ack(number, answer) => {
                if let Some((_, sender)) = self.ack.take_if(|(asked, _)| *asked == number) {
                    let _ = sender.send((now, answer));
                }
            }
            Packet::Event(name, payload) if name == MESSAGE_NEW => {
                let content = payload["content"].as_str();
                if let Some((_, sender)) = self.message.take_if(|(wanted, _)| content == Some(wanted)) {
                    let _ = sender.send((now, ()));
                }
            }
            _ => {}
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the user be let in.
async fn log_in(stream: &mut WebSocket, token: &str) -> Result<(), Problem> {
    loop {
        match next(stream).await? {
            Packet::Open => say(stream, packet::connect(token)).await?,
            Packet::Ping => say(stream, PONG.to_owned()).await?,
            Packet::Connected => return Ok(()),
            Packet::Refused(why) => {
                return Err(Problem::refused(format!("the connection was refused: {why}")));
            }
            Packet::Close | Packet::Disconnected => return Err(Problem::cut("the connection was ended")),
            Packet::Event(..) | Packet::Ack(..) | Packet::Other => {}
        }
    }
}

/// Writes what there is to write, and hands on what comes, until either side ends it.
async fn drive(
    mut stream: WebSocket,
    mut queue: mpsc::UnboundedReceiver<String>,
    waiting: Arc<Mutex<Waiting>>,
) {
    let ended = loop {
        tokio::select! {
            text = queue.recv() => {
                let Some(text) = text else {
                    drop(timeout(CLOSE_TIMEOUT, stream.close(None)).await);
                    return;
                };
                if let Err(problem) = say(&mut stream, text).await {
                    break problem;
                }
            }
            packet = next(&mut stream) => match packet {
                Ok(Packet::Ping) => if let Err(problem) = say(&mut stream, PONG.to_owned()).await {
                    break problem;
                },
                Ok(Packet::Close | Packet::Disconnected) => break Problem::cut("the connection was ended"),
                Ok(packet) => lock(&waiting).take(packet),
                Err(problem) => break problem,
            },
        }
    };
    lock(&waiting).end(ended);
}

async fn say(stream: &mut WebSocket, text: String) -> Result<(), Problem> {
    stream.send(Message::text(text)).await.map_err(of_connection)
}

/// The next packet. May be dropped and called again.
async fn next(stream: &mut WebSocket) -> Result<Packet, Problem> {
    loop {
        match stream.next().await {
            None => return Err(Problem::cut("the connection was cut")),
            Some(Err(error)) => return Err(of_connection(error)),
            Some(Ok(Message::Text(text))) => {
                return packet::read(&text).ok_or_else(|| Problem::foreign("a packet is not understood"));
            }
            Some(Ok(Message::Binary(_))) => {
                return Err(Problem::foreign("a binary packet is not understood"));
            }
            Some(Ok(Message::Close(frame))) => return Err(of_close(frame.as_ref())),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
        }
    }
}

/// A handshake that did not lead to a connection.
fn of_handshake(error: Error) -> Problem {
    match error {
        Error::Http(response) => Problem::of_status(PATH, response.status().as_u16(), "no WebSocket"),
        error => Problem::unreachable(format!("no WebSocket: {error}")),
    }
}

fn of_connection(error: Error) -> Problem {
    match error {
        Error::Capacity(_) | Error::Utf8(_) => {
            Problem::foreign(format!("a message is not understood: {error}"))
        }
        error => Problem::cut(format!("the connection was cut: {error}")),
    }
}

/// A server that closes may be about to stop; one that says that it is for what the client did refuses.
fn of_close(frame: Option<&CloseFrame>) -> Problem {
    /// Broken protocol, unsupported, invalid, too large; token refused, connected elsewhere, too many.
    const REFUSALS: [u16; 7] = [1002, 1003, 1007, 1009, 4401, 4409, 4429];
    match frame.map(|frame| u16::from(frame.code)) {
        Some(code) if REFUSALS.contains(&code) => {
            Problem::refused(format!("the connection was closed with {code}"))
        }
        Some(code) => Problem::cut(format!("the connection was closed with {code}")),
        None => Problem::cut("the connection was closed"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::probe::Outcome;

    fn new_message(content: &str) -> Packet {
        Packet::Event(MESSAGE_NEW.to_owned(), json!({"content": content}))
    }

    #[test]
    fn only_what_is_waited_for_is_told() {
        let mut waiting = Waiting::default();
        let ((ack, mut acknowledged), (message, mut arrived)) = (oneshot::channel(), oneshot::channel());
        waiting.wait(|waiting| waiting.ack = Some((2, ack)));
        waiting.wait(|waiting| waiting.message = Some(("mine".to_owned(), message)));
        waiting.take(Packet::Ack(1, json!("earlier")));
        waiting.take(new_message("another's"));
        waiting.take(Packet::Event("message:update".to_owned(), json!({"content": "mine"})));
        assert!(acknowledged.try_recv().is_err() && arrived.try_recv().is_err());
        waiting.take(Packet::Ack(2, json!("now")));
        waiting.take(new_message("mine"));
        assert_eq!(acknowledged.try_recv().unwrap().1, "now");
        assert!(arrived.try_recv().is_ok());
    }

    #[test]
    fn whoever_waits_hears_of_the_end_and_nobody_waits_after_it() {
        let mut waiting = Waiting::default();
        let (message, mut arrived) = oneshot::channel();
        waiting.wait(|waiting| waiting.message = Some(("mine".to_owned(), message)));
        waiting.end(Problem::refused("no"));
        assert_eq!(arrived.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        let (message, mut arrived) = oneshot::channel();
        waiting.wait(|waiting| waiting.message = Some(("late".to_owned(), message)));
        assert_eq!(arrived.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(waiting.ended.map(|problem| problem.outcome), Some(Outcome::Refused));
    }

    #[test]
    fn a_code_says_whether_it_is_the_clients_doing() {
        let close = |code: u16| of_close(Some(&CloseFrame { code: code.into(), reason: "".into() }));
        for code in [1001, 1006, 4408, 4503, 4508] {
            assert!(close(code).is_cut, "{code}");
        }
        for code in [4401, 4429] {
            assert_eq!(close(code).outcome, Outcome::Refused, "{code}");
        }
        assert!(of_close(None).is_cut);
    }
}
