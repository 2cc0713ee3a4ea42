//! A connection to MongoDB that breaks at the worst moment: after a message was committed, before the answer.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// The header of MongoDB's wire protocol: length, request, the request that is answered, operation.
const HEADER: usize = 16;
/// The operation that carries all commands.
const OP_MSG: i32 = 2013;
/// The beginning of a command after header, flags, section kind and document length: the insert into `messages`.
const INSERT: &[u8] = b"\x02insert\0\x09\0\0\0messages\0";
const COMMAND_AT: usize = HEADER + 4 + 1 + 4;

/// Stands between a client and `mongod`, and swallows the answers to some inserts of messages together with
/// the connection.
pub(crate) struct Cutter {
    address: SocketAddr,
    cuts: Arc<AtomicU64>,
}

/// Tells by the number of an insert, counted from 1 over all connections, whether its answer is swallowed.
type Choice = Arc<dyn Fn(u64) -> bool + Send + Sync>;

#[derive(Clone)]
struct Rule {
    choice: Choice,
    inserts: Arc<AtomicU64>,
    cuts: Arc<AtomicU64>,
}

impl Cutter {
    /// Listens in front of `server`.
    pub(crate) async fn start(
        server: SocketAddr,
        choice: impl Fn(u64) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::<AtomicU64>::default();
        let rule = Rule { choice: Arc::new(choice), inserts: Arc::default(), cuts: Arc::clone(&cuts) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, rule.clone()));
            }
        });
        Self { address, cuts }
    }

    /// The address of `database` through here. Direct: the driver must not learn the server's own address.
    pub(crate) fn uri(&self, database: &str) -> String {
        format!("mongodb://{}/{database}?directConnection=true", self.address)
    }

    /// How many answers were swallowed so far.
    pub(crate) fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }
}

/// Passes messages both ways until either side is gone or an answer is swallowed.
async fn pass(client: TcpStream, server: SocketAddr, rule: Rule) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let doomed = Arc::<Mutex<Option<i32>>>::default();
    // Both halves of both connections are dropped, and so closed, as soon as one direction ends.
    tokio::select! {
        _ = requests(from_client, to_server, &rule, &doomed) => {}
        _ = answers(from_server, to_client, &rule, &doomed) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    rule: &Rule,
    doomed: &Mutex<Option<i32>>,
) -> io::Result<()> {
    loop {
        let message = message(&mut from).await?;
        let is_insert =
            number(&message, 12) == OP_MSG && message[COMMAND_AT.min(message.len())..].starts_with(INSERT);
        if is_insert && (rule.choice)(rule.inserts.fetch_add(1, Ordering::Relaxed) + 1) {
            *doomed.lock().unwrap() = Some(number(&message, 4));
        }
        to.write_all(&message).await?;
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    rule: &Rule,
    doomed: &Mutex<Option<i32>>,
) -> io::Result<()> {
    loop {
        let message = message(&mut from).await?;
        if *doomed.lock().unwrap() == Some(number(&message, 8)) {
            rule.cuts.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        to.write_all(&message).await?;
    }
}

/// One whole message.
async fn message(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let mut message = vec![0; HEADER];
    from.read_exact(&mut message).await?;
    let length = usize::try_from(number(&message, 0)).map_err(io::Error::other)?;
    message.resize(length, 0);
    from.read_exact(&mut message[HEADER..]).await?;
    Ok(message)
}

fn number(message: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(message[at..at + 4].try_into().unwrap())
}
