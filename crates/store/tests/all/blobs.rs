//! Blobs: under their digest once, readable in any range, removed only when nothing refers to them.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use domain::{Digest, Limits};
use futures::TryStreamExt as _;
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::json;
use store::{Error, Failed, FileRow, Hold, Holder, NewJob, Store};
use weights::ReadAt as _;

use crate::common::{Db, db_test, files_only};

db_test!(
    only_blobs_that_nobody_needs_are_removed,
    a_blob_another_ingest_holds_stays,
    a_sweep_removes_the_blobs_of_an_ingest_that_died,
    a_holder_that_works_for_days_keeps_its_blobs,
    one_bad_blob_leaves_a_holder_the_others,
    a_sweep_keeps_the_results_of_jobs_that_succeeded_and_no_others,
    the_result_of_a_job_stays,
    a_revision_without_weights_has_no_checkpoint,
    old_blobs_that_nothing_names_are_removed_and_no_others,
    leftovers_are_sought_by_one_process_and_again_when_that_is_long_ago,
);

fn files_under(folder: &Path) -> usize {
    let entries = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_under(&path) } else { 1 }).sum()
}

async fn with_file(db: &Db, digest: Digest, size: u64) -> store::ModelRow {
    let file = FileRow { path: "a.txt".to_owned(), size, digest };
    db.store.publish(files_only("a/b", vec![file])).await.unwrap()
}

async fn only_blobs_that_nobody_needs_are_removed(db: Db) {
    let (holder, done) = (Holder::new(), Holder::new());
    let (used, size) = db.store.put_bytes(&done, b"used").await.unwrap();
    let (free, _) = db.store.put_bytes(&holder, b"free").await.unwrap();
    with_file(&db, used, size).await;
    db.store.release(&done).await.unwrap();
    let absent = Digest::of(b"absent");
    assert_eq!(db.store.discard(&holder, &[used, free, absent, free]).await.unwrap(), 1);
    assert!(db.store.has(&used).await.unwrap() && !db.store.has(&free).await.unwrap());
}

async fn a_blob_another_ingest_holds_stays(db: Db) {
    let (broken, sound) = (Holder::new(), Holder::new());
    let (shared, size) = db.store.put_bytes(&sound, b"tokenizer").await.unwrap();
    assert_eq!(db.store.put_bytes(&broken, b"tokenizer").await.unwrap().0, shared);

    assert_eq!(db.store.discard(&broken, &[shared]).await.unwrap(), 0);
    with_file(&db, shared, size).await;
    db.store.release(&sound).await.unwrap();

    assert_eq!(db.store.discard(&broken, &[shared]).await.unwrap(), 0);
    assert!(db.store.has(&shared).await.unwrap());
}

async fn the_result_of_a_job_stays(db: Db) {
    let new = NewJob { kind: "diff".into(), payload: json!({}), idempotency_key: None, output: None };
    db.store.enqueue(new, 10).await.unwrap();
    let job = db.store.claim(&["diff"], "worker", 60).await.unwrap().unwrap();
    let (holder, other) = (Holder::new(), Holder::new());
    let (digest, _) = db.store.put_bytes(&holder, b"diff").await.unwrap();

    db.store.keep_result(&job.hold(), &digest).await.unwrap();
    db.store.release(&holder).await.unwrap();

    assert_eq!(db.store.put_bytes(&other, b"diff").await.unwrap().0, digest);
    assert_eq!(db.store.discard(&other, &[digest]).await.unwrap(), 0);
    let yesterday = Hold { fence: job.fence - 1, ..job.hold() };
    let stale = db.store.keep_result(&yesterday, &digest).await;
    assert!(matches!(stale, Err(Error::LeaseLost(_))));
}

/// Lets a day pass for every pin.
async fn let_pins_expire(db: &Db) {
    let connection = Database::connect(&db.url).await.unwrap();
    connection.execute_unprepared("UPDATE pins SET until = 0").await.unwrap();
    connection.close().await.unwrap();
}

