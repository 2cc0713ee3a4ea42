//! What LinkUp's gateway needs around it.

use std::sync::Arc;
use std::time::Duration;

use linkup::mongod::{self, Mongod, Options};
use protocol::token::Tokens;
use protocol::{Id, Timestamp};
use service::metrics::Registry;
use store::Store;
use store::document::User;
use tempfile::TempDir;

use super::Failure;
use super::idle::EARLY;
use super::nats_server::NatsServer;
use super::process::Server;
use super::role::{API, GATEWAY, STREAMER};

const SECRET: &str = "the secret of a benchmark, of no use elsewhere";
const TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);
/// Documents in one insert.
const CHUNK: usize = 1_000;

/// Users with their tokens.
pub(crate) struct People {
    early_ids: Vec<Id>,
    /// Tokens of those who come before the first measurement.
    pub(crate) early: Vec<Arc<str>>,
    pub(crate) ids: Vec<Id>,
    /// In the order of `ids`.
    pub(crate) tokens: Vec<Arc<str>>,
}

impl People {
    pub(crate) fn new(early: usize, others: usize) -> Result<Self, Failure> {
        let tokens = Tokens::new(SECRET.as_bytes());
        let mint = |count: usize| (0..count).map(|_| Id::mint()).collect::<Vec<_>>();
        let sign = |ids: &[Id]| {
            let sign = |id: &Id| Ok::<_, Failure>(tokens.sign(*id, 0, TOKEN_LIFETIME)?.into());
            ids.iter().map(sign).collect::<Result<Vec<Arc<str>>, _>>()
        };
        let (early_ids, ids) = (mint(early), mint(others));
        Ok(Self { early: sign(&early_ids)?, tokens: sign(&ids)?, early_ids, ids })
    }

    async fn insert(&self, store: &Store) -> Result<(), Failure> {
        let user = |name: &str, id: Id| {
            let (email, handle) = (format!("{id}@example.org"), format!("user{id}"));
            let mut user = User::new(name.to_owned(), email, handle, "no hash".to_owned(), Timestamp::now());
            user.id = id;
            user
        };
        let early = self.early_ids.iter().map(|id| user(EARLY, *id));
        let users: Vec<User> = early.chain(self.ids.iter().map(|id| user("Somebody", *id))).collect();
        for chunk in users.chunks(CHUNK) {
            store.users().insert_many(chunk).await?;
        }
        Ok(())
    }
}

/// MongoDB, api, streamer and a gateway.
pub(crate) struct Stack {
    pub(crate) store: Store,
    pub(crate) gateway: Server,
    streamer: Server,
    api: Server,
    mongod: Mongod,
    _folder: TempDir,
}

impl Stack {
    pub(crate) async fn start(nats: &NatsServer, people: &People) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let binary = mongod::locate(&mut |progress| eprintln!("{progress}")).await?;
        let mongod = Mongod::start(&binary, &Options::new(folder.path())).await?;
        let (mongodb, nats) = (mongod.uri(), nats.url());
        let store = Store::connect(&mongodb, "realtime-bench", "api", &Registry::new()).await?;
        store.prepare().await?;
        people.insert(&store).await?;
        let settings = [
            ("MONGODB_URI", mongodb.as_str()),
            ("NATS_URL", &nats),
            ("JWT_SECRET", SECRET),
            ("PORT", "0"),
            ("ADMIN_PORT", "0"),
            ("LOG", "warn"),
        ];
        let streamer = Server::start(STREAMER, &settings).await?;
        let api = Server::start(API, &settings).await?;
        let gateway = gateway(&nats, &api.url()).await?;
        Ok(Self { store, gateway, streamer, api, mongod, _folder: folder })
    }

    pub(crate) async fn stop(self) -> Result<(), Failure> {
        self.gateway.kill().await?;
        self.api.kill().await?;
        self.streamer.kill().await?;
        self.store.close().await;
        Ok(self.mongod.stop().await?)
    }
}

/// A gateway. It does not limit clients by address that come from its own machine, as all of these do.
pub(crate) async fn gateway(nats: &str, api: &str) -> Result<Server, Failure> {
    let settings = [
        ("NATS_URL", nats),
        ("API_URLS", api),
        ("JWT_SECRET", SECRET),
        ("LISTEN_ADDR", "127.0.0.1"),
        ("PORT", "0"),
        ("ADMIN_PORT", "0"),
        ("LOG", "warn"),
    ];
    Server::start(GATEWAY, &settings).await
}
