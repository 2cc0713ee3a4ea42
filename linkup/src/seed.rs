//! `linkup seed`: users, what is between them, and their tokens, written straight into the database.
//!
//! | module | holds |
//! |---|---|
//! | [`shape`] | who converses with whom, how much, and who are friends; what cannot be asked for |
//! | `draw` | drawing by popularity, and sharing out by it |
//! | `history` | what was said and read in a conversation before now |
//! | `world` | the documents, and writing them |
//! | `bulk` | many documents in few inserts |
//! | `output` | the lines that tell of users |

mod bulk;
mod draw;
mod history;
mod output;
pub mod shape;
mod world;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::token::Tokens;
use service::config::Env;
use service::metrics::Registry;
use store::Store;

use crate::cli::Seed;
use crate::console::say;
use crate::data_dir::{DataDir, DataDirError};
use crate::database::{self, MONGODB_URI, OwnMongod};
use crate::error::LaunchError;
use crate::secret::Secret;
use crate::settings;
use output::{Line, Output};
use shape::Shape;

/// Everybody's password.
pub const PASSWORD: &str = "linkup-demo";
/// Its hash, with the parameters of real ones. Hashing ten thousand passwords would take minutes.
const PASSWORD_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$pDH4PC0AtIWjbmjePdXo/w$\
                             drFPBR+FD/+jLBPWkYwnn+fIUx7FvoVGcdgukzPpsLo";
/// How long the tokens are good for: a series of measurements outlives a working day.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long a launcher that is just starting may take to tell where its MongoDB is.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(30);
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);
const APP_NAME: &str = "linkup-seed";

/// Where the users are written to.
struct Target {
    store: Store,
    secret: Secret,
    /// Our own `mongod` and its directory, when nobody else runs one.
    own: Option<(OwnMongod, DataDir)>,
}

/// Writes what is asked for into the database of `MONGODB_URI`, or of the launcher that runs on `data_dir`, or, if
/// none does, of a `mongod` that is started for the time being.
///
/// # Errors
///
/// When what is asked for cannot be, or the database or the output cannot be written to.
pub async fn run(seed: &Seed, data_dir: &Path, env: Env) -> Result<(), LaunchError> {
    let shape = Shape::draw(seed)?;
    let summary = summary(seed, &shape);
    let mut out = Output::open(seed.out.as_deref())?;
    let Target { store, secret, own } = target(data_dir, env).await?;
    let started = Instant::now();
    let written = write(&store, seed.users as usize, shape, &secret.tokens(), &mut out).await;
    database::close(store).await;
    if let Some((mongod, _dir)) = own {
        mongod.stop().await?;
    }
    written?;
    let seconds = started.elapsed().as_secs_f64();
    say(&format!(
        "Seeded {summary} in {seconds:.1} s. Everybody's password is {PASSWORD}; the tokens are good for 30 days."
    ));
    Ok(())
}

async fn target(data_dir: &Path, mut env: Env) -> Result<Target, LaunchError> {
    let given = Secret::given(&env)?;
    let cache_gb = database::cache_gb(&mut env);
    let uri = env.text(MONGODB_URI);
    settings::finish(env)?;
    if let Some(uri) = uri {
        let secret = given.ok_or(LaunchError::NoSecret)?;
        return Ok(Target {
            store: database::connect(&uri, APP_NAME, "api", &Registry::new()).await?,
            secret,
            own: None,
        });
    }
    match DataDir::open(data_dir) {
        Ok(dir) => {
            let secret = given.map_or_else(|| Secret::kept(&dir), Ok)?;
            let mongod = OwnMongod::start(&dir, cache_gb).await?;
            let store = database::connect(&mongod.uri(), APP_NAME, "api", &Registry::new()).await?;
            Ok(Target { store, secret, own: Some((mongod, dir)) })
        }
        Err(DataDirError::InUse { .. }) => {
            let uri = published(data_dir).await?;
            let secret = given.or_else(|| Secret::of_launcher(data_dir)).ok_or(LaunchError::NoSecret)?;
            Ok(Target {
                store: database::connect(&uri, APP_NAME, "api", &Registry::new()).await?,
                secret,
                own: None,
            })
        }
        Err(error) => Err(error.into()),
    }
}

async fn published(data_dir: &Path) -> Result<String, LaunchError> {
    let deadline = Instant::now() + PUBLISH_DEADLINE;
    loop {
        if let Some(uri) = DataDir::published(data_dir) {
            return Ok(uri);
        }
        if Instant::now() > deadline {
            return Err(LaunchError::NotPublished { path: data_dir.to_owned() });
        }
        tokio::time::sleep(PUBLISH_INTERVAL).await;
    }
}

async fn write(
    store: &Store,
    users: usize,
    shape: Shape,
    tokens: &Tokens,
    out: &mut Output,
) -> Result<(), LaunchError> {
    store.prepare().await?;
    let tag = tag(store).await?;
    for person in world::write(store, users, shape, &tag).await? {
        let token = tokens.sign(person.id, 0, TOKEN_LIFETIME)?;
        let conversations = &person.conversations;
        out.line(&Line { user_id: person.id, email: &person.email, token, conversations })?;
    }
    out.finish()
}

/// What there is, as far as it was asked for.
fn summary(seed: &Seed, shape: &Shape) -> String {
    let groups = shape.conversations.len() - shape.direct;
    let mut parts = vec![format!("{} users", seed.users), format!("{} conversations", shape.direct)];
    for (asked, count, what) in [
        (seed.groups.is_some(), groups as u64, "groups"),
        (seed.friends.is_some(), shape.friends.len() as u64, "friendships"),
        (seed.history.is_some(), shape.messages(), "messages"),
    ] {
        if asked {
            parts.push(format!("{count} {what}"));
        }
    }
    let last = parts.pop().unwrap_or_default();
    format!("{} and {last}", parts.join(", "))
}

/// What tells the users of this run from those of earlier ones: nothing the first time, then random letters.
async fn tag(store: &Store) -> Result<String, LaunchError> {
    if store.user_by_email(&world::email(1, "")).await?.is_none() {
        return Ok(String::new());
    }
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| LaunchError::System(io::Error::other(error.to_string())))?;
    Ok(random.iter().fold(String::from("."), |tag, byte| format!("{tag}{byte:02x}")))
}

#[cfg(test)]
mod tests {
    use argon2::Argon2;
    use argon2::password_hash::PasswordVerifier as _;
    use argon2::password_hash::phc::PasswordHash;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_password() {
        let hash = PasswordHash::new(PASSWORD_HASH).unwrap();
        Argon2::default().verify_password(PASSWORD.as_bytes(), &hash).unwrap();
    }
}
