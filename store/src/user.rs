//! Queries on users.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::options::ReturnDocument;
use protocol::body::Privacy;
use protocol::{Id, Timestamp};
use serde::Deserialize;

use crate::command::Command;
use crate::convert::{date, oid, oids};
use crate::document::{Profile, Seen, Settings, User};
use crate::message::whole;
use crate::password::PasswordHash;
use crate::probe::not_of_probes;
use crate::{COMMAND_TIMEOUT, Store, StoreError, name, readable};

/// The fields of [`Seen`] that are stored under the same name.
const SEEN: [&str; 13] = [
    "username",
    "name",
    "avatar",
    "status",
    "lastSeen",
    "bio",
    "score",
    "interests",
    "location",
    "occupation",
    "joinedDate",
    "createdAt",
    "updatedAt",
];

/// How often a change of name or handle is tried anew when others change the same user at the same time.
const RENAME_TRIES: usize = 10;

/// The most interests that a user can have.
pub const MAX_INTERESTS: usize = 50;

/// What to look for among the users.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// Words with which words of the name or the handle begin; empty finds everybody.
    pub words: &'a str,
    /// In which order.
    pub order: Order,
    /// How many to skip.
    pub skip: u64,
    /// How many at most.
    pub limit: u32,
}

/// The orders of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By name.
    Name,
    /// By score, the highest first.
    Score,
}

/// What users are to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Both have added each other.
    Friends,
    /// They were added, and have not answered.
    Requested,
    /// They have added, and were not answered.
    Received,
    /// They were blocked.
    Blocked,
}

/// What is to change about a user.
#[derive(Clone, Debug)]
pub struct UserChange {
    /// The new name.
    pub name: Option<String>,
    /// The new handle.
    pub username: Option<String>,
    /// Other fields, by their stored names.
    pub fields: Document,
    /// When.
    pub at: Timestamp,
}

