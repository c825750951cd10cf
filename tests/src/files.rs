//! Where the project lies and which Rust files it holds.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The project's root folder; this crate lies directly below it.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Every hand-written `.rs` file below `folder`, in order; build output and hidden folders are left out.
///
/// # Errors
/// When a folder cannot be read.
pub fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in fs_err::read_dir(&next)? {
            let entry = entry?;
            let name = entry.file_name();
            let name =
                name.to_str().with_context(|| format!("{} has a strange name", entry.path().display()))?;
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') && !matches!(name, "target" | "node_modules" | "stemma-data") {
                    waiting.push(entry.path());
                }
            } else if name.ends_with(".rs") {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
