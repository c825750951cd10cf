//! The tiny trained models of the demo, unpacked into checkpoint folders.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

/// Checkpoint folders by registry id; removed when dropped.
pub struct Zoo {
    folder: TempDir,
}

impl Zoo {
    /// Unpacks every model of the demo.
    ///
    /// # Errors
    /// When a packed file is missing or damaged.
    pub fn unpack() -> Result<Self> {
        let packed = crate::root().join("crates/stemma/demo/zoo");
        let folder = TempDir::with_prefix("stemma-zoo-")?;
        let tokenizer = fs_err::read(packed.join("tokenizer.json.zst"))?;
        let tokenizer = zstd::decode_all(tokenizer.as_slice()).context("tokenizer.json.zst is damaged")?;
        for org in folders(&packed)? {
            for model in folders(&org)? {
                let at = folder.path().join(model.strip_prefix(&packed)?);
                fs_err::create_dir_all(&at)?;
                copy(&model, &at)?;
                fs_err::write(at.join("tokenizer.json"), &tokenizer)?;
            }
        }
        Ok(Self { folder })
    }

    /// The checkpoint folder of `id`, such as `mandoc/scribe-v1`.
    ///
    /// # Errors
    /// When the demo has no such model.
    pub fn path(&self, id: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(id);
        ensure!(path.is_dir(), "the demo holds no model {id}; it holds {}", self.ids()?.join(", "));
        Ok(path)
    }

    /// Every id, in order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn ids(&self) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for org in folders(self.folder.path())? {
            for model in folders(&org)? {
                ids.push(model.strip_prefix(self.folder.path())?.display().to_string());
            }
        }
        Ok(ids)
    }
}

fn folders(of: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(of)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Copies a model's files; `.zst` files lose their packing and that ending.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs_err::read_dir(from)? {
        let path = entry?.path();
        let bytes = fs_err::read(&path)?;
        let name = path.file_name().context("a file without a name")?;
        match path.extension() {
            Some(ending) if ending == "zst" => {
                let bytes = zstd::decode_all(bytes.as_slice())
                    .with_context(|| format!("{} is damaged", path.display()))?;
                fs_err::write(to.join(Path::new(name).with_extension("")), bytes)?;
            }
            _ => fs_err::write(to.join(name), bytes)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    #[test]
    fn every_model_of_the_demo_unpacks_to_weights_that_load() {
        let zoo = Zoo::unpack().unwrap();

        let ids = zoo.ids().unwrap();

        assert!(ids.iter().any(|id| id == "mandoc/scribe-v1"), "{ids:?}");
        for id in ids {
            let folder = zoo.path(&id).unwrap();
            let whole = folder.join("model.safetensors");
            let file = if whole.is_file() { whole } else { folder.join("adapter_model.safetensors") };
            let bytes = fs_err::read(file).unwrap();
            assert!(!SafeTensors::deserialize(&bytes).unwrap().is_empty(), "{id}");
            assert!(folder.join("README.md").is_file(), "{id}");
        }
    }

    #[test]
    fn an_unknown_model_is_answered_with_the_known_ones() {
        let zoo = Zoo::unpack().unwrap();

        let error = zoo.path("nobody/nothing").unwrap_err().to_string();

        assert!(error.contains("mandoc/scribe-v1"), "{error}");
    }
}
