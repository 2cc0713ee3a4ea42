//! The step that fills in what the earliest documents lack. The programs that wrote them were content without, and so
//! were the readers of [`crate::document`]; queries and validators are not.

use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use crate::command::Command;
use crate::connect::majority;
use crate::user::search_terms;
use crate::{COMMAND_TIMEOUT, Store, StoreError, name};

/// How many documents are read and written at once: a fraction of a second.
const BATCH: i64 = 1_000;

/// Fills in users and conversations. Fields that are there, also those written meanwhile, stay as they are.
///
/// # Errors
///
/// Whatever the database says. What was filled in until then stays.
pub(super) async fn fill(store: &Store) -> Result<(), StoreError> {
    let lacking = [
        "nameLower",
        "terms",
        "friends",
        "blocked",
        "generation",
        "settings.notifications",
        "settings.privacy",
    ];
    fill_all(store, name::USERS, &lacking, user).await?;
    fill_all(store, name::CONVERSATIONS, &["rev", "isActive"], |_| conversation()).await
}

/// What a user gets. It needs the name and the handle.
fn user(user: &Document) -> Document {
    let text = |field| user.get_str(field).unwrap_or_default();
    let (name, username) = (text("name"), text("username"));
    // Names are anything that somebody wrote, and to MongoDB one that begins with a dollar would be a field.
    let literal = |value: Bson| Bson::from(doc! {"$literal": value});
    doc! {
        "nameLower": or("nameLower", literal(name.to_lowercase().into())),
        "terms": or("terms", literal(search_terms(name, username).into())),
        "friends": or("friends", Bson::Array(Vec::new())),
        "blocked": or("blocked", Bson::Array(Vec::new())),
        "generation": or("generation", 0_i64.into()),
        "settings": {
            "notifications": or("settings.notifications", true.into()),
            "privacy": or("settings.privacy", "public".into()),
        },
    }
}

/// What a conversation gets.
fn conversation() -> Document {
    doc! {"rev": or("rev", 0_i64.into()), "isActive": or("isActive", true.into())}
}

/// The field as it is, or `value` where it is missing or null.
fn or(field: &str, value: Bson) -> Document {
    doc! {"$ifNull": [format!("${field}"), value]}
}

/// Fills in all documents of a collection that lack one of these fields, in the order of their identifiers. All are
/// looked at, a bounded number at a time, so that no command takes long, however few of them lack anything.
async fn fill_all(
    store: &Store,
    collection: &str,
    fields: &[&str],
    filled: impl Fn(&Document) -> Document,
) -> Result<(), StoreError> {
    let documents = store.database().collection::<Document>(collection);
    // Missing is less than null, and null is less than anything that a field can hold.
    let lacking = fields.iter().map(|field| doc! {"$lte": [format!("${field}"), Bson::Null]});
    let projection = doc! {"name": 1, "username": 1, "lacking": {"$or": lacking.collect::<Vec<_>>()}};
    let mut last = ObjectId::from_bytes([0; 12]);
    loop {
        let find = documents
            .find(doc! {"_id": {"$gt": last}})
            .projection(projection.clone())
            .sort(doc! {"_id": 1})
            .limit(BATCH)
            .max_time(COMMAND_TIMEOUT);
        let found: Vec<Document> =
            store.run(Command::Find, async { find.await?.try_collect().await }).await?;
        let Some(end) = found.last() else { return Ok(()) };
        last = end.get_object_id("_id").map_err(|_| StoreError::Refused("no identifier".to_owned()))?;
        let mut updates = Vec::new();
        for document in found.iter().filter(|document| document.get_bool("lacking").unwrap_or_default()) {
            let change = vec![doc! {"$set": filled(document)}];
            updates.push(doc! {"q": {"_id": document.get("_id").cloned()}, "u": change});
        }
        if !updates.is_empty() {
            let concern = majority();
            store.update_many_documents(collection, updates, concern).await?;
        }
    }
}
