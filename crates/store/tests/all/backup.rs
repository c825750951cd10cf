//! Copies of a registry: whole, completed when they were broken off, and made into a registry again.

use std::path::Path;

use domain::Digest;
use store::{Copied, Error, Extent, FileRow, Holder, Store};

use crate::common::{Db, files_only, postgres, sqlite};

async fn publish(store: &Store, id: &str, files: &[&[u8]]) -> Vec<Digest> {
    let (holder, mut rows) = (Holder::new(), Vec::new());
    for (at, bytes) in files.iter().enumerate() {
        let (digest, size) = store.put_bytes(&holder, bytes).await.unwrap();
        rows.push(FileRow { path: format!("{at}.txt"), size, digest });
    }
    let digests = rows.iter().map(|row| row.digest).collect();
    store.publish(files_only(id, rows)).await.unwrap();
    store.release(&holder).await.unwrap();
    digests
}

/// A registry with one model of two files, and the folder of its copy.
async fn filled() -> (Db, Vec<Digest>, std::path::PathBuf) {
    let db = sqlite().await;
    let digests = publish(&db.store, "a/b", &[b"one", b"the other"]).await;
    let folder = db.folder.path().join("it's a copy");
    (db, digests, folder)
}

/// Restores a copy into `name` beside the registry.
async fn restored(db: &Db, folder: &Path, name: &str) -> store::Result<(Copied, Store)> {
    let place = db.folder.path().join(name);
    let database = format!("sqlite://{}?mode=rwc", place.join("stemma.sqlite").display());
    let blobs = place.join("blobs").display().to_string();
    let copied = store::restore(folder, (&database, &blobs), Extent::Whole).await?;
    let store = Store::open(&database, &blobs).await?;
    store.migrate().await?;
    Ok((copied, store))
}

fn blob(folder: &Path, digest: &Digest) -> std::path::PathBuf {
    let hex = digest.hex();
    folder.join("blobs/sha256").join(&hex[..2]).join(&hex)
}

#[tokio::test]
async fn a_copy_restored_elsewhere_is_the_same_registry() {
    let (db, digests, folder) = filled().await;
    let unnamed = db.store.put_bytes(&Holder::new(), b"of nobody").await.unwrap().0;

    let copied = db.store.back_up(&folder, Extent::Whole).await.unwrap();
    let (back, store) = restored(&db, &folder, "elsewhere").await.unwrap();

    assert_eq!((copied.blobs, copied.bytes, copied.known), (2, 12, 0));
    assert_eq!((back.blobs, back.lacking.len()), (2, 0));
    let revision = store.model_by_id("a/b").await.unwrap().unwrap().revision.unwrap();
    assert_eq!(
        store.files(revision).await.unwrap(),
        db.store.files(db.store.model_by_id("a/b").await.unwrap().unwrap().revision.unwrap()).await.unwrap()
    );
    assert_eq!(store.read_text(&digests[1], 100).await.unwrap(), "the other");
    assert!(!blob(&folder, &unnamed).exists());
}

#[tokio::test]
async fn a_second_copy_takes_what_is_new_alone_and_replaces_the_database() {
    let (db, _, folder) = filled().await;
    db.store.back_up(&folder, Extent::Whole).await.unwrap();
    publish(&db.store, "a/c", &[b"one", b"new"]).await;

    let copied = db.store.back_up(&folder, Extent::Whole).await.unwrap();

    assert_eq!((copied.blobs, copied.bytes, copied.known), (1, 3, 2));
    let (_, store) = restored(&db, &folder, "elsewhere").await.unwrap();
    assert!(store.model_by_id("a/c").await.unwrap().is_some());
}