async fn a_sweep_removes_the_blobs_of_an_ingest_that_died(db: Db) {
    let (died, alive) = (Holder::new(), Holder::new());
    let (lost, _) = db.store.put_bytes(&died, b"lost").await.unwrap();
    let (published, size) = db.store.put_bytes(&died, b"published").await.unwrap();
    with_file(&db, published, size).await;
    let_pins_expire(&db).await;
    let (held, _) = db.store.put_bytes(&alive, b"held").await.unwrap();
    // Another ingest that ends meanwhile does not take the knowledge of the lost blob away.
    db.store.discard(&Holder::new(), &[held]).await.unwrap();

    assert_eq!(db.store.sweep().await.unwrap(), 1);

    assert!(!db.store.has(&lost).await.unwrap());
    assert!(db.store.has(&published).await.unwrap() && db.store.has(&held).await.unwrap());
    assert_eq!(db.store.sweep().await.unwrap(), 0);
}

async fn a_holder_that_works_for_days_keeps_its_blobs(db: Db) {
    let (alive, dead) = (Holder::new(), Holder::new());
    let (held, _) = db.store.put_bytes(&alive, b"held").await.unwrap();
    let (lost, _) = db.store.put_bytes(&dead, b"lost").await.unwrap();
    let_pins_expire(&db).await;

    db.store.renew(&alive).await.unwrap();

    assert_eq!(db.store.sweep().await.unwrap(), 1);
    assert!(db.store.has(&held).await.unwrap() && !db.store.has(&lost).await.unwrap());
}

async fn one_bad_blob_leaves_a_holder_the_others(db: Db) {
    let holder = Holder::new();
    let (good, _) = db.store.put_bytes(&holder, b"good").await.unwrap();
    let (bad, _) = db.store.put_bytes(&holder, b"bad").await.unwrap();

    assert_eq!(db.store.let_go(&holder, &bad).await.unwrap(), 1);

    assert!(!db.store.has(&bad).await.unwrap());
    assert_eq!(db.store.discard(&Holder::new(), &[good]).await.unwrap(), 0, "it is held still");
}

/// Stores bytes that no row of the database comes to name.
async fn plant(db: &Db, bytes: &[u8]) -> Digest {
    let digest = db.store.put_bytes(&Holder::new(), bytes).await.unwrap().0;
    let connection = Database::connect(&db.url).await.unwrap();
    connection.execute_unprepared(&format!("DELETE FROM pins WHERE digest = '{digest}'")).await.unwrap();
    connection.close().await.unwrap();
    digest
}

/// Makes a blob, or one that is set aside, three days old.
fn age(folder: &Path, digest: &Digest) {
    let hex = digest.hex();
    let then = std::time::SystemTime::now() - std::time::Duration::from_hours(72);
    let stored = folder.join("blobs/sha256").join(&hex[..2]).join(&hex);
    let path = if stored.exists() { stored } else { folder.join("quarantine").join(&hex) };
    fs_err::File::open(path).unwrap().into_parts().0.set_modified(then).unwrap();
}

async fn old_blobs_that_nothing_names_are_removed_and_no_others(db: Db) {
    let (holder, folder) = (Holder::new(), db.folder.path().join("blobs"));
    let (filed, size) = db.store.put_bytes(&holder, b"of a file").await.unwrap();
    with_file(&db, filed, size).await;
    let new = NewJob { kind: "diff".to_owned(), payload: json!({}), idempotency_key: None, output: None };
    db.store.enqueue(new, 10).await.unwrap();
    let job = db.store.claim(&["diff"], "worker", 60).await.unwrap().unwrap();
    let (result, _) = db.store.put_bytes(&holder, b"of a job").await.unwrap();
    db.store.keep_result(&job.hold(), &result).await.unwrap();
    db.store.release(&holder).await.unwrap();
    let (held, _) = db.store.put_bytes(&Holder::new(), b"on its way in").await.unwrap();
    let (young, old) = (plant(&db, b"young").await, plant(&db, b"left over").await);
    let aside = plant(&db, b"left over too").await;
    spoil(&folder, &aside, |bytes| bytes[0] ^= 1);
    assert!(db.store.open_blob(&aside).await.is_err());
    for digest in [&filed, &result, &held, &old, &aside] {
        age(&folder, digest);
    }
    fs_err::write(folder.join("blobs/sha256/notes.txt"), "not a blob").unwrap();

    let found = db.store.leftovers().await.unwrap();
    let removed = db.store.remove_leftovers(&found).await.unwrap();

    let mut unnamed: Vec<Digest> = found.unnamed.iter().map(|(digest, _)| *digest).collect();
    unnamed.sort_unstable();
    let mut expected = vec![old, aside];
    expected.sort_unstable();
    assert_eq!((unnamed, found.named), (expected, 3));
    assert_eq!(removed, (2, 9 + 13));
    for (digest, stays) in [(filed, true), (result, true), (held, true), (young, true), (old, false)] {
        assert_eq!(db.store.has(&digest).await.unwrap(), stays, "{digest}");
    }
    assert!(!folder.join("quarantine").join(aside.hex()).exists());
    assert_eq!(db.store.leftovers().await.unwrap().unnamed, []);
}

