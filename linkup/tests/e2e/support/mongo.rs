//! The one `mongod` of this test process, for all its tests.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use linkup::mongod::{self, Mongod, Options};
use protocol::Id;
use service::metrics::Registry;
use store::Store;

/// Removes the data when this process is gone and `mongod`, which ends with it, too. `mongod` keeps its process
/// id in `mongod.lock` as long as it runs.
const CLEAN_UP: &str = r#"
read -r _
while pid=$(cat "$1/mongo/mongod.lock" 2>/dev/null) && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do
    sleep 0.1
done
sleep 0.5
rm -rf "$1"
"#;

/// A replica set for this process, started with the first call; the address names a database of the caller's own.
pub(crate) async fn mongo_uri() -> String {
    uri(&database()).await
}

/// The address of `database` on the server of this process.
pub(crate) async fn uri(database: &str) -> String {
    format!("mongodb://{}/{database}?replicaSet={}", server().await, mongod::REPLICA_SET)
}

/// Where the server of this process listens.
pub(crate) async fn server() -> SocketAddr {
    /// With the shell whose open pipe tells it that this process lives.
    static SERVER: OnceLock<(Mongod, Child)> = OnceLock::new();
    // Every test has a runtime of its own that ends with it, so the server lives in none of them.
    let port = tokio::task::spawn_blocking(|| SERVER.get_or_init(start).0.port());
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.await.unwrap()))
}

/// A name for a database that nobody else uses.
pub(crate) fn database() -> String {
    format!("test-{}", Id::mint())
}

/// Connects to the database that `uri` names, with its collections and indexes made.
pub(crate) async fn store(uri: &str) -> Store {
    let store = Store::connect(uri, "linkup-e2e", "api", &Registry::new()).await.unwrap();
    store.prepare().await.unwrap();
    store
}

fn start() -> (Mongod, Child) {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::Builder::new().prefix("linkup-e2e-").tempdir().unwrap().keep();
        // Whatever happens from here on, the folder goes.
        let shell = clean_up(&folder);
        let mongod = runtime.block_on(async {
            let binary = mongod::locate(&mut |progress| eprintln!("{progress}")).await;
            Mongod::start(&binary.unwrap_or_else(|error| panic!("{error}")), &Options::new(&folder)).await
        });
        // The server's handle refers to this runtime.
        std::mem::forget(runtime);
        (mongod.unwrap_or_else(|error| panic!("{error}")), shell)
    })
    .join()
    .unwrap()
}

/// Nothing runs at the end of a test process, so a shell that notices the end does what is left to do. It notices
/// by its input, which closes when this process ends, however it ends.
fn clean_up(folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", CLEAN_UP, "clean-up"])
        .arg(fs::canonicalize(folder).unwrap())
        // In a group of its own, so that Ctrl-C in a terminal does not end it before it has begun.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
