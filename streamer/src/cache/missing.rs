//! What a batch needs and the caches do not have.

use mongodb::bson::{Document, RawDocumentBuf, doc};
use protocol::Id;
use rustc_hash::FxHashSet;
use store::stream::{StreamError, snapshot};
use store::{Store, name};

use super::{Activity, Cache, Conversation, Summary, keep};
use crate::change::{Change, Kind, Text};
use crate::render::{members_named, named};

/// The fields of a conversation that are cached.
pub(crate) const CONVERSATION_FIELDS: [&str; 9] = [
    "participants",
    "name",
    "type",
    "createdBy",
    "activityId",
    "createdAt",
    "updatedAt",
    "isActive",
    "blockedBy",
];

/// What a batch needs and the caches do not have.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    conversations: FxHashSet<Id>,
    users: FxHashSet<Id>,
    activities: FxHashSet<Id>,
    /// Activities whose participants are to be told about, cached or not.
    populated: FxHashSet<Id>,
}

impl Missing {
    fn is_empty(&self) -> bool {
        self.conversations.is_empty()
            && self.users.is_empty()
            && self.activities.is_empty()
            && self.populated.is_empty()
    }
}

impl Cache {
    /// Notes what is needed to address `change` and is not cached.
    pub(crate) fn note_missing(&self, change: &Change<'_>, missing: &mut Missing) {
        let (conversation, users): (Option<Id>, &[Id]) = match &change.kind {
            Kind::Message(message) => (Some(message.conversation), std::slice::from_ref(&message.sender)),
            Kind::MessageChanged(change) if change.text == Text::Overtaken => (None, &[]),
            Kind::MessageChanged(change) if change.text == Text::Deleted => (Some(change.conversation), &[]),
            Kind::MessageChanged(change) => (Some(change.conversation), std::slice::from_ref(&change.sender)),
            Kind::Read(read) => (Some(read.conversation), &[]),
            Kind::ConversationMade(_, made) => (None, named(&made.participants)),
            Kind::ConversationChanged(id, change) => (Some(*id), named(&change.participants)),
            Kind::UserChanged(user, change) if change.is_presence() => (None, std::slice::from_ref(user)),
            Kind::ActivityMade(_, made) => (None, members_named(made)),
            Kind::Membership(membership) => {
                if !self.activities.contains_key(&membership.activity) {
                    missing.activities.insert(membership.activity);
                }
                missing.populated.insert(membership.activity);
                (None, std::slice::from_ref(&membership.user))
            }
            _ => (None, &[]),
        };
        // One that is cached without knowing who blocks is loaded anew.
        let known = |id: &Id| self.conversations.get(id).is_some_and(|known| known.is_open().is_some());
        if let Some(conversation) = conversation {
            let is_known = known(&conversation);
            self.metrics.conversations.count(is_known);
            if !is_known {
                missing.conversations.insert(conversation);
            }
        }
        for user in users {
            let is_known = self.users.contains_key(user);
            self.metrics.people.count(is_known);
            if !is_known {
                missing.users.insert(*user);
            }
        }
    }

    /// Loads what is missing, as it was at cluster time `at`. What did not exist then stays missing; the stream
    /// brings it. So does a document that is not as LinkUp writes it: it must not stop everybody's events.
    pub(crate) async fn load(
        &mut self,
        store: &Store,
        mut missing: Missing,
        at: u64,
    ) -> Result<(), StreamError> {
        if missing.is_empty() {
            return Ok(());
        }
        for document in
            fetch(store, name::CONVERSATIONS, &missing.conversations, &CONVERSATION_FIELDS, at).await?
        {
            keep(&mut self.conversations, &document, Conversation::parse, &self.metrics);
        }
        let fields = ["hostId", "participants"];
        for document in fetch(store, name::ACTIVITIES, &missing.activities, &fields, at).await? {
            keep(&mut self.activities, &document, Activity::parse, &self.metrics);
        }
        for activity in missing.populated.iter().filter_map(|id| self.activities.get(id)) {
            let unknown = members_named(activity).iter().filter(|user| !self.users.contains_key(user));
            missing.users.extend(unknown);
        }
        let fields = ["name", "avatar", "status", "lastSeen"];
        for document in fetch(store, name::USERS, &missing.users, &fields, at).await? {
            keep(&mut self.users, &document, Summary::parse, &self.metrics);
        }
        Ok(())
    }
}

/// Documents as they were at cluster time `at`. No query where there is nothing to ask.
async fn fetch(
    store: &Store,
    collection: &str,
    ids: &FxHashSet<Id>,
    fields: &[&str],
    at: u64,
) -> Result<Vec<RawDocumentBuf>, StreamError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let filter = doc! { "_id": { "$in": store::convert::oids(ids.iter().copied()) } };
    let projection: Document = fields.iter().map(|field| ((*field).to_owned(), 1.into())).collect();
    snapshot(store, collection, filter, projection, at).await
}
