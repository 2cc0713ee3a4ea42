//! Queries on users.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use protocol::{Id, Timestamp};

use crate::convert::{oid, oids};
use crate::document::{Profile, Settings, User};
use crate::message::whole;
use crate::{COMMAND_TIMEOUT, Store, StoreError, bounded, name, readable};

impl User {
    /// A user who just registered. `email` is in lower case, `password` a hash in the PHC string format.
    #[must_use]
    pub fn new(name: String, email: String, username: String, password: String, now: Timestamp) -> Self {
        Self {
            id: Id::mint(),
            terms: search_terms(&name, &username),
            name_lower: name.to_lowercase(),
            username,
            name,
            email,
            password,
            avatar: None,
            status: "offline".to_owned(),
            last_seen: None,
            friends: Vec::new(),
            bio: String::new(),
            score: 0,
            interests: Vec::new(),
            location: String::new(),
            occupation: String::new(),
            joined_date: now,
            settings: Settings { notifications: true, privacy: "public".to_owned() },
            created_at: now,
            updated_at: now,
        }
    }
}

/// What a search finds a user by: the words of the name, and the handle whole and in parts.
fn search_terms(name: &str, username: &str) -> Vec<String> {
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
fn search_filter(search: &str) -> Document {
    let each: Vec<Document> = search
        .split_whitespace()
        .map(|word| doc! {"terms": {"$regex": format!("^{}", escape(&word.to_lowercase()))}})
        .collect();
    if each.is_empty() {
        doc! {}
    } else {
        doc! {"$and": each}
    }
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
        bounded(self.users().insert_one(user)).await.map(drop)
    }

    /// The user with this e-mail address, given in lower case. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        bounded(self.users().find_one(doc! {"email": email}).max_time(COMMAND_TIMEOUT)).await
    }

    /// One user. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn user(&self, id: Id) -> Result<Option<User>, StoreError> {
        bounded(self.users().find_one(doc! {"_id": oid(id)}).max_time(COMMAND_TIMEOUT)).await
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
            .projection(doc! {"name": 1, "avatar": 1, "status": 1})
            .batch_size(whole(ids.len()))
            .max_time(COMMAND_TIMEOUT);
        let rows: Vec<RawDocumentBuf> = bounded(async { action.await?.try_collect().await }).await?;
        Ok(readable(name::USERS, &rows))
    }

    /// A page of the users whose name or handle has words that begin with those of `search`, in the order of names.
    /// Without their passwords and addresses. One command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    pub async fn search_users(&self, search: &str, skip: u64, limit: u32) -> Result<Vec<User>, StoreError> {
        let users = self.users().clone_with_type::<RawDocumentBuf>();
        let action = users
            .find(search_filter(search))
            .projection(doc! {"password": 0, "email": 0, "settings": 0, "friends": 0})
            .sort(doc! {"nameLower": 1, "_id": 1})
            .skip(skip)
            .limit(i64::from(limit))
            .batch_size(limit + 1)
            .max_time(COMMAND_TIMEOUT);
        let rows: Vec<RawDocumentBuf> = bounded(async { action.await?.try_collect().await }).await?;
        Ok(readable(name::USERS, &rows))
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
        assert_eq!(search_filter("  "), doc! {});
        assert_eq!(
            search_filter("A .*"),
            doc! {"$and": [{"terms": {"$regex": "^a"}}, {"terms": {"$regex": "^\\.\\*"}}]}
        );
    }
}
