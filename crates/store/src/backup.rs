//! Copies of a registry in a folder: made while it is in use, and made into a registry again. The database is copied
//! first: every blob that the copy names was stored before, and is never changed.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use domain::Digest;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::ObjectStoreExt as _;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    Error, Result, Store,
    blobs::{BLOCK, Blobs, create_private},
    blobwriter::sync_folder,
    bucket::send,
    connect::{create_parent, sqlite_path},
    integrity::hash,
    leftovers::named,
    rows::{get, parsed},
    sql::{self, MOST_KEYS, Params},
};

/// The database in a copy.
const DATABASE: &str = "database.sqlite";
/// Times the database is copied anew where blobs of its copy were removed before they were copied.
const ROUNDS: usize = 5;

/// What of a registry is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// A SQLite database and the blobs that it names.
    Whole,
    /// The blobs alone, where the database is copied by its own means.
    Blobs,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    pub blobs: u64,
    pub bytes: u64,
    /// Blobs that were there already.
    pub known: u64,
    /// Blobs that are named and cannot be copied, with the reason.
    pub lacking: Vec<(Digest, String)>,
}

impl Copied {
    fn add(&mut self, bytes: u64) {
        self.blobs += 1;
        self.bytes += bytes;
    }
}

/// The folder of a copy; one process at a time writes to it.
struct Folder {
    root: PathBuf,
    _lock: fs_err::File,
}

impl Folder {
    fn take(root: &Path) -> Result<Self> {
        create_private(&root.join("staging"))?;
        create_private(&root.join("blobs").join("sha256"))?;
        let lock = fs_err::OpenOptions::new().create(true).append(true).open(root.join("lock"))?;
        if lock.file().try_lock().is_err() {
            return Err(Error::BackupBusy(root.to_owned()));
        }
        // Whatever is staged is of a copy that was broken off.
        for entry in fs_err::read_dir(root.join("staging"))? {
            fs_err::remove_file(entry?.path())?;
        }
        Ok(Self { root: root.to_owned(), _lock: lock })
    }
}

/// Hears how many bytes were copied since it last heard.
pub type Heard<'a> = &'a (dyn Fn(u64) + Sync);

impl Store {
    /// Copies the registry into a folder while it is in use. What the folder has is not copied again; its database is
    /// replaced at the end, in one step. After a broken-off copy the same call completes it.
    ///
    /// # Errors
    /// [`Error::NotSqlite`], [`Error::BackupBusy`]; when anything cannot be read or written. Blobs that are damaged
    /// are in the report, and everything else is copied.
    pub async fn back_up(&self, folder: &Path, extent: Extent) -> Result<Copied> {
        self.back_up_heard(folder, extent, &|_| ()).await
    }

    /// [`Self::back_up`] that tells of each block of blobs how many bytes it has.
    ///
    /// # Errors
    /// As [`Self::back_up`].
    pub async fn back_up_heard(&self, folder: &Path, extent: Extent, heard: Heard<'_>) -> Result<Copied> {
        if extent == Extent::Whole && self.backend() != DbBackend::Sqlite {
            return Err(Error::NotSqlite("`pg_dump` copies it; then `stemma backup --blobs-only` the blobs"));
        }
        let folder = Folder::take(folder)?;
        let mut copied = Copied::default();
        if extent == Extent::Blobs {
            self.copy_blobs(self.db(), (&folder, heard), &mut copied).await?;
            return Ok(copied);
        }
        let staged = folder.root.join("staging").join(DATABASE);
        for _ in 0..ROUNDS {
            if staged.exists() {
                fs_err::remove_file(&staged)?;
            }
            (copied.known, copied.lacking) = (0, Vec::new());
            let earlier = copied.blobs;
            let place = staged.display().to_string().replace('\'', "''");
            self.db().execute_unprepared(&format!("VACUUM INTO '{place}'")).await?;
            let copy = unchanging(&staged).await?;
            let done = self.copy_blobs(&copy, (&folder, heard), &mut copied).await;
            copy.close().await?;
            done?;
            copied.known = copied.known.saturating_sub(earlier);
            let lacking: Vec<Digest> = copied.lacking.iter().map(|(digest, _)| *digest).collect();
            let mut wanted = 0;
            for some in lacking.chunks(MOST_KEYS) {
                wanted += named(self.db(), some).await?.len();
            }
            // What nothing names here any more was removed since: a later copy of the database does without it.
            if wanted == lacking.len() {
                break;
            }
        }
        settle(&staged, &folder.root.join(DATABASE)).await?;
        Ok(copied)
    }

