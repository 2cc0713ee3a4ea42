//! Who is told that somebody came or went: friends, and those with whom there is a direct conversation.
//!
//! Never somebody who blocks the other or is blocked by them; and when somebody was last seen, only those who see it in
//! their profile: their friends, and everybody where it is public. This is not cached: friends and blocks change
//! without a word of the stream, and a status comes rarely. It is looked up for all users of a batch together, as of
//! the batch's last change, so that whoever was blocked before the status is not told.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, RawDocument, doc};
use protocol::Id;
use protocol::body::Privacy;
use rustc_hash::{FxHashMap, FxHashSet};
use store::document::Kind;
use store::name;
use store::stream::StreamError;

use crate::change::raw::{id, ids, optional_ids};
use crate::past::Past;

/// How many users are looked up with the same three queries.
const USERS: usize = 500;
/// How many of their friends and partners are looked up with one query: a command holds no more than 16 MiB.
const OTHERS: usize = 50_000;
/// Lists up to this length travel whole: picking from them what was asked for would cost more than it saves.
const SHORT: i64 = 64;

/// What is known of one of the users in question.
#[derive(Debug, Default)]
struct Circle {
    /// Whom they have added.
    added: FxHashSet<Id>,
    blocked: FxHashSet<Id>,
    /// With whom they have a direct conversation in which nobody blocks.
    partners: FxHashSet<Id>,
    /// Those whom they have added and who have added them.
    friends: FxHashSet<Id>,
    /// Whether everybody sees their whole profile.
    is_public: bool,
    audience: FxHashSet<Id>,
}

/// Who is to be told what somebody does, themself not among them; in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Audience {
    /// They are told everything.
    pub(crate) whole: Vec<Id>,
    /// They are not told when it was that the user was last seen.
    pub(crate) partly: Vec<Id>,
}

/// Who is to be told what each of these users does, the users themselves not among them. Three queries for up to
/// five hundred users, one more for each fifty thousand of their friends and partners together.
///
/// # Errors
///
/// When the past cannot be read.
pub(crate) async fn load(past: &impl Past, users: &[Id]) -> Result<FxHashMap<Id, Audience>, StreamError> {
    let mut audiences = FxHashMap::default();
    for users in users.chunks(USERS) {
        let mut circles = circles(past, users).await?;
        tell_each_other(past, users, &mut circles).await?;
        audiences.extend(circles.into_iter().map(|(user, circle)| (user, Audience::from(circle))));
    }
    Ok(audiences)
}

/// Whom these users have added and blocked, and with whom they talk. Who does not exist has no circle.
async fn circles(past: &impl Past, users: &[Id]) -> Result<FxHashMap<Id, Circle>, StreamError> {
    let oids = store::convert::oids(users.iter().copied());
    let talks = doc! {
        "participants": { "$in": &oids }, "type": Kind::Direct.as_str(), "blockedBy.0": { "$exists": false },
    };
    let fields = doc! { "friends": 1, "blocked": 1, "settings.privacy": 1 };
    let (people, talks) = tokio::try_join!(
        past.find(name::USERS, doc! { "_id": { "$in": &oids } }, fields),
        past.find(name::CONVERSATIONS, talks, doc! { "participants": 1 }),
    )?;
    let mut circles = FxHashMap::default();
    for document in readable(&people) {
        let Ok((user, added, blocked)) = relations(document) else { continue };
        let circle = Circle {
            added: added.into_iter().collect(),
            blocked: blocked.into_iter().collect(),
            is_public: is_public(document),
            ..Circle::default()
        };
        circles.insert(user, circle);
    }
    for document in readable(&talks) {
        let Ok(pair) = document.get_array("participants").map_err(Into::into).and_then(ids) else { continue };
        for (user, partner) in both_ways(&pair) {
            if let Some(circle) = circles.get_mut(&user) {
                circle.partners.insert(partner);
            }
        }
    }
    Ok(circles)
}

/// Finds out which of those whom the users added have added them too, and who blocks whom.
async fn tell_each_other(
    past: &impl Past,
    users: &[Id],
    circles: &mut FxHashMap<Id, Circle>,
) -> Result<(), StreamError> {
    let others: FxHashSet<Id> =
        circles.values().flat_map(|circle| circle.added.iter().chain(&circle.partners)).copied().collect();
    for circle in circles.values_mut() {
        circle.audience = circle.partners.difference(&circle.blocked).copied().collect();
    }
    let (others, users): (Vec<Id>, _) =
        (others.into_iter().collect(), store::convert::oids(users.iter().copied()));
    for others in others.chunks(OTHERS) {
        let filter = doc! {
            "_id": { "$in": store::convert::oids(others.iter().copied()) },
            "$or": [{ "friends": { "$in": &users } }, { "blocked": { "$in": &users } }],
        };
        let projection = doc! { "friends": among(&users, "$friends"), "blocked": among(&users, "$blocked") };
        for document in readable(&past.find(name::USERS, filter, projection).await?) {
            let Ok((other, adds, blocks)) = relations(document) else { continue };
            for user in adds {
                if let Some(circle) = circles.get_mut(&user)
                    && circle.added.contains(&other)
                    && !circle.blocked.contains(&other)
                {
                    circle.friends.insert(other);
                    circle.audience.insert(other);
                }
            }
            for user in blocks {
                if let Some(circle) = circles.get_mut(&user) {
                    circle.audience.remove(&other);
                }
            }
        }
    }
    Ok(())
}

/// An expression: the users in question who are in a list, and others as well where the list is short.
fn among(users: &[ObjectId], list: &str) -> Document {
    let list = doc! { "$ifNull": [list, []] };
    doc! { "$cond": [{ "$lte": [{ "$size": &list }, SHORT] }, &list, { "$setIntersection": [&list, users] }] }
}

