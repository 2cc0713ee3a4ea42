//! All parts in this process, each of which can be stopped, crashed and started again on its own.

use std::env;
use std::net::SocketAddr;
use std::time::Duration;

use bus::{Bus, InProcess};
use hyper::header::HeaderValue;
use protocol::token::Tokens;
use protocol::upload::Links;
use service::metrics::Registry;
use service::monitoring::Monitoring;
use service::shutdown::Shutdown;
use service::throttle::Rate;
use store::Store;
use store::bson::{Document, doc};
use store::lease::LEASES;
use store::status::Status;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{SECRET, SOON, eventually, mongo, mongo_uri};

/// The frontend's origin.
pub(crate) const CLIENT_URL: &str = "http://localhost:3000";

/// What is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many api nodes, gateways and streamers.
    pub(crate) apis: usize,
    pub(crate) gateways: usize,
    pub(crate) streamers: usize,
    /// How soon a crashed streamer is replaced.
    pub(crate) lease_ttl: Duration,
    /// How far back a streamer that starts makes itself able to replay.
    pub(crate) replay_window: Duration,
    /// The database; one of its own if there is none.
    pub(crate) mongo_uri: Option<String>,
    /// Another way to the same database, for the api nodes only.
    pub(crate) api_mongo_uri: Option<String>,
    /// Changes the settings of every gateway.
    pub(crate) gateway: fn(&mut gateway::Config),
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            apis: 1,
            gateways: 1,
            streamers: 1,
            lease_ttl: Duration::from_secs(1),
            replay_window: streamer::config::DEFAULT_REPLAY_WINDOW,
            mongo_uri: None,
            api_mongo_uri: None,
            gateway: |_| {},
        }
    }
}

/// A running system.
pub(crate) struct Stack<B: Bus = InProcess> {
    plan: Plan,
    bus: B,
    store: Store,
    api_store: Store,
    apis: Vec<Part>,
    gateways: Vec<Part>,
    streamers: Vec<Part>,
}

/// A running part and where it listens.
pub(crate) struct Part {
    address: Option<SocketAddr>,
    monitoring: Monitoring,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Part {
    fn start<F>(address: Option<SocketAddr>, run: impl FnOnce(Monitoring, Shutdown) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (monitoring, shutdown) = (Monitoring::default(), Shutdown::new());
        let task = tokio::spawn(run(monitoring.clone(), shutdown.clone()));
        Self { address, monitoring, shutdown, task }
    }

    /// Its metrics and its health.
    pub(crate) fn monitoring(&self) -> &Monitoring {
        &self.monitoring
    }

    /// Waits until a gateway has found an api node that can commit: before that it turns everybody away.
    async fn reaches_api(&self) {
        let health = &self.monitoring.health;
        eventually("the gateway finds the api", SOON, async || {
            let failing = health.failing();
            (health.count("api") > 0 && failing.iter().all(|(name, _)| *name != "api")).then_some(())
        })
        .await;
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("a part that listens")
    }

    /// Stops it in an orderly way, and waits for its end.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(SOON, self.task).await.expect("a part does not stop").unwrap();
    }

    async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled(), "a part failed by itself");
    }
}

impl Stack {
    /// Starts one of everything, on an in-process bus.
    pub(crate) async fn start() -> Self {
        Self::with(Plan::default()).await
    }

    /// Starts what is planned, on an in-process bus.
    pub(crate) async fn with(plan: Plan) -> Self {
        Self::on(InProcess::new(&Registry::new()), plan).await
    }
}

