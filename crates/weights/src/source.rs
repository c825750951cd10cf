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

/// The methods of [`TensorSource`] that a wrapper passes on to the source in a field of it:
/// `weights::forward!(source; ready, account, cautions, metadata);`. One that is neither named nor written is lost.
#[macro_export]
macro_rules! forward {
    ($field:ident; $($method:ident),+) => {
        $($crate::forward!(@$method $field);)+
    };
    (@tensors $field:ident) => {
        fn tensors(&self) -> &[$crate::TensorInfo] {
            self.$field.tensors()
        }
    };
    (@read_bytes $field:ident) => {
        fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), $crate::Error> {
            self.$field.read_bytes(index, offset, out)
        }
    };
    (@read_f32 $field:ident) => {
        fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), $crate::Error> {
            self.$field.read_f32(index, start, out)
        }
    };
    (@ready $field:ident) => {
        fn ready(&self, index: usize) -> Result<(), $crate::Error> {
            self.$field.ready(index)
        }
    };
    (@view $field:ident) => {
        fn view(&self, index: usize, offset: u64, len: usize) -> Option<&[u8]> {
            self.$field.view(index, offset, len)
        }
    };
    (@read_unrounded $field:ident) => {
        fn read_unrounded(
            &self,
            index: usize,
            start: u64,
            out: &mut [f64],
        ) -> Option<Result<(), $crate::Error>> {
            self.$field.read_unrounded(index, start, out)
        }
    };
    (@account $field:ident) => {
        fn account(&self, index: usize) -> $crate::Account {
            self.$field.account(index)
        }
    };
    (@cautions $field:ident) => {
        fn cautions(&self) -> Vec<domain::Item> {
            self.$field.cautions()
        }
    };
    (@metadata $field:ident) => {
        fn metadata(&self) -> std::collections::BTreeMap<String, String> {
            self.$field.metadata()
        }
    };
    (@position $field:ident) => {
        fn position(&self, name: &str) -> Option<usize> {
            self.$field.position(name)
        }
    };
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Rounded, Untied};

    /// Has something to say to every question.
    struct Telling(Vec<TensorInfo>);

    impl TensorSource for Telling {
        fn tensors(&self) -> &[TensorInfo] {
            &self.0
        }

        fn read_bytes(&self, _: usize, _: u64, _: &mut [u8]) -> Result<(), Error> {
            Ok(())
        }

        fn read_f32(&self, _: usize, _: u64, _: &mut [f32]) -> Result<(), Error> {
            Ok(())
        }

        fn ready(&self, _: usize) -> Result<(), Error> {
            Err(Error::Stopped)
        }

        fn view(&self, _: usize, _: u64, _: usize) -> Option<&[u8]> {
            Some(&[1])
        }

        fn read_unrounded(&self, _: usize, _: u64, _: &mut [f64]) -> Option<Result<(), Error>> {
            Some(Ok(()))
        }

        fn account(&self, _: usize) -> Account {
            Account::from_iter([("kept".to_owned(), 1.into())])
        }

        fn cautions(&self) -> Vec<Item> {
            vec![Item { pointer: String::new(), message: "careful".to_owned() }]
        }

        fn metadata(&self) -> BTreeMap<String, String> {
            BTreeMap::from([("format".to_owned(), "pt".to_owned())])
        }
    }

    struct Wrapper {
        inner: Arc<dyn TensorSource>,
    }

    impl TensorSource for Wrapper {
        forward!(inner; tensors, read_bytes, read_f32, ready, view, read_unrounded);
        forward!(inner; account, cautions, metadata, position);
    }

    #[test]
    fn what_a_source_says_is_heard_through_every_wrapper() {
        let info =
            TensorInfo { name: "model.embed_tokens.weight".into(), dtype: Dtype::Bf16, shape: vec![1] };
        let telling: Arc<dyn TensorSource> = Arc::new(Telling(vec![info]));
        let wrapper = Wrapper { inner: Arc::clone(&telling) };
        let untied = Untied::of(&telling).unwrap();
        let rounded = Rounded::new(Arc::clone(&telling), Dtype::F32);

        for heard in [&wrapper as &dyn TensorSource, &untied, &rounded] {
            assert!(matches!(heard.ready(0), Err(Error::Stopped)));
            assert_eq!(heard.account(0), telling.account(0));
            assert_eq!((heard.cautions(), heard.metadata()), (telling.cautions(), telling.metadata()));
        }
        for heard in [&wrapper as &dyn TensorSource, &untied] {
            assert_eq!(
                (heard.view(0, 0, 1), heard.read_unrounded(0, 0, &mut []).is_some()),
                (Some(&[1][..]), true)
            );
        }
        assert_eq!(wrapper.position("model.embed_tokens.weight"), Some(0));
    }
}
