//! The accounts of probes, and their messages.
//!
//! A probe has two users and the conversation of the two, all of which carry its name in `probe`. Nobody else ever sees
//! such a user: see [`not_of_probes`].

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;
use protocol::body::Privacy;
use protocol::probe::Name;
use protocol::{Id, Timestamp};
use serde::Deserialize;

use crate::command::Command;
use crate::convert::{date, oid, stored};
use crate::document::{Conversation, User};
use crate::message::whole;
use crate::password::PasswordHash;
use crate::{COMMAND_TIMEOUT, Store, StoreError};

/// The field that holds the name of the probe.
pub(crate) const FIELD: &str = "probe";

/// The two users of a probe.
const SIDES: [&str; 2] = ["a", "b"];

/// How many messages are removed at once.
const BATCH: u32 = 500;

/// What a probe has.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Its users.
    pub users: [User; 2],
    /// The conversation of the two.
    pub conversation: Id,
}

/// Restricts a filter on users to those who are people: the accounts of probes are as if they were not there. No index
/// has it, so it changes no plan.
pub(crate) fn not_of_probes(filter: Document) -> Document {
    doc! {"$and": [filter, {FIELD: {"$exists": false}}]}
}

/// The handle of a user of a probe, and its address: nobody can register either, for both have colons and the address
/// has no `@`.
fn handle(name: &Name, side: &str) -> String {
    format!("probe:{name}:{side}")
}

/// A new user of a probe. There is no password that is right, and nothing that a search could find.
fn user(name: &Name, side: &str, now: Timestamp) -> User {
    let handle = handle(name, side);
    let mut user =
        User::new(format!("Probe {name} {side}"), handle.clone(), handle, PasswordHash::default(), now);
    user.terms = Vec::new();
    // For programs from before there were probes, while both run side by side.
    Privacy::Private.as_str().clone_into(&mut user.settings.privacy);
    user.probe = Some(name.to_string());
    user
}

impl Store {
    /// The users of a probe and their conversation, made where they are not there yet. Three commands, one more for
    /// each that another node makes at the same time.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn probe_pair(&self, name: &Name, now: Timestamp) -> Result<Pair, StoreError> {
        let [one, other] = SIDES;
        let users = tokio::try_join!(self.probe_user(name, one, now), self.probe_user(name, other, now))?;
        let users = <[User; 2]>::from(users);
        let mut new =
            Conversation::new(users[0].id, users.each_ref().map(|user| user.id).to_vec(), None, now);
        new.probe = Some(name.to_string());
        let conversation = self.find_or_insert_direct(&new).await?.id;
        Ok(Pair { users, conversation })
    }

    async fn probe_user(&self, name: &Name, side: &str, now: Timestamp) -> Result<User, StoreError> {
        let new = user(name, side, now);
        match self.find_or_insert_probe_user(&new).await {
            Err(error) if error.is_duplicate() => self.find_or_insert_probe_user(&new).await,
            result => result,
        }
    }

    /// Found by the handle, which is unique. A user who has it and is no probe's is not found, and stops the insert.
    async fn find_or_insert_probe_user(&self, new: &User) -> Result<User, StoreError> {
        let mut fields = mongodb::bson::serialize_to_document(new)?;
        let mut filter = doc! {};
        for key in ["username", FIELD] {
            // An upsert takes these from its filter, and refuses to be told twice.
            filter.insert(key, fields.remove(key).unwrap_or(Bson::Null));
        }
        let users = self.users();
        let action = users
            .find_one_and_update(filter, doc! {"$setOnInsert": fields})
            .upsert(true)
            .projection(doc! {"password": 0})
            .return_document(ReturnDocument::After);
        Ok(self.run(Command::FindAndModify, action).await?.unwrap_or_else(|| new.clone()))
    }

    /// The conversations of all probes. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn probe_conversations(&self) -> Result<Vec<Id>, StoreError> {
        let conversations = self.conversations().clone_with_type::<Row>();
        let of_probes = conversations.find(doc! {FIELD: {"$exists": true}}).projection(doc! {"_id": 1});
        let action = of_probes.max_time(COMMAND_TIMEOUT);
        let rows: Vec<Row> = self.run(Command::Find, async { action.await?.try_collect().await }).await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Removes messages of a probe's conversation that were sent before a time, as many as are removed at once; how
    /// many. The newest one stays, however old it is: the next number follows from it. Two commands, three where there
    /// are some.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn remove_probe_messages(
        &self,
        conversation: Id,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        let newest = self.last_messages(&[conversation]).await?;
        let Some((_, newest)) = newest.first() else { return Ok(0) };
        let old = doc! {
            "conversationId": oid(conversation), "createdAt": {"$lt": date(before)}, "seq": {"$lt": newest.seq},
        };
        let messages = self.messages().clone_with_type::<Row>();
        let found = messages.find(old).sort(doc! {"createdAt": 1, "seq": 1}).limit(i64::from(BATCH));
        let found = found.projection(doc! {"_id": 1}).batch_size(whole(BATCH as usize));
        let action = found.max_time(COMMAND_TIMEOUT);
        let rows: Vec<Row> = self.run(Command::Find, async { action.await?.try_collect().await }).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let ids: Vec<_> = rows.iter().map(|row| oid(row.id)).collect();
        let messages = self.messages();
        let action = messages.delete_many(doc! {"_id": {"$in": ids}});
        Ok(self.run(Command::Delete, action).await?.deleted_count)
    }
}

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "_id", with = "stored")]
    id: Id,
}

#[cfg(test)]
mod tests {
    use protocol::input::{Email, Field};

    use super::*;

    #[test]
    fn nobody_can_sign_in_as_a_probe_or_find_one() {
        let user = user(&Name::default(), "a", Timestamp::now());
        assert!(Email::read(Some(user.email.clone().into())).is_err(), "{}", user.email);
        assert_eq!(user.username, "probe:default:a");
        assert!(user.password.verify("").is_err() && user.password.verify("probe").is_err());
        assert!(user.terms.is_empty() && user.settings.privacy == "private");
        assert_eq!(user.probe.as_deref(), Some("default"));
    }
}
