//! Bytes at rest: a local file read by position, or a buffer.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use crate::{Error, ReadAt};

/// A regular local file; links are refused.
#[derive(Debug)]
pub struct LocalFile {
    file: File,
    len: u64,
}

impl LocalFile {
    /// Opens a file for reading by position.
    ///
    /// # Errors
    /// [`Error::LinkRefused`] for a symbolic link, otherwise I/O.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if fs_err::symlink_metadata(path)?.is_symlink() {
            return Err(Error::LinkRefused(path.display().to_string()));
        }
        let file = fs_err::File::open(path)?.into_parts().0;
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }
}

impl ReadAt for LocalFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }
}

/// Bytes in memory.
#[derive(Debug, Clone)]
pub struct Bytes(pub Vec<u8>);

impl ReadAt for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = start.checked_add(out.len()).and_then(|end| self.0.get(start..end));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
