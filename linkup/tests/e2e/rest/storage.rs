//! What the database must look like: validators, indexes, versions and migrations, and files in pieces.
//!
//! | module | shows |
//! |---|---|
//! | [`refused`] | which documents the validators refuse |
//! | [`migrated`] | databases of earlier and later programs, and many nodes at once |
//! | [`files`] | files are written and read in pieces, and leave nothing behind |

mod files;
mod migrated;
mod refused;

use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use service::metrics::Registry;
use store::schema::VERSION;
use store::{Store, name};

use crate::support::mongo_uri;

/// The commands that a store has sent: their names, and what they were about.
#[derive(Clone, Default)]
struct Commands(Arc<Mutex<Vec<(String, String)>>>);

impl Commands {
    /// A store whose commands are noted here.
    async fn connect(&self, uri: &str) -> Store {
        let commands = self.clone();
        let note = move |event| {
            if let CommandEvent::Started(started) = event {
                let about = started.command.get_str(&started.command_name).unwrap_or_default().to_owned();
                commands.0.lock().unwrap().push((started.command_name, about));
            }
        };
        let configure = |options: &mut mongodb::options::ClientOptions| {
            options.command_event_handler = Some(EventHandler::callback(note));
        };
        Store::connect_with(uri, "storage-test", "api", &Registry::new(), configure).await.unwrap()
    }

    /// How often a command of this name was sent.
    fn count(&self, name: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|(command, _)| command == name).count()
    }

    /// How many documents of this collection were updated, counted in commands.
    fn updates_of(&self, collection: &str) -> usize {
        let sent = self.0.lock().unwrap();
        sent.iter().filter(|(command, about)| command == "update" && about == collection).count()
    }

    fn forget(&self) {
        self.0.lock().unwrap().clear();
    }
}

/// Everything that the database says of its collections and their indexes, in the order of their names.
async fn layout(store: &Store) -> Vec<(String, Document, Vec<Document>)> {
    let mut layout = Vec::new();
    let mut collections = store.database().run_cursor_command(doc! {"listCollections": 1}).await.unwrap();
    while let Some(collection) = collections.try_next().await.unwrap() {
        let name = collection.get_str("name").unwrap().to_owned();
        let listing = store.database().run_cursor_command(doc! {"listIndexes": &name}).await.unwrap();
        let mut indexes: Vec<Document> = listing.try_collect().await.unwrap();
        indexes.sort_by_key(|index| index.get_str("name").unwrap().to_owned());
        layout.push((name, collection.get_document("options").unwrap().clone(), indexes));
    }
    layout.sort_by(|one, other| one.0.cmp(&other.0));
    layout
}

/// How many files there are, and how many chunks of files.
pub(super) async fn files_left(store: &Store) -> (u64, u64) {
    let count = async |name: &str| {
        store.database().collection::<Document>(name).count_documents(doc! {}).await.unwrap()
    };
    (count(store::upload::FILES).await, count(store::upload::CHUNKS).await)
}

async fn version(store: &Store) -> i64 {
    let meta = store.database().collection::<Document>(name::META);
    meta.find_one(doc! {"_id": "schema"}).await.unwrap().unwrap().get_i64("version").unwrap()
}

#[tokio::test]
async fn preparing_makes_everything_once() {
    let commands = Commands::default();
    let store = commands.connect(&mongo_uri().await).await;
    commands.forget();
    store.prepare().await.unwrap();
    assert_eq!(version(&store).await, VERSION);
    let made = layout(&store).await;
    for (collection, unchecked) in [
        (name::USERS, false),
        (name::CONVERSATIONS, false),
        (name::MESSAGES, false),
        (name::ACTIVITIES, false),
        (name::READS, false),
        (name::PRESENCE, false),
        (name::GATEWAYS, false),
        (name::LEASES, true),
        (store::upload::FILES, true),
        (store::upload::CHUNKS, true),
    ] {
        let (_, options, _) = made.iter().find(|(name, ..)| name == collection).unwrap();
        assert_eq!(options.is_empty(), unchecked, "{collection}: {options}");
    }
    // A new database is made in one command for each collection and one for the indexes of each, and migrates nothing.
    assert_eq!((commands.count("create"), commands.count("collMod"), commands.count("update")), (9, 0, 0));
    assert_eq!((commands.count("createIndexes"), commands.count("findAndModify")), (6, 1));
    commands.forget();
    store.prepare().await.unwrap();
    assert_eq!(commands.count("create") + commands.count("collMod") + commands.count("update"), 0);
    assert_eq!(layout(&store).await, made);
}