async fn leftovers_are_sought_by_one_process_and_again_when_that_is_long_ago(db: Db) {
    let (day, hour) = (86_400, 3_600);
    let folder = db.folder.path().join("blobs");
    let other = Store::open(&db.url, folder.to_str().unwrap()).await.unwrap();
    let asked = async |store: &Store| store.leftovers_due(day).await.unwrap();

    let first = (asked(&db.store).await, asked(&other).await, asked(&db.store).await);
    let elsewhere = Database::connect(&db.url).await.unwrap();
    let later = "UPDATE counters SET value = value - 4000 WHERE name = 'leftovers_sought'";
    elsewhere.execute_unprepared(later).await.unwrap();
    let hours = (asked(&other).await, other.leftovers_due(hour).await.unwrap());

    assert_eq!((first, hours), ((true, false, false), (false, true)));
    assert!(!db.store.leftovers_due(hour).await.unwrap());
}

#[tokio::test]
async fn what_is_named_again_after_it_was_looked_for_stays() {
    let db = crate::common::sqlite().await;
    let digest = plant(&db, b"left over").await;
    age(&db.folder.path().join("blobs"), &digest);
    let found = db.store.leftovers().await.unwrap();
    db.store.pin(&Holder::new(), &digest).await.unwrap();

    assert_eq!((found.unnamed.len(), db.store.remove_leftovers(&found).await.unwrap()), (1, (0, 0)));

    assert!(db.store.has(&digest).await.unwrap());
}

#[tokio::test]
async fn blobs_of_a_bucket_that_nothing_names_are_removed_by_age() {
    let store = in_memory("memory://").await;
    let (holder, lost) = (Holder::new(), Holder::new());
    let (held, _) = store.put_bytes(&holder, b"held").await.unwrap();
    let (left, _) = store.put_bytes(&lost, b"left over").await.unwrap();
    store.release(&lost).await.unwrap();
    assert_eq!(store.leftovers().await.unwrap().unnamed, [], "all of them are young");
    let store = store.limited(Limits { unnamed_blob_seconds: 0, ..Limits::default() });

    let found = store.leftovers().await.unwrap();
    let removed = store.remove_leftovers(&found).await.unwrap();

    assert_eq!((found.unnamed, found.named, removed), (vec![(left, 9)], 1, (1, 9)));
    assert!(store.has(&held).await.unwrap() && !store.has(&left).await.unwrap());
}

async fn a_sweep_keeps_the_results_of_jobs_that_succeeded_and_no_others(db: Db) {
    let holder = Holder::new();
    let mut kept = Vec::new();
    for bytes in [b"good", b"lost"] {
        let new = NewJob { kind: "diff".to_owned(), payload: json!({}), idempotency_key: None, output: None };
        db.store.enqueue(new, 10).await.unwrap();
        let job = db.store.claim(&["diff"], "worker", 60).await.unwrap().unwrap();
        let (digest, _) = db.store.put_bytes(&holder, bytes).await.unwrap();
        db.store.keep_result(&job.hold(), &digest).await.unwrap();
        kept.push((job, digest));
    }
    db.store.release(&holder).await.unwrap();
    let [(good, result), (bad, orphan)] = kept.try_into().unwrap();
    db.store.finish(&good.hold(), json!({})).await.unwrap();
    assert_eq!(db.store.sweep().await.unwrap(), 0, "a running job keeps what it made");
    db.store.fail(&bad.hold(), Failed { code: "x", message: "y", retry_after: None }).await.unwrap();

    assert_eq!(db.store.sweep().await.unwrap(), 1);

    assert!(db.store.has(&result).await.unwrap() && !db.store.has(&orphan).await.unwrap());
}

