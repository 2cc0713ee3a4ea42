//! An application that says what it was told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gateway::transport::{Application, Body, ClientEvent, Config, Event, Message, Socket, Wire, body, run};
use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderMap, ORIGIN};
use hyper::{Request, Response};
use service::metrics::Registry;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::client::DEADLINE;

/// What the application was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Connect(u64, String),
    Event(u64, String, String, Option<u64>),
    Acknowledged(u64, u64, String),
    Disconnect(u64),
}

pub(crate) struct App {
    told: UnboundedSender<Told>,
    pub(crate) sockets: Mutex<BTreeMap<u64, Socket>>,
    pub(crate) connects: AtomicUsize,
    pub(crate) disconnects: AtomicUsize,
    /// One more for each connection that was allowed.
    pub(crate) permits: Arc<()>,
    /// The name of this node.
    node: Option<&'static str>,
    /// Where the others are.
    pub(crate) peers: Mutex<BTreeMap<String, String>>,
}

impl App {
    pub(crate) fn socket(&self, id: u64) -> Socket {
        self.sockets.lock().unwrap()[&id].clone()
    }
}

impl Application for App {
    type Session = u64;
    type Permit = Arc<()>;

    const ATTACHMENTS: usize = 10;

    fn wire(&self, path: &str) -> Option<Wire> {
        match path {
            "/socket.io/" | "/socket.io" => Some(Wire::SocketIo),
            "/ws" => Some(Wire::Plain),
            "/engine.io/" => Some(Wire::Engine),
            "/echo" => Some(Wire::Raw),
            _ => None,
        }
    }

    fn namespace(&self, name: &str) -> bool {
        matches!(name, "/" | "/custom" | "/other")
    }

    fn allow<B>(&self, request: &Request<B>) -> Result<Arc<()>, Response<Body>> {
        assert!(request.extensions().get::<SocketAddr>().is_some());
        if request.headers().contains_key("x-overload") {
            let mut response = Response::new(body("later"));
            *response.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
            return Err(response);
        }
        Ok(Arc::clone(&self.permits))
    }

    fn finish(&self, request: &HeaderMap, response: &mut Response<Body>) {
        if let Some(origin) = request.get(ORIGIN) {
            response.headers_mut().append(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }

    fn node(&self) -> Option<&str> {
        self.node
    }

    fn peer(&self, node: &str) -> Option<String> {
        self.peers.lock().unwrap().get(node).cloned()
    }

    async fn http(self: Arc<Self>, request: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        Response::new(body(format!("{} {}", request.method(), request.uri())))
    }

    /// Says yes, unless the client wants to hear no, or nothing.
    fn connect(self: &Arc<Self>, socket: &Socket, auth: &str) -> u64 {
        self.connects.fetch_add(1, Ordering::SeqCst);
        if auth.contains("refuse") {
            socket.refuse("Authentication error");
        } else if !auth.contains("wait") {
            socket.accept();
        }
        self.sockets.lock().unwrap().insert(socket.id(), socket.clone());
        let _ = self.told.send(Told::Connect(socket.id(), auth.to_owned()));
        socket.id()
    }

    /// Answers an event by the same arguments, attachments included, as an acknowledgement or else as an event.
    fn event(self: &Arc<Self>, socket: &Socket, session: &u64, event: ClientEvent<'_>) {
        assert_eq!(*session, socket.id());
        let attachments = event.attachments.to_vec();
        match (&*event.name, event.ack) {
            ("panic", _) => panic!("the client asked for it"),
            ("close", _) => socket.close(4503, "bye"),
            ("dismiss", _) => socket.dismiss("go away"),
            ("ask", _) => socket.ask(&text_event("asked", event.args), 7),
            (_, Some(ack)) => socket.ack_with(ack, event.args, attachments),
            (name, None) => {
                let event = format!("[\"{name}\"{}{}]", comma(event.args), event.args);
                socket.emit(&Event::with_attachments(event.into(), attachments));
            }
        }
        let told = Told::Event(*session, event.name.into_owned(), event.payload.to_owned(), event.ack);
        let _ = self.told.send(told);
    }

    fn acknowledged(self: &Arc<Self>, socket: &Socket, session: &u64, id: u64, args: &str) {
        assert_eq!(*session, socket.id());
        let _ = self.told.send(Told::Acknowledged(*session, id, args.to_owned()));
    }

    /// An echo, but of `panic`.
    fn message(self: &Arc<Self>, socket: &Socket, session: &u64, message: Message<'_>) {
        assert_eq!(*session, socket.id());
        assert_ne!(message, Message::Text("panic"));
        socket.send(message);
    }

    fn disconnect(self: &Arc<Self>, socket: &Socket, session: u64) {
        assert_eq!(session, socket.id());
        self.disconnects.fetch_add(1, Ordering::SeqCst);
        assert!(self.sockets.lock().unwrap().remove(&session).is_some(), "disconnected once");
        let _ = self.told.send(Told::Disconnect(session));
    }
}

/// The event of that name whose further arguments are these JSON texts.
pub(crate) fn text_event(name: &str, args: &str) -> Event {
    Event::new(format!("[\"{name}\"{}{args}]", comma(args)).into())
}

fn comma(args: &str) -> &'static str {
    if args.is_empty() { "" } else { "," }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) app: Arc<App>,
    pub(crate) registry: Registry,
    pub(crate) shutdown: CancellationToken,
    told: UnboundedReceiver<Told>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(config: Config) -> Self {
        Self::start_as(None, config).await
    }

    /// Starts a node of that name, which knows no other.
    pub(crate) async fn start_as(node: Option<&'static str>, config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, told) = unbounded_channel();
        let app = Arc::new(App {
            told: sender,
            sockets: Mutex::default(),
            connects: AtomicUsize::new(0),
            disconnects: AtomicUsize::new(0),
            permits: Arc::default(),
            node,
            peers: Mutex::default(),
        });
        let shutdown = CancellationToken::new();
        let registry = Registry::new();
        let task = tokio::spawn(run(listener, Arc::clone(&app), config, &registry, shutdown.clone()));
        Self { address, app, registry, shutdown, told, task }
    }

    /// What the application is told next.
    pub(crate) async fn told(&mut self) -> Told {
        timeout(DEADLINE, self.told.recv()).await.expect("the application was told nothing").unwrap()
    }

    /// The id of the client that connects next.
    pub(crate) async fn connected(&mut self) -> u64 {
        match self.told().await {
            Told::Connect(id, _) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn assert_disconnected(&mut self, id: u64) {
        assert_eq!(self.told().await, Told::Disconnect(id));
    }

    /// Stops the server, once these clients hung up (it would wait for them to read why), and checks the books.
    pub(crate) async fn stopped<T>(self, clients: T) {
        drop(clients);
        self.shutdown.cancel();
        timeout(DEADLINE, self.task).await.expect("the server does not stop").unwrap();
        let (connects, disconnects) = (&self.app.connects, &self.app.disconnects);
        assert_eq!(connects.load(Ordering::SeqCst), disconnects.load(Ordering::SeqCst));
    }
}
