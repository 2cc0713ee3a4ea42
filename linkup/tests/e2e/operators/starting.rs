//! A role that starts while something is away.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::nats_server::NatsServer;
use crate::support::process::Process;
use crate::support::relay::Relay;
use crate::support::rest::Rest;
use crate::support::{SECRET, SOON, database, eventually, mongo_uri};

/// A running role and its admin endpoint.
struct Role {
    process: Process,
    admin: Rest,
}

impl Role {
    async fn start(role: &str, mongodb: &Relay, nats: &Relay) -> Self {
        let settings = [
            (
                "MONGODB_URI",
                &*format!("mongodb://{}/{}?directConnection=true", mongodb.address(), database()),
            ),
            ("NATS_URL", &format!("nats://{}", nats.address())),
            ("API_URLS", "http://127.0.0.1:1"),
            ("JWT_SECRET", SECRET),
            ("PORT", "0"),
            ("ADMIN_PORT", "0"),
        ];
        let mut process = Process::linkup(&[role], &settings);
        let said = process.line("the admin endpoint answers").await;
        let address = said.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
        let admin = Rest::new(&format!("http://{address}"));
        Self { process, admin }
    }

    /// Waits until the check says this, or holds.
    async fn until(&self, check: &str, reason: Option<&str>) {
        let what = format!("{check}: {reason:?}");
        eventually(&what, SOON, async || {
            let reply = self.admin.get("/readyz").await;
            let found = reply.body["checks"].get(check)?;
            let is_it = match reason {
                Some(reason) => reply.status == 503 && found["reason"] == reason,
                None => found["ok"] == true,
            };
            is_it.then_some(())
        })
        .await;
        let live = self.admin.get("/livez").await;
        assert_eq!((live.status.as_u16(), &live.body["alive"]), (200, &Value::Bool(true)), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_starts_during_an_outage_says_for_what_it_waits_and_goes_on_when_it_is_over() {
    let server = NatsServer::start().await;
    let nats = Relay::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
    let uri = mongo_uri().await;
    let host = uri.trim_start_matches("mongodb://").split('/').next().unwrap();
    let mongodb = Relay::to(host.parse().unwrap()).await;
    for relay in [&mongodb, &nats] {
        relay.cut();
    }
    let mut roles = Vec::new();
    for role in ["api", "streamer", "gateway"] {
        roles.push(Role::start(role, &mongodb, &nats).await);
    }
    let waiting: [&[(&str, &str)]; 3] = [
        &[("mongodb", "it does not answer")],
        &[("mongodb", "it does not answer"), ("bus", "it cannot be reached")],
        &[("bus", "it cannot be reached")],
    ];
    for (role, checks) in roles.iter().zip(waiting) {
        for (check, reason) in checks {
            role.until(check, Some(reason)).await;
        }
    }
    // What alerts are made of is there before what it is about.
    for (role, series) in [
        (0, "linkup_mongodb_up 0"),
        (1, "linkup_mongodb_up 0"),
        (1, "linkup_bus_connected 0"),
        (2, "linkup_bus_connected 0"),
    ] {
        let metrics = roles[role].admin.get("/metrics").await.bytes;
        let metrics = String::from_utf8(metrics.to_vec()).unwrap();
        assert!(metrics.lines().any(|line| line == series), "{series}: {metrics}");
    }
    roles[0].process.line("waiting for MongoDB").await;
    roles[2].process.line("waiting for the bus; check that nats-server runs there").await;
    for relay in [&mongodb, &nats] {
        relay.heal();
    }
    for (role, checks) in roles.iter().zip(waiting) {
        for (check, _) in checks {
            role.until(check, None).await;
        }
    }
    roles[0].process.line("linkup api is ready").await;
    roles[1].process.line("linkup streamer is ready").await;
    for role in &mut roles {
        assert!(role.process.terminate().await.success());
    }
}
