//! socketioxide on hyper: its own heartbeats, queues and adapter, with room in the queues for seconds of events, since
//! it drops what finds none.

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;
use tokio::net::TcpStream;

use crate::{EVENT, Failure};

/// Messages in one connection's queue.
const QUEUE: usize = 16_384;

/// What it sends. It is read first, as it would be from wherever an application has its events.
#[derive(Deserialize, Serialize)]
struct Payload {
    n: u64,
    at: u64,
    text: String,
}

pub(crate) async fn run() -> Result<(), Failure> {
    let (service, io) = SocketIo::builder().max_buffer_size(QUEUE).build_svc();
    io.ns("/", async |_: SocketRef| {});
    let serve = move |stream: TcpStream| {
        let service = service.clone();
        async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            drop(connection.with_upgrades().await);
        }
    };
    super::run("socketioxide", serve, move |line| {
        let io = io.clone();
        async move {
            let payload: Payload = serde_json::from_str(&line)?;
            // An error tells of connections whose queue was full; the client counts what is missing.
            drop(io.emit(EVENT, &payload).await);
            Ok(())
        }
    })
    .await
}
