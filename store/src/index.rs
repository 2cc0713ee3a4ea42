//! The collections' indexes, each with the query it serves.

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;

use crate::{name, upload};

/// The name of the index that makes `seq` strict.
pub const MESSAGE_SEQ: &str = "conversation_seq";
/// The name of the index that makes a client's retry find its message.
pub const MESSAGE_CLIENT_ID: &str = "sender_conversation_client_id";
/// The name of the index that makes a direct conversation unique.
pub const DIRECT_KEY: &str = "direct_key";
/// The name of the index that gives an activity at most one conversation.
pub const CONVERSATION_ACTIVITY: &str = "activity";
/// The name of the index that makes an e-mail address unique.
pub const USER_EMAIL: &str = "email";
/// The name of the index that makes a username unique.
pub const USER_USERNAME: &str = "username";
/// The name of the index that makes a chunk of a file unique. It is the one that other GridFS drivers give it.
pub const UPLOAD_CHUNK: &str = "files_id_1_n_1";

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

    fn model(self) -> IndexModel {
        let options = IndexOptions::builder()
            .name(self.name.to_owned())
            .unique(self.unique.then_some(true))
            .partial_filter_expression(self.only_with.map(|field| doc! {field: {"$exists": true}}))
            .build();
        IndexModel::builder().keys(self.keys).options(options).build()
    }
}

/// The indexes of a collection.
pub(crate) fn of(collection: &str) -> Vec<IndexModel> {
    let all = users().into_iter().chain(conversations()).chain(messages()).chain(activities());
    let all = all.chain(uploads()).chain(presence());
    all.filter(|index| index.collection == collection).map(Index::model).collect()
}

fn users() -> Vec<Index> {
    vec![
        // Signing in, and one account per address.
        Index::on(name::USERS, USER_EMAIL, doc! {"email": 1}).unique(),
        // One owner per handle.
        Index::on(name::USERS, USER_USERNAME, doc! {"username": 1}).unique(),
        // The list of users in the order of names, and searches that find many.
        Index::on(name::USERS, "name", doc! {"nameLower": 1, "_id": 1}),
        // Searches that find few.
        Index::on(name::USERS, "terms", doc! {"terms": 1}),
        // Who has added me: requests that wait for an answer.
        Index::on(name::USERS, "friends", doc! {"friends": 1}),
        // Who has blocked me, when I am deleted.
        Index::on(name::USERS, "blocked", doc! {"blocked": 1}),
        // The leaderboard.
        Index::on(name::USERS, "score", doc! {"score": -1, "_id": 1}),
    ]
}

fn conversations() -> Vec<Index> {
    let on = |name, keys| Index::on(name::CONVERSATIONS, name, keys);
    vec![
        // A user's conversations. Not with `updatedAt`: every write of the view would rewrite a key per participant.
        on("participants", doc! {"participants": 1}),
        // One direct conversation between two people, under any race.
        on(DIRECT_KEY, doc! {"directKey": 1}).unique().only_with("directKey"),
        // The conversation of an activity, and only one, under any race.
        on(CONVERSATION_ACTIVITY, doc! {"activityId": 1}).unique().only_with("activityId"),
        // The conversations of probes, whose old messages are removed. No other is in it.
        on("probe", doc! {"probe": 1}).only_with("probe"),
    ]
}

fn messages() -> Vec<Index> {
    let on = |name, keys| Index::on(name::MESSAGES, name, keys);
    vec![
        // Strict numbers; pages of messages by `seq`; the last message; unread counts; `after`.
        on(MESSAGE_SEQ, doc! {"conversationId": 1, "seq": 1}).unique(),
        // A client that sends again finds what it stored.
        on(MESSAGE_CLIENT_ID, doc! {"sender": 1, "conversationId": 1, "clientMessageId": 1})
            .unique()
            .only_with("clientMessageId"),
        // Pages of messages `before` a time; `seq` orders those of one millisecond.
        on("conversation_time", doc! {"conversationId": 1, "createdAt": 1, "seq": 1}),
        // Edits and deletions since a time. A message that was only sent is not in it, and costs it nothing.
        on("conversation_changes", doc! {"conversationId": 1, "change.at": 1, "seq": 1})
            .only_with("change.at"),
    ]
}

fn activities() -> Vec<Index> {
    let on = |name, keys| Index::on(name::ACTIVITIES, name, keys);
    vec![
        // The list of activities, the earliest first; the same of one type, with one participant, of one host.
        on("time", doc! {"dateTime": 1, "_id": 1}),
        on("type_time", doc! {"activityType": 1, "dateTime": 1, "_id": 1}),
        on("participants_time", doc! {"participants": 1, "dateTime": 1, "_id": 1}),
        on("host_time", doc! {"hostId": 1, "dateTime": 1, "_id": 1}),
    ]
}

fn uploads() -> Vec<Index> {
    // The bytes of a file, in order. Not left to the driver, which makes it with the first file of more than one chunk,
    // and only as long as there is no other file.
    vec![Index::on(upload::CHUNKS, UPLOAD_CHUNK, doc! {"files_id": 1, "n": 1}).unique()]
}

fn presence() -> Vec<Index> {
    // Whom a gateway that fell silent leaves behind, a few hundred at a time; which gateways there are.
    vec![Index::on(name::PRESENCE, "nodes", doc! {"nodes": 1, "_id": 1})]
}
