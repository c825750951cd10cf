//! [`TensorSource`]: the one shape every checkpoint has, stored or computed.

use std::{collections::BTreeMap, io};

use domain::Item;
use kernels::Dtype;

use crate::Error;

/// Name, format and shape of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    pub name: String,
    pub dtype: Dtype,
    /// Row-major dimensions; empty for a scalar.
    pub shape: Vec<u64>,
}

impl TensorInfo {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Length of the stored bytes.
    pub fn bytes(&self) -> u64 {
        self.dtype.bytes(self.elements())
    }
}

/// Facts of how one tensor was made, by name, such as `kept` or `t`.
pub type Account = serde_json::Map<String, serde_json::Value>;

/// A checkpoint: lists its tensors and reads any range of any of them. Nothing is ever loaded whole.
pub trait TensorSource: Send + Sync {
    /// All tensors, sorted by name, names unique.
    fn tensors(&self) -> &[TensorInfo];

    /// Reads `out.len()` stored bytes of tensor `index`, from `offset` bytes into it.
    ///
    /// # Errors
    /// When the range leaves the tensor or the bytes cannot be read.
    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), Error>;

    /// Reads `out.len()` elements of tensor `index` as f32, from element `start` (f64 rounds to nearest).
    ///
    /// # Errors
    /// As [`Self::read_bytes`], and when the dtype is not a float.
    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), Error>;

    /// Does what is done once a tensor before any of it is read, so that threads reading it in parallel do not
    /// each do it. Reading works without.
    ///
    /// # Errors
    /// As [`Self::read_bytes`].
    fn ready(&self, _index: usize) -> Result<(), Error> {
        Ok(())
    }

    /// `len` stored bytes of tensor `index` from `offset`, where they already lie in memory or are mapped: reading
    /// them in place saves a copy. `None` where they must be read or computed, or leave the tensor.
    fn view(&self, _index: usize, _offset: u64, _len: usize) -> Option<&[u8]> {
        None
    }

    /// Elements from `start` on of tensor `index` before they are rounded to the format they would be stored in, for a
    /// source that computes them; `None` where there is nothing more exact than [`Self::read_bytes`].
    ///
    /// # Errors
    /// As [`Self::read_bytes`].
    fn read_unrounded(&self, _index: usize, _start: u64, _out: &mut [f64]) -> Option<Result<(), Error>> {
        None
    }

    /// How tensor `index` was made, as far as that is worth a record: what it says must not depend on threads or blocks.
    /// Asked once the tensor has been read.
    fn account(&self, _index: usize) -> Account {
        Account::new()
    }

    /// What whoever made the source should know of it as a whole.
    fn cautions(&self) -> Vec<Item> {
        Vec::new()
    }

    /// The `__metadata__` map of the safetensors header.
    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Position of a tensor by name.
    fn position(&self, name: &str) -> Option<usize> {
        self.tensors().binary_search_by(|info| info.name.as_str().cmp(name)).ok()
    }
}

/// Random access to the bytes of one stored file: a local file, a blob, a remote range reader.
#[allow(clippy::len_without_is_empty)]
pub trait ReadAt: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Fills `out` from `offset`.
    ///
    /// # Errors
    /// Any I/O error; `UnexpectedEof` when the range leaves the file.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// `len` bytes from `offset` in place, for a file in memory or mapped; `None` where they must be read.
    fn view(&self, _offset: u64, _len: usize) -> Option<&[u8]> {
        None
    }
}
