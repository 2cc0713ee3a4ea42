//! The README names every setting, and none that does not exist.

use std::collections::BTreeSet;

const README: &str = include_str!("../../../README.md");

#[test]
fn the_configuration_table_is_complete() {
    let settings = [
        api::config::JWT_SECRET,
        api::config::JWT_TTL,
        api::config::COMMIT_TIMEOUT,
        api::config::DRAIN_TIMEOUT,
        gateway::config::JWT_SECRET,
        gateway::config::CLIENT_URL,
        gateway::config::API_URLS,
        gateway::config::COMMAND_TIMEOUT,
        streamer::config::LEASE_TTL,
        streamer::config::REPLAY_WINDOW,
        streamer::config::REPLAY_BYTES,
        service::telemetry::LOG,
        service::telemetry::LOG_FORMAT,
        linkup::database::MONGODB_URI,
        linkup::database::CACHE_GB,
        linkup::mongod::locate::CACHE_DIR,
        linkup::settings::PORT,
        linkup::settings::LISTEN_ADDR,
        linkup::settings::ADMIN_PORT,
        linkup::settings::ADMIN_ADDR,
        linkup::settings::NATS_URL,
    ];
    let rows =
        README.split("\n## Configuration\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let named = rows.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    assert_eq!(named.collect::<BTreeSet<_>>(), settings.into_iter().collect::<BTreeSet<_>>());
}
