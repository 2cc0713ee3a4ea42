//! The database as it was.

use std::future::Future;

use mongodb::bson::{Document, RawDocumentBuf};
use store::Store;
use store::stream::{StreamError, snapshot};

/// Something that can be asked for documents as they were at one moment.
pub(crate) trait Past: Sync {
    /// The documents of `collection` that match `filter`; only the fields of `projection`.
    fn find(
        &self,
        collection: &'static str,
        filter: Document,
        projection: Document,
    ) -> impl Future<Output = Result<Vec<RawDocumentBuf>, StreamError>> + Send;
}

/// The database at a cluster time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<'a> {
    pub(crate) store: &'a Store,
    pub(crate) at: u64,
}

impl Past for Snapshot<'_> {
    async fn find(
        &self,
        collection: &'static str,
        filter: Document,
        projection: Document,
    ) -> Result<Vec<RawDocumentBuf>, StreamError> {
        snapshot(self.store, collection, filter, projection, self.at).await
    }
}
