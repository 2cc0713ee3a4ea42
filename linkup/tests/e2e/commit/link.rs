//! A connection to MongoDB that can be interfered with: a TCP proxy that understands just enough of the protocol to
//! recognise an insert of messages and its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A proxy in front of one MongoDB server.
pub(crate) struct Link {
    uri: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    server: String,
    /// While true every connection is closed.
    down: AtomicBool,
    /// Ends the connections that exist.
    cut: std::sync::Mutex<CancellationToken>,
    /// How many inserts of messages still are carried out but not answered.
    swallow: AtomicUsize,
    /// How many inserts of messages still are held back, the connection closed, and carried out later.
    delay: AtomicUsize,
    /// How much later, in milliseconds.
    lateness: AtomicU64,
    /// How many inserts were interfered with.
    interfered: AtomicUsize,
    /// How many delayed inserts were answered by the server.
    landed: AtomicUsize,
}

impl Link {
    /// A proxy in front of the server that `uri` names.
    pub(crate) async fn to(uri: &str) -> Self {
        let (server, rest) = uri.strip_prefix("mongodb://").unwrap().split_once('/').unwrap();
        let database = rest.split('?').next().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Direct: the driver is not to learn the server's own address from the replica set.
        let uri = format!("mongodb://{address}/{database}?directConnection=true");
        let state = Arc::new(State { server: server.to_owned(), ..State::default() });
        tokio::spawn(accept(listener, state.clone()));
        Self { uri, state }
    }

    /// The address to connect to.
    pub(crate) fn uri(&self) -> String {
        self.uri.clone()
    }

    /// Closes every connection and lets no new one through.
    pub(crate) fn down(&self) {
        self.state.down.store(true, Ordering::SeqCst);
        self.state.cut.lock().unwrap().cancel();
    }

    /// Lets connections through again.
    pub(crate) fn up(&self) {
        *self.state.cut.lock().unwrap() = CancellationToken::new();
        self.state.down.store(false, Ordering::SeqCst);
    }

    /// The next `count` inserts of messages are carried out, their answers swallowed, their connections closed.
    pub(crate) fn swallow_answers(&self, count: usize) {
        self.state.swallow.store(count, Ordering::SeqCst);
    }

    /// The connections of the next `count` inserts of messages are closed, and the inserts carried out `later`.
    pub(crate) fn delay_inserts(&self, count: usize, later: Duration) {
        self.state.lateness.store(later.as_millis() as u64, Ordering::SeqCst);
        self.state.delay.store(count, Ordering::SeqCst);
    }

    /// How many delayed inserts the server has answered.
    pub(crate) fn landed(&self) -> usize {
        self.state.landed.load(Ordering::SeqCst)
    }

    /// How many inserts were interfered with.
    pub(crate) fn interfered(&self) -> usize {
        self.state.interfered.load(Ordering::SeqCst)
    }
}

impl State {
    /// Takes one from a count, unless there is none left.
    fn take(&self, count: &AtomicUsize) -> bool {
        let taken = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        self.interfered.fetch_add(usize::from(taken), Ordering::SeqCst);
        taken
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if state.down.load(Ordering::SeqCst) {
            continue;
        }
        let (state, cut) = (state.clone(), state.cut.lock().unwrap().clone());
        tokio::spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                _ = serve(client, &state) => {}
            }
        });
    }
}

/// Passes messages in both directions until one side closes or the connection is to be cut.
async fn serve(client: TcpStream, state: &Arc<State>) -> std::io::Result<()> {
    let (mut from_server, mut to_server) = TcpStream::connect(&state.server).await?.into_split();
    let (mut from_client, mut to_client) = client.into_split();
    let swallow = AtomicBool::new(false);
    let up = async {
        loop {
            let message = read(&mut from_client).await?;
            if is_insert(&message) && state.take(&state.delay) {
                return Ok(Some(message));
            }
            if is_insert(&message) && state.take(&state.swallow) {
                swallow.store(true, Ordering::SeqCst);
            }
            to_server.write_all(&message).await?;
        }
    };
    let down = async {
        loop {
            let message = read(&mut from_server).await?;
            if swallow.load(Ordering::SeqCst) {
                return Ok(None);
            }
            to_client.write_all(&message).await?;
        }
    };
    let late: std::io::Result<Option<Vec<u8>>> = tokio::select! { end = up => end, end = down => end };
    if let Some(message) = late? {
        deliver_late(state.clone(), message, from_server, to_server);
    }
    Ok(())
}

/// The client has long given up when the server gets this.
fn deliver_late(
    state: Arc<State>,
    message: Vec<u8>,
    mut from_server: OwnedReadHalf,
    mut to_server: OwnedWriteHalf,
) {
    let later = Duration::from_millis(state.lateness.load(Ordering::SeqCst));
    tokio::spawn(async move {
        tokio::time::sleep(later).await;
        to_server.write_all(&message).await.unwrap();
        read(&mut from_server).await.unwrap();
        state.landed.fetch_add(1, Ordering::SeqCst);
    });
}

/// One message of the wire protocol: it begins with its length.
async fn read(stream: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let mut message = vec![0; u32::from_le_bytes(length) as usize];
    message[..4].copy_from_slice(&length);
    stream.read_exact(&mut message[4..]).await?;
    Ok(message)
}

/// Whether a message is `{insert: "messages", …}`: the command's name comes first, behind the headers.
fn is_insert(message: &[u8]) -> bool {
    let head = &message[..message.len().min(64)];
    head.windows(8).any(|part| part == b"\x02insert\0") && head.windows(9).any(|part| part == b"messages\0")
}
