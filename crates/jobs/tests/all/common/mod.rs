//! What the tests of this room begin with.

use domain::Limits;
use jobs::Registry;
use store::Store;
use tempfile::TempDir;

/// An empty registry on SQLite, and the folder that it goes with.
pub async fn registry(limits: Limits) -> (TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let url = format!("sqlite://{}/stemma.db?mode=rwc", at.display());
    let store = Store::open(&url, at.join("blobs").to_str().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    let registry = Registry::new(store, limits, at.join("scratch"));
    (folder, registry)
}