impl<B: Bus> Stack<B> {
    /// Starts what is planned on this bus.
    pub(crate) async fn on(bus: B, plan: Plan) -> Self {
        log();
        let uri = match &plan.mongo_uri {
            Some(uri) => uri.clone(),
            None => mongo_uri().await,
        };
        let store = mongo::store(&uri).await;
        let api_store = match &plan.api_mongo_uri {
            Some(uri) => Store::connect(uri, "linkup-e2e-api", "api", &Registry::new()).await.unwrap(),
            None => store.clone(),
        };
        let (apis, gateways, streamers) = (Vec::new(), Vec::new(), Vec::new());
        let mut stack = Self { plan, bus, store, api_store, apis, gateways, streamers };
        for _ in 0..stack.plan.apis {
            let listener = listen(None).await;
            let address = listener.local_addr().unwrap();
            let (store, config) = (stack.api_store.clone(), api::Config::new(tokens()));
            let part = Part::start(Some(address), |monitoring, shutdown| {
                api::run(listener, store, config, monitoring, shutdown)
            });
            stack.apis.push(part);
        }
        for _ in 0..stack.plan.streamers {
            stack.start_streamer();
        }
        for _ in 0..stack.plan.gateways {
            let gateway = stack.gateway(None).await;
            stack.gateways.push(gateway);
        }
        // Sockets are let in once a streamer speaks, so there is nothing else to wait for.
        stack
    }

    /// The public address of the first gateway.
    pub(crate) fn base(&self) -> String {
        self.bases().swap_remove(0)
    }

    /// The public addresses of all gateways.
    pub(crate) fn bases(&self) -> Vec<String> {
        self.gateways.iter().filter_map(|part| Some(format!("http://{}", part.address?))).collect()
    }

    /// The metrics and the health of the n-th api node.
    pub(crate) fn api_monitoring(&self, n: usize) -> &Monitoring {
        self.apis[n].monitoring()
    }

    /// The same of the n-th streamer.
    pub(crate) fn streamer_monitoring(&self, n: usize) -> &Monitoring {
        self.streamers[n].monitoring()
    }

    /// The same of the n-th gateway.
    pub(crate) fn gateway_monitoring(&self, n: usize) -> &Monitoring {
        self.gateways[n].monitoring()
    }

    /// The database, for tests that write or look past the api.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Where the api nodes listen.
    pub(crate) fn apis(&self) -> Vec<SocketAddr> {
        self.apis.iter().map(Part::address).collect()
    }

    /// One more gateway, which reaches the api in its own way. It ends with the test.
    pub(crate) async fn another_gateway(&self, api_urls: Vec<String>) -> Part {
        let gateway = start_gateway_with(self.bus.clone(), None, api_urls, self.plan.gateway).await;
        gateway.reaches_api().await;
        gateway
    }

    /// Starts one more streamer, which stands by while another one is active.
    pub(crate) fn start_streamer(&mut self) {
        let (store, bus) = (self.store.clone(), self.bus.clone());
        let Plan { lease_ttl, replay_window, .. } = self.plan;
        let config = streamer::Config { lease_ttl, replay_window, ..streamer::Config::new(links()) };
        let part = Part::start(None, |monitoring, shutdown| {
            let status = Status::new(&monitoring.registry);
            streamer::run(store, status, bus, config, monitoring, shutdown)
        });
        self.streamers.push(part);
    }

    /// Ends the oldest streamer as a crash would: it has no time to give its lease back.
    pub(crate) async fn crash_streamer(&mut self) {
        self.streamers.remove(0).crash().await;
    }

    /// Takes the first gateway out, so that it can be stopped and looked at.
    pub(crate) fn take_gateway(&mut self) -> Part {
        self.gateways.remove(0)
    }

    /// The same with the oldest streamer.
    pub(crate) fn take_streamer(&mut self) -> Part {
        self.streamers.remove(0)
    }

    /// The same with the first api node.
    pub(crate) fn take_api(&mut self) -> Part {
        self.apis.remove(0)
    }

    /// Stops the last api node in an orderly way.
    pub(crate) async fn stop_api(&mut self) {
        self.apis.pop().expect("an api node").stop().await;
    }

    pub(crate) fn has_api(&self) -> bool {
        !self.apis.is_empty()
    }

    pub(crate) fn has_streamer(&self) -> bool {
        !self.streamers.is_empty()
    }

    /// Stops the oldest streamer in an orderly way.
    pub(crate) async fn stop_streamer(&mut self) {
        self.streamers.remove(0).stop().await;
    }

    /// Waits until the active streamer has saved where it stands: from then on its successor can continue there.
    pub(crate) async fn streamer_saved(&self) {
        self.streamer_saved_after(Duration::ZERO).await;
    }