    /// Copies the blobs that a database names and the folder lacks, each compared with its digest on the way.
    async fn copy_blobs(
        &self,
        db: &impl ConnectionTrait,
        (folder, heard): (&Folder, Heard<'_>),
        copied: &mut Copied,
    ) -> Result<()> {
        let mut after = String::new();
        loop {
            let digests = names(db, &after).await?;
            let Some(last) = digests.last() else { return Ok(()) };
            after = last.to_string();
            for digest in digests {
                // A blob gets its name there when it is whole.
                if Blobs::file(&folder.root, &digest).exists() {
                    copied.known += 1;
                    continue;
                }
                let put = match self.stream(&digest, 0..u64::MAX).await {
                    Ok(stream) => {
                        let stream = stream.inspect_ok(|block| heard(block.len() as u64)).boxed();
                        put(&folder.root, &digest, stream).await
                    }
                    Err(error) => Err(error),
                };
                match put {
                    Ok(bytes) => copied.add(bytes),
                    Err(error @ (Error::BlobDamaged(_) | Error::BlobMissing(_))) => {
                        copied.lacking.push((digest, error.to_string()));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// Makes a registry, at these addresses of a database and a blob store, out of a copy. Every blob is compared with its
/// digest; the database comes last, so that the same call completes what was broken off.
///
/// # Errors
/// [`Error::NotSqlite`], [`Error::NoBackup`]; [`Error::NotEmpty`] where there is a database already; when anything cannot
/// be read or written. Blobs that the copy lacks, or has damaged, are in the report, and everything else is restored.
pub async fn restore(folder: &Path, places: (&str, &str), extent: Extent) -> Result<Copied> {
    restore_heard(folder, places, (extent, &|_| ())).await
}

/// [`restore`] that tells of each block of blobs how many bytes it has.
///
/// # Errors
/// As [`restore`].
pub async fn restore_heard(
    folder: &Path,
    (database, blobs): (&str, &str),
    (extent, heard): (Extent, Heard<'_>),
) -> Result<Copied> {
    let mut copied = Copied::default();
    if extent == Extent::Blobs {
        let source = Blobs::Local(folder.to_owned());
        if !folder.join("blobs").join("sha256").is_dir() {
            return Err(Error::NoBackup(folder.to_owned()));
        }
        let target = Blobs::open(blobs)?;
        let mut listed = source.listed();
        while let Some(blob) = listed.try_next().await? {
            bring_back((&target, heard), (folder, &blob.digest), &mut copied).await?;
        }
        return Ok(copied);
    }
    let Some(path) = sqlite_path(database) else {
        return Err(Error::NotSqlite(
            "`pg_restore` restores it; then `stemma restore --blobs-only` the blobs",
        ));
    };
    let source = folder.join(DATABASE);
    if !source.is_file() {
        return Err(Error::NoBackup(folder.to_owned()));
    }
    // What another database left in its log would be taken for a part of this one.
    for ending in ["", "-wal", "-journal"] {
        let mut beside = path.clone().into_os_string();
        beside.push(ending);
        if Path::new(&beside).exists() {
            return Err(Error::NotEmpty(beside.into()));
        }
    }
    let target = Blobs::open(blobs)?;
    create_parent(database)?;
    let staged = path.with_extension("restoring");
    fs_err::copy(&source, &staged)?;
    let copy = unchanging(&staged).await?;
    let done = bring_all_back(&copy, (folder, &target, heard), &mut copied).await;
    copy.close().await?;
    done?;
    settle(&staged, &path).await?;
    Ok(copied)
}

/// Brings the blobs back that a copy of the database names, after a look at the copy itself.
async fn bring_all_back(
    copy: &DatabaseConnection,
    (folder, target, heard): (&Path, &Blobs, Heard<'_>),
    copied: &mut Copied,
) -> Result<()> {
    let row = sql::one(copy, "PRAGMA quick_check(1)", Params::default()).await?;
    let found: Option<String> = row.map(|row| get(&row, "quick_check")).transpose()?;
    if found.as_deref() != Some("ok") {
        return Err(Error::stored("database", found.unwrap_or_else(|| "it says nothing".to_owned())));
    }
    let mut after = String::new();
    loop {
        let digests = names(copy, &after).await?;
        let Some(last) = digests.last() else { return Ok(()) };
        after = last.to_string();
        for digest in digests {
            bring_back((target, heard), (folder, &digest), copied).await?;
        }
    }
}

/// Puts a blob of a copy where it belongs, unless it is there and whole; of a bucket's objects the size is compared.
async fn bring_back(
    (target, heard): (&Blobs, Heard<'_>),
    (folder, digest): (&Path, &Digest),
    copied: &mut Copied,
) -> Result<()> {
    if let Blobs::Local(root) = target {
        let there = Blobs::file(root, digest);
        let found = tokio::task::spawn_blocking(move || there.exists().then(|| hash(&there)).transpose());
        if found.await?? == Some(*digest) {
            copied.known += 1;
            return Ok(());
        }
    }
    let mut file = match tokio::fs::File::open(Blobs::file(folder, digest)).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            copied.lacking.push((*digest, "the copy does not have it".to_owned()));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let size = file.metadata().await?.len();
    let put = match target {
        Blobs::Local(root) => {
            let blocks = blocks(file).inspect_ok(|block| heard(block.len() as u64)).boxed();
            put(root, digest, blocks).await.map(|_| ())
        }
        Blobs::Remote(store, prefix) => {
            let key = Blobs::key(prefix, digest);
            if store.head(&key).await.is_ok_and(|held| held.size == size) {
                copied.known += 1;
                return Ok(());
            }
            let sent = send((&**store, prefix), digest, &mut file).await.map(|_| ());
            heard(size);
            sent
        }
    };
    match put {
        Ok(()) => copied.add(size),
        Err(Error::BlobDamaged(_)) => {
            copied.lacking.push((*digest, "its bytes in the copy are damaged".to_owned()));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Digests that a database names, ascending as texts, after one of them.
async fn names(db: &impl ConnectionTrait, after: &str) -> Result<Vec<Digest>> {
    let mut params = Params::default();
    let after = params.add(after);
    let sql = format!(
        "SELECT digest FROM files WHERE digest > {after} UNION SELECT digest FROM job_blobs WHERE digest > {after}
         ORDER BY digest LIMIT {MOST_KEYS}"
    );
    sql::all(db, &sql, params).await?.iter().map(|row| parsed(row, "digest", "digest")).collect()
}

/// A SQLite file that nobody writes to; nothing is left beside it.
async fn unchanging(path: &Path) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new("sqlite://copy?mode=ro");
    let path = path.to_owned();
    options.sqlx_logging(false).max_connections(1);
    options.map_sqlx_sqlite_opts(move |sqlite| sqlite.filename(&path).read_only(true).immutable(true));
    Ok(Database::connect(options).await?)
}

/// Writes a blob beside its place, compares it with its digest and puts it there, read-only; gives its length.
async fn put(root: &Path, digest: &Digest, mut bytes: BoxStream<'_, Result<Bytes>>) -> Result<u64> {
    let staged = root.join("staging").join(format!("{}.copy", digest.hex()));
    let mut file = tokio::fs::File::create(&staged).await?;
    file.set_max_buf_size(BLOCK);
    let (mut hash, mut length) = (Sha256::new(), 0);
    while let Some(block) = bytes.try_next().await? {
        hash.update(&block);
        length += block.len() as u64;
        file.write_all(&block).await?;
    }
    file.flush().await?;
    if Digest::from_bytes(hash.finalize().into()) != *digest {
        fs_err::remove_file(&staged)?;
        return Err(Error::BlobDamaged(*digest));
    }
    let mut permissions = file.metadata().await?.permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions).await?;
    let target = Blobs::file(root, digest);
    if let Some(folder) = target.parent().filter(|folder| !folder.exists()) {
        create_private(folder)?;
        sync_folder(folder.parent().unwrap_or(root))?;
    }
    settle(&staged, &target).await?;
    Ok(length)
}

/// Gives a staged file its name once it is on the disk.
async fn settle(staged: &Path, target: &Path) -> Result<()> {
    let (staged, target) = (staged.to_owned(), target.to_owned());
    let settled = tokio::task::spawn_blocking(move || {
        fs_err::File::open(&staged)?.sync_all()?;
        fs_err::rename(&staged, &target)?;
        sync_folder(target.parent().unwrap_or(&target))
    });
    Ok(settled.await??)
}

/// A file block by block.
fn blocks(mut file: tokio::fs::File) -> BoxStream<'static, Result<Bytes>> {
    file.set_max_buf_size(BLOCK);
    futures::stream::try_unfold(file, |mut file| async move {
        let mut block = vec![0; BLOCK];
        let read = file.read(&mut block).await?;
        block.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(block), file)))
    })
    .boxed()
}