impl User {
    /// A user who just registered. `email` is in lower case.
    #[must_use]
    pub fn new(
        name: String,
        email: String,
        username: String,
        password: impl Into<PasswordHash>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: Id::mint(),
            terms: search_terms(&name, &username),
            name_lower: name.to_lowercase(),
            username,
            name,
            email,
            password: password.into(),
            avatar: None,
            status: "offline".to_owned(),
            last_seen: None,
            friends: Vec::new(),
            blocked: Vec::new(),
            generation: 0,
            bio: String::new(),
            score: 0,
            interests: Vec::new(),
            location: String::new(),
            occupation: String::new(),
            joined_date: now,
            settings: Settings { notifications: true, privacy: Privacy::Public.as_str().to_owned() },
            probe: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// What a search finds a user by: the words of the name, and the handle whole and in parts.
pub(crate) fn search_terms(name: &str, username: &str) -> Vec<String> {
    let mut terms: Vec<String> = words(name).chain(words(username)).collect();
    terms.push(username.to_lowercase());
    terms.sort();
    terms.dedup();
    terms
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Finds users one of whose terms begins with each word of `search`. Anchored and escaped: it walks a range of the
/// index, and nothing a client writes is ever a pattern.
fn search_filter(search: &str) -> impl Iterator<Item = Document> {
    let begins = |word: String| doc! {"terms": {"$regex": format!("^{}", escape(&word))}};
    search.split_whitespace().map(move |word| {
        // O'Hara is found by "o'hara" as they are by "o hara": a word is what it says, or all of its parts.
        let parts: Vec<Document> = words(word).map(begins).collect();
        let whole = begins(word.to_lowercase());
        if parts.is_empty() || word.chars().all(char::is_alphanumeric) {
            whole
        } else {
            doc! {"$or": [whole, {"$and": parts}]}
        }
    })
}

/// Whom `viewer` may find. Private users are found by their friends only; in the order of scores, so are those who show
/// their score to friends only: their place in it would tell it.
fn findable(viewer: &User, order: Order) -> Document {
    let (public, limited) = (Privacy::Public.as_str(), Privacy::FriendsOnly.as_str());
    let open = match order {
        Order::Name => vec![public, limited],
        Order::Score => vec![public],
    };
    let friends = doc! {"_id": {"$in": oids(viewer.friends.iter().copied())}, "friends": oid(viewer.id)};
    doc! {"$or": [{"settings.privacy": {"$in": open}}, {"_id": oid(viewer.id)}, friends]}
}

/// Makes every character of a text mean itself in a regular expression.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

impl Store {
    /// Stores a new user. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] in [`crate::index::USER_EMAIL`] or [`crate::index::USER_USERNAME`]; others.
    pub async fn insert_user(&self, user: &User) -> Result<(), StoreError> {
        self.run(Command::Insert, self.users().insert_one(user)).await.map(drop)
    }

    /// The user with this e-mail address, given in lower case, with the hash of their password. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        self.run(Command::Find, self.users().find_one(doc! {"email": email}).max_time(COMMAND_TIMEOUT)).await
    }

    /// One user, without the hash of their password. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn user(&self, id: Id) -> Result<Option<User>, StoreError> {
        let users = self.users();
        let action = users.find_one(doc! {"_id": oid(id)}).projection(doc! {"password": 0});
        self.run(Command::Find, action.max_time(COMMAND_TIMEOUT)).await
    }

    /// The hash of a user's password. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn password_of(&self, id: Id) -> Result<Option<PasswordHash>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            password: PasswordHash,
        }
        let users = self.users().clone_with_type::<Row>();
        let action = users.find_one(doc! {"_id": oid(id)}).projection(doc! {"password": 1});
        Ok(self.run(Command::Find, action.max_time(COMMAND_TIMEOUT)).await?.map(|row| row.password))
    }

    /// The profiles of those of these users who exist and can be read. One command, none if there is nothing to ask.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn profiles(&self, ids: &[Id]) -> Result<Vec<Profile>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let users = self.users().clone_with_type::<RawDocumentBuf>();
        let action = users
            .find(doc! {"_id": {"$in": oids(ids.iter().copied())}})
            .projection(doc! {"name": 1, "avatar": 1, "status": 1, "generation": 1, "probe": 1})
            .batch_size(whole(ids.len()))
            .max_time(COMMAND_TIMEOUT);
        let rows: Vec<RawDocumentBuf> =
            self.run(Command::Find, async { action.await?.try_collect().await }).await?;
        Ok(readable(name::USERS, &rows))
    }

    /// A page of the users whom `viewer` may find. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn search_users(&self, viewer: &User, search: &Search<'_>) -> Result<Vec<Seen>, StoreError> {
        let mut all = vec![doc! {"blocked": {"$ne": oid(viewer.id)}}, findable(viewer, search.order)];
        all.extend(search_filter(search.words));
        let sort = match search.order {
            Order::Name => doc! {"nameLower": 1, "_id": 1},
            Order::Score => doc! {"score": -1, "_id": 1},
        };
        self.find_seen(viewer.id, doc! {"$and": all}, sort, search.skip, search.limit).await
    }

    /// One user as `viewer` may come to see them. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn seen_user(&self, viewer: Id, id: Id) -> Result<Option<Seen>, StoreError> {
        Ok(self.seen_users(viewer, &[id]).await?.pop())
    }

    /// Those of these users who exist and can be read, as `viewer` may come to see them. One command, none if there is
    /// nothing to ask.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn seen_users(&self, viewer: Id, ids: &[Id]) -> Result<Vec<Seen>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let filter = doc! {"_id": {"$in": oids(ids.iter().copied())}};
        self.find_seen(viewer, filter, doc! {"_id": 1}, 0, u32::try_from(ids.len()).unwrap_or(u32::MAX)).await
    }

    /// A page of those who are to `user` what is asked for, in the order of names. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn related_users(
        &self,
        user: &User,
        relation: Relation,
        skip: u64,
        limit: u32,
    ) -> Result<Vec<Seen>, StoreError> {
        let (added, me) = (oids(user.friends.iter().copied()), oid(user.id));
        let filter = match relation {
            Relation::Friends => doc! {"_id": {"$in": added}, "friends": me},
            Relation::Requested => {
                doc! {"_id": {"$in": added}, "friends": {"$ne": me}, "blocked": {"$ne": me}}
            }
            Relation::Received => {
                let settled = oids(user.friends.iter().chain(&user.blocked).copied());
                doc! {"friends": me, "_id": {"$nin": settled}}
            }
            Relation::Blocked => doc! {"_id": {"$in": oids(user.blocked.iter().copied())}},
        };
        self.find_seen(user.id, filter, doc! {"nameLower": 1, "_id": 1}, skip, limit).await
    }

    /// Whatever is looked for, the accounts of probes are not found.
    async fn find_seen(
        &self,
        viewer: Id,
        filter: Document,
        sort: Document,
        skip: u64,
        limit: u32,
    ) -> Result<Vec<Seen>, StoreError> {
        let viewer_in = |list: &str| doc! {"$in": [oid(viewer), {"$ifNull": [list, []]}]};
        // What is to be seen is named, so that a new field is nobody else's until somebody says so.
        let mut fields = doc! {
            "privacy": "$settings.privacy",
            "addsViewer": viewer_in("$friends"),
            "blocksViewer": viewer_in("$blocked"),
        };
        for field in SEEN {
            fields.insert(field, 1);
        }
        let users = self.users().clone_with_type::<RawDocumentBuf>();
        let action = users
            .find(not_of_probes(filter))
            .projection(fields)
            .sort(sort)
            .skip(skip)
            .limit(i64::from(limit))
            .batch_size(limit.saturating_add(1))
            .max_time(COMMAND_TIMEOUT);
        let rows: Vec<RawDocumentBuf> =
            self.run(Command::Find, async { action.await?.try_collect().await }).await?;
        Ok(readable(name::USERS, &rows))
    }

    /// Changes a user; the user afterwards, or nothing where there is none. One command, one more where the name or the
    /// handle changes, and two more for each time that somebody else changed those first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] in [`crate::index::USER_USERNAME`]; others.
    pub async fn update_user(&self, id: Id, change: &UserChange) -> Result<Option<User>, StoreError> {
        let mut fields = change.fields.clone();
        fields.insert("updatedAt", date(change.at));
        if change.name.is_none() && change.username.is_none() {
            return self.set_user(doc! {"_id": oid(id)}, fields).await;
        }
        // What a search finds the user by is made of both, so both must still be what they were.
        for _ in 0..RENAME_TRIES {
            let Some(current) = self.user(id).await? else { return Ok(None) };
            let name = change.name.as_ref().unwrap_or(&current.name);
            let username = change.username.as_ref().unwrap_or(&current.username);
            fields.extend(doc! {
                "name": name, "username": username, "nameLower": name.to_lowercase(),
                "terms": search_terms(name, username),
            });
            let unchanged = doc! {"_id": oid(id), "name": &current.name, "username": &current.username};
            if let Some(user) = self.set_user(unchanged, fields.clone()).await? {
                return Ok(Some(user));
            }
        }
        Err(StoreError::Contended)
    }

    async fn set_user(&self, filter: Document, fields: Document) -> Result<Option<User>, StoreError> {
        let users = self.users();
        let action =
            users.find_one_and_update(filter, doc! {"$set": fields}).return_document(ReturnDocument::After);
        self.run(Command::FindAndModify, action.projection(doc! {"password": 0})).await
    }

    /// Ends all sessions of a user: tokens that were given out before are no longer good. With `password`, the old and
    /// the new hash, the password is changed in the same moment, if it still is the old one; otherwise nothing is
    /// returned. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. A repetition ends the sessions that were begun in between.
    pub async fn end_sessions(
        &self,
        id: Id,
        password: Option<(&PasswordHash, &PasswordHash)>,
        at: Timestamp,
    ) -> Result<Option<User>, StoreError> {
        let mut filter = doc! {"_id": oid(id)};
        let mut fields = doc! {"updatedAt": date(at)};
        if let Some((old, new)) = password {
            filter.insert("password", old.stored());
            fields.insert("password", new.stored());
        }
        let users = self.users();
        let action = users
            .find_one_and_update(filter, doc! {"$inc": {"generation": 1_i64}, "$set": fields})
            .projection(doc! {"password": 0})
            .return_document(ReturnDocument::After);
        self.run(Command::FindAndModify, action).await
    }

    /// Removes a user, and them from everybody's friends and blocked users. Two commands.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Doing it again is harmless; the user goes last, so that it can be done again.
    pub async fn delete_user(&self, id: Id) -> Result<(), StoreError> {
        let theirs = doc! {"$or": [{"friends": oid(id)}, {"blocked": oid(id)}]};
        let pull = doc! {"$pull": {"friends": oid(id), "blocked": oid(id)}};
        self.run(Command::Update, self.users().update_many(theirs, pull)).await?;
        self.run(Command::Delete, self.users().delete_one(doc! {"_id": oid(id)})).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_the_words_of_name_and_handle() {
        assert_eq!(
            search_terms("Ada  Lovelace", "ada.l"),
            ["ada", "ada.l", "l", "lovelace"].map(str::to_owned)
        );
        assert_eq!(search_terms("Ægir", "x"), ["x", "ægir"].map(str::to_owned));
    }

    #[test]
    fn what_a_client_searches_for_is_never_a_pattern() {
        assert_eq!(escape("a.b*(é"), "a\\.b\\*\\(é");
        assert_eq!(search_filter("  ").count(), 0);
        let filter: Vec<Document> = search_filter("A .*").collect();
        let begins = |text: &str| doc! {"terms": {"$regex": text}};
        assert_eq!(filter, [begins("^a"), begins("^\\.\\*")]);
        let filter: Vec<Document> = search_filter("O'Hara").collect();
        let parts = [begins("^o"), begins("^hara")];
        assert_eq!(filter, [doc! {"$or": [begins("^o\\'hara"), {"$and": parts}]}]);
    }
}
