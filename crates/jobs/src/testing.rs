//! An empty registry for tests: SQLite in memory, blobs in a folder of its own.

use domain::Limits;
use store::Store;
use tempfile::TempDir;

use crate::Registry;

pub(crate) async fn store(folder: &TempDir) -> Store {
    let store = Store::open("sqlite::memory:", folder.path().to_str().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    store
}

pub(crate) async fn registry(folder: &TempDir) -> Registry {
    Registry::new(store(folder).await, Limits::default(), folder.path().join("scratch"))
}
