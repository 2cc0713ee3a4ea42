//! Which fault turns which check.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bus::Nats;
use service::health::Health;
use service::metrics::Registry;
use tokio::time::Instant;

use crate::support::nats_server::NatsServer;
use crate::support::people::{Person, register};
use crate::support::relay::Relay;
use crate::support::socket::{Dialect, Socket};
use crate::support::stack::{Plan, Stack};
use crate::support::{SOON, database, eventually, mongo_uri};

const OPERATIONS: &str = include_str!("../../../../docs/operations.md");
/// How soon a fault and its end must be told: two seconds are promised, and the rest is for a machine that is busy with
/// other tests.
const TOLD: Duration = Duration::from_secs(5);
/// A lease that no fault here lasts longer than.
const LEASE: Duration = Duration::from_secs(60);

/// The checks that fail, of the api, the streamer and the gateway.
type Failing = [BTreeSet<String>; 3];

/// The table of the documentation: for each fault what fails.
fn documented() -> BTreeMap<String, Failing> {
    let section = OPERATIONS.split("\n## Health\n").nth(1).unwrap();
    let rows = section.split("\n## ").next().unwrap().lines();
    let mut table = BTreeMap::new();
    for row in rows.filter_map(|row| row.strip_prefix("| **")) {
        let mut cells = row.split('|').map(str::trim);
        let fault = cells.next().unwrap().trim_end_matches("**").to_owned();
        let failing = [(); 3].map(|()| {
            let cell = cells.next().unwrap();
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        });
        assert!(table.insert(fault, failing).is_none());
    }
    table
}

/// What the documentation says of this fault.
fn expected(table: &mut BTreeMap<String, Failing>, fault: &str) -> Failing {
    table.remove(fault).unwrap_or_else(|| panic!("{fault} is not documented"))
}

/// A running system whose every connection can be cut.
struct Setting {
    stack: Stack<Nats>,
    mongodb: Relay,
    nats: Relay,
    person: Person,
    socket: Socket,
    _server: NatsServer,
}

impl Setting {
    async fn new() -> Self {
        let server = NatsServer::start().await;
        let nats = Relay::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
        let uri = mongo_uri().await;
        let host = uri.trim_start_matches("mongodb://").split('/').next().unwrap().to_owned();
        let mongodb = Relay::to(host.parse().unwrap()).await;
        let through = format!("mongodb://{}/{}?directConnection=true", mongodb.address(), database());
        let bus = Nats::connect(&format!("nats://{}", nats.address()), &Registry::new()).await.unwrap();
        let plan = Plan { mongo_uri: Some(through), lease_ttl: LEASE, apis: 2, ..Plan::default() };
        let stack = Stack::on(bus, plan).await;
        let person = register(&stack.base(), "Ada").await;
        let socket = person.connect(&stack.base(), Dialect::SocketIo).await;
        Self { stack, mongodb, nats, person, socket, _server: server }
    }

    fn health(&self) -> [&Health; 3] {
        [
            &self.stack.api_monitoring(0).health,
            &self.stack.streamer_monitoring(0).health,
            &self.stack.gateway_monitoring(0).health,
        ]
    }

    /// Waits until just this fails, and no longer than may be.
    async fn told(&self, fault: &str, expected: &Failing) {
        let began = Instant::now();
        let mut failing = self.health().map(names);
        while failing != *expected {
            assert!(began.elapsed() < TOLD, "{fault}: {failing:?}, and not {expected:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
            failing = self.health().map(names);
        }
        println!("{fault}: after {:?}", began.elapsed());
        for health in self.health() {
            assert_eq!(health.stuck(), Vec::<&str>::new(), "{fault}: no restart would help");
        }
        assert_eq!(self.socket.close_code(), None, "{fault}: an open socket stays open");
    }

    async fn well(&self, after: &str) {
        self.told(&format!("the end of “{after}”"), &Failing::default()).await;
    }
}

fn names(health: &Health) -> BTreeSet<String> {
    health.failing().into_iter().map(|(name, _)| name.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_turns_the_checks_that_the_documentation_says_and_closes_no_socket() {
    let (mut setting, mut table) = (Setting::new().await, documented());
    setting.well("starting").await;

    for (fault, begin) in [
        ("MongoDB does not answer", Relay::silence as fn(&Relay)),
        ("MongoDB refuses connections", Relay::cut),
    ] {
        begin(&setting.mongodb);
        setting.told(fault, &expected(&mut table, fault)).await;
        setting.mongodb.heal();
        setting.well(fault).await;
    }
    for (fault, begin) in
        [("NATS does not answer", Relay::silence as fn(&Relay)), ("NATS refuses connections", Relay::cut)]
    {
        begin(&setting.nats);
        setting.told(fault, &expected(&mut table, fault)).await;
        setting.nats.heal();
        setting.well(fault).await;
    }
    let fault = "One of several api nodes stops";
    setting.stack.stop_api().await;
    setting.told(fault, &expected(&mut table, fault)).await;

    // What follows leaves nothing that could end well.
    let fault = "No streamer runs";
    let stopped = setting.stack.take_streamer();
    stopped.stop().await;
    let others = expected(&mut table, fault);
    let gateway = &setting.stack.gateway_monitoring(0).health;
    eventually(fault, TOLD, async || (names(gateway) == others[2]).then_some(())).await;
    assert_eq!(names(&setting.stack.api_monitoring(0).health), others[0]);
    assert_eq!(setting.socket.close_code(), None, "{fault}: an open socket stays open");
    setting.stack.start_streamer();
    setting.well(fault).await;

    let fault = "No api node runs";
    setting.stack.stop_api().await;
    let others = expected(&mut table, fault);
    eventually(fault, TOLD, async || (names(setting.health_without_api()[1]) == others[2]).then_some(()))
        .await;
    assert_eq!(names(setting.health_without_api()[0]), others[1]);
    assert_eq!(setting.socket.close_code(), None, "{fault}: an open socket stays open");
    assert!(setting.person.rest.get("/api/auth/me").await.status.as_u16() >= 502);
    assert!(table.remove("The process is stopping").is_some(), "shown by the test below");
    assert!(table.is_empty(), "documented, and not shown: {table:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_stops_says_so_from_the_first_moment_on() {
    let expected = documented().remove("The process is stopping").unwrap();
    let mut stack = Stack::start().await;
    let person = register(&stack.base(), "Ada").await;
    let _socket = person.connect(&stack.base(), Dialect::Plain).await;
    let parts = [stack.take_gateway(), stack.take_streamer(), stack.take_api()];
    for (part, expected) in parts.into_iter().zip([&expected[2], &expected[1], &expected[0]]) {
        let health = part.monitoring().health.clone();
        eventually("it is well", SOON, async || names(&health).is_empty().then_some(())).await;
        let stopping = tokio::spawn(part.stop());
        eventually("it says that it stops", SOON, async || {
            names(&health).is_superset(expected).then_some(())
        })
        .await;
        stopping.await.unwrap();
        assert!(!health.is_ready());
    }
}

impl Setting {
    fn health_without_api(&self) -> [&Health; 2] {
        [&self.stack.streamer_monitoring(0).health, &self.stack.gateway_monitoring(0).health]
    }
}
