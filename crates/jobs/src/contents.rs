//! Digests of checkpoints on this machine, remembered for as long as their files stay what they were.

use std::{
    fmt::Write as _,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use domain::Digest;

use crate::Error;

/// Digests remembered; the oldest are forgotten.
const REMEMBERED: usize = 4_096;

/// A file changed this shortly before it is read may change again within one tick of the file system's clock.
const SETTLED: Duration = Duration::from_secs(3);

/// Where digests are remembered: a file each, named after what the checkpoint's files look like from outside.
#[derive(Debug, Clone)]
pub struct Contents {
    folder: PathBuf,
}

impl Contents {
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The digest of the content of `files`: remembered if none of them was written, replaced or touched since, else
    /// computed. What cannot be remembered is only computed.
    ///
    /// # Errors
    /// What `compute` fails with, or when a file is gone.
    pub fn digest(
        &self,
        files: &[&Path],
        compute: impl FnOnce() -> Result<Digest, Error>,
    ) -> Result<Digest, Error> {
        let before = Seen::of(files)?;
        if let Some(known) = self.known(&before) {
            return Ok(known);
        }
        let digest = compute()?;
        if before.settled
            && Seen::of(files)?.state == before.state
            && let Err(error) = self.remember(&before, &digest)
        {
            tracing::debug!(%error, "a digest is not remembered: {error}");
        }
        Ok(digest)
    }

    fn known(&self, seen: &Seen) -> Option<Digest> {
        let text = fs_err::read_to_string(self.folder.join(seen.state.hex())).ok()?;
        text.trim_end().parse().ok()
    }

    fn remember(&self, seen: &Seen, digest: &Digest) -> io::Result<()> {
        fs_err::create_dir_all(&self.folder)?;
        self.forget_oldest()?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        io::Write::write_all(&mut file, format!("{digest}\n").as_bytes())?;
        file.persist(self.folder.join(seen.state.hex()))?;
        Ok(())
    }

    fn forget_oldest(&self) -> io::Result<()> {
        let entries = fs_err::read_dir(&self.folder)?.collect::<io::Result<Vec<_>>>()?;
        if entries.len() < REMEMBERED {
            return Ok(());
        }
        let mut dated = entries
            .into_iter()
            .map(|entry| Ok((entry.metadata()?.modified()?, entry.path())))
            .collect::<io::Result<Vec<_>>>()?;
        dated.sort();
        dated.iter().take(REMEMBERED / 4).try_for_each(|(_, path)| fs_err::remove_file(path))
    }
}

/// What files look like from outside.
struct Seen {
    /// Digest of paths, inodes, lengths and times.
    state: Digest,
    /// Whether none was changed a moment ago.
    settled: bool,
}

impl Seen {
    fn of(files: &[&Path]) -> io::Result<Self> {
        let (mut text, mut settled) = ("content/v1\n".to_owned(), true);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for path in files {
            let (at, of) = (fs_err::canonicalize(path)?, fs_err::metadata(path)?);
            let changed = [(of.mtime(), of.mtime_nsec()), (of.ctime(), of.ctime_nsec())];
            let _ = writeln!(text, "{at:?} {} {} {} {changed:?}", of.dev(), of.ino(), of.len());
            let latest = changed.iter().map(|(seconds, _)| *seconds).max().unwrap_or_default();
            settled &= u64::try_from(latest).is_ok_and(|latest| latest + SETTLED.as_secs() <= now.as_secs());
        }
        Ok(Self { state: Digest::of(text.as_bytes()), settled })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        file: PathBuf,
        contents: Contents,
        computed: Cell<u32>,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (file, contents) = (folder.path().join("w"), Contents::new(folder.path().join("cache")));
            Self { folder, file, contents, computed: Cell::new(0) }
        }

        fn write(&self, text: &str) {
            fs_err::write(&self.file, text).unwrap();
        }

        fn ask(&self) -> Digest {
            let compute = || {
                self.computed.set(self.computed.get() + 1);
                Ok(Digest::of(&fs_err::read(&self.file)?))
            };
            self.contents.digest(&[&self.file], compute).unwrap()
        }
    }

    #[test]
    fn a_file_that_was_just_written_is_read_each_time() {
        let place = Place::new();
        place.write("one");

        assert_eq!([place.ask(), place.ask()], [Digest::of(b"one"); 2]);
        assert_eq!(place.computed.get(), 2);
    }

    #[test]
    fn what_is_remembered_is_of_the_files_as_they_are() {
        let place = Place::new();
        place.write("one");
        let seen = Seen { settled: true, ..Seen::of(&[&place.file]).unwrap() };
        place.contents.remember(&seen, &Digest::of(b"remembered")).unwrap();

        let known = place.ask();
        place.write("two");
        let changed = place.ask();
        fs_err::write(place.folder.path().join("cache").join(seen.state.hex()), "no digest").unwrap();

        assert_eq!((known, changed), (Digest::of(b"remembered"), Digest::of(b"two")));
        assert!(place.contents.known(&seen).is_none(), "what is no digest counts for nothing");
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let place = Place::new();
        fs_err::create_dir_all(&place.contents.folder).unwrap();
        for at in 0..REMEMBERED {
            fs_err::write(place.contents.folder.join(at.to_string()), "x").unwrap();
        }
        place.write("one");
        let seen = Seen::of(&[&place.file]).unwrap();

        place.contents.remember(&seen, &Digest::of(b"one")).unwrap();

        assert_eq!(fs_err::read_dir(&place.contents.folder).unwrap().count(), REMEMBERED * 3 / 4 + 1);
        assert_eq!(place.contents.known(&seen), Some(Digest::of(b"one")));
    }
}
