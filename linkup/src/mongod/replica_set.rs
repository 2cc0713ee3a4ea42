//! From a `mongod` that has just been started to a writable primary.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, ServerAddress};
use tokio::net::TcpStream;

use super::REPLICA_SET;
use super::error::MongodError;

/// How often a `mongod` that is not ready yet is asked again.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long the driver looks for a server that has already answered once.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// The node has no configuration yet: `NotYetInitialized`.
const NOT_YET_INITIALIZED: i32 = 94;
/// The node has a configuration, of which it is no member: `InvalidReplicaSetConfig`.
const INVALID_CONFIG: i32 = 93;
/// What commands answer while the node is still loading its configuration, or somebody else was quicker:
/// `AlreadyInitialized`, `NotYetInitialized`, `ConfigurationInProgress`.
const PASSING: [i32; 3] = [23, NOT_YET_INITIALIZED, 109];

/// Waits until the `mongod` on `port` whose data are in `db_path` is a writable primary, after making the replica
/// set on the first start and telling it its new port where that has changed.
///
/// Returns the version of its data (`8.2`), where it tells.
pub(super) async fn until_primary(
    port: u16,
    db_path: &str,
    log: &Path,
    deadline: Instant,
) -> Result<Option<String>, MongodError> {
    let started = Instant::now();
    let waiting = async {
        until_listening(port).await;
        let client = client(port)?;
        // Somebody else may have taken the port, and must not be made a replica set. Then ours ends by itself,
        // which the caller sees.
        while !is_ours(&client, db_path).await {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        loop {
            match step(&client, port).await {
                Ok(true) => return Ok(data_version(&client).await),
                Ok(false) => {}
                Err(error) if code(&error).is_some_and(|code| PASSING.contains(&code)) => {}
                Err(error) => return Err(MongodError::ReplicaSet(error)),
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    match tokio::time::timeout_at(deadline.into(), waiting).await {
        Ok(result) => result,
        Err(_) => Err(MongodError::NotReady { waited: started.elapsed(), log: log.to_owned() }),
    }
}

/// The driver would wait half a second after each refused connection.
async fn until_listening(port: u16) {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn client(port: u16) -> Result<Client, MongodError> {
    let address = ServerAddress::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port: Some(port) };
    let options = ClientOptions::builder()
        .hosts(vec![address])
        .direct_connection(true)
        .server_selection_timeout(SELECTION_TIMEOUT)
        .app_name("linkup-launcher".to_owned())
        .build();
    Client::with_options(options).map_err(MongodError::ReplicaSet)
}

/// Whether the server is the one that was started on `db_path`. One that refuses to tell is not: ours has no
/// access control.
async fn is_ours(client: &Client, db_path: &str) -> bool {
    let options = client.database("admin").run_command(doc! { "getCmdLineOpts": 1 }).await;
    let Ok(options) = options else { return false };
    let storage = options.get_document("parsed").and_then(|parsed| parsed.get_document("storage"));
    storage.and_then(|storage| storage.get_str("dbPath")).is_ok_and(|found| found == db_path)
}

/// The feature compatibility version: the oldest server that can open the data.
async fn data_version(client: &Client) -> Option<String> {
    let command = doc! { "getParameter": 1, "featureCompatibilityVersion": 1 };
    let found = client.database("admin").run_command(command).await.ok()?;
    let version =
        found.get_document("featureCompatibilityVersion").and_then(|found| found.get_str("version"));
    version.ok().map(str::to_owned)
}

/// Takes one step. True when the node is a writable primary.
async fn step(client: &Client, port: u16) -> Result<bool, Error> {
    let admin = client.database("admin");
    let hello = admin.run_command(doc! { "hello": 1 }).await?;
    if hello.get_bool("isWritablePrimary").unwrap_or(false) {
        return Ok(true);
    }
    match admin.run_command(doc! { "replSetGetStatus": 1 }).await {
        Err(error) if code(&error) == Some(NOT_YET_INITIALIZED) => {
            admin.run_command(doc! { "replSetInitiate": configuration(port, 1) }).await?;
        }
        Err(error) if code(&error) == Some(INVALID_CONFIG) => {
            let current = admin.run_command(doc! { "replSetGetConfig": 1 }).await?;
            let version = current.get_document("config").and_then(|config| config.get_i32("version"));
            let next = configuration(port, version.unwrap_or(1).saturating_add(1));
            admin.run_command(doc! { "replSetReconfig": next, "force": true }).await?;
        }
        // On its way to become primary.
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    Ok(false)
}

fn configuration(port: u16, version: i32) -> Document {
    let host = format!("{}:{port}", Ipv4Addr::LOCALHOST);
    doc! { "_id": REPLICA_SET, "version": version, "members": [{ "_id": 0, "host": host }] }
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}
