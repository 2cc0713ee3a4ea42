//! A balancer that the tests have a say in: it passes connections on, over TLS or not, or closes them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Listens from the start, whether there is something behind it or not.
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// Where connections are passed on to. Without it they are closed.
    to: Mutex<Option<String>>,
    /// How many there were.
    connections: Mutex<u64>,
    cut: Mutex<CancellationToken>,
}

impl Relay {
    pub(super) async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::<State>::default());
        let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&state)));
        Self { address, state, accepting }
    }

    /// Passes connections on from now on, to `host:port` or `http://host:port`.
    pub(super) fn lead_to(&self, base: &str) {
        *self.state.to.lock().unwrap() = Some(base.trim_start_matches("http://").to_owned());
    }

    /// Ends all connections. New ones are passed on.
    pub(super) fn cut(&self) {
        std::mem::take(&mut *self.state.cut.lock().unwrap()).cancel();
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> u64 {
        *self.state.connections.lock().unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        *state.connections.lock().unwrap() += 1;
        let to = state.to.lock().unwrap().clone();
        let (tls, cut) = (tls.clone(), state.cut.lock().unwrap().clone());
        tokio::spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = pass_on(stream, tls, to) => {}
            }
        });
    }
}

async fn pass_on(mut stream: TcpStream, tls: Option<TlsAcceptor>, to: Option<String>) {
    let Some(to) = to else { return };
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    match tls {
        None => drop(copy_bidirectional(&mut stream, &mut server).await),
        Some(tls) => {
            let Ok(mut stream) = tls.accept(stream).await else { return };
            drop(copy_bidirectional(&mut stream, &mut server).await);
        }
    }
}
