//! The servers that LinkUp's gateway is compared with: each sends every line of its standard input, the payload of an
//! event, to all its connections. They know no users and ask nobody.
//!
//! | module | holds |
//! |---|---|
//! | [`bare`] | fastwebsockets and nothing else, written the obvious way |
//! | [`oxide`] | socketioxide |

pub(crate) mod bare;
pub(crate) mod oxide;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::Failure;
use super::process::READY;

/// As many as LinkUp's: everybody comes at once.
const BACKLOG: u32 = 4_096;

/// Says where it listens, gives each connection to `serve` and each line to `broadcast`, until there are no more lines.
async fn run<S, B>(
    name: &str,
    mut serve: impl FnMut(TcpStream) -> S,
    mut broadcast: impl FnMut(String) -> B,
) -> Result<(), Failure>
where
    S: Future<Output = ()> + Send + 'static,
    B: Future<Output = Result<(), Failure>>,
{
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = socket.listen(BACKLOG)?;
    println!("{name}{READY} on {}", listener.local_addr()?);
    let (sender, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                tokio::spawn(serve(stream));
            }
            line = lines.recv() => match line {
                Some(line) => broadcast(line).await?,
                None => return Ok(()),
            },
        }
    }
}
