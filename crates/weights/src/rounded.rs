//! A checkpoint read in another number format: each element rounded to it once.

use std::sync::Arc;

use kernels::Dtype;

use crate::{
    Error, Result, TensorInfo, TensorSource,
    range::{decode_range, decoded, encode_range, slice_of},
};

/// A [`TensorSource`] with the names and shapes of another, whose floats have one number format; other tensors stay as
/// they are. Values are rounded to nearest, ties to even; a finite one that leaves the range of the format is
/// [`Error::Overflow`].
pub struct Rounded {
    source: Arc<dyn TensorSource>,
    infos: Vec<TensorInfo>,
}

impl Rounded {
    /// `source` with its floats in `dtype`, which is one of floats that are whole bytes.
    pub fn new(source: Arc<dyn TensorSource>, dtype: Dtype) -> Self {
        let mut infos = source.tensors().to_vec();
        infos.iter_mut().filter(|info| info.dtype.is_float()).for_each(|info| info.dtype = dtype);
        Self { source, infos }
    }

    /// Elements from `start` on, as exactly as the source knows them.
    fn values(&self, index: usize, start: u64, out: &mut [f64]) -> Result<()> {
        match self.source.read_unrounded(index, start, out) {
            Some(read) => read,
            None => decoded((&*self.source, index), start, out),
        }
    }
}

impl TensorSource for Rounded {
    crate::forward!(source; ready, account, cautions, metadata);

    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<()> {
        let info = slice_of(&self.infos, index, offset, out.len())?;
        if !info.dtype.is_float() {
            return self.source.read_bytes(index, offset, out);
        }
        match encode_range(info, offset, out, |first, values| self.values(index, first, values))? {
            0 => Ok(()),
            count => {
                let advice = "choose a format with a wider range".to_owned();
                Err(Error::Overflow { tensor: info.name.clone(), count, dtype: info.dtype, advice })
            }
        }
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<()> {
        decode_range(self, index, start, out)
    }
}
