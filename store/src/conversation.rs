//! Queries on conversations.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::options::ReturnDocument;
use protocol::Id;
use serde::Deserialize;

use crate::convert::{date, oid, oids, stored};
use crate::document::{Conversation, ConversationChange, Kind, LastMessage, Message, ReadCursor};
use crate::message::whole;
use crate::{COMMAND_TIMEOUT, Store, StoreError, bounded, name, readable};

/// Up to this many participants, [`Access::participants`] holds all of them, and `readBy` names each.
pub const SMALL: usize = 32;
/// The most conversations in a list: those with the newest activity.
pub const MAX_LISTED: u32 = 500;
/// The most participants that a list names of one conversation, whoever asks among them.
pub const LISTED_PARTICIPANTS: usize = 32;

/// What it takes to decide whether somebody may use a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// The conversation.
    #[serde(rename = "_id", with = "stored")]
    pub id: Id,
    /// False once archived.
    pub is_active: bool,
    /// How many take part.
    pub size: usize,
    /// All participants of a [`SMALL`] conversation; of a larger one those who were asked about.
    #[serde(with = "stored")]
    pub participants: Vec<Id>,
}

/// A conversation with what a list shows of it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The conversation, without its view and its last change. In a list with at most [`LISTED_PARTICIPANTS`].
    pub conversation: Conversation,
    /// How many take part, named or not.
    pub size: usize,
    /// The message with the highest number.
    pub last: Option<Message>,
    /// The read cursor of whoever asked.
    pub cursor: Option<ReadCursor>,
}

/// What the view of a conversation is to show.
#[derive(Clone, Debug)]
pub struct View {
    /// Which conversation.
    pub conversation: Id,
    /// Its last message, as far as is known.
    pub last: LastMessage,
}

/// The key of the direct conversation between two people.
#[must_use]
pub fn direct_key(one: Id, other: Id) -> String {
    format!("{}:{}", one.min(other), one.max(other))
}

impl Store {
    /// Whether `users` take part in these conversations; those that do not exist or cannot be read are left out. One
    /// command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn accesses(&self, conversations: &[Id], users: &[Id]) -> Result<Vec<Access>, StoreError> {
        // The intersection keeps a room of thousands from travelling; for a small one it would cost more than it saves.
        let size = doc! {"$size": "$participants"};
        let asked = doc! {"$setIntersection": ["$participants", oids(users.iter().copied())]};
        let small = i64::try_from(SMALL).unwrap_or(i64::MAX);
        let projection = doc! {
            "isActive": 1,
            "size": size.clone(),
            "participants": {"$cond": [{"$lte": [size, small]}, "$participants", asked]},
        };
        let collection = self.conversations().clone_with_type::<RawDocumentBuf>();
        let action = collection
            .find(doc! {"_id": {"$in": oids(conversations.iter().copied())}})
            .projection(projection)
            .batch_size(whole(conversations.len()))
            .max_time(COMMAND_TIMEOUT);
        let rows: Vec<RawDocumentBuf> = bounded(async { action.await?.try_collect().await }).await?;
        Ok(readable(name::CONVERSATIONS, &rows))
    }

    /// One conversation, whole. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn conversation(&self, id: Id) -> Result<Option<Conversation>, StoreError> {
        bounded(self.conversations().find_one(doc! {"_id": oid(id)}).max_time(COMMAND_TIMEOUT)).await
    }

    /// Stores a new conversation. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn insert_conversation(&self, conversation: &Conversation) -> Result<(), StoreError> {
        bounded(self.conversations().insert_one(conversation)).await.map(drop)
    }

    /// Stores a new direct conversation, unless the two people have one: then that one is returned. One command;
    /// two where another node makes it at the same time.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn find_or_insert_direct(&self, new: &Conversation) -> Result<Conversation, StoreError> {
        match self.upsert_direct(new).await {
            Err(error) if error.is_duplicate() => self.upsert_direct(new).await,
            result => result,
        }
    }

    async fn upsert_direct(&self, new: &Conversation) -> Result<Conversation, StoreError> {
        let mut fields = mongodb::bson::serialize_to_document(new)?;
        // An upsert takes the key from its filter, and refuses to be told twice.
        let key = fields.remove("directKey");
        let collection = self.conversations();
        let action = collection
            .find_one_and_update(doc! {"directKey": key}, doc! {"$setOnInsert": fields})
            .upsert(true)
            .return_document(ReturnDocument::After);
        Ok(bounded(action).await?.unwrap_or_else(|| new.clone()))
    }

    /// Changes name, participants and creator, if the conversation is still at the revision before the change's; otherwise
    /// nothing is returned. Without participants it is archived. A classic update of whole fields: the change stream then carries all of `change`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn change_conversation(
        &self,
        id: Id,
        change: &ConversationChange,
    ) -> Result<Option<Conversation>, StoreError> {
        let filter = doc! {"_id": oid(id), "rev": change.rev - 1};
        let mut fields = doc! {
            "participants": oids(change.participants.iter().copied()),
            "name": change.name.clone(),
            "updatedAt": date(change.at),
            "rev": change.rev,
            "change": mongodb::bson::serialize_to_bson(change)?,
        };
        if let Some(creator) = change.created_by {
            fields.insert("createdBy", oid(creator));
        }
        if change.participants.is_empty() {
            fields.insert("isActive", false);
        }
        let collection = self.conversations();
        let action = collection
            .find_one_and_update(filter, doc! {"$set": fields})
            .return_document(ReturnDocument::After);
        bounded(action).await
    }

    /// The active conversations of a user, in no order; of more than [`MAX_LISTED`] those with the newest activity. It
    /// is told by `updatedAt`, which may be a second behind: to look up every last message first would cost as
    /// much as the bound is there to save. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn conversations_of(&self, user: Id) -> Result<Vec<Listed>, StoreError> {
        let mut pipeline = vec![
            doc! {"$match": {"participants": oid(user), "isActive": true}},
            doc! {"$sort": {"updatedAt": -1, "_id": -1}},
            doc! {"$limit": i64::from(MAX_LISTED)},
        ];
        pipeline.extend(listing(user));
        let few = i64::try_from(LISTED_PARTICIPANTS).unwrap_or(i64::MAX);
        let others =
            doc! {"$filter": {"input": "$conversation.participants", "cond": {"$ne": ["$$this", oid(user)]}}};
        let named = doc! {"$concatArrays": [[oid(user)], {"$slice": [others, few - 1]}]};
        pipeline.push(doc! {"$set": {"conversation.participants": {
            "$cond": [{"$lte": ["$size", few]}, "$conversation.participants", named],
        }}});
        self.listed(pipeline).await
    }

    /// One conversation with what a list shows of it, as seen by `user`. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn listed_conversation(&self, id: Id, user: Id) -> Result<Option<Listed>, StoreError> {
        let mut pipeline = vec![doc! {"$match": {"_id": oid(id)}}];
        pipeline.extend(listing(user));
        Ok(self.listed(pipeline).await?.pop())
    }

    async fn listed(&self, pipeline: Vec<Document>) -> Result<Vec<Listed>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            conversation: Conversation,
            size: usize,
            last: Vec<Message>,
            cursor: Vec<ReadCursor>,
        }
        let collection = self.conversations();
        let action = collection
            .aggregate(pipeline)
            // All in the first answer, so that a list is one round trip.
            .batch_size(MAX_LISTED + 1)
            .max_time(COMMAND_TIMEOUT)
            .with_type::<Row>();
        let rows: Vec<Row> = bounded(async { action.await?.try_collect().await }).await?;
        let listed = rows.into_iter().map(|mut row| Listed {
            conversation: row.conversation,
            size: row.size,
            last: row.last.pop(),
            cursor: row.cursor.pop(),
        });
        Ok(listed.collect())
    }

    /// Writes views of conversations, none over a newer one. One command; the primary's word is enough, since
    /// nothing relies on them.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless.
    pub async fn write_views(&self, views: &[View]) -> Result<(), StoreError> {
        let mut updates = Vec::with_capacity(views.len());
        for view in views {
            let last = mongodb::bson::serialize_to_bson(&view.last)?;
            updates.push(doc! {
                "q": {"_id": oid(view.conversation), "lastMessage.seq": {"$not": {"$gte": view.last.seq}}},
                "u": {"$set": {"lastMessage": last}, "$max": {"updatedAt": date(view.last.timestamp)}},
            });
        }
        self.update_many_documents(name::CONVERSATIONS, updates, doc! {"w": 1}).await
    }

    /// Many different updates of one collection in one command, which the driver's own bulk write offers only from
    /// MongoDB 8 on.
    pub(crate) async fn update_many_documents(
        &self,
        collection: &str,
        updates: Vec<Document>,
        write_concern: Document,
    ) -> Result<(), StoreError> {
        let command = doc! {
            "update": collection, "updates": updates, "ordered": false, "writeConcern": write_concern,
        };
        let answer = bounded(self.database().run_command(command)).await?;
        check_write(&answer)
    }
}

