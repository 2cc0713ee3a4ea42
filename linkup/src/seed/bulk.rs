//! Many documents in few inserts.

use mongodb::Collection;
use serde::Serialize;
use store::{StoreError, bounded};

/// Documents in one insert: far from the server's limits, and a fraction of a second each.
const DOCUMENTS: usize = 1_000;
/// Keys of the index on a list (friends, participants) that one insert may make. A thousand groups of a thousand at
/// once would take longer than a command may.
const KEYS: usize = 20_000;

/// Inserts documents in the order in which they come, some at a time. Ordered, so that at no moment a message is there
/// without the one before it.
#[derive(Debug)]
pub(super) struct Bulk<T: Send + Sync> {
    collection: Collection<T>,
    waiting: Vec<T>,
    keys: usize,
}

impl<T: Serialize + Send + Sync> Bulk<T> {
    pub(super) fn new(collection: Collection<T>) -> Self {
        Self { collection, waiting: Vec::new(), keys: 0 }
    }

    /// Inserts a document, whose list is this long, with others that come.
    ///
    /// # Errors
    ///
    /// When documents that waited cannot be inserted.
    pub(super) async fn push(&mut self, document: T, list: usize) -> Result<(), StoreError> {
        if self.waiting.len() >= DOCUMENTS || (self.keys > 0 && self.keys + list > KEYS) {
            self.flush().await?;
        }
        self.waiting.push(document);
        self.keys += list;
        Ok(())
    }

    /// Inserts what still waits.
    ///
    /// # Errors
    ///
    /// When it cannot be inserted.
    pub(super) async fn flush(&mut self) -> Result<(), StoreError> {
        if !self.waiting.is_empty() {
            bounded(self.collection.insert_many(&self.waiting)).await?;
        }
        self.waiting.clear();
        self.keys = 0;
        Ok(())
    }
}
