//! Who is connected, as gateways tell it, and what users are by that.
//!
//! Each user who is or was connected has a document that maps gateways to what the user is there, each with the version
//! that the gateway gave it. What a user is by all of them together is worked out in the same atomic step as an entry
//! changes, and numbered: `users` takes a status only with a higher number, so however late or often something arrives,
//! on whatever node, the last change wins.
//!
//! | module | holds |
//! |---|---|
//! | `pipeline` | the updates of a user's document |
//! | [`sweep`] | gateways: their heartbeats, and those that fell silent |

mod pipeline;
pub mod sweep;

use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use protocol::command::Presence;
use protocol::id::distinct;
use protocol::{Id, Timestamp};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use crate::command::Command;
use crate::connect::majority;
use crate::convert::{date, oid, oids, stored};
use crate::error::DUPLICATE_KEY;
use crate::message::whole;
use crate::{COMMAND_TIMEOUT, Store, StoreError, name, readable};

/// What a user has become on a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The gateway, as one life of its process.
    pub gateway: Id,
    /// Who.
    pub user: Id,
    /// Rises with every change that the gateway tells.
    pub version: u64,
    /// What they are there now.
    pub presence: Presence,
    /// Since when.
    pub at: Timestamp,
}

/// What came of deltas.
#[derive(Debug, Default)]
pub struct Told {
    /// Which of them were refused, by their place, and would be again: the document is not one that LinkUp wrote. The
    /// others count, or a later version had been there before.
    pub refused: Vec<usize>,
    /// How many users are something else than before.
    pub transitions: u64,
}

/// What a user is by all gateways together.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Standing {
    /// Who.
    #[serde(rename = "_id", with = "stored")]
    pub user: Id,
    /// What they are.
    pub status: Presence,
    /// Rises with every change of `status`.
    pub rev: i64,
    /// When it last changed.
    #[serde(with = "stored")]
    pub at: Timestamp,
}

impl Store {
    /// [`name::PRESENCE`].
    #[must_use]
    pub fn presence(&self) -> Collection<Document> {
        self.database().collection(name::PRESENCE)
    }

    /// Takes in what gateways tell, in any order and however often, and has users be what they are by that. Three
    /// commands however many there are, none for none.
    ///
    /// # Errors
    ///
    /// [`StoreError`], where it is not known what took effect. Doing it again is harmless, and mends what was left
    /// undone.
    pub async fn tell_presence(&self, deltas: &[Delta]) -> Result<Told, StoreError> {
        let latest = latest(deltas);
        if latest.is_empty() {
            return Ok(Told::default());
        }
        let updates = latest.iter().map(pipeline::entry).collect();
        let written = self.update_each(name::PRESENCE, updates, majority()).await?;
        if written.refused.iter().any(|(_, code)| *code == DUPLICATE_KEY) {
            return Err(StoreError::Raced);
        }
        let users = distinct(latest.iter().map(|delta| delta.user));
        // Of deltas that were there before, too: whoever took them in may have come no further.
        let published = self.publish(&users).await?;
        let entries: FxHashSet<(Id, Id)> =
            written.refused.iter().filter_map(|(place, _)| latest.get(*place)).map(entry_of).collect();
        let refused =
            |delta: &Delta| entries.contains(&entry_of(delta)) || published.refused.contains(&delta.user);
        let places = deltas.iter().enumerate().filter(|(_, delta)| refused(delta));
        Ok(Told { refused: places.map(|(place, _)| place).collect(), transitions: published.changed })
    }

    /// Has these users be what their documents say, unless they are that or something later already. Two commands, one
    /// where there is nothing to say.
    async fn publish(&self, users: &[Id]) -> Result<Published, StoreError> {
        let standings = self.standings(users).await?;
        if standings.is_empty() {
            return Ok(Published::default());
        }
        let updates = standings.iter().map(|standing| {
            let Standing { user, status, rev, at } = *standing;
            doc! {
                // Those who never were connected have no number.
                "q": {"_id": oid(user), "presenceRev": {"$not": {"$gte": rev}}},
                "u": {"$set": {"status": status.as_str(), "lastSeen": date(at), "presenceRev": rev}},
            }
        });
        let done = self.update_each(name::USERS, updates.collect(), majority()).await?;
        let refused = done.refused.iter().filter_map(|(place, _)| Some(standings.get(*place)?.user));
        Ok(Published { changed: done.changed, refused: refused.collect() })
    }

    /// What those of these users are who are or were connected. One command.
    async fn standings(&self, users: &[Id]) -> Result<Vec<Standing>, StoreError> {
        let presence = self.presence().clone_with_type::<RawDocumentBuf>();
        let action = presence
            .find(doc! {"_id": {"$in": oids(users.iter().copied())}})
            .projection(doc! {"status": 1, "rev": 1, "at": 1})
            .batch_size(whole(users.len()))
            .max_time(COMMAND_TIMEOUT);
        let rows: Vec<RawDocumentBuf> =
            self.run(Command::Find, async { action.await?.try_collect().await }).await?;
        Ok(readable(name::PRESENCE, &rows))
    }
}

/// What came of telling users what they are.
#[derive(Debug, Default)]
struct Published {
    changed: u64,
    refused: FxHashSet<Id>,
}

/// Which entry a delta is about.
fn entry_of(delta: &Delta) -> (Id, Id) {
    (delta.user, delta.gateway)
}

/// Of several deltas about one entry the latest, in the order in which the first about each came.
fn latest(deltas: &[Delta]) -> Vec<Delta> {
    let mut latest: Vec<Delta> = Vec::with_capacity(deltas.len());
    let mut places: FxHashMap<(Id, Id), usize> = FxHashMap::default();
    for delta in deltas {
        let place = *places.entry(entry_of(delta)).or_insert(latest.len());
        match latest.get_mut(place) {
            Some(known) if known.version <= delta.version => *known = *delta,
            Some(_) => {}
            None => latest.push(*delta),
        }
    }
    latest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_deltas_about_one_entry_the_highest_version_counts_wherever_it_stands() {
        let [ada, bob, here, there] = [1, 2, 3, 4].map(|n| Id::from_bytes([n; 12]));
        let delta = |user, gateway, version, presence| Delta {
            gateway,
            user,
            version,
            presence,
            at: Timestamp::from_millis(0),
        };
        let deltas = [
            delta(ada, here, 7, Presence::Away),
            delta(bob, here, 1, Presence::Online),
            delta(ada, here, 9, Presence::Offline),
            delta(ada, there, 1, Presence::Online),
            delta(ada, here, 8, Presence::Online),
        ];
        assert_eq!(latest(&deltas), [deltas[2], deltas[1], deltas[3]]);
    }
}
