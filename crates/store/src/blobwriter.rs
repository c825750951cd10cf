//! Writing blobs: staged, hashed, then put under their own name, once and for good.

use std::{
    io::{self, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use domain::Digest;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use ulid::Ulid;

use crate::{
    Error, Holder, Result, Store,
    blobs::{BLOCK, Blobs, create_private},
    bucket::send,
    integrity::{Compared, Look, hash, quarantine},
};

/// Counts the bytes that this process has put into the blob store: imports, uploads, and what jobs make.
pub const INGESTED_BYTES: &str = "stemma_ingested_bytes_total";

/// A blob being written to a file of this machine, also where it goes into a bucket. Nothing is visible before
/// [`Self::finish`]; dropped unfinished, it leaves nothing, or what the next writer of the same goes on with.
pub struct BlobWriter {
    owner: Store,
    holder: Holder,
    hash: Sha256,
    length: u64,
    staged: Staged,
    file: tokio::fs::File,
}

/// A staging file.
enum Staged {
    /// Goes away with its owner.
    Own(PathBuf),
    /// Stays until it is settled or dropped on purpose, for the next who writes the same; held while it is written.
    Kept { path: PathBuf, _lock: fs_err::File },
}

impl Staged {
    fn path(&self) -> &Path {
        match self {
            Self::Own(path) | Self::Kept { path, .. } => path,
        }
    }

    fn remove(&self) {
        drop(fs_err::remove_file(self.path()));
        drop(fs_err::remove_file(note(self.path())));
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let empty = || fs_err::metadata(self.path()).is_ok_and(|about| about.len() == 0);
        if matches!(self, Self::Own(_)) || empty() {
            self.remove();
        }
    }
}

/// Where is noted what the bytes of a kept file are of.
fn note(path: &Path) -> PathBuf {
    path.with_extension("note")
}

impl BlobWriter {
    /// Appends bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(self.file.write_all(bytes).await?)
    }

    /// Bytes written so far, those of an earlier writer included.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// What an earlier writer noted of the bytes that are there.
    pub fn noted(&self) -> Option<String> {
        match &self.staged {
            Staged::Kept { path, .. } if self.length > 0 => fs_err::read_to_string(note(path)).ok(),
            _ => None,
        }
    }

    /// Notes of what the bytes are, for whoever goes on with them.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, text: &str) -> Result<()> {
        if let Staged::Kept { path, .. } = &self.staged {
            fs_err::write(note(path), text)?;
        }
        Ok(())
    }

    /// Begins anew: the bytes so far are of something else.
    ///
    /// # Errors
    /// When the staging file refuses.
    pub async fn restart(&mut self) -> Result<()> {
        self.file.flush().await?;
        self.file.set_len(0).await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        (self.hash, self.length) = (Sha256::new(), 0);
        Ok(())
    }

    /// Leaves what was written to the next who writes the same.
    ///
    /// # Errors
    /// When it cannot be written out.
    pub async fn leave(mut self) -> Result<()> {
        Ok(self.file.flush().await?)
    }

    /// Pins the blob for its holder and puts it under its digest, unless those bytes are there already; gives
    /// digest and length.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub async fn finish(mut self) -> Result<(Digest, u64)> {
        let digest = Digest::from_bytes(self.hash.finalize().into());
        self.owner.pin(&self.holder, &digest).await?;
        self.file.flush().await?;
        match self.owner.blobs() {
            Blobs::Local(root) => {
                self.file.sync_all().await?;
                drop(self.file);
                let (root, owner, staged) = (root.clone(), self.owner.clone(), self.staged);
                let aside = quarantine(&root, &digest).exists();
                let settled = move || {
                    let settled = settle((&root, owner.compared()), staged.path(), &digest);
                    staged.remove();
                    settled
                };
                tokio::task::spawn_blocking(settled).await??;
                if aside {
                    // Other files of the same bytes are whole again with this one.
                    self.owner.mark_verified(&digest).await?;
                }
            }
            Blobs::Remote(store, prefix) => {
                // A bucket that refuses leaves what is kept to the next attempt.
                send((&**store, prefix), &digest, &mut self.file).await?;
                self.staged.remove();
            }
        }
        metrics::counter!(INGESTED_BYTES).increment(self.length);
        Ok((digest, self.length))
    }

    /// Drops what was written.
    pub fn abort(self) {
        self.staged.remove();
    }
}

