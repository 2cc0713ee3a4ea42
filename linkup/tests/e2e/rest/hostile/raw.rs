//! Connections on which anything can be said.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long a node may take to be done with a connection. Its own times are far shorter in these tests, so that a node
/// which waits for good is told from one that is busy.
const BOUND: Duration = Duration::from_secs(20);

/// What a client does when it has said what it has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Waits until the node closes.
    Waits,
    /// Says that it has nothing more to say, and waits until the node closes.
    Ends,
    /// Goes away at once.
    Leaves,
    /// Goes on, a byte at a time, with what is said again and again, until the node closes.
    DragsOn(&'static str),
}

/// Says something, and returns what is answered until the node closes.
pub(super) async fn say(address: SocketAddr, words: &[u8], then: Then) -> String {
    let what = String::from_utf8_lossy(&words[..words.len().min(200)]).into_owned();
    let conversation = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        let speaking = async {
            // A node that has heard enough need not listen to the rest.
            let said = to.write_all(words).await;
            match then {
                Then::Waits | Then::Leaves => {}
                Then::Ends => drop(to.shutdown().await),
                Then::DragsOn(more) => {
                    for byte in more.bytes().cycle() {
                        // Slow clients are slow; nothing is waited for.
                        sleep(Duration::from_millis(10)).await;
                        if to.write_all(&[byte]).await.is_err() {
                            break;
                        }
                    }
                }
            }
            (said, to)
        };
        let listening = async {
            let mut answer = Vec::new();
            // A reset is an end as well.
            let _ended = from.read_to_end(&mut answer).await;
            answer
        };
        match then {
            Then::Leaves => {
                drop(speaking.await);
                Vec::new()
            }
            Then::DragsOn(_) => {
                tokio::select! {
                    answer = listening => answer,
                    _ = speaking => Vec::new(),
                }
            }
            _ => tokio::join!(listening, speaking).0,
        }
    };
    let answer = timeout(BOUND, conversation).await;
    let answer = answer.unwrap_or_else(|_| panic!("the node does not end this within {BOUND:?}: {what:?}"));
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of all answers in what came over a connection.
pub(super) fn statuses(answers: &str) -> Vec<u16> {
    let beginnings = answers.split("HTTP/1.").skip(1);
    beginnings.map(|answer| answer[2..5].parse().unwrap()).filter(|status| *status >= 200).collect()
}
