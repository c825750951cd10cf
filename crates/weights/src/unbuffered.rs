//! A file written past the page cache where the system allows it: what is written once and is far larger than a cache
//! need not take its pages, and copying into fresh ones costs more than the rest of a cheap merge.

use std::{
    io::{self, Write},
    os::unix::fs::FileExt as _,
    path::Path,
};

use fs_err::{File, OpenOptions};

/// What addresses, offsets and lengths are multiples of.
const ALIGNED: usize = 4_096;

/// Bytes written at a time.
const BLOCK: usize = 1 << 20;

/// Bytes from which a file is worth it.
const LARGE: u64 = 32 << 20;

/// Appends to a file, of whose end nobody else makes use until [`Self::finish`].
pub(crate) struct Unbuffered {
    file: File,
    /// The same file past the page cache; none where that cannot be, or is not worth it.
    direct: Option<File>,
    memory: Vec<u8>,
    /// Where the aligned part of the memory begins.
    first: usize,
    /// Bytes there, which belong at `offset`, a multiple of the alignment.
    filled: usize,
    offset: u64,
    /// Bytes there that are in the file already.
    flushed: usize,
}

impl Unbuffered {
    /// Goes on at the end of a file, which is made where it is missing; `expected` bytes will be written.
    pub(crate) fn append(path: &Path, expected: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let end = file.metadata()?.len();
        let direct = if expected >= LARGE { open_direct(path) } else { None };
        let memory = vec![0; BLOCK + ALIGNED];
        let first = memory.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        let filled = (end % ALIGNED as u64) as usize;
        let offset = end - filled as u64;
        let mut out = Self { file, direct, memory, first, filled, offset, flushed: filled };
        out.file.file().read_exact_at(&mut out.memory[first..first + filled], offset)?;
        Ok(out)
    }

    /// Puts what is there into the file, whose end may be padded with zeros until the last call.
    fn put(&mut self) -> io::Result<()> {
        if self.flushed == self.filled {
            return Ok(());
        }
        if let Some(direct) = &self.direct {
            let padded = self.filled.next_multiple_of(ALIGNED);
            self.memory[self.first + self.filled..self.first + padded].fill(0);
            match direct.file().write_all_at(&self.memory[self.first..self.first + padded], self.offset) {
                Ok(()) => {
                    self.flushed = self.filled;
                    return Ok(());
                }
                // Coarser blocks than these, or a file system that only says so now.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.direct = None,
                Err(error) => return Err(error),
            }
        }
        let bytes = &self.memory[self.first..self.first + self.filled];
        self.file.file().write_all_at(bytes, self.offset)?;
        self.flushed = self.filled;
        Ok(())
    }

    /// Makes the file durable, at its own length.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.put()?;
        self.file.set_len(self.offset + self.filled as u64)?;
        self.file.sync_all()
    }
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> Option<File> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    let flag = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
    OpenOptions::new().write(true).custom_flags(flag).open(path).ok()
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_path: &Path) -> Option<File> {
    None
}

impl Write for Unbuffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let here = bytes.len().min(BLOCK - self.filled);
        let begin = self.first + self.filled;
        self.memory[begin..begin + here].copy_from_slice(&bytes[..here]);
        self.filled += here;
        if self.filled == BLOCK {
            self.put()?;
            self.offset += BLOCK as u64;
            (self.filled, self.flushed) = (0, 0);
        }
        Ok(here)
    }

    /// All bytes leave this process.
    fn flush(&mut self) -> io::Result<()> {
        self.put()?;
        // The block that is not full is written again once it is.
        let whole = self.filled / ALIGNED * ALIGNED;
        self.memory.copy_within(self.first + whole..self.first + self.filled, self.first);
        (self.offset, self.filled) = (self.offset + whole as u64, self.filled - whole);
        self.flushed = self.filled;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(from: usize, len: usize) -> Vec<u8> {
        (from..from + len).map(|at| (at * 31 % 251) as u8).collect()
    }

    #[test]
    fn a_file_has_the_bytes_written_whether_past_the_page_cache_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut written = 0;
        for (place, expected) in [0, u64::MAX].into_iter().enumerate() {
            let path = folder.path().join(place.to_string());

            let mut out = Unbuffered::append(&path, expected).unwrap();
            written = 0;
            for len in [8, ALIGNED, 3 * ALIGNED - 8, 5, BLOCK, 2 * BLOCK + 77] {
                out.write_all(&bytes(written, len)).unwrap();
                out.flush().unwrap();
                written += len;
                let seen = fs_err::read(&path).unwrap();
                assert!(seen.len() >= written && seen[..written] == bytes(0, written));
            }
            out.finish().unwrap();

            assert!(fs_err::read(&path).unwrap() == bytes(0, written));
        }
        assert!(written > 3 * BLOCK);
    }

    #[test]
    fn what_a_file_held_stays_before_what_is_appended() {
        let folder = tempfile::tempdir().unwrap();
        for expected in [0, u64::MAX] {
            let path = folder.path().join(format!("{expected}"));
            fs_err::write(&path, bytes(0, 5_000)).unwrap();

            let mut out = Unbuffered::append(&path, expected).unwrap();
            out.write_all(&bytes(5_000, 10_000)).unwrap();
            out.finish().unwrap();

            assert!(fs_err::read(&path).unwrap() == bytes(0, 15_000));
        }
    }
}
