//! Databases of earlier and later programs, and many nodes at once.

use std::time::Duration;

use futures_util::future::join_all;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use protocol::Timestamp;
use service::metrics::Registry;
use store::document::User;
use store::schema::VERSION;
use store::{Store, StoreError, bson, name};

use super::{Commands, layout, version};
use crate::support::mongo_uri;

/// A user, and a conversation, as the first programs wrote them.
async fn fill_as_of_old(store: &Store) -> (ObjectId, ObjectId) {
    let now = Timestamp::now();
    let user =
        User::new("$Ada Lovelace".to_owned(), "a@x".to_owned(), "ada.l".to_owned(), "-".to_owned(), now);
    let mut user = bson::serialize_to_document(&user).unwrap();
    for field in ["nameLower", "terms", "friends", "blocked", "generation"] {
        user.remove(field).unwrap();
    }
    user.insert("settings", doc! {"notifications": false});
    let conversation = doc! {
        "_id": ObjectId::new(), "type": "group", "name": Bson::Null, "participants": [ObjectId::new()],
        "createdAt": DateTime::now(), "updatedAt": DateTime::now(),
    };
    let id = |document: &Document| document.get_object_id("_id").unwrap();
    let ids = (id(&user), id(&conversation));
    store.users().clone_with_type().insert_one(user).await.unwrap();
    store.conversations().clone_with_type().insert_one(conversation).await.unwrap();
    ids
}

/// Fails unless what the first programs did not write is there now.
async fn assert_filled(store: &Store, (user, conversation): (ObjectId, ObjectId)) {
    let users = store.users().clone_with_type::<Document>();
    let user = users.find_one(doc! {"_id": user}).await.unwrap().unwrap();
    assert_eq!(user.get_str("nameLower").unwrap(), "$ada lovelace");
    let terms: Vec<&str> =
        user.get_array("terms").unwrap().iter().map(|term| term.as_str().unwrap()).collect();
    assert_eq!(terms, ["ada", "ada.l", "l", "lovelace"]);
    assert_eq!((user.get_array("friends").unwrap().len(), user.get_array("blocked").unwrap().len()), (0, 0));
    assert_eq!(user.get_i64("generation").unwrap(), 0);
    // What was there stays.
    assert_eq!(user.get_document("settings").unwrap(), &doc! {"notifications": false, "privacy": "public"});
    let conversations = store.conversations().clone_with_type::<Document>();
    let conversation = conversations.find_one(doc! {"_id": conversation}).await.unwrap().unwrap();
    assert_eq!((conversation.get_i64("rev").unwrap(), conversation.get_bool("isActive").unwrap()), (0, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_together_migrate_an_old_database_once() {
    let (uri, commands) = (mongo_uri().await, Commands::default());
    let nodes = join_all((0..8).map(|_| commands.connect(&uri))).await;
    let ids = fill_as_of_old(&nodes[0]).await;
    for _ in 0..2 {
        for prepared in join_all(nodes.iter().map(Store::prepare)).await {
            prepared.unwrap();
        }
    }
    assert_eq!((commands.updates_of(name::USERS), commands.updates_of(name::CONVERSATIONS)), (1, 1));
    assert_filled(&nodes[0], ids).await;
    assert_eq!(version(&nodes[0]).await, VERSION);
    // It looks as if it had been made today.
    let fresh = Store::connect(&mongo_uri().await, "storage-test", "api", &Registry::new()).await.unwrap();
    fresh.prepare().await.unwrap();
    let (mut fresh, migrated) = (layout(&fresh).await, layout(&nodes[0]).await);
    assert_eq!(migrated.len(), fresh.len());
    for ((name, options, indexes), (_, _, wanted)) in migrated.iter().zip(&mut fresh) {
        assert_eq!(indexes, wanted, "{name}");
        let checked = [name::USERS, name::CONVERSATIONS].contains(&name.as_str());
        assert!(!checked || options.get_str("validationLevel").unwrap() == "moderate", "{name}: {options}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_database_is_not_migrated_whoever_looks_first() {
    let (uri, commands) = (mongo_uri().await, Commands::default());
    let nodes = join_all((0..8).map(|_| commands.connect(&uri))).await;
    commands.forget();
    for prepared in join_all(nodes.iter().map(Store::prepare)).await {
        prepared.unwrap();
    }
    // One look at the version each; the lock would be another.
    assert_eq!((commands.count("findAndModify"), commands.count("update")), (8, 0));
    assert_eq!(version(&nodes[0]).await, VERSION);
}

#[tokio::test]
async fn what_a_node_left_when_it_died_is_taken_over() {
    let store = Store::connect(&mongo_uri().await, "storage-test", "api", &Registry::new()).await.unwrap();
    let ids = fill_as_of_old(&store).await;
    // It was half through when it died.
    let users = store.users();
    users.update_one(doc! {}, doc! {"$set": {"nameLower": "$ada lovelace", "friends": []}}).await.unwrap();
    let expires = DateTime::from_millis(Timestamp::now().millis() + 1_500);
    let meta = store.database().collection::<Document>(name::META);
    let lock = doc! {"holder": ObjectId::new(), "expiresAt": expires};
    meta.insert_one(doc! {"_id": "schema", "version": 0_i64, "lock": lock}).await.unwrap();
    let error = store.prepare_within(Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, StoreError::Migrating { version: VERSION, .. }), "{error}");
    assert!(error.to_string().contains("another node"), "{error}");
    assert!(users.clone_with_type::<Document>().find_one(doc! {"terms": null}).await.unwrap().is_some());

    store.prepare().await.unwrap();
    assert!(DateTime::now() >= expires, "nobody is overtaken");
    assert_filled(&store, ids).await;
    let left = meta.find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(left, doc! {"_id": "schema", "version": VERSION}, "the lock is given back");
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone() {
    let store = Store::connect(&mongo_uri().await, "storage-test", "api", &Registry::new()).await.unwrap();
    let meta = store.database().collection::<Document>(name::META);
    let newer = doc! {"_id": "schema", "version": VERSION + 1};
    meta.insert_one(&newer).await.unwrap();
    let error = store.prepare().await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { known: VERSION, .. }), "{error}");
    assert!(error.to_string().contains("Start the newer one"), "{error}");
    assert_eq!(store.database().list_collection_names().await.unwrap(), [name::META]);
    assert_eq!(meta.find_one(doc! {}).await.unwrap().unwrap(), newer);
}

#[tokio::test]
async fn documents_that_a_migration_could_not_make_valid_can_still_be_changed() {
    let store = Store::connect(&mongo_uri().await, "storage-test", "api", &Registry::new()).await.unwrap();
    let odd = ObjectId::new();
    let users = store.users().clone_with_type::<Document>();
    users.insert_one(doc! {"_id": odd, "username": "odd", "name": 7}).await.unwrap();
    store.prepare().await.unwrap();
    users.update_one(doc! {"_id": odd}, doc! {"$set": {"bio": "still here"}}).await.unwrap();
    let error = StoreError::from(users.insert_one(doc! {"username": "odder"}).await.unwrap_err());
    assert!(matches!(error, StoreError::NotValid(_)), "{error}");
    assert!(!error.to_string().contains("odder"), "{error}");
}