async fn a_revision_without_weights_has_no_checkpoint(db: Db) {
    let (digest, size) = db.store.put_bytes(&Holder::new(), b"text").await.unwrap();
    let row = with_file(&db, digest, size).await;
    assert!(!row.has_weights);
    assert!(db.store.checkpoint(row.revision.unwrap(), &Limits::default()).await.unwrap().is_none());
}

async fn in_memory(blobs: &str) -> Store {
    let store = Store::open("sqlite::memory:", blobs).await.unwrap();
    store.migrate().await.unwrap();
    store
}

async fn round_trip(store: &Store) {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let mut writer = store.blob_writer(&Holder::new()).await.unwrap();
    for chunk in bytes.chunks(100_001) {
        writer.write(chunk).await.unwrap();
    }
    let (digest, size) = writer.finish().await.unwrap();
    assert_eq!((digest, size), (Digest::of(&bytes), 3_000_000));
    assert_eq!(store.put_bytes(&Holder::new(), &bytes).await.unwrap().0, digest);
    assert_eq!(store.blob_size(&digest).await.unwrap(), Some(size));
    for range in [0..size, 5..1_048_600, 2_999_999..9_000_000, 7..7, 4_000_000..5_000_000] {
        let parts: Vec<_> = store.stream(&digest, range.clone()).await.unwrap().try_collect().await.unwrap();
        let end = range.end.min(size) as usize;
        assert_eq!(parts.concat(), bytes[(range.start as usize).min(end)..end], "{range:?}");
    }
    let blob = store.open_blob(&digest).await.unwrap();
    let expected = bytes.clone();
    tokio::task::spawn_blocking(move || {
        let mut out = vec![0; 1_000];
        blob.read_at(1_234, &mut out).unwrap();
        assert_eq!(out, expected[1_234..2_234]);
        assert!(blob.read_at(2_999_500, &mut out).is_err() && blob.read_at(u64::MAX, &mut out).is_err());
        assert_eq!(blob.len(), 3_000_000);
    })
    .await
    .unwrap();
    assert!(matches!(store.read_text(&digest, 10).await, Err(Error::TextTooLong { .. })));
    assert!(matches!(store.read_text(&digest, size).await, Err(Error::NotText(_))));
    let (text, _) = store.put_bytes(&Holder::new(), "grüß".as_bytes()).await.unwrap();
    assert_eq!(store.read_text(&text, 100).await.unwrap(), "grüß");
    let (empty, length) = store.put_bytes(&Holder::new(), b"").await.unwrap();
    assert_eq!((store.read_text(&empty, 0).await.unwrap().as_str(), length), ("", 0));
    let absent = Digest::of(b"absent");
    assert!(matches!(store.open_blob(&absent).await, Err(Error::BlobMissing(d)) if d == absent));
}

#[tokio::test]
async fn bytes_in_a_folder_come_back_in_any_range() {
    let folder = tempfile::tempdir().unwrap();
    let store = in_memory(folder.path().to_str().unwrap()).await;
    round_trip(&store).await;
    assert_eq!(files_under(&folder.path().join("staging")), 0);
    assert_eq!(files_under(&folder.path().join("blobs")), 3);
}

#[tokio::test]
async fn bytes_in_a_bucket_come_back_in_any_range() {
    round_trip(&in_memory("memory://").await).await;
}

