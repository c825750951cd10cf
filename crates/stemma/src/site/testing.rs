//! A registry of one model, for tests.

use domain::{Limits, Metadata, RepoId};
use jobs::Registry;
use store::{ModelRow, Store};
use tempfile::TempDir;

/// The folder that it lies in, the registry, and its model `o/a`.
pub async fn registry() -> (TempDir, Registry, ModelRow) {
    let at = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}?mode=rwc", at.path().join("test.sqlite").display());
    let store = Store::open(&database, at.path().join("blobs").to_str().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    let named = Metadata::named(RepoId::parse("o/a").unwrap());
    store.upsert(&[(named, Vec::new())]).await.unwrap();
    let row = store.model_by_id("o/a").await.unwrap().unwrap();
    let registry = Registry::new(store, Limits::default(), at.path().join("scratch"));
    (at, registry, row)
}
