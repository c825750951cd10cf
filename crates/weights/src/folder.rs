//! A checkpoint folder on the local disk, as `git clone` or a download leaves it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use domain::{
    Limits, RelativePath,
    files::{
        ADAPTER_CONFIG, Beginning, CONFIG, INDEX, MERGE_RECIPE, README, TOKENIZER, TOKENIZER_CONFIG,
        is_weights,
    },
    printable,
};
use serde_json::Value;

use crate::{
    Checkpoint, Error, LocalFile, ReadAt, Result, assemble,
    files::{plain, read_all},
    json,
};

/// Folders of tools, never part of a model.
const SKIPPED: [&str; 2] = [".git", ".cache"];

/// Files a tokenizer is made of.
const TOKENIZER_FILES: [&str; 9] = [
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "special_tokens_map.json",
    TOKENIZER,
    "tokenizer.model",
    TOKENIZER_CONFIG,
    "vocab.json",
    "vocab.txt",
];

/// One file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFile {
    pub path: RelativePath,
    pub size: u64,
    /// Where it is on this machine.
    pub at: PathBuf,
}

/// A folder walked, its small documents read.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Every file, sorted by path.
    pub files: Vec<FolderFile>,
    /// config.json.
    pub config: Option<Value>,
    /// README.md, front matter included, as far as cards are read.
    pub readme: Option<Beginning>,
    /// adapter_config.json.
    pub adapter_config: Option<Value>,
    /// mergekit_config.yml, as far as configurations are read.
    pub recipe: Option<Beginning>,
    /// The tokenizer's files.
    pub tokenizer: Vec<RelativePath>,
}

impl Folder {
    /// Walks `path` and reads its small documents. `.git` and `.cache` are skipped.
    ///
    /// # Errors
    /// [`Error::NotPlain`] for links and special files anywhere inside, file names that are no
    /// [`RelativePath`], exceeded limits, configurations that are no JSON ([`json::config`]).
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let files = walk(path, limits)?;
        let document = |name: &str, limit: u64| -> Result<Option<Vec<u8>>> {
            let Some(file) = files.iter().find(|file| file.path.as_str() == name) else { return Ok(None) };
            read_all(&LocalFile::open(&file.at)?, name, limit).map(Some)
        };
        let object = |name: &str| -> Result<Option<Value>> {
            let bytes = document(name, limits.config_bytes)?;
            bytes.map(|bytes| json::config(&bytes, name, limits.config_bytes)).transpose()
        };
        let (config, adapter_config) = (object(CONFIG)?, object(ADAPTER_CONFIG)?);
        let text = |name: &str, most: u64| -> Result<Option<Beginning>> {
            let file = files.iter().find(|file| file.path.as_str() == name);
            file.map(|file| beginning(file, most)).transpose()
        };
        let readme = text(README, limits.card_bytes)?;
        let recipe = text(MERGE_RECIPE, limits.config_bytes)?;
        let is_tokenizer = |file: &&FolderFile| TOKENIZER_FILES.contains(&file.path.as_str());
        let tokenizer = files.iter().filter(is_tokenizer).map(|file| file.path.clone()).collect();
        Ok(Self { files, config, readme, adapter_config, recipe, tokenizer })
    }

    /// The checkpoint inside, if there is one; see [`assemble`].
    ///
    /// # Errors
    /// As [`assemble`].
    pub fn checkpoint(&self, limits: &Limits) -> Result<Option<Checkpoint>> {
        let opened = self.of_weights().map(|file| {
            let opened: Arc<dyn ReadAt> = Arc::new(LocalFile::open(&file.at)?);
            Ok((file.path.clone(), opened))
        });
        assemble(&opened.collect::<Result<Vec<_>>>()?, limits)
    }

    /// The files that a checkpoint is read from.
    pub fn of_weights(&self) -> impl Iterator<Item = &FolderFile> {
        let wanted = |file: &&FolderFile| is_weights(file.path.as_str()) || file.path.as_str() == INDEX;
        self.files.iter().filter(wanted)
    }
}

/// The first bytes of a file, at most `most`.
fn beginning(file: &FolderFile, most: u64) -> Result<Beginning> {
    let opened = LocalFile::open(&file.at)?;
    let size = opened.len();
    let mut bytes = vec![0; size.min(most) as usize];
    opened.read_at(0, &mut bytes)?;
    Ok(Beginning { bytes, size })
}

fn walk(root: &Path, limits: &Limits) -> Result<Vec<FolderFile>> {
    let mut files = Vec::new();
    let mut seen = 0usize;
    let mut open = vec![(root.to_owned(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let entry = entry?;
            seen += 1;
            if seen > limits.files.saturating_mul(2) || files.len() > limits.files {
                return Err(Error::TooManyFiles { folder: root.to_owned(), limit: limits.files });
            }
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                Error::malformed(
                    "bad_path",
                    &printable(&entry.path().to_string_lossy()),
                    "the file name is not UTF-8",
                )
            })?;
            let (at, metadata) = (entry.path(), fs_err::symlink_metadata(entry.path())?);
            if SKIPPED.contains(&name) {
                continue;
            }
            let path = RelativePath::parse(&format!("{prefix}{name}")).map_err(|error| {
                Error::malformed("bad_path", &printable(&at.to_string_lossy()), error.to_string())
            })?;
            if metadata.is_dir() {
                open.push((at, format!("{path}/")));
                continue;
            }
            plain(&at, &metadata)?;
            let (size, limit) = (metadata.len(), limits.file_bytes);
            if size > limit {
                return Err(Error::TooLarge { file: path.as_str().to_owned(), size, limit });
            }
            files.push(FolderFile { path, size, at });
        }
    }
    if files.len() > limits.files {
        return Err(Error::TooManyFiles { folder: root.to_owned(), limit: limits.files });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