#[tokio::test]
async fn a_blob_for_a_bucket_that_was_broken_off_is_gone_on_with_and_arrives_whole() {
    let folder = tempfile::tempdir().unwrap();
    let staging = folder.path().join("staging");
    let store = in_memory("memory://").await.staged_in(&staging);
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let (digest, holder) = (Digest::of(&bytes), Holder::new());
    let mut first = store.blob_writer_again(&holder, &digest).await.unwrap();
    first.write(&bytes[..12_345_678]).await.unwrap();
    first.note("\"tag\"").unwrap();
    first.leave().await.unwrap();
    assert_eq!(store.blob_size(&digest).await.unwrap(), None);

    let mut second = store.blob_writer_again(&holder, &digest).await.unwrap();
    let (kept, noted) = (second.length(), second.noted());
    second.write(&bytes[12_345_678..]).await.unwrap();
    let done = second.finish().await.unwrap();

    assert_eq!((kept, noted.as_deref()), (12_345_678, Some("\"tag\"")));
    assert_eq!(done, (digest, 20_000_000));
    let parts: Vec<_> = store.stream(&digest, 0..u64::MAX).await.unwrap().try_collect().await.unwrap();
    assert!(parts.concat() == bytes, "other bytes");
    assert_eq!(files_under(&staging), 0);
}

#[tokio::test]
async fn what_was_staged_for_a_bucket_is_swept_a_day_later() {
    let folder = tempfile::tempdir().unwrap();
    let store = in_memory("memory://").await.staged_in(folder.path());
    let digest = Digest::of(b"never whole");
    let mut writer = store.blob_writer_again(&Holder::new(), &digest).await.unwrap();
    writer.write(b"never").await.unwrap();
    writer.leave().await.unwrap();
    assert_eq!((store.sweep().await.unwrap(), files_under(folder.path())), (0, 1));
    let then = std::time::SystemTime::now() - std::time::Duration::from_hours(25);
    let part = folder.path().join(format!("{}.part", digest.hex()));
    fs_err::OpenOptions::new().write(true).open(part).unwrap().set_modified(then).unwrap();

    let swept = store.sweep().await.unwrap();

    assert_eq!((swept, files_under(folder.path())), (1, 0));
}

#[tokio::test]
async fn a_stored_blob_is_read_only_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = in_memory(folder.path().to_str().unwrap()).await;
    let (digest, _) = store.put_bytes(&Holder::new(), b"first").await.unwrap();
    let hex = digest.hex();
    let path = folder.path().join("blobs/sha256").join(&hex[..2]).join(&hex);
    let before = fs_err::metadata(&path).unwrap();
    assert_eq!(before.permissions().mode() & 0o222, 0);
    let source = folder.path().join("source");
    fs_err::write(&source, b"first").unwrap();
    assert_eq!(store.put_file(&Holder::new(), &source).await.unwrap(), (digest, 5));
    let after = fs_err::metadata(&path).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
}

/// The file of a blob, with other bytes than it was stored with.
fn spoil(folder: &std::path::Path, digest: &Digest, change: impl FnOnce(&mut Vec<u8>)) {
    let hex = digest.hex();
    let path = folder.join("blobs/sha256").join(&hex[..2]).join(&hex);
    let mut bytes = fs_err::read(&path).unwrap();
    change(&mut bytes);
    fs_err::remove_file(&path).unwrap();
    fs_err::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_blob_is_not_given_out_until_it_is_brought_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let small = in_memory(folder.path().to_str().unwrap()).await;
    // A limit of nothing makes every file a large one.
    let large = small.clone().limited(domain::Limits { check_bytes: 0, ..domain::Limits::default() });
    let changes: [fn(&mut Vec<u8>); 2] = [|bytes| bytes[1] ^= 1, |bytes| bytes.truncate(2)];
    for (store, change) in
        [&small, &large].into_iter().flat_map(|store| changes.map(|change| (store, change)))
    {
        let (digest, _) = store.put_bytes(&Holder::new(), b"as it was").await.unwrap();
        spoil(folder.path(), &digest, change);

        let read: store::Result<Vec<_>> = match store.stream(&digest, 0..9).await {
            Ok(stream) => stream.try_collect().await,
            Err(error) => Err(error),
        };

        assert!(!matches!(read, Ok(bytes) if bytes.concat().len() == 9), "other bytes");
        store.put_bytes(&Holder::new(), b"as it was").await.unwrap();
        let parts: Vec<_> = store.stream(&digest, 0..9).await.unwrap().try_collect().await.unwrap();
        assert_eq!(parts.concat(), b"as it was");
        assert!(!folder.path().join("quarantine").join(digest.hex()).exists());
    }
}

