//! Queries on activities.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;
use protocol::{Id, Timestamp};
use serde::Deserialize;

use crate::command::Command;
use crate::conversation::{self, LISTED_PARTICIPANTS};
use crate::convert::{date, oid};
use crate::document::{Activity, ActivityChange};
use crate::{COMMAND_TIMEOUT, Store, StoreError};

/// The most people who can take part in an activity, as many as in a conversation.
pub const MAX_PARTICIPANTS: i64 = conversation::MAX_PARTICIPANTS as i64;

/// Which activities, by any number of properties.
#[derive(Clone, Debug, Default)]
pub struct ActivityFilter {
    /// Of this type.
    pub activity_type: Option<&'static str>,
    /// Of this host.
    pub host: Option<Id>,
    /// With this participant.
    pub participant: Option<Id>,
    /// Beginning at this time or later.
    pub from: Option<Timestamp>,
    /// Beginning before this time.
    pub to: Option<Timestamp>,
}

impl ActivityFilter {
    fn document(&self) -> Document {
        let mut filter = doc! {};
        if let Some(activity_type) = self.activity_type {
            filter.insert("activityType", activity_type);
        }
        if let Some(host) = self.host {
            filter.insert("hostId", oid(host));
        }
        if let Some(participant) = self.participant {
            filter.insert("participants", oid(participant));
        }
        let mut time = doc! {};
        if let Some(from) = self.from {
            time.insert("$gte", date(from));
        }
        if let Some(to) = self.to {
            time.insert("$lt", date(to));
        }
        if !time.is_empty() {
            filter.insert("dateTime", time);
        }
        filter
    }
}

/// An activity as a list shows it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ListedActivity {
    /// The activity, with as many participants as are shown.
    pub activity: Activity,
    /// How many take part, shown or not.
    pub size: usize,
}

impl From<Activity> for ListedActivity {
    fn from(activity: Activity) -> Self {
        Self { size: activity.participants.len(), activity }
    }
}

/// What came of an attempt to join.
#[derive(Clone, Debug, PartialEq)]
pub enum Joined {
    /// The user takes part, now or since before.
    Yes(Box<Activity>),
    /// There was no place left.
    Full,
    /// There is no such activity.
    Missing,
}

impl Store {
    /// A page of activities, the earliest first, each with how many take part and at most
    /// [`LISTED_PARTICIPANTS`] of them. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn activities_page(
        &self,
        filter: &ActivityFilter,
        skip: u64,
        limit: u32,
    ) -> Result<Vec<ListedActivity>, StoreError> {
        let few = i64::try_from(LISTED_PARTICIPANTS).unwrap_or(i64::MAX);
        let pipeline = [
            doc! {"$match": filter.document()},
            doc! {"$sort": {"dateTime": 1, "_id": 1}},
            doc! {"$skip": i64::try_from(skip).unwrap_or(i64::MAX)},
            doc! {"$limit": i64::from(limit)},
            doc! {"$replaceWith": {"activity": "$$ROOT", "size": {"$size": "$participants"}}},
            doc! {"$set": {"activity.participants": {"$slice": ["$activity.participants", few]}}},
        ];
        let activities = self.activities();
        let action = activities
            .aggregate(pipeline)
            .batch_size(limit + 1)
            .max_time(COMMAND_TIMEOUT)
            .with_type::<ListedActivity>();
        self.run(Command::Aggregate, async { action.await?.try_collect().await }).await
    }

    /// One activity. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn activity(&self, id: Id) -> Result<Option<Activity>, StoreError> {
        self.run(Command::Find, self.activities().find_one(doc! {"_id": oid(id)}).max_time(COMMAND_TIMEOUT))
            .await
    }

    /// Stores a new activity. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn insert_activity(&self, activity: &Activity) -> Result<(), StoreError> {
        self.run(Command::Insert, self.activities().insert_one(activity)).await.map(drop)
    }

    /// Changes fields of an activity, by their stored names, as long as no more people take part than may from then on;
    /// otherwise, or where there is none, nothing is returned. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn update_activity(
        &self,
        id: Id,
        fields: Document,
        change: &ActivityChange,
    ) -> Result<Option<Activity>, StoreError> {
        let mut filter = doc! {"_id": oid(id)};
        if let Ok(most) = fields.get_i64("maxParticipants") {
            filter.insert("$expr", doc! {"$lte": [{"$size": "$participants"}, most]});
        }
        self.change_activity(filter, doc! {"$set": fields}, change).await
    }

    /// Lets a user take part, if there is a place left. One command, two where there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn join_activity(&self, id: Id, user: Id, at: Timestamp) -> Result<Joined, StoreError> {
        // Whether there is a place and taking it are one step, so that no race takes a place twice.
        let filter = doc! {
            "_id": oid(id),
            "participants": {"$ne": oid(user)},
            "$expr": {"$lt": [{"$size": "$participants"}, "$maxParticipants"]},
        };
        let change = ActivityChange { kind: "join".to_owned(), user, at };
        let push = doc! {"$push": {"participants": oid(user)}};
        if let Some(activity) = self.change_activity(filter, push, &change).await? {
            return Ok(Joined::Yes(Box::new(activity)));
        }
        Ok(match self.activity(id).await? {
            Some(activity) if activity.participants.contains(&user) => Joined::Yes(Box::new(activity)),
            Some(_) => Joined::Full,
            None => Joined::Missing,
        })
    }

    /// Lets a user who is not the host no longer take part. The activity afterwards, if there is one. One command, two
    /// where the user does not take part.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn leave_activity(
        &self,
        id: Id,
        user: Id,
        at: Timestamp,
    ) -> Result<Option<Activity>, StoreError> {
        let filter = doc! {"_id": oid(id), "participants": oid(user), "hostId": {"$ne": oid(user)}};
        let change = ActivityChange { kind: "leave".to_owned(), user, at };
        let pull = doc! {"$pull": {"participants": oid(user)}};
        match self.change_activity(filter, pull, &change).await? {
            Some(activity) => Ok(Some(activity)),
            None => self.activity(id).await,
        }
    }

    async fn change_activity(
        &self,
        filter: Document,
        mut update: Document,
        change: &ActivityChange,
    ) -> Result<Option<Activity>, StoreError> {
        let mut set = update.get_document("$set").cloned().unwrap_or_default();
        set.insert("updatedAt", date(change.at));
        set.insert("change", mongodb::bson::serialize_to_bson(change)?);
        update.insert("$set", set);
        let activities = self.activities();
        let action = activities.find_one_and_update(filter, update).return_document(ReturnDocument::After);
        self.run(Command::FindAndModify, action).await
    }

    /// Notes which conversation an activity has. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn link_activity(&self, id: Id, conversation: Id) -> Result<(), StoreError> {
        let link = doc! {"$set": {"conversationId": oid(conversation)}};
        self.run(Command::Update, self.activities().update_one(doc! {"_id": oid(id)}, link)).await.map(drop)
    }

    /// Removes an activity. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn delete_activity(&self, id: Id) -> Result<(), StoreError> {
        self.run(Command::Delete, self.activities().delete_one(doc! {"_id": oid(id)})).await.map(drop)
    }

    /// The activities in which a user takes part or whose host they are. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn activities_of(&self, user: Id) -> Result<Vec<Activity>, StoreError> {
        let action = doc! {"participants": oid(user)};
        let activities = self.activities();
        self.run(Command::Find, async {
            activities.find(action).max_time(COMMAND_TIMEOUT).await?.try_collect().await
        })
        .await
    }
}