#[tokio::test]
async fn what_was_broken_off_is_completed_by_the_same_call() {
    let (db, digests, folder) = filled().await;
    db.store.back_up(&folder, Extent::Whole).await.unwrap();
    // As a process leaves it that is killed while it copies the second blob.
    fs_err::remove_file(folder.join("database.sqlite")).unwrap();
    fs_err::remove_file(blob(&folder, &digests[1])).unwrap();
    fs_err::write(folder.join("staging/database.sqlite"), "half").unwrap();
    fs_err::write(folder.join("staging").join(format!("{}.copy", digests[1].hex())), "the o").unwrap();
    let early = restored(&db, &folder, "early").await;

    let copied = db.store.back_up(&folder, Extent::Whole).await.unwrap();

    assert!(matches!(early, Err(Error::NoBackup(_))));
    assert_eq!((copied.blobs, copied.known), (1, 1));
    assert_eq!(fs_err::read_dir(folder.join("staging")).unwrap().count(), 0);
    // And a restore that was killed while it copied blobs back.
    let place = db.folder.path().join("elsewhere");
    fs_err::create_dir_all(place.join("blobs/staging")).unwrap();
    fs_err::write(place.join("stemma.restoring"), "half").unwrap();
    fs_err::create_dir_all(blob(&place.join("blobs"), &digests[0]).parent().unwrap()).unwrap();
    fs_err::write(blob(&place.join("blobs"), &digests[0]), "one").unwrap();
    let (back, store) = restored(&db, &folder, "elsewhere").await.unwrap();
    assert_eq!((back.blobs, back.known), (1, 1));
    assert_eq!(store.read_text(&digests[1], 100).await.unwrap(), "the other");
    assert!(!place.join("stemma.restoring").exists());
}

#[tokio::test]
async fn a_registry_that_is_there_is_not_overwritten() {
    let (db, _, folder) = filled().await;
    db.store.back_up(&folder, Extent::Whole).await.unwrap();
    restored(&db, &folder, "elsewhere").await.unwrap();

    let again = restored(&db, &folder, "elsewhere").await;

    assert!(matches!(&again, Err(Error::NotEmpty(path)) if path.ends_with("stemma.sqlite")));
}

#[tokio::test]
async fn damaged_blobs_are_named_and_everything_else_is_copied() {
    let (db, digests, folder) = filled().await;
    let own = db.folder.path().join("blobs");
    fs_err::remove_file(blob(&own, &digests[0])).unwrap();
    fs_err::write(blob(&own, &digests[0]), "two").unwrap();
    let fresh = Store::open(&db.url, own.to_str().unwrap()).await.unwrap();

    let copied = fresh.back_up(&folder, Extent::Whole).await.unwrap();

    assert_eq!((copied.blobs, copied.lacking.len(), copied.lacking[0].0), (1, 1, digests[0]));
    fs_err::remove_file(blob(&folder, &digests[1])).unwrap();
    fs_err::write(blob(&folder, &digests[1]), "another").unwrap();
    let (back, store) = restored(&db, &folder, "elsewhere").await.unwrap();
    let lacking: Vec<Digest> = back.lacking.iter().map(|(digest, _)| *digest).collect();
    let mut expected = digests.clone();
    expected.sort_unstable();
    assert_eq!((back.blobs, lacking), (0, expected));
    assert!(!store.has(&digests[1]).await.unwrap());
}

#[tokio::test]
async fn a_database_of_postgres_is_refused_and_its_blobs_are_copied() {
    let Some(db) = postgres().await else { return };
    let digests = publish(&db.store, "a/b", &[b"one"]).await;
    let folder = db.folder.path().join("copy");

    let refused = db.store.back_up(&folder, Extent::Whole).await;
    let copied = db.store.back_up(&folder, Extent::Blobs).await.unwrap();

    assert!(refused.unwrap_err().to_string().contains("pg_dump"));
    assert_eq!((copied.blobs, blob(&folder, &digests[0]).exists()), (1, true));
    let blobs = db.folder.path().join("elsewhere");
    let places = (db.url.as_str(), blobs.to_str().unwrap());
    assert!(
        store::restore(&folder, places, Extent::Whole).await.unwrap_err().to_string().contains("pg_restore")
    );
    let back = store::restore(&folder, places, Extent::Blobs).await.unwrap();
    assert_eq!((back.blobs, blob(&blobs, &digests[0]).exists()), (1, true));
}

#[tokio::test]
async fn blobs_of_a_bucket_are_copied_into_a_folder() {
    let db = sqlite().await;
    let store = Store::open(&db.url, "memory://").await.unwrap();
    let digests = publish(&store, "a/b", &[b"in a bucket"]).await;
    let folder = db.folder.path().join("copy");

    let copied = store.back_up(&folder, Extent::Whole).await.unwrap();

    assert_eq!((copied.blobs, copied.lacking), (1, vec![]));
    assert_eq!(fs_err::read(blob(&folder, &digests[0])).unwrap(), b"in a bucket");
}
