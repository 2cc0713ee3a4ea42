//! WebSockets with fastwebsockets, written the obvious way: a task and a queue for each connection, one write for each
//! frame. It says as much of Socket.IO as it takes to be spoken to by the same client.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{Frame, OpCode, Payload, WebSocketError};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::{EVENT, Failure};

const OPEN: &str =
    r#"0{"sid":"0","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100000}"#;
const CONNECTED: &str = r#"40{"sid":"0"}"#;

type Queues = Arc<Mutex<Vec<UnboundedSender<Bytes>>>>;

pub(crate) async fn run() -> Result<(), Failure> {
    let queues = Queues::default();
    let all = Arc::clone(&queues);
    let serve = move |stream| serve(stream, Arc::clone(&queues));
    super::run("fastwebsockets", serve, move |line| {
        let text = Bytes::from(format!(r#"42["{EVENT}",{line}]"#));
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|queue| queue.send(text.clone()).is_ok());
        std::future::ready(Ok(()))
    })
    .await
}

async fn serve(stream: TcpStream, queues: Queues) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        let upgraded = upgrade(&mut request).map(|(response, upgrading)| {
            tokio::spawn(hold(upgrading, Arc::clone(&queues)));
            response
        });
        // What is no handshake is answered like nothing at all: only the benchmark's client comes here.
        let response = upgraded.unwrap_or_else(|_| Response::new(Empty::<Bytes>::new()));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await);
}

/// The task of a connection. How it ends is the client's affair.
async fn hold(upgrading: UpgradeFut, queues: Queues) {
    let Ok(socket) = upgrading.await else { return };
    let (mut reader, mut writer) = socket.split(tokio::io::split);
    let (queue, mut waiting): (_, UnboundedReceiver<Bytes>) = mpsc::unbounded_channel();
    let read = async {
        loop {
            let frame = reader.read_frame(&mut |_| std::future::ready(Ok::<_, WebSocketError>(()))).await?;
            match frame.opcode {
                OpCode::Close => return Err::<(), _>(WebSocketError::ConnectionClosed),
                OpCode::Text if frame.payload.starts_with(b"40") => {
                    drop(queue.send(Bytes::from_static(CONNECTED.as_bytes())));
                    queues.lock().unwrap_or_else(PoisonError::into_inner).push(queue.clone());
                }
                _ => {}
            }
        }
    };
    let write = async {
        writer.write_frame(Frame::text(Payload::Borrowed(OPEN.as_bytes()))).await?;
        while let Some(text) = waiting.recv().await {
            writer.write_frame(Frame::text(Payload::Borrowed(&text))).await?;
        }
        Ok::<_, WebSocketError>(())
    };
    drop(tokio::try_join!(read, write));
}
