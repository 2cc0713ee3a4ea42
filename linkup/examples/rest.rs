//! What the REST API takes, as a ratio to the same work done the obvious way on the same `mongod` in the same run:
//!
//! ```sh
//! cargo run --release -p linkup --example rest
//! ```
//!
//! - *Sends*: `POST /api/conversations/:id/messages` by so many clients at once, each waiting for its answer before it
//!   sends again; beside it as many tasks that insert one message at a time with the driver, without HTTP,
//!   authentication or authorisation, and one task alone that does so.
//! - *Lists*: `GET /api/conversations` of users with fifty conversations, their messages and unread counts; beside it
//!   the queries of the frontend specification's own code: three for each conversation.
//!
//! Clients, api and `mongod` share the machine. Each line says how many a second, and the times at which half and
//! ninety-nine in a hundred were done. `-- --quick` only sees that it works.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use linkup::mongod::{self, Mongod, Options};
use protocol::token::Tokens;
use protocol::{Id, Timestamp};
use service::metrics::Registry;
use service::monitoring::Monitoring;
use store::Store;
use store::bson::{Document, doc};
use store::convert::oid;
use store::document::{Conversation, Message, User};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How many do the same at once.
const CLIENTS: [usize; 2] = [64, 256];
/// How long each is measured, after a second to warm up; with `--quick` only so long that it is seen to work.
const MEASURED: Duration = Duration::from_secs(6);
const QUICK: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_secs(1);
/// How many conversations each reader has, and how many messages are in each.
const CONVERSATIONS: usize = 50;
const MESSAGES: i64 = 30;
/// How many users have that many.
const READERS: usize = 8;
/// About as much as people write.
const TEXT: &str = "a message of eighty bytes, which is about as much as somebody writes in one go.";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mongod = start(folder.path()).await?;
    let store = Store::connect(&mongod.uri(), "rest-bench", "api", &Registry::new()).await?;
    store.prepare().await?;
    let tokens = Tokens::new(&[7; 32]);
    let api = Api::start(&store, tokens.clone()).await?;

    println!("{:<52} {:>10} {:>9} {:>9}", "", "per second", "p50 ms", "p99 ms");
    let alone = inserts(&store, 1).await?;
    alone.print("one task, one insert at a time");
    for clients in CLIENTS {
        let one_by_one = inserts(&store, clients).await?;
        one_by_one.print(&format!("{clients} tasks, one insert at a time each"));
        let sends = sends(&store, &api, &tokens, clients).await?;
        sends.print(&format!("{clients} clients, POST …/messages"));
        println!(
            "    ratio {:.1}; to one task alone {:.1}",
            sends.rate / one_by_one.rate,
            sends.rate / alone.rate
        );
    }
    let readers = readers(&store).await?;
    for clients in CLIENTS {
        let obvious = lists_of_the_specification(&store, &readers, clients).await?;
        obvious.print(&format!("{clients} tasks, three queries for each conversation"));
        let lists = lists(&api, &tokens, &readers, clients).await?;
        lists.print(&format!("{clients} clients, GET /api/conversations"));
        println!("    ratio {:.1}", lists.rate / obvious.rate);
    }
    api.stop().await;
    store.close().await;
    mongod.stop().await?;
    Ok(())
}

async fn start(folder: &Path) -> Result<Mongod, Failure> {
    let binary = mongod::locate(&mut |progress| eprintln!("{progress}")).await?;
    Ok(Mongod::start(&binary, &Options::new(folder)).await?)
}

/// The api, in this process.
struct Api {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Api {
    async fn start(store: &Store, tokens: Tokens) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shutdown = CancellationToken::new();
        let (config, monitoring) = (api::Config::new(tokens), Monitoring::default());
        let running = api::run(listener, store.clone(), config, monitoring, shutdown.clone());
        Ok(Self { address, shutdown, task: tokio::spawn(running) })
    }

    async fn stop(self) {
        self.shutdown.cancel();
        drop(self.task.await);
    }
}

/// One client: a connection that is kept, and a user's token.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    token: String,
    host: String,
}