#[tokio::test]
async fn a_file_that_was_brought_in_again_while_the_damaged_one_was_read_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = in_memory(folder.path().to_str().unwrap()).await;
    let (digest, _) = store.put_bytes(&Holder::new(), b"as it was").await.unwrap();
    spoil(folder.path(), &digest, |bytes| bytes[1] ^= 1);
    let (damaged, look) = store.open_untried(&digest).await.unwrap();
    store.put_bytes(&Holder::new(), b"as it was").await.unwrap();
    let found = tokio::task::spawn_blocking(move || damaged.digest()).await.unwrap().unwrap();
    assert_ne!(found, digest);

    store.set_aside(&digest, look).await;

    assert_eq!(store.read_text(&digest, 9).await.unwrap(), "as it was");
    let (_, now) = store.open_untried(&digest).await.unwrap();
    assert!(now.is_some() && now != look, "{now:?}");
}

#[tokio::test]
async fn a_blob_that_was_set_aside_is_told_from_one_that_never_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = in_memory(folder.path().to_str().unwrap()).await;
    let (digest, _) = store.put_bytes(&Holder::new(), b"as it was").await.unwrap();
    spoil(folder.path(), &digest, |bytes| bytes.push(b'!'));
    assert!(matches!(store.open_blob(&digest).await, Err(Error::BlobDamaged(_))));

    let again = store.open_blob(&digest).await;

    assert!(matches!(again, Err(Error::BlobDamaged(_))), "{again:?}");
    assert_eq!(store.blob_size(&digest).await.unwrap(), None);
    let never = store.open_blob(&Digest::of(b"never")).await;
    assert!(matches!(never, Err(Error::BlobMissing(_))), "{never:?}");
}

#[tokio::test]
async fn an_abandoned_blob_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = in_memory(folder.path().to_str().unwrap()).await;
    for abort in [true, false] {
        let mut writer = store.blob_writer(&Holder::new()).await.unwrap();
        writer.write(b"half").await.unwrap();
        if abort {
            writer.abort();
        }
    }
    assert!(store.put_file(&Holder::new(), Path::new("/does/not/exist")).await.is_err());
    assert_eq!(files_under(folder.path()), 0);
}

#[tokio::test]
async fn other_places_are_refused_with_what_would_be_right() {
    for (database, blobs) in
        [("mysql://h/d", "/tmp/x"), ("sqlite::memory:", "gs://b"), ("sqlite::memory:", "s3://")]
    {
        let Err(Error::BadUrl(message)) = Store::open(database, blobs).await else {
            panic!("{database} {blobs}")
        };
        assert!(message.contains("use "), "{message}");
    }
}

#[tokio::test]
async fn only_staged_files_that_nobody_has_touched_for_a_day_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let store = in_memory(folder.path().to_str().unwrap()).await;
    let staging = folder.path().join("staging");
    for (name, hours) in [("old", 25), ("new", 1)] {
        let file = fs_err::File::create(staging.join(name)).unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(hours * 3_600);
        file.set_modified(then).unwrap();
    }

    assert_eq!(store.sweep().await.unwrap(), 1);

    assert!(staging.join("new").exists() && !staging.join("old").exists());
}

#[test]
fn a_folder_is_swept_when_nothing_in_it_was_touched_for_a_day() {
    let scratch = tempfile::tempdir().unwrap();
    for (name, hours) in [("dead", 25), ("alive", 1)] {
        fs_err::create_dir(scratch.path().join(name)).unwrap();
        let file = fs_err::File::create(scratch.path().join(name).join("shard")).unwrap();
        let at = |hours: u64| std::time::SystemTime::now() - std::time::Duration::from_secs(hours * 3_600);
        file.set_modified(at(hours)).unwrap();
        fs_err::File::open(scratch.path().join(name)).unwrap().set_modified(at(25)).unwrap();
    }

    assert_eq!(store::sweep_folder(scratch.path()).unwrap(), 1);

    assert!(scratch.path().join("alive/shard").exists() && !scratch.path().join("dead").exists());
}