/// The stages that add to conversations what a list shows of them, as seen by `user`.
fn listing(user: Id) -> [Document; 4] {
    [
        doc! {"$project": {"change": 0, "lastMessage": 0}},
        doc! {"$replaceWith": {
            "conversation": "$$ROOT", "size": {"$size": "$participants"}, "key": {"c": "$_id", "u": oid(user)},
        }},
        doc! {"$lookup": {
            "from": name::MESSAGES, "localField": "conversation._id", "foreignField": "conversationId",
            "pipeline": [{"$sort": {"seq": -1}}, {"$limit": 1}], "as": "last",
        }},
        doc! {"$lookup": {"from": name::READS, "localField": "key", "foreignField": "_id", "as": "cursor"}},
    ]
}

/// `run_command` takes an answer with `writeErrors` for a success.
fn check_write(answer: &Document) -> Result<(), StoreError> {
    let text = |field: &str| answer.get(field).map(|value| format!("{field}: {value}"));
    if let Some(problem) = text("writeConcernError") {
        return Err(StoreError::NotReplicated(problem));
    }
    text("writeErrors").map_or(Ok(()), |problem| Err(StoreError::Refused(problem)))
}

impl Conversation {
    /// Whether this user takes part.
    #[must_use]
    pub fn has(&self, user: Id) -> bool {
        self.participants.contains(&user)
    }

    /// Whether it is between two people.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.kind == Kind::Direct
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direct_key_is_the_same_from_both_sides() {
        let (one, other) = (Id::from_bytes([1; 12]), Id::from_bytes([2; 12]));
        assert_eq!(direct_key(one, other), direct_key(other, one));
        assert_eq!(direct_key(other, one), format!("{one}:{other}"));
    }

    #[test]
    fn an_answer_with_errors_is_not_a_success() {
        assert!(check_write(&doc! {"ok": 1, "n": 1}).is_ok());
        assert!(check_write(&doc! {"ok": 1, "writeErrors": [{"code": 1}]}).is_err());
        assert!(
            check_write(&doc! {"ok": 1, "writeConcernError": {"code": 64}}).unwrap_err().is_unavailable()
        );
    }
}