impl Client {
    async fn connect(api: &Api, token: String) -> Result<Self, Failure> {
        let stream = TcpStream::connect(api.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, token, host: api.address.to_string() })
    }

    async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.token)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(format!("{status}: {body:?}").into()) }
    }
}

/// What was measured.
struct Measured {
    rate: f64,
    /// Milliseconds.
    p50: f64,
    p99: f64,
}

impl Measured {
    fn print(&self, what: &str) {
        println!("{what:<52} {:>10.0} {:>9.1} {:>9.1}", self.rate, self.p50, self.p99);
    }
}

/// Has each of `workers` do its work again and again, and measures what is done after the warm-up.
async fn measure<W, F>(workers: Vec<W>) -> Result<Measured, Failure>
where
    W: FnMut() -> F + Send + 'static,
    F: Future<Output = Result<(), Failure>> + Send,
{
    let began = Instant::now();
    let measured = if std::env::args().any(|argument| argument == "--quick") { QUICK } else { MEASURED };
    let (from, until) = (began + WARM_UP, began + WARM_UP + measured);
    let done = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|mut work| {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < until {
                    let asked = Instant::now();
                    work().await?;
                    if asked >= from {
                        times.push(asked.elapsed());
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Ok::<_, Failure>(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    times.sort_unstable();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let rate = done.load(Ordering::Relaxed) as f64 / measured.as_secs_f64();
    Ok(Measured { rate, p50: at(0.5), p99: at(0.99) })
}

fn person(n: usize) -> User {
    let unique = Id::mint();
    let (email, handle) = (format!("{unique}@example.org"), format!("user{unique}"));
    User::new(format!("User {n}"), email, handle, "no hash".to_owned(), Timestamp::now())
}

fn message(conversation: Id, sender: Id, seq: i64) -> Message {
    let now = Timestamp::now();
    Message {
        id: Id::mint(),
        conversation_id: conversation,
        seq,
        sender,
        content: TEXT.to_owned(),
        content_type: "text".to_owned(),
        attachment_url: None,
        client_message_id: None,
        created_at: now,
        updated_at: now,
        edited_at: None,
        is_deleted: false,
        change: None,
        received: None,
    }
}

/// Each task inserts into a conversation of its own, into the same collection with the same indexes and validator.
async fn inserts(store: &Store, tasks: usize) -> Result<Measured, Failure> {
    let workers = (0..tasks).map(|_| {
        let (store, conversation, sender) = (store.clone(), Id::mint(), Id::mint());
        let mut seq = 0;
        move || {
            seq += 1;
            let (messages, message) = (store.messages(), message(conversation, sender, seq));
            async move {
                messages.insert_one(message).await?;
                Ok(())
            }
        }
    });
    measure(workers.collect()).await
}

/// Each client writes to a friend of its own.
async fn sends(store: &Store, api: &Api, tokens: &Tokens, clients: usize) -> Result<Measured, Failure> {
    let people: Vec<User> = (0..2 * clients).map(person).collect();
    store.users().insert_many(&people).await?;
    let now = Timestamp::now();
    let pair = |pair: &[User]| Conversation::new(pair[0].id, vec![pair[0].id, pair[1].id], None, now);
    let conversations: Vec<Conversation> = people.chunks(2).map(pair).collect();
    store.conversations().insert_many(&conversations).await?;
    let body = Bytes::from(serde_json::json!({ "content": TEXT }).to_string());
    let mut workers = Vec::new();
    for conversation in conversations {
        let client = connect(api, tokens, conversation.participants[0]).await?;
        let path = format!("/api/conversations/{}/messages", conversation.id);
        workers.push(repeat(client, Method::POST, path, body.clone()));
    }
    measure(workers).await
}

async fn connect(api: &Api, tokens: &Tokens, user: Id) -> Result<Client, Failure> {
    let token = tokens.sign(user, 0, Duration::from_secs(3_600))?;
    Client::connect(api, format!("Bearer {token}")).await
}

type Work = Box<dyn FnMut() -> std::pin::Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>> + Send>;

/// The same request again and again.
fn repeat(client: Client, method: Method, path: String, body: Bytes) -> Work {
    let client = Arc::new(tokio::sync::Mutex::new(client));
    Box::new(move || {
        let (client, method, path, body) = (Arc::clone(&client), method.clone(), path.clone(), body.clone());
        Box::pin(async move { client.lock().await.call(method, &path, body).await.map(drop) })
    })
}

/// Users with conversations, messages and read cursors behind the end.
async fn readers(store: &Store) -> Result<Vec<Id>, Failure> {
    let readers: Vec<User> = (0..READERS).map(person).collect();
    let others: Vec<User> = (0..CONVERSATIONS).map(person).collect();
    store.users().insert_many(readers.iter().chain(&others)).await?;
    let now = Timestamp::now();
    for reader in &readers {
        let mut conversations = Vec::new();
        let mut messages = Vec::new();
        for other in &others {
            let conversation = Conversation::new(other.id, vec![other.id, reader.id], None, now);
            messages.extend((1..=MESSAGES).map(|seq| message(conversation.id, other.id, seq)));
            conversations.push(conversation);
        }
        store.conversations().insert_many(&conversations).await?;
        store.messages().insert_many(&messages).await?;
        let moves: Vec<_> = conversations
            .iter()
            .map(|conversation| {
                let key = store::document::ReadKey { conversation: conversation.id, user: reader.id };
                let (seq, message_id, sender) = (MESSAGES - 5, Id::mint(), conversation.participants[0]);
                let last = store::document::LastRead { seq, at: now, message_id, sender };
                store::read::Move { key, last, is_new: true }
            })
            .collect();
        store.advance_cursors(&moves).await?;
    }
    Ok(readers.into_iter().map(|reader| reader.id).collect())
}

async fn lists(api: &Api, tokens: &Tokens, readers: &[Id], clients: usize) -> Result<Measured, Failure> {
    let mut workers = Vec::new();
    for reader in readers.iter().cycle().take(clients) {
        let client = connect(api, tokens, *reader).await?;
        workers.push(repeat(client, Method::GET, "/api/conversations".to_owned(), Bytes::new()));
    }
    measure(workers).await
}

/// `getUserConversations` of the frontend specification, query by query. Its unread count asks for `readBy.userId`,
/// which no message has here, so all of them count, as they would for whoever has read none.
async fn lists_of_the_specification(
    store: &Store,
    readers: &[Id],
    clients: usize,
) -> Result<Measured, Failure> {
    let workers = readers.iter().cycle().take(clients).map(|reader| {
        let (store, reader) = (store.clone(), *reader);
        move || {
            let store = store.clone();
            async move { conversations_of_the_specification(&store, reader).await }
        }
    });
    measure(workers.collect()).await
}

async fn conversations_of_the_specification(store: &Store, reader: Id) -> Result<(), Failure> {
    let database = store.database();
    let collection = |name: &str| database.collection::<Document>(name);
    let (conversations, messages, users) =
        (collection("conversations"), collection("messages"), collection("users"));
    let mine = doc! {"participants": oid(reader), "isActive": true};
    let found: Vec<Document> =
        conversations.find(mine).sort(doc! {"updatedAt": -1}).await?.try_collect().await?;
    let details = found.iter().map(|conversation| {
        let (messages, users) = (messages.clone(), users.clone());
        async move {
            let id = conversation.get_object_id("_id")?;
            let last = messages.find_one(doc! {"conversationId": id}).sort(doc! {"createdAt": -1}).await?;
            let unread = messages
                .count_documents(doc! {
                    "conversationId": id, "readBy.userId": {"$ne": oid(reader)}, "sender": {"$ne": oid(reader)},
                })
                .await?;
            let participants = doc! {"_id": {"$in": conversation.get_array("participants")?}};
            let people: Vec<Document> = users.find(participants).await?.try_collect().await?;
            Ok::<_, Failure>((last, unread, people))
        }
    });
    futures_util::future::try_join_all(details).await.map(drop)
}
