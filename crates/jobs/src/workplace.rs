//! Where one output is written: a folder that one process at a time holds, and that the next attempt finds again.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err::File;
use store::{LOCK, lock_folder};
use tempfile::TempDir;
use weights::{Checkpointed, Layout, Place, Step, TensorSource};

use crate::{Error, worker::Pulse};

/// Scratch folders of jobs are named after it and the job.
pub(crate) const JOB: &str = "job-";

/// A folder held by this process, empty or as an earlier attempt left it. The hold ends when it is dropped or its
/// process dies.
#[derive(Debug)]
pub struct Workplace {
    folder: PathBuf,
    /// The hold lasts as long as the file is open.
    _lock: File,
    /// A folder that goes when this is dropped.
    _own: Option<TempDir>,
}

impl Workplace {
    /// Holds `folder`, or a new one beside it that nobody finds again while another process holds it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn at(folder: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(folder)?;
        let lock = File::create(folder.join(LOCK))?;
        let held = lock.file().try_lock().is_ok();
        // Whoever held it before may have removed it between the two calls.
        let there =
            fs_err::metadata(folder.join(LOCK)).and_then(|seen| Ok(seen.ino() == lock.metadata()?.ino()));
        if !held || !there.unwrap_or_default() {
            return Self::new_in(folder.parent().unwrap_or(folder));
        }
        Self { folder: folder.to_owned(), _lock: lock, _own: None }.prepared()
    }

    /// A new folder in `parent`, removed when it is dropped.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn new_in(parent: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(parent)?;
        let own = tempfile::Builder::new().prefix(".stemma-").tempdir_in(parent)?;
        let lock = File::create(own.path().join(LOCK))?;
        lock.file().try_lock()?;
        Self { folder: own.path().to_owned(), _lock: lock, _own: Some(own) }.prepared()
    }

    fn prepared(self) -> io::Result<Self> {
        fs_err::create_dir_all(self.out())?;
        Ok(self)
    }

    /// The folder of the output's files.
    pub fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(self) -> io::Result<()> {
        fs_err::remove_dir_all(&self.folder)
    }

    /// Streams `source` into the files of an output; what an earlier attempt at the same `identity` finished is kept.
    ///
    /// # Errors
    /// What reading, writing or a stopped `pulse` fails with.
    pub(crate) async fn write(
        &self,
        (source, layout): (Arc<dyn TensorSource>, Layout),
        identity: String,
        pulse: &Pulse,
    ) -> Result<Checkpointed, Error> {
        let total = source.tensors().iter().map(weights::TensorInfo::bytes).sum();
        pulse.begin("writing tensors", total);
        // Another version of this program may compute other bits.
        let identity = format!("stemma {} {identity}", env!("CARGO_PKG_VERSION"));
        let journal = self.folder.join("journal.jsonl");
        let (place, pulse) = (Place { folder: self.out(), journal, layout, identity }, pulse.clone());
        let write = move || {
            weights::write_checkpoint(&*source, &place, &|step| match step {
                Step::Kept(bytes) => pulse.keep(bytes),
                Step::Written(bytes) => pulse.advance(bytes),
            })
        };
        Ok(tokio::task::spawn_blocking(write).await??)
    }
}

/// Removes the folder of a job, unless somebody works in it.
pub(crate) fn clear(scratch: &Path, job: &str) -> io::Result<()> {
    let folder = scratch.join(format!("{JOB}{job}"));
    let _lock = match lock_folder(&folder) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        other => other?,
    };
    match fs_err::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The jobs that have a folder in `scratch`.
pub(crate) fn jobs_in(scratch: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(scratch).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix(JOB)?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_held_is_not_given_to_another() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("job-1");

        let first = Workplace::at(&folder).unwrap();
        let second = Workplace::at(&folder).unwrap();
        let places = [first.out(), second.out()];
        drop((first, second));
        let third = Workplace::at(&folder).unwrap();

        assert_ne!(places[0], places[1]);
        assert_eq!(third.out(), places[0]);
        assert!(!places[1].exists(), "what nobody finds again is removed");
    }

    #[test]
    fn a_folder_that_is_held_is_cleared_by_nobody_else() {
        let scratch = tempfile::tempdir().unwrap();
        let place = Workplace::at(&scratch.path().join("job-1")).unwrap();

        clear(scratch.path(), "1").unwrap();
        let there = place.out().exists();
        let out = place.out();
        drop(place);
        clear(scratch.path(), "1").unwrap();
        clear(scratch.path(), "1").unwrap();

        assert!(there && !out.exists());
    }

    #[test]
    fn a_folder_in_which_somebody_computes_for_days_is_not_swept() {
        let scratch = tempfile::tempdir().unwrap();
        let places = [
            Workplace::at(&scratch.path().join("job-1")).unwrap(),
            Workplace::new_in(scratch.path()).unwrap(),
        ];
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(48);
        for place in &places {
            for path in [place.folder.join(LOCK), place.out(), place.folder.clone()] {
                File::open(path).unwrap().file().set_modified(long_ago).unwrap();
            }
        }

        let held = store::sweep_folder(scratch.path()).unwrap();
        let [job, _own] = places;
        drop(job);
        let left = store::sweep_folder(scratch.path()).unwrap();

        assert_eq!((held, left), (0, 1));
    }
}
