//! What a batch needs that no cache can keep: loaded for each batch, as of its last change.

use mongodb::bson::doc;
use protocol::Id;
use rustc_hash::{FxHashMap, FxHashSet};
use store::name;
use store::stream::StreamError;

use crate::audience;
use crate::change::raw::{id, optional_str};
use crate::change::{Change, Kind, Text};
use crate::past::Past;

/// What is loaded for one batch.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Whom to tell what each user does, who came or went.
    pub(super) audiences: FxHashMap<Id, Vec<Id>>,
    /// What messages say that were edited to say what they said before.
    pub(super) texts: FxHashMap<Id, String>,
}

impl Beside {
    /// The texts that these changes need. One query, none where they need none.
    pub(super) async fn load_texts(
        &mut self,
        past: &impl Past,
        changes: &[Change<'_>],
    ) -> Result<(), StreamError> {
        let same = changes.iter().filter_map(|change| match &change.kind {
            Kind::MessageChanged(change) if change.text == Text::Same => Some(change.id),
            _ => None,
        });
        let messages: FxHashSet<Id> = same.collect();
        if messages.is_empty() {
            return Ok(());
        }
        let filter = doc! { "_id": { "$in": store::convert::oids(messages) } };
        for document in past.find(name::MESSAGES, filter, doc! { "content": 1 }).await? {
            if let (Ok(id), Ok(Some(text))) = (id(&document, "_id"), optional_str(&document, "content")) {
                self.texts.insert(id, text.to_owned());
            }
        }
        Ok(())
    }

    /// The audiences of those who came or went in these changes. No query where nobody did.
    pub(super) async fn load_audiences(
        &mut self,
        past: &impl Past,
        changes: &[Change<'_>],
    ) -> Result<(), StreamError> {
        let users = changes.iter().filter_map(|change| match &change.kind {
            Kind::UserChanged(user, change) if change.is_presence() => Some(*user),
            _ => None,
        });
        let users: FxHashSet<Id> = users.collect();
        let users: Vec<Id> = users.into_iter().collect();
        self.audiences = audience::load(past, &users).await?;
        Ok(())
    }

    /// The user and everybody who is to be told what they do.
    pub(super) fn audience_of(&self, user: Id) -> impl Iterator<Item = Id> {
        let others = self.audiences.get(&user).into_iter().flatten().copied();
        std::iter::once(user).chain(others.filter(move |other| *other != user))
    }
}
