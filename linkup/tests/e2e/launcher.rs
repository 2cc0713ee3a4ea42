//! The launcher as a process: what it starts, what it leaves behind, and what it says when it cannot.

mod program;
mod seeding;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use linkup::data_dir::DataDir;
use linkup::mongod;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::support::rest::Rest;
use crate::support::{SECRET, eventually, mongo_uri};
use program::{Launcher, exists, gone, linkup_with, path_with, refusal, signal};

/// A first start may have to fetch MongoDB.
const START: Duration = Duration::from_secs(120);

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("linkup-launcher-").tempdir().unwrap()
}

async fn register(address: &str) {
    let ada = json!({"name": "Ada", "email": "ada@example.com", "password": "correct horse"});
    let reply = Rest::new(&format!("http://{address}")).post("/api/auth/register", &ada).await;
    assert_eq!(reply.status, 201, "{reply:?}");
}

async fn can_sign_in(address: &str, email: &str, password: &str) {
    let credentials = json!({"email": email, "password": password});
    let reply = Rest::new(&format!("http://{address}")).post("/api/auth/login", &credentials).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn a_clean_stop_leaves_no_mongod_and_the_next_start_finds_the_data() {
    let folder = folder();
    for (round, name) in ["INT", "TERM"].into_iter().enumerate() {
        let mut launcher = Launcher::start(folder.path()).await;
        let mongod = launcher.mongod();
        if round == 0 {
            launcher.says("Made a JWT secret for development").await;
            register(&launcher.address).await;
        }
        can_sign_in(&launcher.address, "ada@example.com", "correct horse").await;
        assert!(mongod::data_version(folder.path()).is_some());
        launcher.signal(name).await;
        assert_eq!(launcher.ended().await, Some(0));
        // It has already waited for this.
        assert!(!exists(mongod));
        assert_eq!(DataDir::published(folder.path()), None);
    }
}

#[tokio::test]
async fn a_killed_launcher_leaves_no_orphan_and_the_next_start_finds_the_data() {
    let folder = folder();
    let launcher = Launcher::start(folder.path()).await;
    let mongod = launcher.mongod();
    register(&launcher.address).await;
    launcher.signal("KILL").await;
    assert_eq!(launcher.ended().await, None);
    // At once, so that the old mongod may still be ending.
    let launcher = Launcher::start(folder.path()).await;
    gone(mongod).await;
    can_sign_in(&launcher.address, "ada@example.com", "correct horse").await;
}

#[tokio::test]
async fn a_mongod_that_dies_is_told_and_stops_the_launcher() {
    let folder = folder();
    let mut launcher = Launcher::start(folder.path()).await;
    signal("KILL", launcher.mongod()).await;
    launcher.says("linkup: mongod ended by itself (killed by signal 9)").await;
    assert_eq!(launcher.ended().await, Some(1));
}

#[tokio::test]
async fn a_data_directory_has_one_launcher() {
    let folder = folder();
    let _first = DataDir::open(folder.path()).unwrap();
    let said = refusal(folder.path(), &[], &[]).await;
    assert!(said.contains("in use by another launcher") && said.contains("--data-dir"), "{said}");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_is_refused() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    let said = refusal(&folder.path().join("file/data"), &[], &[]).await;
    assert!(said.contains("cannot be used") && said.contains("--data-dir"), "{said}");
}

#[tokio::test]
async fn a_taken_port_is_told_before_anything_is_started() {
    let folder = folder();
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for setting in ["PORT", "ADMIN_PORT"] {
        let said = refusal(folder.path(), &[], &[(setting, &port)]).await;
        assert!(said.contains(&port) && said.contains(&format!("set {setting} to another port")), "{said}");
    }
    assert!(!folder.path().join("mongo").exists());
}

#[tokio::test]
async fn somebody_elses_mongodb_needs_somebodys_secret() {
    let folder = folder();
    let uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1";
    let said = refusal(folder.path(), &[], &[("MONGODB_URI", uri)]).await;
    assert!(said.contains("JWT_SECRET: is required") && said.contains("openssl rand"), "{said}");
    let said = refusal(folder.path(), &[], &[("JWT_SECRET", "short and secret")]).await;
    assert!(said.contains("JWT_SECRET: is too short") && !said.contains("short and secret"), "{said}");
}

#[tokio::test]
async fn a_mongodb_that_does_not_answer_is_told_in_seconds() {
    let folder = folder();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [1, silent.local_addr().unwrap().port()] {
        let uri = format!("mongodb://someone:very-secret@127.0.0.1:{port}/linkup?replicaSet=rs0");
        let said = refusal(folder.path(), &[], &[("MONGODB_URI", &uri), ("JWT_SECRET", SECRET)]).await;
        assert!(said.contains("does not answer") && said.contains("MONGODB_URI"), "{said}");
        assert!(!said.contains("very-secret"), "{said}");
    }
}

/// A `mongod` without any replica set.
async fn standalone(data: &Path, options: &[&str]) -> (Child, u16) {
    let binary = mongod::locate(&mut |_| ()).await.unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(&binary.path);
    if let Some(libraries) = &binary.libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    command.arg("--dbpath").arg(data).args(["--bind_ip=127.0.0.1", "--nounixsocket", "--port"]);
    command.arg(port.to_string()).args(options).stdout(Stdio::null()).kill_on_drop(true);
    let child = command.spawn().unwrap();
    eventually("a standalone mongod", START, async || TcpStream::connect(("127.0.0.1", port)).await.ok())
        .await;
    (child, port)
}

#[tokio::test]
async fn a_mongodb_that_is_no_replica_set_is_refused() {
    let (folder, data) = (folder(), folder());
    let (_mongod, port) = standalone(data.path(), &[]).await;
    for query in ["", "?replicaSet=rs0"] {
        let uri = format!("mongodb://127.0.0.1:{port}/{query}");
        let said = refusal(folder.path(), &[], &[("MONGODB_URI", &uri), ("JWT_SECRET", SECRET)]).await;
        assert!(said.contains("is not a replica set") && said.contains("rs.initiate()"), "{said}");
    }
}

#[tokio::test]
async fn another_replica_set_or_none_yet_is_told() {
    let (folder, data) = (folder(), folder());
    let uri = mongo_uri().await.replace("replicaSet=linkup", "replicaSet=other");
    let said = refusal(folder.path(), &[], &[("MONGODB_URI", &uri), ("JWT_SECRET", SECRET)]).await;
    assert!(
        said.contains("belongs to the replica set linkup") && said.contains("replicaSet=other"),
        "{said}"
    );
    let (_mongod, port) = standalone(data.path(), &["--replSet=rs0"]).await;
    let uri = format!("mongodb://127.0.0.1:{port}/?replicaSet=rs0");
    let said = refusal(folder.path(), &[], &[("MONGODB_URI", &uri), ("JWT_SECRET", SECRET)]).await;
    assert!(said.contains("was never initiated") && said.contains("rs.initiate()"), "{said}");
}

#[tokio::test]
#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), ignore = "nothing is fetched elsewhere")]
async fn without_mongod_and_npm_it_says_what_to_install() {
    let (folder, cache, bin) = (folder(), folder(), folder());
    let path = path_with(bin.path(), &["sh", "getconf"]);
    let cache = cache.path().to_str().unwrap();
    let said = refusal(folder.path(), &[], &[("PATH", path), ("LINKUP_CACHE_DIR", cache)]).await;
    assert!(said.contains("install Node.js") && said.contains("MONGODB_URI"), "{said}");
}

#[tokio::test]
#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), ignore = "nothing is fetched elsewhere")]
async fn without_a_network_it_says_what_npm_says() {
    let (folder, cache, bin) = (folder(), folder(), folder());
    let path = path_with(bin.path(), &["sh", "getconf", "env", "node", "npm"]);
    let cache = cache.path().to_str().unwrap();
    // Nobody listens there, which is what a machine without a network looks like to npm.
    let registry = ("npm_config_registry", "http://127.0.0.1:1/");
    let said = refusal(folder.path(), &[], &[("PATH", path), ("LINKUP_CACHE_DIR", cache), registry]).await;
    assert!(said.contains("code ECONNREFUSED") && said.contains("check the network"), "{said}");
    assert!(!said.contains("A complete log"), "{said}");
}

#[tokio::test]
async fn a_role_says_all_that_it_lacks() {
    let folder = folder();
    for (role, lacking) in [
        ("api", &["MONGODB_URI", "JWT_SECRET"][..]),
        ("streamer", &["MONGODB_URI", "NATS_URL", "JWT_SECRET"]),
        ("gateway", &["NATS_URL", "API_URLS", "JWT_SECRET"]),
    ] {
        let said = refusal(folder.path(), &[role], &[]).await;
        for name in lacking {
            assert_eq!(said.matches(&format!("\n  {name}: ")).count(), 1, "{role}: {said}");
        }
    }
}

#[tokio::test]
async fn a_role_that_is_still_starting_ends_when_it_is_told_to() {
    let folder = folder();
    for role in ["api", "streamer", "gateway"] {
        // It takes connections and says nothing, so that whoever starts waits for it.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let (mongodb, nats) = (format!("mongodb://{address}/"), format!("nats://{address}"));
        let settings = [
            ("MONGODB_URI", mongodb.as_str()),
            ("NATS_URL", &nats),
            ("API_URLS", "http://127.0.0.1:1"),
            ("JWT_SECRET", SECRET),
        ];
        let mut process = linkup_with(folder.path(), &[role], &settings);
        let _held = timeout(START, silent.accept()).await.expect("it should have connected").unwrap();
        let told = Instant::now();
        assert_eq!(process.terminate().await.code(), Some(0), "{role}");
        assert!(told.elapsed() < Duration::from_secs(3), "{role} took {:?}", told.elapsed());
    }
}
