//! How a [`Store`] comes to be.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{Acknowledgment, ClientOptions, ReadPreference, SelectionCriteria};
use service::metrics::Registry;

use crate::command::Commands;
use crate::{Store, StoreError, bounded, pool};

/// The database when the URI names none.
pub const DEFAULT_DATABASE: &str = "linkup";

/// How long to look for a server that can serve. Short, so that a failure is answered while somebody still
/// waits for it; every caller that must not give up has its own loop around this.
const SERVER_SELECTION_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a TCP connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a write may wait for a majority before its outcome is reported as unknown. Less than
/// [`crate::COMMAND_TIMEOUT`], so that the server's answer is still waited for.
pub(crate) const WRITE_CONCERN_TIMEOUT: Duration = Duration::from_secs(4);
/// The write concern of commands that the driver does not write for us.
pub(crate) fn majority() -> Document {
    doc! {"w": "majority", "wtimeout": WRITE_CONCERN_TIMEOUT.as_millis() as i64}
}

/// The driver's default of 10 starves lanes and reads of each other.
const MAX_POOL_SIZE: u32 = 64;
/// Kept open, so that the first request after a quiet time does not wait for a handshake.
const MIN_POOL_SIZE: u32 = 4;
/// How many connections may be made at the same time; the driver's default of 2 is slow after a failover.
const MAX_CONNECTING: u32 = 8;

impl Store {
    /// Connects, and makes sure that a replica set answers. `app_name` shows up in MongoDB's own logs, and `client` in
    /// metrics, whose handles are made in `registry`.
    ///
    /// What the URI says about pools and timeouts wins over the defaults here. Where to read and what a write waits for
    /// are not the URI's to say: see `with_defaults`.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUri`], [`StoreError::NoAnswer`] or [`StoreError::NotReplicaSet`]; each says what to do.
    pub async fn connect(
        uri: &str,
        app_name: &str,
        client: &'static str,
        registry: &Registry,
    ) -> Result<Self, StoreError> {
        Self::connect_with(uri, app_name, client, registry, |_| {}).await
    }

    /// Connects as [`Store::connect`] does. `configure` may set what a URI cannot say, such as who is told of every
    /// command; whatever it sets is treated as if the URI said it.
    ///
    /// # Errors
    ///
    /// As [`Store::connect`].
    pub async fn connect_with(
        uri: &str,
        app_name: &str,
        client: &'static str,
        registry: &Registry,
        configure: impl FnOnce(&mut ClientOptions),
    ) -> Result<Self, StoreError> {
        let mut options = ClientOptions::parse(uri).await.map_err(StoreError::InvalidUri)?;
        configure(&mut options);
        let mut options = with_defaults(options, app_name);
        let commands = Commands::new(registry, client);
        pool::watch(&mut options, registry, client);
        let hosts = options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let database = options.default_database.clone().unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
        let client = Client::with_options(options).map_err(StoreError::InvalidUri)?;
        let hello = bounded(client.database("admin").run_command(doc! {"hello": 1}))
            .await
            .map_err(|source| StoreError::NoAnswer { hosts: hosts.clone(), source: Box::new(source) })?;
        if !hello.contains_key("setName") {
            return Err(StoreError::NotReplicaSet { hosts });
        }
        let database = client.database(&database);
        Ok(Self { client, database, commands })
    }

    /// Closes the connections.
    pub async fn close(self) {
        self.client.shutdown().await;
    }
}

fn with_defaults(mut options: ClientOptions, app_name: &str) -> ClientOptions {
    options.app_name.get_or_insert_with(|| app_name.to_owned());
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION_TIMEOUT);
    options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
    let max = *options.max_pool_size.get_or_insert(MAX_POOL_SIZE);
    options.min_pool_size.get_or_insert(if max == 0 { MIN_POOL_SIZE } else { MIN_POOL_SIZE.min(max) });
    options.max_connecting.get_or_insert(MAX_CONNECTING);
    options.retry_writes.get_or_insert(true);
    // An acknowledgement from the primary alone can be rolled back: weaker concerns are not an option.
    let mut concern = options.write_concern.take().unwrap_or_default();
    concern.w = Some(Acknowledgment::Majority);
    // `false` would let a majority acknowledge what none of it has on disk; unset, the replica set decides, and its
    // default for a majority is the journal.
    concern.journal = None;
    concern.w_timeout.get_or_insert(WRITE_CONCERN_TIMEOUT);
    options.write_concern = Some(concern);
    // A secondary may lag: a member who was just added would be refused, and one who was removed let in.
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_uri_cannot_weaken_reads_and_writes() {
        let uri =
            "mongodb://localhost/?readPreference=secondary&w=1&journal=false&wtimeoutMS=1500&maxPoolSize=7";
        let options = with_defaults(ClientOptions::parse(uri).await.unwrap(), "test");
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        assert_eq!(options.selection_criteria, Some(primary));
        let concern = options.write_concern.unwrap();
        assert_eq!((concern.w, concern.journal), (Some(Acknowledgment::Majority), None));
        assert_eq!(concern.w_timeout, Some(Duration::from_millis(1500)));
        assert_eq!(options.max_pool_size, Some(7));
    }
}
