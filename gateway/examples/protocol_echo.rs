//! The transport with the small application that Socket.IO's protocol test suite talks to.
//!
//! After a connect it emits `auth` with what the client gave, answers `message` by `message-back` and
//! acknowledges `message-with-ack`, both with the same arguments. Nobody is asked who they are.
//!
//! `cargo run -p linkup-gateway --example protocol_echo -- --port 3000 --ping-interval 300 --ping-timeout 200`
//! (times in milliseconds, `--max-payload` in bytes).

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gateway::transport::{Application, Body, ClientEvent, Config, Event, Socket, body, run};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct Echo;

impl Application for Echo {
    type Session = ();
    type Permit = ();

    fn allow<B>(&self, _: &Request<B>) -> Result<(), Response<Body>> {
        Ok(())
    }

    async fn http(self: Arc<Self>, _: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        let mut response = Response::new(body("not found"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }

    fn connect(self: &Arc<Self>, socket: &Socket, auth: &str) {
        socket.accept();
        socket.emit(&event("auth", auth));
    }

    fn event(self: &Arc<Self>, socket: &Socket, (): &(), received: ClientEvent<'_>) {
        match (&*received.name, received.ack) {
            ("message", None) => socket.emit(&event("message-back", received.args)),
            ("message-with-ack", Some(ack)) => socket.ack(ack, received.args),
            _ => {}
        }
    }

    fn disconnect(self: &Arc<Self>, _: &Socket, (): ()) {}
}

/// The event of that name with these arguments, JSON texts with commas between them.
fn event(name: &str, args: &str) -> Event {
    let comma = if args.is_empty() { "" } else { "," };
    Event::new(format!("[\"{name}\"{comma}{args}]").into())
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
    let config = Config {
        ping_interval: millis("--ping-interval", Config::PING_INTERVAL)?,
        ping_timeout: millis("--ping-timeout", Config::PING_TIMEOUT)?,
        max_payload: flag("--max-payload", Config::MAX_PAYLOAD)?,
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
    run(listener, Arc::new(Echo), config, shutdown).await;
    Ok(())
}
