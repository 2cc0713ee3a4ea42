//! Friends and blocks: what two users are to each other.
//!
//! Each user's document holds whom they have added and whom they have blocked. Two are friends only if both have added
//! each other, so an addition that the other side has taken back, or never made, grants nothing. That somebody is
//! blocked is noted in the direct conversation of the two as well, where the authorisation of sends reads it for
//! nothing.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use protocol::body::Privacy;
use protocol::{Id, Timestamp};
use serde::Deserialize;

use crate::command::Command;
use crate::conversation::direct_key;
use crate::convert::{date, oid, stored};
use crate::{COMMAND_TIMEOUT, Store, StoreError};

/// The most friends that a user can add.
pub const MAX_FRIENDS: usize = 2_000;
/// The most users that a user can block.
pub const MAX_BLOCKED: usize = 1_000;

/// How often a block is written into the conversation anew when it is taken back and made again meanwhile.
const SETTLE_TRIES: usize = 5;

impl Store {
    /// Adds `other` to the friends of `user`, unless that is so already. False if there is no room. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn add_friend(&self, user: Id, other: Id, at: Timestamp) -> Result<bool, StoreError> {
        self.add_friend_where(user, other, doc! {}, at).await
    }

    /// Adds `user` to the friends of `other` too, if `other` is public and has not blocked `user`. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn befriend(&self, user: Id, other: Id, at: Timestamp) -> Result<bool, StoreError> {
        let open = doc! {"settings.privacy": Privacy::Public.as_str(), "blocked": {"$ne": oid(user)}};
        self.add_friend_where(other, user, open, at).await
    }

    async fn add_friend_where(
        &self,
        user: Id,
        other: Id,
        condition: Document,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut filter = condition;
        filter.insert("_id", oid(user));
        // The last place, counted from zero, must be free; who is in the list already needs none.
        filter.insert(
            "$or",
            vec![
                doc! {format!("friends.{}", MAX_FRIENDS - 1): {"$exists": false}},
                doc! {"friends": oid(other)},
            ],
        );
        let add = doc! {"$addToSet": {"friends": oid(other)}, "$set": {"updatedAt": date(at)}};
        Ok(self.run(Command::Update, self.users().update_one(filter, add)).await?.matched_count == 1)
    }

    /// Ends the friendship of two users, or the request of one of them, on both sides. Two commands.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn remove_friend(&self, user: Id, other: Id, at: Timestamp) -> Result<(), StoreError> {
        for (whose, whom) in [(user, other), (other, user)] {
            let filter = doc! {"_id": oid(whose), "friends": oid(whom)};
            let pull = doc! {"$pull": {"friends": oid(whom)}, "$set": {"updatedAt": date(at)}};
            self.run(Command::Update, self.users().update_one(filter, pull)).await?;
        }
        Ok(())
    }

    /// Makes `user` block `other`, or no longer block them. Blocking ends their friendship. False if there is no room.
    /// Five commands to block, three to unblock, one more where they have a conversation.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn block(&self, user: Id, other: Id, blocked: bool, at: Timestamp) -> Result<bool, StoreError> {
        let mut filter = doc! {"_id": oid(user)};
        let mut change = doc! {"$set": {"updatedAt": date(at)}};
        if blocked {
            let free = doc! {format!("blocked.{}", MAX_BLOCKED - 1): {"$exists": false}};
            filter.insert("$or", vec![free, doc! {"blocked": oid(other)}]);
            change.extend(doc! {"$addToSet": {"blocked": oid(other)}, "$pull": {"friends": oid(other)}});
        } else {
            change.insert("$pull", doc! {"blocked": oid(other)});
        }
        if blocked {
            // First where sends look: whatever comes between this and the rest, nobody is blocked by half who still
            // writes.
            let note = noted("$addToSet", user);
            self.run(
                Command::Update,
                self.conversations().update_one(doc! {"directKey": direct_key(user, other)}, note),
            )
            .await?;
        }
        // From here on nobody makes a conversation; what is left is the one that may be there.
        if self.run(Command::Update, self.users().update_one(filter, change)).await?.matched_count == 0 {
            self.settle_block(user, other).await?;
            return Ok(false);
        }
        if blocked {
            let filter = doc! {"_id": oid(other), "friends": oid(user)};
            self.run(
                Command::Update,
                self.users().update_one(filter, doc! {"$pull": {"friends": oid(user)}}),
            )
            .await?;
        }
        self.settle_block(user, other).await?;
        Ok(true)
    }

    /// Notes in the direct conversation of two users, if they have one, whether `user` has blocked `other`. Whoever
    /// writes last looks last, so that the note is right in the end whatever goes on at the same time. Two commands,
    /// three where they have one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn settle_block(&self, user: Id, other: Id) -> Result<(), StoreError> {
        let mut last = None;
        for _ in 0..SETTLE_TRIES {
            let blocks = self.has_blocked(user, other).await?;
            if last == Some(blocks) {
                return Ok(());
            }
            let operator = if blocks { "$addToSet" } else { "$pull" };
            let change = noted(operator, user);
            let filter = doc! {"directKey": direct_key(user, other)};
            let found = self
                .run(Command::Update, self.conversations().update_one(filter, change))
                .await?
                .matched_count
                > 0;
            if !found {
                return Ok(());
            }
            last = Some(blocks);
        }
        Err(StoreError::Contended)
    }

    /// Whether two users take part in the same conversation, archived or not. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn have_met(&self, one: Id, other: Id) -> Result<bool, StoreError> {
        let filter = doc! {"participants": {"$all": [oid(one), oid(other)]}};
        let conversations = self.conversations().clone_with_type::<Document>();
        let action = conversations.find_one(filter).projection(doc! {"_id": 1}).max_time(COMMAND_TIMEOUT);
        Ok(self.run(Command::Find, action).await?.is_some())
    }

    /// Which of two users have blocked the other. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn blocks_between(&self, one: Id, other: Id) -> Result<Vec<Id>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "_id", with = "stored")]
            id: Id,
        }
        // Nobody blocks themself, so whoever of the two has blocked one of the two has blocked the other.
        let both = [oid(one), oid(other)].to_vec();
        let filter = doc! {"_id": {"$in": &both}, "blocked": {"$in": &both}};
        let users = self.users().clone_with_type::<Row>();
        let action = users.find(filter).projection(doc! {"_id": 1}).max_time(COMMAND_TIMEOUT);
        let rows: Vec<Row> = self.run(Command::Find, async { action.await?.try_collect().await }).await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    async fn has_blocked(&self, user: Id, other: Id) -> Result<bool, StoreError> {
        let filter = doc! {"_id": oid(user), "blocked": oid(other)};
        let users = self.users().clone_with_type::<Document>();
        let found = self
            .run(Command::Find, users.find_one(filter).projection(doc! {"_id": 1}).max_time(COMMAND_TIMEOUT))
            .await?;
        Ok(found.is_some())
    }
}

/// The change that notes in a direct conversation whether `user` has blocked the other. That it changes is told by a
/// number, too: of a list the change stream says only what became of it, and in a shape that depends on the change.
fn noted(operator: &str, user: Id) -> Document {
    doc! {operator: {"blockedBy": oid(user)}, "$inc": {"blockRev": 1_i64}}
}
