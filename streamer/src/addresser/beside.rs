//! What a batch needs that no cache can keep: loaded for each batch, as of its last change.

use std::sync::Arc;

use mongodb::bson::doc;
use protocol::Id;
use rustc_hash::{FxHashMap, FxHashSet};
use store::name;
use store::stream::StreamError;

use crate::audience::{self, Audience};
use crate::change::raw::{id, optional_str};
use crate::change::{Change, Kind, Text};
use crate::past::Past;

/// Marks edits of which the text is not known and that are followed by another change of the same message: what it says
/// at the end of the batch may be what only a later edit said, or nothing after a deletion.
pub(super) fn mark_overtaken(changes: &mut [Change<'_>]) {
    let mut later: FxHashSet<Id> = FxHashSet::default();
    for change in changes.iter_mut().rev() {
        if let Kind::MessageChanged(change) = &mut change.kind
            && !later.insert(change.id)
            && change.text == Text::Same
        {
            change.text = Text::Overtaken;
        }
    }
}

/// What is loaded for one batch.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Whom to tell what each user does, who came or went.
    pub(super) audiences: FxHashMap<Id, Audience>,
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

    /// The audiences of those who came or went in these changes. No query where nobody did; whether somebody did.
    pub(super) async fn load_audiences(
        &mut self,
        past: &impl Past,
        changes: &[Change<'_>],
    ) -> Result<bool, StreamError> {
        let users = changes.iter().filter_map(|change| match &change.kind {
            Kind::UserChanged(user, change) if change.is_presence() => Some(*user),
            _ => None,
        });
        let users: FxHashSet<Id> = users.collect();
        let users: Vec<Id> = users.into_iter().collect();
        self.audiences = audience::load(past, &users).await?;
        Ok(!users.is_empty())
    }

    /// The user and everybody who is to be told all that they do; and those who are not to know when that was.
    pub(super) fn audience_of(&self, user: Id) -> (Arc<[Id]>, Arc<[Id]>) {
        let nobody = Audience::default();
        let Audience { whole, partly } = self.audiences.get(&user).unwrap_or(&nobody);
        let others = |all: &[Id]| -> Vec<Id> { all.iter().copied().filter(|other| *other != user).collect() };
        ([vec![user], others(whole)].concat().into(), others(partly).into())
    }
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;

    use super::*;
    use crate::change::MessageChange;

    #[test]
    fn an_edit_without_its_text_is_not_told_where_the_message_changes_again() {
        let [message, other] = [1, 2].map(|n| Id::from_bytes([n; 12]));
        let at = Timestamp::from_millis(0);
        let change = |id, text| {
            let change = MessageChange { id, conversation: id, seq: 1, sender: id, created_at: at, at, text };
            Change { time: 1, kind: Kind::MessageChanged(change) }
        };
        let mut changes = [
            change(message, Text::Same),
            change(message, Text::Now("new")),
            change(message, Text::Same),
            change(message, Text::Deleted),
            change(other, Text::Same),
        ];
        mark_overtaken(&mut changes);
        let texts = changes.iter().map(|change| match &change.kind {
            Kind::MessageChanged(change) => change.text,
            other => panic!("{other:?}"),
        });
        let expected = [Text::Overtaken, Text::Now("new"), Text::Overtaken, Text::Deleted, Text::Same];
        assert_eq!(texts.collect::<Vec<_>>(), expected);
    }
}
