//! Writing blobs: staged, hashed, then put under their own name, once and for good.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use domain::Digest;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart, path::Path as Key};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use ulid::Ulid;

use crate::{
    Holder, Result, Store,
    blobs::{BLOCK, Blobs},
};

/// A blob being written. Nothing is visible before [`Self::finish`]; dropped unfinished, it leaves nothing.
pub struct BlobWriter {
    owner: Store,
    holder: Holder,
    hash: Sha256,
    length: u64,
    place: Place,
}

enum Place {
    Local { root: PathBuf, staged: Staged, file: tokio::fs::File },
    Remote { store: Arc<dyn ObjectStore>, prefix: Key, staged: Key, upload: WriteMultipart },
}

/// A staging file that goes away with its owner.
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        drop(fs_err::remove_file(&self.0));
    }
}

impl BlobWriter {
    /// Appends bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        match &mut self.place {
            Place::Local { file, .. } => file.write_all(bytes).await?,
            Place::Remote { upload, .. } => {
                upload.wait_for_capacity(4).await?;
                upload.write(bytes);
            }
        }
        Ok(())
    }

    /// Pins the blob for its holder and puts it under its digest, unless those bytes are there already; gives
    /// digest and length.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub async fn finish(self) -> Result<(Digest, u64)> {
        let digest = Digest::from_bytes(self.hash.finalize().into());
        self.owner.pin(&self.holder, &digest).await?;
        match self.place {
            Place::Local { root, staged, mut file } => {
                file.flush().await?;
                file.sync_all().await?;
                drop(file);
                tokio::task::spawn_blocking(move || settle(&root, &staged.0, &digest)).await??;
            }
            Place::Remote { store, prefix, staged, upload } => {
                upload.finish().await?;
                let key = Blobs::key(&prefix, &digest);
                if store.head(&key).await.is_err() {
                    // The name is the digest: whoever else writes it writes the same bytes.
                    store.copy(&staged, &key).await?;
                }
                store.delete(&staged).await?;
            }
        }
        Ok((digest, self.length))
    }

    /// Drops what was written.
    ///
    /// # Errors
    /// When a bucket cannot be told.
    pub async fn abort(self) -> Result<()> {
        if let Place::Remote { upload, .. } = self.place {
            upload.abort().await?;
        }
        Ok(())
    }
}

/// Links the staged file under its digest: read-only, create-only, durable.
fn settle(root: &Path, staged: &Path, digest: &Digest) -> io::Result<()> {
    let target = Blobs::file(root, digest);
    let folder = target.parent().unwrap_or(root);
    if !folder.exists() {
        fs_err::create_dir_all(folder)?;
        sync_folder(folder.parent().unwrap_or(root))?;
    }
    let mut permissions = fs_err::metadata(staged)?.permissions();
    permissions.set_readonly(true);
    fs_err::set_permissions(staged, permissions)?;
    match fs_err::hard_link(staged, &target) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(folder),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}

impl Store {
    /// Starts a blob for `holder`.
    ///
    /// # Errors
    /// When nothing can be staged.
    pub async fn blob_writer(&self, holder: &Holder) -> Result<BlobWriter> {
        let name = Ulid::generate().to_string();
        let place = match self.blobs() {
            Blobs::Local(root) => {
                let path = root.join("staging").join(name);
                let mut file = tokio::fs::OpenOptions::new().write(true).create_new(true).open(&path).await?;
                file.set_max_buf_size(BLOCK);
                Place::Local { root: root.clone(), staged: Staged(path), file }
            }
            Blobs::Remote(store, prefix) => {
                let staged = prefix.clone().join("staging").join(name);
                let upload =
                    WriteMultipart::new_with_chunk_size(store.put_multipart(&staged).await?, 8 * BLOCK);
                Place::Remote { store: Arc::clone(store), prefix: prefix.clone(), staged, upload }
            }
        };
        let (owner, holder) = (self.clone(), holder.clone());
        Ok(BlobWriter { owner, holder, hash: Sha256::new(), length: 0, place })
    }

    /// Stores a local file; gives digest and length.
    ///
    /// # Errors
    /// When it cannot be read or stored.
    pub async fn put_file(&self, holder: &Holder, path: &Path) -> Result<(Digest, u64)> {
        let mut file = tokio::fs::File::open(path).await?;
        file.set_max_buf_size(BLOCK);
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