/// Links the staged file under its digest: read-only, durable. One that is there is left alone if this process knows it
/// to be whole; otherwise the staged one takes its place, since it is.
fn settle((root, compared): (&Path, &Compared), staged: &Path, digest: &Digest) -> io::Result<()> {
    let target = Blobs::file(root, digest);
    let folder = target.parent().unwrap_or(root);
    if !folder.exists() {
        create_private(folder)?;
        sync_folder(folder.parent().unwrap_or(root))?;
    }
    let mut permissions = fs_err::metadata(staged)?.permissions();
    permissions.set_readonly(true);
    fs_err::set_permissions(staged, permissions)?;
    match fs_err::hard_link(staged, &target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !compared.knows(digest, &Look::of(&fs_err::metadata(&target)?)) {
                fs_err::rename(staged, &target)?;
            }
        }
        linked => linked?,
    }
    sync_folder(folder)?;
    compared.note(digest, Look::of(&fs_err::metadata(&target)?));
    drop(fs_err::remove_file(quarantine(root, digest)));
    Ok(())
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}

impl Store {
    /// Starts a blob for `holder`. What goes into a bucket is staged on this machine: a bucket copies no object over 5 GB
    /// within itself, and the name is known at the end.
    ///
    /// # Errors
    /// When nothing can be staged.
    pub async fn blob_writer(&self, holder: &Holder) -> Result<BlobWriter> {
        let folder = self.staging().unwrap_or_else(std::env::temp_dir);
        create_private(&folder)?;
        let path = folder.join(Ulid::generate().to_string());
        let mut options = tokio::fs::OpenOptions::new();
        options.read(true).write(true).create_new(true);
        if matches!(self.blobs(), Blobs::Remote(..)) {
            options.mode(0o600);
        }
        let mut file = options.open(&path).await?;
        file.set_max_buf_size(BLOCK);
        let (owner, holder, staged) = (self.clone(), holder.clone(), Staged::Own(path));
        Ok(BlobWriter { owner, holder, hash: Sha256::new(), length: 0, staged, file })
    }

    /// Starts the blob that `expected` is the digest of, where the last writer of it on this machine broke off, in this
    /// process or one that was killed; anew while somebody else writes it.
    ///
    /// # Errors
    /// When nothing can be staged.
    pub async fn blob_writer_again(&self, holder: &Holder, expected: &Digest) -> Result<BlobWriter> {
        let Some(staging) = self.staging() else { return self.blob_writer(holder).await };
        create_private(&staging)?;
        let path = staging.join(format!("{}.part", expected.hex()));
        let lock = fs_err::OpenOptions::new().create(true).read(true).write(true).open(&path)?;
        let held = lock.file().try_lock().is_ok();
        // Whoever held it before may have settled it between the two calls; from here on only this writer does.
        let same = fs_err::metadata(&path).and_then(|now| Ok(now.ino() == lock.metadata()?.ino()));
        if !held || !same.unwrap_or_default() {
            return self.blob_writer(holder).await;
        }
        let mut file = tokio::fs::File::from_std(lock.try_clone()?.into_parts().0);
        file.set_max_buf_size(BLOCK);
        let (mut hash, mut length, mut block) = (Sha256::new(), 0, vec![0; BLOCK]);
        loop {
            match file.read(&mut block).await? {
                0 => break,
                read => {
                    hash.update(&block[..read]);
                    length += read as u64;
                }
            }
        }
        let staged = Staged::Kept { path, _lock: lock };
        Ok(BlobWriter { owner: self.clone(), holder: holder.clone(), hash, length, staged, file })
    }

    /// Stores a local file; gives digest and length. To a bucket it is sent from where it lies.
    ///
    /// # Errors
    /// When it cannot be read or stored; when it is changed while it is read.
    pub async fn put_file(&self, holder: &Holder, path: &Path) -> Result<(Digest, u64)> {
        let mut file = tokio::fs::File::open(path).await?;
        file.set_max_buf_size(BLOCK);
        if let Blobs::Remote(store, prefix) = self.blobs() {
            let place = path.to_owned();
            let digest = tokio::task::spawn_blocking(move || hash(&place)).await??;
            self.pin(holder, &digest).await?;
            let sent = send((&**store, prefix), &digest, &mut file).await;
            let length = sent.map_err(|error| match error {
                Error::BlobDamaged(_) => changed(path),
                error => error,
            })?;
            metrics::counter!(INGESTED_BYTES).increment(length);
            return Ok((digest, length));
        }
        let mut writer = self.blob_writer(holder).await?;
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block).await? {
                0 => return writer.finish().await,
                read => writer.write(&block[..read]).await?,
            }
        }
    }

    /// Stores bytes at hand; gives digest and length.
    ///
    /// # Errors
    /// When they cannot be stored.
    pub async fn put_bytes(&self, holder: &Holder, bytes: &[u8]) -> Result<(Digest, u64)> {
        let mut writer = self.blob_writer(holder).await?;
        writer.write(bytes).await?;
        writer.finish().await
    }
}

fn changed(path: &Path) -> Error {
    let told = format!("{} was changed while it was read; store it again", path.display());
    Error::Io(io::Error::new(io::ErrorKind::InvalidData, told))
}