    /// Waits until the active streamer has saved that it stands `age` later than the present moment, or further.
    pub(crate) async fn streamer_saved_after(&self, age: Duration) {
        let now = store::stream::now(&self.store).await.unwrap();
        // Seconds are in the upper half of a cluster time.
        let goal = if age.is_zero() { 0 } else { now + (age.as_secs() << 32) };
        let leases = self.store.database().collection::<Document>(LEASES);
        eventually("the streamer saves its resume point", SOON, async || {
            let lease = leases.find_one(doc! {}).await.unwrap()?;
            let time = lease.get_i64("clusterTime").ok()?;
            u64::try_from(time).is_ok_and(|time| time >= goal).then_some(())
        })
        .await;
    }

    /// Takes away where the streamers stood, as an oplog that is too short would, and with it the lease of a
    /// crashed one. The raised term keeps a save that is still under way from bringing it back.
    pub(crate) async fn lose_history(&self) {
        let leases = self.store.database().collection::<Document>(LEASES);
        let change = doc! { "$unset": { "token": "", "clusterTime": "", "expiresAt": "" }, "$inc": { "term": 10_i64 } };
        leases.update_one(doc! {}, change).await.unwrap();
    }

    /// Stops the n-th gateway in an orderly way and starts it again on the same port.
    pub(crate) async fn restart_gateway(&mut self, n: usize) {
        let gateway = self.gateways.remove(n);
        let address = gateway.address;
        gateway.stop().await;
        let gateway = self.gateway(address).await;
        self.gateways.insert(n, gateway);
    }

    /// Stops the n-th gateway in an orderly way, for [`Stack::start_gateway`] to start it again.
    pub(crate) async fn stop_gateway(&mut self, n: usize) -> SocketAddr {
        let gateway = self.gateways.remove(n);
        let address = gateway.address();
        gateway.stop().await;
        address
    }

    /// Starts a gateway there.
    pub(crate) async fn start_gateway(&mut self, address: SocketAddr) {
        let gateway = self.gateway(Some(address)).await;
        self.gateways.push(gateway);
    }

    async fn gateway(&self, address: Option<SocketAddr>) -> Part {
        let api_urls =
            self.apis.iter().filter_map(|part| Some(format!("http://{}", part.address?))).collect();
        let gateway = start_gateway_with(self.bus.clone(), address, api_urls, self.plan.gateway).await;
        gateway.reaches_api().await;
        gateway
    }
}

/// Starts a gateway on its own, on any free port or a certain one.
pub(crate) async fn start_gateway<B: Bus>(
    bus: B,
    address: Option<SocketAddr>,
    api_urls: Vec<String>,
) -> Part {
    start_gateway_with(bus, address, api_urls, |_| {}).await
}

/// Starts a gateway on its own with these changes to its settings. It tells the others where it is.
pub(crate) async fn start_gateway_with<B: Bus>(
    bus: B,
    address: Option<SocketAddr>,
    api_urls: Vec<String>,
    change: impl FnOnce(&mut gateway::Config),
) -> Part {
    let listener = listen(address).await;
    let address = listener.local_addr().unwrap();
    let client_urls = vec![HeaderValue::from_static(CLIENT_URL)];
    let mut config = gateway::Config::new(tokens(), client_urls, api_urls);
    config.gateway_url = Some(format!("http://{address}"));
    // A test's few users do the work of thousands.
    let unlimited = Rate { count: u32::MAX, per: Duration::from_secs(1) };
    config.limits.command_rate_per_connection = unlimited;
    config.limits.command_rate_per_user = unlimited;
    change(&mut config);
    Part::start(Some(address), |monitoring, shutdown| async move {
        gateway::run(listener, bus, config, monitoring, shutdown).await.unwrap();
    })
}

/// Signs and verifies with the secret of all tests.
pub(crate) fn tokens() -> Tokens {
    Tokens::new(SECRET.as_bytes())
}

/// Signs and verifies the addresses of uploads as all parts do.
pub(crate) fn links() -> Links {
    Links::new(tokens(), None)
}

/// Shows what the parts log, where somebody asks for it.
fn log() {
    if env::var_os(service::telemetry::LOG).is_some() {
        service::telemetry::init().unwrap();
    }
}

async fn listen(address: Option<SocketAddr>) -> TcpListener {
    let address = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    linkup::settings::listen("a part", address).await.unwrap()
}
