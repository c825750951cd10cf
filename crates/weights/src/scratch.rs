//! Room for matrices that memory need not hold: files without a name, mapped, whose pages the system may write back and
//! take.

use std::{
    fs::File,
    io,
    marker::PhantomData,
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
    path::Path,
    sync::Arc,
};

use bytemuck::Pod;
use memmap2::MmapMut;

/// Where room for matrices is taken: from the files of a folder, or from memory.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    folder: Option<Arc<Path>>,
    /// Bytes that are taken from memory even where there is a folder.
    small: u64,
}

/// Numbers in room that goes when this is dropped or the process dies. They begin at the start of a page wherever they
/// are, so that what is computed of them does not depend on it.
#[derive(Debug)]
pub struct Sheet<T = f64> {
    map: MmapMut,
    len: usize,
    of: PhantomData<T>,
}

/// Bytes for an algorithm to work in; nobody reads them as anything.
#[derive(Debug)]
pub struct Workspace(MmapMut);

impl Scratch {
    /// Room in files of `folder`, which is made when the first is needed; what takes at most 64 MiB is memory still. Without
    /// a folder, as by [`Self::default`], all room is memory.
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: Some(folder.into()), small: 64 << 20 }
    }

    /// The same with other `bytes` that are taken from memory still.
    #[must_use]
    pub fn beyond(self, bytes: u64) -> Self {
        Self { small: bytes, ..self }
    }

    /// Where rooms of `bytes` in all are taken.
    #[must_use]
    pub fn for_all(&self, bytes: u64) -> Self {
        if self.is_memory(bytes) { Self::default() } else { self.clone() }
    }

    /// Whether rooms of `bytes` in all are taken from memory.
    pub fn is_memory(&self, bytes: u64) -> bool {
        self.folder.is_none() || bytes <= self.small
    }

    /// Room for `len` numbers, all of them zero.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when the disk has no room, and what else the file system refuses.
    pub fn sheet<T: Pod>(&self, len: usize) -> io::Result<Sheet<T>> {
        let bytes = len.checked_mul(size_of::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Sheet { map: self.map(bytes)?, len, of: PhantomData })
    }

    /// Room for `bytes` of an algorithm's own.
    ///
    /// # Errors
    /// As [`Self::sheet`].
    pub fn workspace(&self, bytes: usize) -> io::Result<Workspace> {
        self.map(bytes).map(Workspace)
    }

    fn map(&self, bytes: usize) -> io::Result<MmapMut> {
        // Nothing cannot be mapped.
        let bytes = bytes.max(1);
        let Some(folder) = &self.folder else { return MmapMut::map_anon(bytes) };
        let mapped = || {
            fs_err::create_dir_all(folder)?;
            let file = tempfile::tempfile_in(folder)?;
            allocate(&file, bytes as u64)?;
            map_file(&file)
        };
        let refused = |error: io::Error| {
            let at = folder.display();
            io::Error::new(error.kind(), format!("{bytes} bytes of scratch space in `{at}`: {error}"))
        };
        mapped().map_err(refused)
    }
}

/// Bytes that the file system of `folder` has left for this user; of a folder that is not there yet, those of what it will lie
/// in. `None` where that cannot be told.
pub fn room_left(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|part| part.is_dir()).unwrap_or_else(|| Path::new("."));
    let told = rustix::fs::statvfs(there).ok()?;
    Some(told.f_bavail.saturating_mul(told.f_frsize))
}

/// Gives `file` a length, all blocks of it there: writing through a mapping could not tell of a full disk.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::Errno;
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            other => return Ok(other?),
        }
    }
    io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut &*file).map(drop)
}

/// Maps all of a file that has no name.
#[allow(unsafe_code)]
fn map_file(file: &File) -> io::Result<MmapMut> {
    // SAFETY: no other process can open a file without a name, and this one closes it, so that nobody changes or
    // truncates it but through the mapping.
    unsafe { MmapMut::map_mut(file) }
}

impl<T: Pod> Deref for Sheet<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.map[..self.len * size_of::<T>()])
    }
}

impl<T: Pod> DerefMut for Sheet<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.map[..self.len * size_of::<T>()])
    }
}

impl Workspace {
    /// All of it, to be written before it is read.
    #[allow(unsafe_code)]
    pub fn bytes(&mut self) -> &mut [MaybeUninit<u8>] {
        let bytes: &mut [u8] = &mut self.0;
        // SAFETY: the two have one layout, and nothing here reads the bytes that a caller may leave without a value.
        unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_in_a_folder_holds_numbers_and_leaves_no_file_to_be_seen() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::in_folder(&folder.path().join("made/when/needed"));

        let mut sheet = scratch.sheet::<f64>(10_000).unwrap();
        let zeros = sheet.iter().all(|number| *number == 0.0);
        sheet[9_999] = 7.0;

        assert!(zeros && sheet.len() == 10_000 && sheet[9_999] == 7.0);
        let within = fs_err::read_dir(folder.path().join("made/when/needed")).unwrap();
        assert_eq!(within.count(), 0);
    }

    #[test]
    fn what_is_small_is_taken_from_memory_and_begins_at_a_page_as_well() {
        let scratch = Scratch::in_folder(Path::new("/proc/nowhere"));

        let small = scratch.for_all(64 << 20).sheet::<f64>(100).unwrap();
        let none = Scratch::default().sheet::<f32>(0).unwrap();
        let refused = scratch.for_all((64 << 20) + 1).sheet::<f64>(100).unwrap_err().to_string();

        assert!(small.as_ptr().cast::<u8>().align_offset(4096) == 0 && none.is_empty());
        assert!(refused.starts_with("800 bytes of scratch space in `/proc/nowhere`: "), "{refused}");
    }

    #[test]
    fn a_disk_without_room_is_an_error_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();

        // No file system that tests run on has this much.
        let refused = Scratch::in_folder(folder.path()).sheet::<u8>(1 << 59).unwrap_err();

        let full = [io::ErrorKind::StorageFull, io::ErrorKind::FileTooLarge];
        assert!(full.contains(&refused.kind()), "{refused:?}");
    }

    #[test]
    fn a_workspace_is_as_large_as_asked() {
        let folder = tempfile::tempdir().unwrap();

        let mut workspace = Scratch::in_folder(folder.path()).workspace(12_345).unwrap();

        workspace.bytes()[12_344].write(3);
        assert_eq!(workspace.bytes().len(), 12_345);
    }
}
