//! The README names every setting and every route of the REST API, and none that does not exist.

use std::collections::BTreeSet;

use api::endpoint::Access;

use crate::support::process;

const README: &str = include_str!("../../../README.md");

/// Every environment variable that one of the programs reads; some stand here once for each that does.
const SETTINGS: [&str; 53] = [
    api::config::JWT_SECRET,
    api::config::JWT_SECRET_PREVIOUS,
    api::config::PUBLIC_URL,
    api::config::TRUSTED_PROXIES,
    api::config::AUTH_RATE_PER_ADDRESS,
    api::config::AUTH_RATE_PER_ACCOUNT,
    api::config::INVITE_RATE_PER_USER,
    api::config::CHANGE_RATE_PER_USER,
    api::config::UPLOAD_RATE_PER_USER,
    api::config::UPLOAD_MAX_BYTES,
    api::config::UPLOAD_TIMEOUT,
    api::config::JWT_TTL,
    api::config::COMMIT_TIMEOUT,
    api::config::DRAIN_TIMEOUT,
    gateway::config::JWT_SECRET,
    gateway::config::CLIENT_URL,
    gateway::config::GATEWAY_URL,
    gateway::config::API_URLS,
    gateway::config::COMMAND_TIMEOUT,
    gateway::config::PRESENCE_GRACE,
    gateway::config::HANDSHAKE_RATE_PER_ADDRESS,
    gateway::config::CONNECTIONS_PER_ADDRESS,
    gateway::config::CONNECTIONS_PER_USER,
    gateway::config::COMMAND_RATE_PER_CONNECTION,
    gateway::config::COMMAND_RATE_PER_USER,
    gateway::config::MESSAGE_MAX_BYTES,
    gateway::config::OUTBOUND_MAX_BYTES,
    gateway::config::PING_INTERVAL,
    gateway::config::PING_TIMEOUT,
    gateway::config::CONNECT_TIMEOUT,
    gateway::config::HEADER_TIMEOUT,
    gateway::config::POST_TIMEOUT,
    gateway::config::WRITE_TIMEOUT,
    gateway::config::UPGRADE_TIMEOUT,
    gateway::config::DRAIN_TIMEOUT,
    streamer::config::LEASE_TTL,
    streamer::config::REPLAY_WINDOW,
    streamer::config::REPLAY_BYTES,
    service::telemetry::LOG,
    service::telemetry::LOG_FORMAT,
    linkup::database::MONGODB_URI,
    linkup::database::CACHE_GB,
    linkup::mongod::locate::CACHE_DIR,
    linkup::probe::config::PROBE_URL,
    linkup::probe::config::PROBE_INTERVAL,
    linkup::probe::config::PROBE_TIMEOUT,
    linkup::probe::config::PROBE_NAME,
    linkup::settings::PORT,
    linkup::settings::LISTEN_ADDR,
    linkup::settings::ADMIN_PORT,
    linkup::settings::ADMIN_ADDR,
    linkup::settings::METRICS,
    linkup::settings::NATS_URL,
];

#[test]
fn the_table_of_the_rest_api_is_complete() {
    let rows: Vec<&str> = README.lines().filter_map(|row| row.strip_prefix("| `")).collect();
    let mut named = BTreeSet::new();
    for row in &rows {
        // `METHOD /path?query` up to its closing quote.
        let Some((verb, path)) = row.split('`').next().and_then(|call| call.split_once(' ')) else {
            continue;
        };
        let path = path.split('?').next().unwrap();
        let braced: Vec<String> = path
            .split('/')
            .map(|part| part.strip_prefix(':').map_or_else(|| part.to_owned(), |name| format!("{{{name}}}")))
            .collect();
        named.insert(format!("{verb} {}", braced.join("/")));
    }
    let is_public = |access| matches!(access, Access::Anyone | Access::User);
    let public = api::endpoint::ENDPOINTS.iter().filter(|endpoint| is_public(endpoint.access));
    let all = public.map(|endpoint| format!("{} {}", endpoint.verb.as_str(), endpoint.path));
    assert_eq!(named, all.collect());
}

#[test]
fn the_configuration_table_is_complete() {
    let rows =
        README.split("\n## Configuration\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let named = rows.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    assert_eq!(named.collect::<BTreeSet<_>>(), BTreeSet::from(SETTINGS));
}

#[test]
fn programs_under_test_have_no_settings_of_whoever_tests() {
    // With the exception of those that change what is said and where a fetched MongoDB is kept.
    let kept = [service::telemetry::LOG, service::telemetry::LOG_FORMAT, linkup::mongod::locate::CACHE_DIR];
    let all: BTreeSet<_> = process::SETTINGS.into_iter().chain(kept).collect();
    assert_eq!(all, BTreeSet::from(SETTINGS));
}
