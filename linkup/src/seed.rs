//! `linkup seed`: users, conversations and tokens, written straight into the database.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::token::Tokens;
use protocol::{Id, Timestamp};
use serde::Serialize;
use service::config::Env;
use service::metrics::Registry;
use store::document::{Conversation, User};
use store::{Store, bounded};

use crate::cli::Seed;
use crate::console::say;
use crate::data_dir::{DataDir, DataDirError};
use crate::database::{self, MONGODB_URI, OwnMongod};
use crate::error::LaunchError;
use crate::secret::Secret;
use crate::settings;

/// Everybody's password.
pub const PASSWORD: &str = "linkup-demo";
/// Its hash, with the parameters of real ones. Hashing ten thousand passwords would take minutes.
const PASSWORD_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$pDH4PC0AtIWjbmjePdXo/w$\
                             drFPBR+FD/+jLBPWkYwnn+fIUx7FvoVGcdgukzPpsLo";
/// How long the tokens are good for: a series of measurements outlives a working day.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Documents in one insert: far from the server's limits, and a fraction of a second each.
const CHUNK: usize = 1_000;
/// How long a launcher that is just starting may take to tell where its MongoDB is.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(30);
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);
const APP_NAME: &str = "linkup-seed";

/// One line of the output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    user_id: Id,
    email: &'a str,
    token: String,
    conversations: &'a [Id],
}

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
/// When the database or the output cannot be written to.
pub async fn run(seed: &Seed, data_dir: &Path, env: Env) -> Result<(), LaunchError> {
    let pairs = pairs(seed.users, seed.conversations)?;
    let mut out = Output::open(seed.out.as_deref())?;
    let Target { store, secret, own } = target(data_dir, env).await?;
    let started = Instant::now();
    let written = write(&store, seed, pairs, &secret.tokens(), &mut out).await;
    database::close(store).await;
    if let Some((mongod, _dir)) = own {
        mongod.stop().await?;
    }
    written?;
    say(&format!(
        "Seeded {} users and {} conversations in {:.1} s. Everybody's password is {PASSWORD}; the tokens are good for 30 days.",
        seed.users,
        seed.conversations,
        started.elapsed().as_secs_f64()
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
    seed: &Seed,
    pairs: impl Iterator<Item = (usize, usize)>,
    tokens: &Tokens,
    out: &mut Output,
) -> Result<(), LaunchError> {
    store.prepare().await?;
    let now = Timestamp::now();
    let tag = tag(store).await?;
    let users: Vec<User> = (1..=seed.users).map(|number| user(number, &tag, now)).collect();
    for chunk in users.chunks(CHUNK) {
        bounded(store.users().insert_many(chunk).ordered(false)).await?;
    }
    let mut conversations = vec![Vec::new(); users.len()];
    let mut documents = Vec::with_capacity(seed.conversations as usize);
    for (one, other) in pairs {
        let (one_id, other_id) = (users[one].id, users[other].id);
        let document = Conversation::new(one_id, vec![one_id, other_id], None, now);
        conversations[one].push(document.id);
        conversations[other].push(document.id);
        documents.push(document);
    }
    for chunk in documents.chunks(CHUNK) {
        bounded(store.conversations().insert_many(chunk).ordered(false)).await?;
    }
    for (user, conversations) in users.iter().zip(&conversations) {
        let token = tokens.sign(user.id, 0, TOKEN_LIFETIME)?;
        out.line(&Line { user_id: user.id, email: &user.email, token, conversations })?;
    }
    out.finish()
}

/// What tells the users of this run from those of earlier ones: nothing the first time, then random letters.
async fn tag(store: &Store) -> Result<String, LaunchError> {
    if store.user_by_email(&email(1, "")).await?.is_none() {
        return Ok(String::new());
    }
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| LaunchError::System(io::Error::other(error.to_string())))?;
    Ok(random.iter().fold(String::from("."), |tag, byte| format!("{tag}{byte:02x}")))
}

fn email(number: u32, tag: &str) -> String {
    format!("user{number}{tag}@example.com")
}

fn user(number: u32, tag: &str, now: Timestamp) -> User {
    let (name, username) = (format!("User {number}"), format!("user{number}{tag}"));
    User::new(name, email(number, tag), username, PASSWORD_HASH.to_owned(), now)
}

/// `conversations` different pairs of `users` people, everybody in as many as everybody else (or one more): as long
/// as that suffices first with second, third with fourth and so on; otherwise everybody with the next one
/// in a circle, then with the next but one, and so on.
fn pairs(users: u32, conversations: u32) -> Result<impl Iterator<Item = (usize, usize)>, LaunchError> {
    let (all, wanted) = (users as usize, conversations as usize);
    let possible = u64::from(users) * u64::from(users - 1) / 2;
    if u64::from(conversations) > possible {
        return Err(LaunchError::TooManyConversations { users, pairs: possible, conversations });
    }
    let apart = wanted <= all / 2;
    Ok((0..wanted).map(
        move |n| {
            if apart { (2 * n, 2 * n + 1) } else { (n % all, (n % all + 1 + n / all) % all) }
        },
    ))
}

/// Where the lines go.
struct Output {
    lines: BufWriter<Box<dyn Write + Send>>,
    path: PathBuf,
}

impl Output {
    /// Opened before anything is written to the database, so that a mistake in the path costs nothing. Readable by its
    /// owner only, since tokens are as good as passwords.
    fn open(path: Option<&Path>) -> Result<Self, LaunchError> {
        let (lines, path): (Box<dyn Write + Send>, _) = match path {
            None => (Box::new(io::stdout()), PathBuf::from("standard output")),
            Some(path) => {
                let file = File::options().create(true).truncate(true).write(true).mode(0o600).open(path);
                // The mode above is for a file that is made; one that was there keeps its own.
                let file = file.and_then(|file| {
                    let regular = file.metadata()?.is_file();
                    if regular {
                        file.set_permissions(Permissions::from_mode(0o600))?;
                    }
                    Ok(file)
                });
                let file = file.map_err(|source| LaunchError::Out { path: path.to_owned(), source })?;
                (Box::new(file), path.to_owned())
            }
        };
        Ok(Self { lines: BufWriter::new(lines), path })
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), LaunchError> {
        let written = serde_json::to_writer(&mut self.lines, line).map_err(io::Error::from);
        written.and_then(|()| self.lines.write_all(b"\n")).map_err(|source| self.failed(source))
    }

    fn finish(&mut self) -> Result<(), LaunchError> {
        self.lines.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> LaunchError {
        LaunchError::Out { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use argon2::Argon2;
    use argon2::password_hash::PasswordVerifier as _;
    use argon2::password_hash::phc::PasswordHash;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_password() {
        let hash = PasswordHash::new(PASSWORD_HASH).unwrap();
        Argon2::default().verify_password(PASSWORD.as_bytes(), &hash).unwrap();
    }

    #[test]
    fn pairs_are_different_and_evenly_spread() {
        for (users, conversations) in [(1, 0), (2, 1), (5, 10), (6, 15), (6, 7), (7, 21), (1_000, 3_500)] {
            let (mut seen, mut of_each) = (HashSet::new(), vec![0_u32; users as usize]);
            for (one, other) in pairs(users, conversations).unwrap() {
                assert_ne!(one, other);
                assert!(seen.insert((one.min(other), one.max(other))), "{users} {conversations}");
                of_each[one] += 1;
                of_each[other] += 1;
            }
            assert_eq!(seen.len(), conversations as usize);
            let (least, most) = (of_each.iter().min().unwrap(), of_each.iter().max().unwrap());
            assert!(most - least <= 2, "{of_each:?}");
        }
        assert_eq!(pairs(6, 3).unwrap().collect::<Vec<_>>(), [(0, 1), (2, 3), (4, 5)]);
    }

    #[test]
    fn more_conversations_than_pairs_are_refused() {
        assert!(pairs(3, 4).is_err());
        assert!(pairs(1, 1).is_err());
    }
}
