//! The collections' indexes, each with the query it serves.

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::IndexOptions;

use crate::error::NAMESPACE_EXISTS;
use crate::{Store, StoreError, name};

/// The name of the index that makes `seq` strict.
pub const MESSAGE_SEQ: &str = "conversation_seq";
/// The name of the index that makes a client's retry find its message.
pub const MESSAGE_CLIENT_ID: &str = "sender_conversation_client_id";
/// The name of the index that makes a direct conversation unique.
pub const DIRECT_KEY: &str = "direct_key";
/// The name of the index that makes an e-mail address unique.
pub const USER_EMAIL: &str = "email";
/// The name of the index that makes a username unique.
pub const USER_USERNAME: &str = "username";

struct Index {
    collection: &'static str,
    name: &'static str,
    keys: Document,
    unique: bool,
    /// Only documents with this field are in the index.
    only_with: Option<&'static str>,
}

impl Index {
    fn on(collection: &'static str, name: &'static str, keys: Document) -> Self {
        Self { collection, name, keys, unique: false, only_with: None }
    }

    fn unique(self) -> Self {
        Self { unique: true, ..self }
    }

    fn only_with(self, field: &'static str) -> Self {
        Self { only_with: Some(field), ..self }
    }

    fn model(self) -> (&'static str, IndexModel) {
        let options = IndexOptions::builder()
            .name(self.name.to_owned())
            .unique(self.unique.then_some(true))
            .partial_filter_expression(self.only_with.map(|field| doc! {field: {"$exists": true}}))
            .build();
        (self.collection, IndexModel::builder().keys(self.keys).options(options).build())
    }
}

fn all() -> Vec<Index> {
    vec![
        // Strict numbers; pages of messages by `seq`; the last message; unread counts; `after`.
        Index::on(name::MESSAGES, MESSAGE_SEQ, doc! {"conversationId": 1, "seq": 1}).unique(),
        // A client that sends again finds what it stored.
        Index::on(
            name::MESSAGES,
            MESSAGE_CLIENT_ID,
            doc! {"sender": 1, "conversationId": 1, "clientMessageId": 1},
        )
        .unique()
        .only_with("clientMessageId"),
        // Pages of messages `before` a time; `seq` orders those of one millisecond.
        Index::on(name::MESSAGES, "conversation_time", doc! {"conversationId": 1, "createdAt": 1, "seq": 1}),
        // A user's conversations. Not with `updatedAt`: every write of the view would rewrite a key per participant.
        Index::on(name::CONVERSATIONS, "participants", doc! {"participants": 1}),
        // One direct conversation between two people, under any race.
        Index::on(name::CONVERSATIONS, DIRECT_KEY, doc! {"directKey": 1}).unique().only_with("directKey"),
        // Signing in, and one account per address.
        Index::on(name::USERS, USER_EMAIL, doc! {"email": 1}).unique(),
        // One owner per handle.
        Index::on(name::USERS, USER_USERNAME, doc! {"username": 1}).unique(),
        // The list of users in the order of names, and searches that find many.
        Index::on(name::USERS, "name", doc! {"nameLower": 1, "_id": 1}),
        // Searches that find few.
        Index::on(name::USERS, "terms", doc! {"terms": 1}),
    ]
}

impl Store {
    /// Makes collections and indexes that are not there yet. Several nodes may do so at the same time, and
    /// every start may do it again: making what exists is no error. On a database with data and without
    /// the indexes it takes as long as building them takes.
    ///
    /// # Errors
    ///
    /// When MongoDB is away, or an index of the same name but another definition exists.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        for collection in [name::READS, name::LEASES] {
            self.make_collection(collection).await?;
        }
        for (collection, model) in all().into_iter().map(Index::model) {
            self.database().collection::<Document>(collection).create_index(model).await?;
        }
        Ok(())
    }

    async fn make_collection(&self, collection: &str) -> Result<(), StoreError> {
        match self.database().create_collection(collection).await {
            Err(error) if matches!(error.kind.as_ref(), ErrorKind::Command(c) if c.code == NAMESPACE_EXISTS) => {
                Ok(())
            }
            result => Ok(result?),
        }
    }
}
