//! Who is it? Coalesced lookups of users: whatever is asked while one query is in flight goes into the next one. Always
//! fresh, never cached, so that a user who was deleted is out at once.

use std::sync::Arc;

use protocol::Id;
use protocol::id::distinct;
use rustc_hash::FxHashMap;
use service::batcher::{Batcher, Limits};
use store::Store;
use store::document::Profile;
use tokio::sync::oneshot;

use crate::answer::Failure;
use crate::metrics::Metrics;

const LIMITS: Limits = Limits { batch: 512, queue: 16_384 };

/// A user, or nobody.
pub(crate) type Found = Result<Option<Arc<Profile>>, Failure>;

/// Looks users up.
#[derive(Clone, Debug)]
pub(crate) struct People(Batcher<Id, Found>);

impl People {
    pub(crate) fn start(store: Store, metrics: &Metrics) -> Self {
        Self(Batcher::spawn(LIMITS, metrics.people_batcher.clone(), move |ids| look_up(store.clone(), ids)))
    }

    /// The user, if there is one.
    pub(crate) async fn find(&self, id: Id) -> Found {
        self.0.call(id).await?
    }

    /// Asks for a user now; the answer comes later.
    pub(crate) fn ask(&self, id: Id) -> Result<oneshot::Receiver<Found>, Failure> {
        Ok(self.0.enqueue(id)?)
    }
}

async fn look_up(store: Store, ids: Vec<Id>) -> Vec<Found> {
    match store.profiles(&distinct(ids.iter().copied())).await {
        Ok(profiles) => {
            let found: FxHashMap<Id, Arc<Profile>> =
                profiles.into_iter().map(|profile| (profile.id, Arc::new(profile))).collect();
            ids.iter().map(|id| Ok(found.get(id).cloned())).collect()
        }
        Err(error) => {
            let failure = Failure::from(error);
            ids.iter().map(|_| Err(failure.clone())).collect()
        }
    }
}
