//! People, and what they have.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use protocol::{Id, Timestamp};
use serde_json::{Value, json};
use store::Store;
use store::bson::{Document, doc};
use store::convert::oid;
use store::password::PasswordHash;

use crate::rest::fixture::{Node, Person, id, tokens};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse";
/// What only members of the group read.
const WORDS: &str = "for members only";

/// Ada has a group with Bob, hosts an activity in which he takes part, and has a direct conversation with Max.
pub(crate) struct World {
    /// Whose everything is. Her sessions were ended once.
    pub(crate) ada: Person,
    /// Hers.
    pub(crate) email: String,
    /// A member of the group and of the activity, to whom nothing belongs.
    pub(crate) bob: Person,
    /// Has nothing to do with any of it.
    pub(crate) eve: Person,
    /// Was in the group and in the activity.
    pub(crate) rex: Person,
    /// Whom Ada has blocked.
    pub(crate) max: Person,
    /// Whose sessions were ended, and who is deleted.
    pub(crate) gone: Person,
    pub(crate) group: Id,
    /// Ada's, in the group.
    pub(crate) message: Id,
    /// Rex's, in the group.
    pub(crate) message_of_rex: Id,
    /// Ada and Max.
    pub(crate) direct: Id,
    /// Max's, in the direct conversation.
    pub(crate) message_of_max: Id,
    pub(crate) activity: Id,
    /// The activity's.
    pub(crate) chat: Id,
    /// Ada's file, and the seal of its address.
    pub(crate) upload: Id,
    pub(crate) seal: String,
}

impl World {
    pub(crate) async fn make(node: &Node) -> Self {
        let [ada, bob, eve] =
            [person(node, "Ada").await, person(node, "Bob").await, person(node, "Eve").await];
        let [rex, max, gone] =
            [person(node, "Rex").await, person(node, "Max").await, person(node, "Gone").await];
        ada.rest.delete("/api/auth/sessions", None).await.ok();
        let ada = with_generation(node, ada.id, 1);
        let email = ada.me().await["email"].as_str().unwrap().to_owned();
        let group = ada.conversation(&[&bob, &rex]).await;
        let message = id(&ada.say(group, WORDS).await);
        let message_of_rex = id(&rex.say(group, WORDS).await);
        let members = json!({"participants": [ada.id, bob.id]});
        ada.rest.put(&format!("/api/conversations/{group}"), &members).await.ok();
        let direct = max.conversation(&[&ada]).await;
        let message_of_max = id(&max.say(direct, "hello").await);
        ada.rest.post(&format!("/api/users/{}/blocks/{}", ada.id, max.id), &json!({})).await.ok();
        let (activity, chat) = activity(&ada, &[&bob, &rex]).await;
        rex.rest.post(&format!("/api/activities/{activity}/leave"), &json!({})).await.ok();
        let (upload, seal) = upload(node, &ada).await;
        node.store.users().delete_one(doc! {"_id": oid(gone.id)}).await.unwrap();
        Self {
            ada,
            email,
            bob,
            eve,
            rex,
            max,
            gone,
            group,
            message,
            message_of_rex,
            direct,
            message_of_max,
            activity,
            chat,
            upload,
            seal,
        }
    }

    /// What nobody is told who is not in the group.
    pub(super) fn secrets(&self) -> [String; 2] {
        [self.group.to_string(), WORDS.to_owned()]
    }
}

/// A new user whose password is [`PASSWORD`].
pub(crate) async fn person(node: &Node, name: &str) -> Person {
    static HASH: OnceLock<PasswordHash> = OnceLock::new();
    let hash = HASH.get_or_init(|| PasswordHash::of(PASSWORD).unwrap());
    let hash = store::bson::serialize_to_bson(hash).unwrap();
    let person = node.person(name).await;
    let change = doc! {"$set": {"password": hash}};
    node.store.users().update_one(doc! {"_id": oid(person.id)}, change).await.unwrap();
    person
}

/// A user whose sessions were ended so many times.
pub(crate) fn with_generation(node: &Node, id: Id, generation: i64) -> Person {
    let token = tokens().sign(id, generation, Duration::from_secs(60 * 60)).unwrap();
    Person { id, rest: node.rest.with_token(&token), token }
}

/// An activity tomorrow with these guests, and its conversation.
async fn activity(host: &Person, guests: &[&Person]) -> (Id, Id) {
    let tomorrow = Timestamp::from_millis(Timestamp::now().millis() + 86_400_000);
    let body = json!({"title": "Tea", "activityType": "social", "dateTime": tomorrow});
    let activity = id(&host.rest.post("/api/activities", &body).await.ok());
    for guest in guests {
        guest.rest.post(&format!("/api/activities/{activity}/join"), &json!({})).await.ok();
    }
    let chat = host.rest.get(&format!("/api/activities/{activity}/conversation")).await.ok();
    (activity, id(&chat))
}

async fn upload(node: &Node, owner: &Person) -> (Id, String) {
    let request = Request::builder()
        .method("POST")
        .uri(format!("http://{}/api/uploads", node.address))
        .header(AUTHORIZATION, format!("Bearer {}", owner.token))
        .header(CONTENT_TYPE, "text/plain");
    let request = request.body(Full::new(Bytes::from_static(b"a file"))).unwrap();
    let upload: Value = node.rest.send(request).await.ok();
    let url = upload["url"].as_str().unwrap();
    (id(&upload), url.rsplit('/').next().unwrap().to_owned())
}

/// A hash of all documents of each collection.
pub(crate) async fn digest(store: &Store) -> BTreeMap<String, String> {
    let hashed = store.database().run_command(doc! {"dbHash": 1}).await.unwrap();
    let collections: &Document = hashed.get_document("collections").unwrap();
    assert!(collections.contains_key(store::name::USERS), "{hashed}");
    collections.iter().map(|(name, hash)| (name.clone(), hash.as_str().unwrap().to_owned())).collect()
}
