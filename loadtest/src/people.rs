//! Who takes part: from a seed file, or registered over REST.

use std::path::Path;
use std::sync::Arc;

use protocol::Id;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::Error;
use crate::report::Progress;
use crate::rest::Rest;

/// How many registrations are under way at once. Each costs the server a deliberately slow password hash,
/// of which it computes only a few at a time.
const REGISTRATIONS: usize = 4;

/// A user with a token.
#[derive(Clone, Debug)]
pub struct Person {
    /// The identifier.
    pub id: Id,
    /// Authenticates the user.
    pub token: Arc<str>,
}

/// Two users and their conversation.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The two.
    pub people: [Person; 2],
    /// What they share.
    pub conversation: Id,
}

/// A line of the file that `linkup seed --out` writes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seeded {
    user_id: Id,
    token: String,
    #[serde(default)]
    conversations: Vec<Id>,
}

/// Reads the tokens of all users in a seed file.
///
/// # Errors
///
/// When the file cannot be read, or has no user.
pub fn tokens(path: &Path) -> Result<Vec<Arc<str>>, Error> {
    let seeded = read(path)?;
    if seeded.is_empty() {
        return Err(seed_error(path, "there is no user in it"));
    }
    Ok(seeded.into_iter().map(|seeded| seeded.token.into()).collect())
}

/// Reads the first `users` of a seed file, in pairs: lines 1 and 2, 3 and 4, …
///
/// # Errors
///
/// When the file cannot be read, has too few users, or two of a pair share no conversation.
pub fn load(path: &Path, users: usize) -> Result<Vec<Pair>, Error> {
    pair_up(path, &read(path)?, users)
}

fn read(path: &Path) -> Result<Vec<Seeded>, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| seed_error(path, error.to_string()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| {
            protocol::json::read(line.as_bytes())
                .map_err(|error| seed_error(path, format!("line {}: {error}", n + 1)))
        })
        .collect()
}

fn pair_up(path: &Path, seeded: &[Seeded], users: usize) -> Result<Vec<Pair>, Error> {
    if seeded.len() < users {
        let have = seeded.len();
        return Err(seed_error(path, format!("{users} users are asked for, and there are {have} in it")));
    }
    let mut pairs = Vec::with_capacity(users / 2);
    for (n, two) in seeded[..users].chunks_exact(2).enumerate() {
        let [one, other] = two else { continue };
        let shared = one.conversations.iter().find(|id| other.conversations.contains(id));
        let Some(&conversation) = shared else {
            let (first, second) = (2 * n + 1, 2 * n + 2);
            return Err(seed_error(path, format!("users {first} and {second} share no conversation")));
        };
        let person = |seeded: &Seeded| Person { id: seeded.user_id, token: seeded.token.as_str().into() };
        pairs.push(Pair { people: [person(one), person(other)], conversation });
    }
    Ok(pairs)
}

fn seed_error(path: &Path, problem: impl Into<String>) -> Error {
    Error::Seed { path: path.display().to_string(), problem: problem.into() }
}

/// Registers `users` people (an even number) and makes a conversation for every two. `run` keeps their
/// addresses apart from those of other runs.
///
/// # Errors
///
/// When the server cannot be reached or refuses.
pub async fn register(base: String, users: usize, run: u32, progress: Progress) -> Result<Vec<Pair>, Error> {
    progress.say(format_args!(
        "registering {users} users over REST; for more than a few, `linkup seed` and --seed are much faster"
    ));
    let rest = Rest::new(base);
    let mut registering = JoinSet::new();
    let mut pairs = Vec::with_capacity(users / 2);
    let mut next = 0;
    while pairs.len() < users / 2 {
        while registering.len() < REGISTRATIONS && next < users / 2 {
            registering.spawn(register_pair(rest.clone(), run, next));
            next += 1;
        }
        if let Some(pair) = registering.join_next().await {
            pairs.push(pair??);
            if pairs.len().is_multiple_of(50) {
                progress.say(format_args!("{} users registered", 2 * pairs.len()));
            }
        }
    }
    Ok(pairs)
}

async fn register_pair(rest: Rest, run: u32, pair: usize) -> Result<Pair, Error> {
    let mut people = Vec::with_capacity(2);
    for n in [2 * pair, 2 * pair + 1] {
        let email = format!("load-{run:08x}-{n}@example.org");
        let (id, token) = rest.register(&format!("Load {n}"), &email, &format!("load-{run:08x}")).await?;
        people.push(Person { id, token: token.into() });
    }
    // Invariant: the loop above ran twice.
    let people: [Person; 2] = people.try_into().expect("two people");
    let conversation = rest.converse(&people[0].token, people[0].id, people[1].id).await?;
    Ok(Pair { people, conversation })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(lines: &[String]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(lines.join("\n").as_bytes()).unwrap();
        file
    }

    fn line(conversations: &[Id]) -> String {
        json_line(Id::mint(), conversations)
    }

    fn json_line(user: Id, conversations: &[Id]) -> String {
        serde_json::json!({"userId": user, "email": "a@example.org", "token": user.to_string(),
            "conversations": conversations})
        .to_string()
    }

    #[test]
    fn lines_are_paired_by_the_conversation_they_share() {
        let (a, b, c) = (Id::mint(), Id::mint(), Id::mint());
        let file = file(&[line(&[c, a]), line(&[a]), line(&[b]), line(&[c, b]), line(&[])]);
        let pairs = load(file.path(), 4).unwrap();
        assert_eq!(pairs.iter().map(|pair| pair.conversation).collect::<Vec<_>>(), [a, b]);
        assert_eq!(&*pairs[0].people[1].token, pairs[0].people[1].id.to_string());
        assert_eq!(tokens(file.path()).unwrap().len(), 5);
    }

    #[test]
    fn unusable_files_are_told_apart() {
        let problem = |lines: &[String], users| load(file(lines).path(), users).unwrap_err().to_string();
        assert!(problem(&[line(&[])], 2).contains("2 users are asked for, and there are 1"));
        assert!(problem(&[line(&[Id::mint()]), line(&[Id::mint()])], 2).contains("share no conversation"));
        assert!(problem(&[line(&[]), "{".to_owned()], 2).contains("line 2"));
        assert!(load(Path::new("nowhere.jsonl"), 2).unwrap_err().to_string().contains("nowhere.jsonl"));
        assert!(tokens(file(&[]).path()).is_err());
    }
}
