#!/bin/sh
# The timeout for reading a request's header also ends kept-alive connections that wait for their next request.
#
# Packages:  hyper 1.12.0, hyper-util 0.1.21, http-body-util 0.1.5, tokio 1.54.1 (crates)
#
# Behaviour: with `header_read_timeout`, the clock starts when the last response is done, not with the first byte of the
#            next request. A connection on which nothing was begun is closed when it has been idle for that long,
#            without an answer, and the connection's future fails with `HeaderTimeout`, as it does for a client that
#            sends its header too slowly. So a short timeout against slow headers is a short keep-alive, too, and a log
#            of failed connections fills with clients that did nothing wrong. A client that asks at longer intervals (a
#            scraper, a load balancer's pool) connects anew each time, or meets the close in its next request.
#
# Expected:  the documentation speaks of a client that "does not transmit the entire header within this time"; a
#            client that has not begun a header transmits none.
#
# Seen:      two requests one after the other: 200, 200
#            idle for longer than the timeout: closed by the server, 0 bytes
#            serve_connection: Err(hyper::Error(HeaderTimeout))
#
# Needs cargo (or the command in $CARGO). Exits 1 when the behaviour has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "hyper_header_timeout_idle"
version = "0.0.0"
edition = "2021"

[dependencies]
http-body-util = "=0.1.5"
hyper = { version = "=1.12.0", features = ["http1", "server"] }
hyper-util = { version = "=0.1.21", default-features = false, features = ["tokio"] }
tokio = { version = "=1.54.1", default-features = false, features = ["rt", "net", "time", "io-util", "macros"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::convert::Infallible;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::Response;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const HEADER: Duration = Duration::from_secs(1);

async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed");
    }
    String::from_utf8_lossy(&answer[9..12]).into_owned()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let answer = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER);
        builder.serve_connection(TokioIo::new(stream), answer).await
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    println!("two requests one after the other: {}, {}", ask(&mut stream).await, ask(&mut stream).await);
    let read = timeout(HEADER * 10, stream.read(&mut [0; 100])).await.expect("the idle connection stays open");
    println!("idle for longer than the timeout: closed by the server, {} bytes", read.unwrap());
    let served = served.await.unwrap();
    println!("serve_connection: {served:?}");
    assert!(served.is_err_and(|error| error.is_timeout()), "the end is no timeout");
}
RUST
${CARGO:-cargo} run --quiet
