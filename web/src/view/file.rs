//! One file of a model.

use super::{Bytes, FileRow, Name};

/// A tensor as its file's header has it.
#[derive(Debug, Clone, Default)]
pub struct TensorLine {
    pub name: String,
    pub dtype: String,
    /// Rows × columns, and so on.
    pub shape: String,
    pub bytes: u64,
    /// First byte among those of the tensors.
    pub begin: u64,
}

impl TensorLine {
    pub(crate) fn size_text(&self) -> Bytes {
        Bytes(self.bytes)
    }
}

/// What of a file's content is shown.
#[derive(Debug, Clone)]
pub enum FileBody {
    Text(String),
    /// The first tensors of a safetensors file in its order, and how many it holds.
    Tensors(Vec<TensorLine>, u64),
    /// Why nothing of it is.
    Unshown(String),
}

/// One file of a model at a revision.
#[derive(Debug, Clone)]
pub struct FilePage {
    pub name: Name,
    /// The revision as asked for.
    pub at: String,
    /// The digest of the content that this revision has.
    pub digest: String,
    pub file: FileRow,
    pub body: FileBody,
}

impl FilePage {
    /// How many tensors it holds, and how many of them are listed where not all are.
    pub(crate) fn told(&self) -> String {
        let FileBody::Tensors(rows, total) = &self.body else { return String::new() };
        let all = format!("{} by the header of the file", super::plural(*total, "tensor", "tensors"));
        match rows.len() as u64 == *total {
            true => format!("{all}, in the order in which they lie in it."),
            false => format!("{all}, the first {} in the order in which they lie in it:", rows.len()),
        }
    }

    /// The folders above it and its own name.
    pub(crate) fn parts(&self) -> (&str, &str) {
        self.file.path.rfind('/').map_or(("", self.file.path.as_str()), |at| self.file.path.split_at(at + 1))
    }

    /// Its address below the model at the revision asked for: `blob`, `raw` or `resolve`.
    pub(crate) fn below(&self, verb: &str) -> String {
        self.name.file(verb, (&self.at, &self.file.path))
    }

    /// The page of the same bytes, whatever the revision's name stands for later.
    pub(crate) fn permanent(&self) -> String {
        self.name.file("blob", (&self.digest, &self.file.path))
    }

    /// All files of the revision.
    pub(crate) fn tree(&self) -> String {
        self.name.below(&format!("tree/{}", super::encoded(&self.at)))
    }
}
