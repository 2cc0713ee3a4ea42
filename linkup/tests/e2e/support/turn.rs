//! Who runs beside whom: thousands of clients in this process would make it late for everybody else.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static QUIET: RwLock<()> = RwLock::const_new(());

/// For a test with thousands of clients: nobody who has to be in time runs beside it.
pub(crate) async fn heavy() -> RwLockWriteGuard<'static, ()> {
    QUIET.write().await
}

/// For a test in which something has to happen within a second.
pub(crate) async fn prompt() -> RwLockReadGuard<'static, ()> {
    QUIET.read().await
}
