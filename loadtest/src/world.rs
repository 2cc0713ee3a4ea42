//! Who takes part: users, their tokens and the conversations that they share.

use std::path::Path;
use std::sync::Arc;

use protocol::Id;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::plan::{Plan, Topology};

/// A user with a token.
#[derive(Clone, Debug)]
pub struct User {
    /// The identifier.
    pub id: Id,
    /// Authenticates the user.
    pub token: Arc<str>,
    /// The conversations, by their place in [`World::conversations`], in the order of the file.
    pub conversations: Vec<u32>,
}

/// A conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The identifier.
    pub id: Id,
    /// Those of its members who are in the file, by their place in [`World::users`].
    pub members: Vec<u32>,
}

/// Users and conversations.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The users.
    pub users: Vec<User>,
    /// The conversations.
    pub conversations: Vec<Conversation>,
    places: FxHashMap<Id, u32>,
}

/// A line of the file that `linkup seed --out` writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The user.
    pub user_id: Id,
    /// Authenticates the user.
    pub token: String,
    /// The conversations of the user.
    #[serde(default)]
    pub conversations: Vec<Id>,
}

impl World {
    /// The users of these lines, and what they share.
    #[must_use]
    pub fn new(lines: impl IntoIterator<Item = Line>) -> Self {
        let mut world = Self::default();
        for line in lines {
            let user = world.users.len() as u32;
            let mut conversations = Vec::with_capacity(line.conversations.len());
            for id in line.conversations {
                let place = *world.places.entry(id).or_insert_with(|| {
                    world.conversations.push(Conversation { id, members: Vec::new() });
                    world.conversations.len() as u32 - 1
                });
                world.conversations[place as usize].members.push(user);
                conversations.push(place);
            }
            world.users.push(User { id: line.user_id, token: line.token.into(), conversations });
        }
        world
    }

    /// Reads the first `users` lines of a seed file; fewer where there are fewer.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or has no user.
    pub fn load(path: &Path, users: usize) -> Result<Self, Error> {
        let problem = |problem: String| Error::Seed { path: path.display().to_string(), problem };
        let text = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).take(users);
        let lines = lines.map(|(n, line)| {
            protocol::json::read(line.as_bytes()).map_err(|error| problem(format!("line {}: {error}", n + 1)))
        });
        let world = Self::new(lines.collect::<Result<Vec<Line>, _>>()?);
        if world.users.is_empty() {
            return Err(problem("there is no user in it".to_owned()));
        }
        Ok(world)
    }

    /// Checks that the plan can be carried out with these people.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn check(&self, plan: &Plan) -> Result<(), Error> {
        let path = plan.seed.as_ref().map_or("(registered)".to_owned(), |path| path.display().to_string());
        let refuse = |problem: String| Err(Error::Seed { path: path.clone(), problem });
        let (have, users) = (self.users.len(), plan.users);
        if !plan.has_messages() && plan.rates.0.is_empty() {
            return Ok(());
        }
        match plan.topology {
            Topology::Pairs if have < users => {
                refuse(format!("{users} users are asked for, and there are {have} in it"))
            }
            Topology::Pairs => match (0..users / 2).find(|pair| self.shared(*pair).is_none()) {
                Some(pair) => {
                    refuse(format!("users {} and {} share no conversation", 2 * pair + 1, 2 * pair + 2))
                }
                None => Ok(()),
            },
            Topology::Room | Topology::World if self.room().is_none() => {
                refuse("no two of the users share a conversation".to_owned())
            }
            Topology::Room | Topology::World => Ok(()),
        }
    }

    /// Where a conversation is.
    #[must_use]
    pub fn place(&self, conversation: Id) -> Option<u32> {
        self.places.get(&conversation).copied()
    }

    /// The conversation of the users `2 * pair` and `2 * pair + 1`: the smallest that they share.
    #[must_use]
    pub fn shared(&self, pair: usize) -> Option<u32> {
        let [one, other] = [2 * pair, 2 * pair + 1].map(|user| self.users.get(user));
        let (one, other) = (&one?.conversations, &other?.conversations);
        let shared = one.iter().copied().filter(|place| other.contains(place));
        shared.min_by_key(|place| self.conversations[*place as usize].members.len())
    }

    /// The conversation with the most members, at least two.
    #[must_use]
    pub fn room(&self) -> Option<u32> {
        let sizes = self.conversations.iter().map(|conversation| conversation.members.len());
        let (place, _) = sizes.enumerate().filter(|(_, size)| *size > 1).max_by_key(|(_, size)| *size)?;
        Some(place as u32)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::plan::{Scenario, Settings};

    fn line(conversations: &[Id]) -> Line {
        Line { user_id: Id::mint(), token: "t".to_owned(), conversations: conversations.to_vec() }
    }

    #[test]
    fn people_find_what_they_share() {
        let [a, b, room] = [(); 3].map(|()| Id::mint());
        let world =
            World::new([line(&[room, a]), line(&[a, room]), line(&[b]), line(&[b, room]), line(&[room])]);
        let id = |place: Option<u32>| place.map(|place| world.conversations[place as usize].id);
        assert_eq!([0, 1, 2].map(|pair| id(world.shared(pair))), [Some(a), Some(b), None]);
        assert_eq!(id(world.room()), Some(room));
        assert_eq!(world.conversations[world.place(room).unwrap() as usize].members, [0, 1, 3, 4]);
        let plan = |users, scenario: Scenario| {
            Settings { users: Some(users), ..Settings::default() }.plan(scenario, None).unwrap()
        };
        assert!(world.check(&plan(4, Scenario::Chat)).is_ok());
        let problem = |plan: &Plan| world.check(plan).unwrap_err().to_string();
        assert!(problem(&plan(6, Scenario::Chat)).contains("6 users are asked for, and there are 5"));
        let alone = World::new([line(&[a]), line(&[b])]);
        assert!(
            alone.check(&plan(2, Scenario::Chat)).unwrap_err().to_string().contains("users 1 and 2 share no")
        );
        assert!(alone.check(&plan(2, Scenario::Room)).is_err());
        assert!(alone.check(&plan(9, Scenario::Idle)).is_ok());
    }

    #[test]
    fn files_that_cannot_be_used_are_told_apart() {
        let file = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        let good = serde_json::to_string(&line(&[])).unwrap();
        assert_eq!(World::load(file(&format!("{good}\n\n{good}\n")).path(), 9).unwrap().users.len(), 2);
        assert_eq!(World::load(file(&format!("{good}\n{good}\n{{")).path(), 2).unwrap().users.len(), 2);
        let problem = |text: &str| World::load(file(text).path(), 9).unwrap_err().to_string();
        assert!(problem(&format!("{good}\n{{")).contains("line 2"));
        assert!(problem("\n").contains("no user"));
        assert!(
            World::load(Path::new("nowhere.jsonl"), 1).unwrap_err().to_string().contains("nowhere.jsonl")
        );
    }
}