fn readable(documents: &[impl AsRef<RawDocument>]) -> impl Iterator<Item = &RawDocument> {
    documents.iter().map(AsRef::as_ref)
}

fn relations(document: &RawDocument) -> Result<(Id, Vec<Id>, Vec<Id>), StreamError> {
    Ok((id(document, "_id")?, optional_ids(document, "friends")?, optional_ids(document, "blocked")?))
}

/// What is not known to be public is not.
fn is_public(document: &RawDocument) -> bool {
    let settings = document.get_document("settings");
    settings.and_then(|settings| settings.get_str("privacy")).ok().and_then(Privacy::parse)
        == Some(Privacy::Public)
}

fn both_ways(pair: &[Id]) -> impl Iterator<Item = (Id, Id)> {
    let pair = <[Id; 2]>::try_from(pair).ok();
    pair.into_iter().flat_map(|[one, other]| [(one, other), (other, one)])
}

impl From<Circle> for Audience {
    fn from(circle: Circle) -> Self {
        let mut audience: Vec<Id> = circle.audience.into_iter().collect();
        audience.sort_unstable();
        let sees_all = |user: &Id| circle.is_public || circle.friends.contains(user);
        let (whole, partly) = audience.into_iter().partition(sees_all);
        Self { whole, partly }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use mongodb::bson::{RawDocumentBuf, rawdoc};

    use super::*;

    /// Answers queries from what it is told, and counts them.
    #[derive(Default)]
    struct Told {
        /// Each user's friends and blocked users.
        users: FxHashMap<Id, (Vec<Id>, Vec<Id>)>,
        /// Whose profile is public.
        public: FxHashSet<Id>,
        /// Direct conversations in which nobody blocks.
        talks: Vec<[Id; 2]>,
        queries: Mutex<Vec<&'static str>>,
    }

    fn asked(filter: &Document, field: &str) -> FxHashSet<Id> {
        let list = filter.get_document(field).unwrap().get_array("$in").unwrap();
        list.iter().map(|oid| store::convert::id(oid.as_object_id().unwrap())).collect()
    }

    fn list(ids: &[Id]) -> mongodb::bson::RawArrayBuf {
        mongodb::bson::RawArrayBuf::from_iter(store::convert::oids(ids.iter().copied()))
    }

    impl Past for Told {
        async fn find(
            &self,
            collection: &'static str,
            filter: Document,
            _: Document,
        ) -> Result<Vec<RawDocumentBuf>, StreamError> {
            self.queries.lock().unwrap().push(collection);
            if collection == name::CONVERSATIONS {
                let asked = asked(&filter, "participants");
                let of = self.talks.iter().filter(|pair| pair.iter().any(|id| asked.contains(id)));
                return Ok(of.map(|pair| rawdoc! { "participants": list(pair) }).collect());
            }
            let asked = asked(&filter, "_id");
            let of = self.users.iter().filter(|(id, _)| asked.contains(id));
            let document = |(id, (friends, blocked)): (&Id, &(Vec<Id>, Vec<Id>))| {
                let privacy = if self.public.contains(id) { "public" } else { "friends-only" };
                rawdoc! {
                    "_id": store::convert::oid(*id), "friends": list(friends), "blocked": list(blocked),
                    "settings": { "privacy": privacy },
                }
            };
            Ok(of.map(document).collect())
        }
    }

    fn people<const N: usize>() -> [Id; N] {
        std::array::from_fn(|n| Id::from_bytes([n as u8 + 1; 12]))
    }

    #[tokio::test]
    async fn friends_of_both_sides_and_partners_are_told_and_nobody_who_blocks_or_is_blocked() {
        let [ada, friend, admirer, admired, partner, blocker, blocked, stranger] = people();
        let mut told = Told::default();
        told.users.insert(ada, (vec![friend, admired, blocked], vec![blocked, stranger]));
        for (user, friends, blocks) in [
            (friend, vec![ada, stranger], vec![]),
            (admirer, vec![ada], vec![]),
            (admired, vec![], vec![]),
            (blocker, vec![], vec![ada]),
            (blocked, vec![ada], vec![]),
            (stranger, vec![friend], vec![]),
        ] {
            told.users.insert(user, (friends, blocks));
        }
        told.talks = vec![[ada, partner], [blocker, ada], [ada, blocked], [friend, stranger]];
        let audiences = load(&told, &[ada, friend, Id::mint()]).await.unwrap();
        let audience =
            |whole: &[Id], partly: &[Id]| Audience { whole: whole.to_vec(), partly: partly.to_vec() };
        assert_eq!(audiences[&ada], audience(&[friend], &[partner]), "a partner is not told when");
        assert_eq!(audiences[&friend], audience(&[ada, stranger], &[]));
        assert_eq!(audiences.len(), 2, "who does not exist has nobody to be told");
        told.public.insert(ada);
        let audiences = load(&told, &[ada]).await.unwrap();
        assert_eq!(audiences[&ada], audience(&[friend, partner], &[]));
    }

    #[tokio::test]
    async fn a_thousand_users_take_six_queries_whatever_their_friends() {
        let users: Vec<Id> = (0..1_000).map(|_| Id::mint()).collect();
        let mut told = Told::default();
        for (n, user) in users.iter().enumerate() {
            let friends = (1..30).map(|k| users[(n + k) % 1_000]).collect();
            told.users.insert(*user, (friends, vec![]));
        }
        told.talks = users.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
        let audiences = load(&told, &users).await.unwrap();
        assert_eq!(audiences.len(), 1_000);
        assert_eq!(audiences[&users[0]].partly, [users[1]]);
        assert_eq!(told.queries.lock().unwrap().len(), 6);
    }
}
