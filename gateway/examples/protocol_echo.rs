//! The transport with the small applications that the protocols' own test suites talk to. Nobody is asked who they are.
//!
//! | path | protocol | what it does |
//! |---|---|---|
//! | `/socket.io/` | Socket.IO, namespaces `/` and `/custom` | emits `auth` with what the client gave (or `{}`) after a connect, answers `message` by `message-back`, and acknowledges `message-with-ack`, both with the same arguments, binary ones included |
//! | `/engine.io/` | Engine.IO | sends every message back |
//! | `/echo` | WebSocket | sends every message back |
//!
//! `cargo run -p linkup-gateway --example protocol_echo -- --port 3000 --ping-interval 300 --ping-timeout 200`
//! (times in milliseconds, `--max-payload` in bytes).

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway::transport::{Application, Body, ClientEvent, Config, Event, Message, Socket, Wire, body, run};
use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use service::metrics::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Socket.IO's own default.
const MAX_PAYLOAD: usize = 1_000_000;

/// Room for several of the largest messages at a time, which come back.
const OUTBOUND_LIMIT: usize = 8;

/// How long after the connect `auth` is emitted. The suite's client only begins to listen for the second message when
/// it has seen the first one, so they must not arrive in one piece.
const APART: Duration = Duration::from_millis(30);

struct Echo;

impl Application for Echo {
    type Session = ();
    type Permit = ();

    const ATTACHMENTS: usize = 10;

    fn wire(&self, path: &str) -> Option<Wire> {
        match path {
            "/socket.io/" => Some(Wire::SocketIo),
            "/engine.io/" => Some(Wire::Engine),
            "/echo" => Some(Wire::Raw),
            _ => None,
        }
    }

    fn namespace(&self, name: &str) -> bool {
        matches!(name, "/" | "/custom")
    }

    fn allow<B>(&self, _: &Request<B>) -> Result<(), Response<Body>> {
        Ok(())
    }

    fn finish(&self, _: &HeaderMap, response: &mut Response<Body>) {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }

    async fn http(self: Arc<Self>, _: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        let mut response = Response::new(body("not found"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }

    fn connect(self: &Arc<Self>, socket: &Socket, auth: &str) {
        socket.accept();
        if socket.wire() == Wire::SocketIo {
            let (socket, auth) = (socket.clone(), event("auth", auth, &[]));
            tokio::spawn(async move {
                tokio::time::sleep(APART).await;
                socket.emit(&auth);
            });
        }
    }

    fn event(self: &Arc<Self>, socket: &Socket, (): &(), received: ClientEvent<'_>) {
        match (&*received.name, received.ack) {
            ("message", None) => socket.emit(&event("message-back", received.args, received.attachments)),
            ("message-with-ack", Some(ack)) => {
                socket.ack_with(ack, received.args, received.attachments.to_vec());
            }
            _ => {}
        }
    }

    fn message(self: &Arc<Self>, socket: &Socket, (): &(), message: Message<'_>) {
        socket.send(message);
    }

    fn disconnect(self: &Arc<Self>, _: &Socket, (): ()) {}
}

/// The event of that name with these arguments, JSON texts with commas between them, and their attachments.
fn event(name: &str, args: &str, attachments: &[Bytes]) -> Event {
    let comma = if args.is_empty() { "" } else { "," };
    Event::with_attachments(format!("[\"{name}\"{comma}{args}]").into(), attachments.to_vec())
}

/// The value after `--name` on the command line, or `default`.
fn flag<T: FromStr>(name: &str, default: T) -> Result<T, String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    match arguments.next() {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| format!("{name} {value}: a number is expected")),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let millis = |name, default: Duration| flag(name, default.as_millis() as u64).map(Duration::from_millis);
    let max_payload = flag("--max-payload", MAX_PAYLOAD)?;
    let config = Config {
        ping_interval: millis("--ping-interval", Config::PING_INTERVAL)?,
        ping_timeout: millis("--ping-timeout", Config::PING_TIMEOUT)?,
        max_payload,
        outbound_limit: max_payload.saturating_mul(OUTBOUND_LIMIT).max(Config::OUTBOUND_LIMIT),
        ..Config::default()
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, flag("--port", 3000)?)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        // An error means that there is no such signal to wait for; then the process is ended from outside.
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    // Nobody asks for the metrics.
    run(listener, Arc::new(Echo), config, &Registry::new(), shutdown).await;
    Ok(())
}
