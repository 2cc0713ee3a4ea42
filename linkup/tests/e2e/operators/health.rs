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
/// How soon a fault and its end must show: two seconds are promised, and the rest is for a machine that is busy with
/// other tests.
const SHOWN: Duration = Duration::from_secs(5);
/// Every check shows a fault within two seconds, so whatever else a fault turns has shown by then.
const SETTLED: Duration = Duration::from_secs(2);

/// The checks that fail, of the api, the streamer and the gateway.
type Failing = [BTreeSet<String>; 3];

/// What the documentation says of a fault.
#[derive(Clone, Debug, Default)]
struct Expected {
    /// What fails at once.
    first: Failing,
    /// What fails in the end: `first`, and what a cell names behind a semicolon.
    last: Failing,
}

/// The table of the documentation.
fn documented() -> BTreeMap<String, Expected> {
    let section = OPERATIONS.split("\n## Health\n").nth(1).unwrap();
    let rows = section.split("\n## ").next().unwrap().lines();
    let mut table = BTreeMap::new();
    for row in rows.filter_map(|row| row.strip_prefix("| **")) {
        let mut cells = row.split('|').map(str::trim);
        let fault = cells.next().unwrap().trim_end_matches("**").to_owned();
        let cells = [(); 3].map(|()| cells.next().unwrap());
        let first = cells.map(|cell| quoted(cell.split(';').next().unwrap()));
        assert!(table.insert(fault, Expected { first, last: cells.map(quoted) }).is_none());
    }
    table
}

/// What stands between backticks.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What the documentation says of this fault.
fn expected(table: &mut BTreeMap<String, Expected>, fault: &str) -> Expected {
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
        let plan = Plan {
            mongo_uri: Some(through),
            lease_ttl: streamer::config::DEFAULT_LEASE_TTL,
            apis: 2,
            ..Plan::default()
        };
        let stack = Stack::on(bus, plan).await;
        let person = register(&stack.base(), "Ada").await;
        let socket = person.connect(&stack.base(), Dialect::SocketIo).await;
        Self { stack, mongodb, nats, person, socket, _server: server }
    }

    /// The health of the api, the streamer and the gateway; `None` for what does not run.
    fn health(&self) -> [Option<&Health>; 3] {
        [
            self.stack.has_api().then(|| &self.stack.api_monitoring(0).health),
            self.stack.has_streamer().then(|| &self.stack.streamer_monitoring(0).health),
            Some(&self.stack.gateway_monitoring(0).health),
        ]
    }

    fn failing(&self) -> Failing {
        self.health().map(|health| health.map(names).unwrap_or_default())
    }

    /// Waits until what the documentation says of `fault` has come to pass, no later than it may, and stays so.
    async fn shows(&self, fault: &str, expected: &Expected) {
        let began = Instant::now();
        let mut failing = self.failing();
        while !covers(&failing, &expected.first) || !covers(&expected.last, &failing) {
            assert!(began.elapsed() < SHOWN, "{fault}: {failing:?}, and not {expected:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
            failing = self.failing();
        }
        println!("{fault}: shown after {:?}", began.elapsed());
        eventually(fault, SOON, async || (self.failing() == expected.last).then_some(())).await;
        let settled = Instant::now();
        while settled.elapsed() < SETTLED {
            assert_eq!(self.failing(), expected.last, "{fault}: it does not stay so");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for health in self.health().into_iter().flatten() {
            assert_eq!(health.stuck(), Vec::<&str>::new(), "{fault}: no restart would help");
        }
        assert_eq!(self.socket.close_code(), None, "{fault}: an open socket stays open");
    }

    /// Waits until nothing fails any more. What reaches another server shows as soon as it does; a stream is opened
    /// anew, for which its lease may have to run out first.
    async fn is_well(&self, after: &str) {
        let began = Instant::now();
        let reaching = ["mongodb", "bus", "api"];
        loop {
            let failing = self.failing();
            if failing == Failing::default() {
                break;
            }
            let elapsed = began.elapsed();
            let reaches = !failing.iter().flatten().any(|name| reaching.contains(&name.as_str()));
            assert!(elapsed < if reaches { SOON } else { SHOWN }, "the end of “{after}”: {failing:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!("the end of “{after}”: shown after {:?}", began.elapsed());
        assert_eq!(self.socket.close_code(), None, "{after}: an open socket stays open");
    }
}

/// Whether each part of `all` holds everything that is in `some`.
fn covers(all: &Failing, some: &Failing) -> bool {
    all.iter().zip(some).all(|(all, some)| all.is_superset(some))
}

fn names(health: &Health) -> BTreeSet<String> {
    health.failing().into_iter().map(|(name, _)| name.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_turns_the_checks_that_the_documentation_says_and_closes_no_socket() {
    let (mut setting, mut table) = (Setting::new().await, documented());
    setting.is_well("starting").await;

    for (fault, begin) in [
        ("MongoDB does not answer", Relay::silence as fn(&Relay)),
        ("MongoDB refuses connections", Relay::cut),
    ] {
        begin(&setting.mongodb);
        setting.shows(fault, &expected(&mut table, fault)).await;
        setting.mongodb.heal();
        setting.is_well(fault).await;
    }
    for (fault, begin) in
        [("NATS does not answer", Relay::silence as fn(&Relay)), ("NATS refuses connections", Relay::cut)]
    {
        begin(&setting.nats);
        setting.shows(fault, &expected(&mut table, fault)).await;
        setting.nats.heal();
        setting.is_well(fault).await;
    }
    let fault = "One of several api nodes stops";
    setting.stack.stop_api().await;
    setting.shows(fault, &expected(&mut table, fault)).await;

    let fault = "No streamer runs";
    setting.stack.take_streamer().stop().await;
    setting.shows(fault, &expected(&mut table, fault)).await;
    setting.stack.start_streamer();
    setting.is_well(fault).await;

    let fault = "No api node runs";
    setting.stack.stop_api().await;
    setting.shows(fault, &expected(&mut table, fault)).await;
    assert!(setting.person.rest.get("/api/auth/me").await.status.as_u16() >= 502);
    assert!(table.remove("The process is stopping").is_some(), "shown by the test below");
    assert!(table.is_empty(), "documented, and not shown: {table:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_stops_says_so_from_the_first_moment_on() {
    let expected = documented().remove("The process is stopping").unwrap().last;
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
