//! Stored files: on the local disk and in memory.

use std::{
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use crate::{Error, ReadAt, Result};

/// A plain local file, read by position and never mapped: a file cut short under us is an error, not a signal.
#[derive(Debug)]
pub struct LocalFile {
    file: fs_err::File,
    len: u64,
}

impl LocalFile {
    /// Opens a plain file.
    ///
    /// # Errors
    /// [`Error::NotPlain`] when the path itself is a symbolic link or anything but a file; I/O errors.
    pub fn open(path: &Path) -> Result<Self> {
        let seen = fs_err::symlink_metadata(path)?;
        plain(path, &seen)?;
        let file = fs_err::File::open(path)?;
        let opened = file.metadata()?;
        if (opened.dev(), opened.ino()) != (seen.dev(), seen.ino()) {
            return Err(Error::NotPlain {
                path: path.to_owned(),
                kind: "a file that was replaced while it was opened",
            });
        }
        Ok(Self { file, len: opened.len() })
    }
}

/// Refuses links and special files.
pub(crate) fn plain(path: &Path, metadata: &std::fs::Metadata) -> Result<()> {
    let kind = metadata.file_type();
    let kind = if kind.is_file() {
        return Ok(());
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a folder"
    } else {
        "a special file"
    };
    Err(Error::NotPlain { path: path.to_owned(), kind })
}

impl ReadAt for LocalFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        within(self.len, offset, out.len())?;
        self.file.file().read_exact_at(out, offset)
    }
}

/// A file held in memory.
#[derive(Debug, Clone, Default)]
pub struct Bytes(pub Vec<u8>);

impl ReadAt for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        within(self.len(), offset, out.len())?;
        let begin = offset as usize;
        out.copy_from_slice(&self.0[begin..begin + out.len()]);
        Ok(())
    }

    fn view(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let begin = usize::try_from(offset).ok()?;
        self.0.get(begin..begin.checked_add(len)?)
    }
}

fn within(len: u64, offset: u64, count: usize) -> io::Result<()> {
    match offset.checked_add(count as u64) {
        Some(end) if end <= len => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{count} bytes at {offset} leave a file of {len} bytes"),
        )),
    }
}

/// Reads a whole small file.
pub(crate) fn read_all(file: &dyn ReadAt, label: &str, limit: u64) -> Result<Vec<u8>> {
    let size = file.len();
    if size > limit {
        return Err(Error::TooLarge { file: label.to_owned(), size, limit });
    }
    let mut bytes = vec![0; size as usize];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}