#[tokio::test]
async fn a_validator_that_somebody_changed_is_set_again() {
    let commands = Commands::default();
    let store = commands.connect(&mongo_uri().await).await;
    store.prepare().await.unwrap();
    let made = layout(&store).await;
    let lax = doc! {"collMod": name::USERS, "validationLevel": "off"};
    store.database().run_command(lax).await.unwrap();
    let other = doc! {"collMod": name::READS, "validator": {"seq": {"$exists": true}}};
    store.database().run_command(other).await.unwrap();
    assert_ne!(layout(&store).await, made);
    commands.forget();
    store.prepare().await.unwrap();
    assert_eq!(commands.count("collMod"), 2);
    assert_eq!(layout(&store).await, made);
}

/// The stages of a plan, and the indexes that it uses.
fn stages(plan: &Bson, found: &mut Vec<String>) {
    match plan {
        Bson::Document(document) => {
            for field in ["stage", "indexName"] {
                found.extend(document.get_str(field).ok().map(str::to_owned));
            }
            document.iter().for_each(|(_, value)| stages(value, found));
        }
        Bson::Array(values) => values.iter().for_each(|value| stages(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn indexes_serve_the_queries_that_they_are_there_for() {
    let store = Store::connect(&mongo_uri().await, "storage-test", "api", &Registry::new()).await.unwrap();
    store.prepare().await.unwrap();
    let (id, time) = (mongodb::bson::oid::ObjectId::new(), mongodb::bson::DateTime::now());
    for (collection, index, filter, sort) in [
        (name::USERS, "friends", doc! {"friends": id}, doc! {}),
        (name::USERS, "score", doc! {}, doc! {"score": -1, "_id": 1}),
        (name::CONVERSATIONS, store::index::CONVERSATION_ACTIVITY, doc! {"activityId": id}, doc! {}),
        (
            name::MESSAGES,
            "conversation_changes",
            doc! {"conversationId": id, "change.at": {"$gte": time}},
            doc! {"change.at": 1, "seq": 1},
        ),
        (name::ACTIVITIES, "time", doc! {"dateTime": {"$gte": time}}, doc! {"dateTime": 1, "_id": 1}),
        (name::ACTIVITIES, "type_time", doc! {"activityType": "hobby"}, doc! {"dateTime": 1, "_id": 1}),
        (name::ACTIVITIES, "participants_time", doc! {"participants": id}, doc! {"dateTime": 1, "_id": 1}),
        (name::ACTIVITIES, "host_time", doc! {"hostId": id}, doc! {"dateTime": 1, "_id": 1}),
        (
            store::upload::CHUNKS,
            store::index::UPLOAD_CHUNK,
            doc! {"files_id": id},
            doc! {"files_id": 1, "n": 1},
        ),
    ] {
        let find = doc! {"find": collection, "filter": filter, "sort": sort, "hint": index};
        let plan = store.database().run_command(doc! {"explain": find, "verbosity": "queryPlanner"}).await;
        let mut found = Vec::new();
        // An index that cannot answer the query at all is refused as a hint.
        stages(plan.unwrap().get_document("queryPlanner").unwrap().get("winningPlan").unwrap(), &mut found);
        assert!(found.iter().any(|stage| stage == index), "{collection}.{index}: {found:?}");
        assert!(!found.iter().any(|stage| stage == "SORT"), "{collection}.{index}: {found:?}");
    }
}
