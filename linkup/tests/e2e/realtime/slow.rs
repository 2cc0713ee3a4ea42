//! One client stops reading while a thousand others get a thousand events each.
//!
//! That the others are not held up even by a moment is measured by `cargo run --release -p linkup --example realtime`;
//! here nothing is lost, the slow one is closed with its code, and gets what it missed when it comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::crowd::{conversations, crowd};
use crate::support::people::Person;
use crate::support::socket::{Comeback, Dialect};
use crate::support::stack::{Plan, Stack};
use crate::support::{SOON, eventually, turn};

/// Everybody has two sockets.
const PEOPLE: usize = 500;
const EVENTS: i64 = 1_000;
/// What may wait for one connection. Beside that the kernel holds 2.6 MB for one on the same machine.
const OUTBOUND_LIMIT: usize = 1 << 20;
/// All events together are more than the kernel and the gateway hold.
const CONTENT: usize = 4_000;
/// How far the talk may be ahead of the listeners, on the average: they are a thousand in one process, and only the one
/// that does not read at all shall be slow.
const AHEAD: u64 = 30;
/// How long all of it may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_is_closed_and_comes_back_and_a_thousand_others_miss_nothing() {
    let _turn = turn::heavy().await;
    let gateway: fn(&mut gateway::Config) = |config| config.transport.outbound_limit = OUTBOUND_LIMIT;
    let stack = Stack::with(Plan { gateway, ..Plan::default() }).await;
    let base = stack.base();
    let people = crowd(stack.store(), &base, PEOPLE + 1).await;
    let room = conversations(stack.store(), [people.as_slice()]).await.remove(0);
    let (slow, others) = people.split_last().unwrap();

    let mut sleeper = Lean::connect(&base, slow, Some(4_096)).await;
    let (mut listeners, heard) = (Vec::new(), Arc::<AtomicU64>::default());
    for group in others.chunks(50) {
        let connecting = group.iter().flat_map(|person| [person, person]);
        let connected = join_all(connecting.map(|person| Lean::connect(&base, person, None))).await;
        listeners.extend(connected.into_iter().map(|lean| lean.listen(Arc::clone(&heard))));
    }
    let closed = slow_consumers(&stack);
    // Reading again only after the gateway has given it up, it finds what was under way, and why it is over.
    let sleeping = async {
        eventually("the gateway gives it up", PATIENCE, async || {
            (slow_consumers(&stack) > closed).then_some(())
        })
        .await;
        sleeper.drain().await
    };
    let ((mut seqs, code), ()) = tokio::join!(sleeping, talk(&others[..10], &room, &heard));
    assert_eq!(code, 4508);
    for listener in listeners {
        let heard = timeout(PATIENCE, listener).await.expect("somebody else is held up").unwrap();
        assert_eq!(heard, EVENTS);
    }

    let read = seqs.len();
    assert!((1..EVENTS as usize).contains(&read), "{read} of {EVENTS} were read before the end");
    let back = slow.come_back(&base, Dialect::Plain, &sleeper.comeback()).await;
    assert!(back.recovered());
    eventually("what was missed arrives", SOON, async || {
        (back.seqs(&room).len() + read >= EVENTS as usize).then_some(())
    })
    .await;
    seqs.extend(back.seqs(&room));
    assert_eq!(seqs, (1..=EVENTS).collect::<Vec<_>>());
}

/// Says everything, as ten people at once, as fast as it is heard.
async fn talk(people: &[Person], room: &str, heard: &AtomicU64) {
    let content = "x".repeat(CONTENT);
    let share = EVENTS as u64 / people.len() as u64;
    join_all(people.iter().map(async |person| {
        for said in 0..share {
            eventually("the listeners keep up", PATIENCE, async || {
                let all = heard.load(Ordering::Relaxed) / (2 * PEOPLE as u64);
                (said * people.len() as u64 <= all + AHEAD).then_some(())
            })
            .await;
            person.say(room, &content).await;
        }
    }))
    .await;
}

/// How many connections the gateway has closed as slow consumers.
fn slow_consumers(stack: &Stack) -> f64 {
    let registry = &stack.gateway_monitoring(0).registry;
    registry.value("linkup_gateway_closes_total", &[("reason", "slow_consumer")]).unwrap()
}

/// A `/ws` client that keeps nothing of what it gets but the numbers: a million events would fill the memory.
struct Lean {
    stream: WebSocketStream<TcpStream>,
    pid: String,
    offset: Option<String>,
}

impl Lean {
    /// Connects, with so many bytes that the kernel keeps for reading.
    async fn connect(base: &str, person: &Person, buffer: Option<u32>) -> Self {
        let address: SocketAddr = base.trim_start_matches("http://").parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(buffer) = buffer {
            socket.set_recv_buffer_size(buffer).unwrap();
        }
        let connection = socket.connect(address).await.unwrap();
        let (mut stream, _) = client_async(format!("ws://{address}/ws"), connection).await.unwrap();
        let auth = json!(["user:connect", { "token": person.token }]);
        stream.send(Message::text(auth.to_string())).await.unwrap();
        let Some(Ok(Message::Text(text))) = timeout(SOON, stream.next()).await.unwrap() else {
            panic!("{} is not answered", person.name)
        };
        let connected: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(connected[0], "connect");
        Self { stream, pid: connected[1]["pid"].as_str().unwrap().to_owned(), offset: None }
    }

    /// Listens until everything has been said; how many messages that were. They must come in order.
    fn listen(mut self, all: Arc<AtomicU64>) -> JoinHandle<i64> {
        tokio::spawn(async move {
            let mut heard = 0;
            while heard < EVENTS {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        if let Some(seq) = seq(&text) {
                            heard += 1;
                            all.fetch_add(1, Ordering::Relaxed);
                            assert_eq!(seq, heard);
                        }
                    }
                    Some(Ok(_)) => {}
                    other => panic!("after {heard} messages: {other:?}"),
                }
            }
            heard
        })
    }

    /// Reads to the end: the numbers, and the code of the end.
    async fn drain(&mut self) -> (Vec<i64>, u16) {
        let mut seqs = Vec::new();
        loop {
            match timeout(SOON, self.stream.next()).await.expect("the connection stays open") {
                Some(Ok(Message::Text(text))) => {
                    seqs.extend(seq(&text));
                    self.offset =
                        serde_json::from_str::<Value>(&text).unwrap()[2].as_str().map(str::to_owned);
                }
                Some(Ok(Message::Close(Some(frame)))) => return (seqs, frame.code.into()),
                Some(Ok(_)) => {}
                other => panic!("it ends without a code: {other:?}"),
            }
        }
    }

    fn comeback(&self) -> Comeback {
        Comeback { pid: self.pid.clone(), offset: self.offset.clone() }
    }
}

/// The number of a message, without reading all of it.
fn seq(text: &str) -> Option<i64> {
    let rest = text.strip_prefix(r#"["message:new""#)?.split_once(r#""seq":"#)?.1;
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}
