//! The diff vector `a − b` as a checkpoint of f32 tensors, computed while it is read.

use std::{collections::BTreeMap, sync::Arc};

use kernels::Dtype;
use weights::{TensorInfo, TensorSource};

use crate::{
    Error,
    computed::{self, Computed, read_f64},
};

/// Left-out tensors named in the file's own metadata, which its header has to hold.
pub(super) const NAMED: usize = 100;

/// `a − b` over the float tensors that both hold in one shape.
pub struct DiffSource {
    a: Arc<dyn TensorSource>,
    b: Arc<dyn TensorSource>,
    infos: Vec<TensorInfo>,
    pairs: Vec<(usize, usize)>,
    left_out: Vec<String>,
}

impl DiffSource {
    /// Pairs the tensors by name.
    ///
    /// # Errors
    /// When the two share no float tensor of one shape.
    pub fn new(a: Arc<dyn TensorSource>, b: Arc<dyn TensorSource>) -> Result<Self, Error> {
        let (mut infos, mut pairs, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for (at, info) in a.tensors().iter().enumerate() {
            let twin = b.position(&info.name).filter(|&twin| {
                let other = &b.tensors()[twin];
                other.shape == info.shape && other.dtype.is_float() && info.dtype.is_float()
            });
            match twin {
                Some(twin) => {
                    infos.push(TensorInfo { dtype: Dtype::F32, ..info.clone() });
                    pairs.push((at, twin));
                }
                None => left_out.push(info.name.clone()),
            }
        }
        if infos.is_empty() {
            let hint = format!("{} tensors against {}", a.tensors().len(), b.tensors().len());
            return Err(Error::NothingInCommon { hint });
        }
        left_out.extend(b.tensors().iter().filter(|t| a.position(&t.name).is_none()).map(|t| t.name.clone()));
        Ok(Self { a, b, infos, pairs, left_out })
    }

    /// The same difference, its tensors rounded to `dtype` instead of F32.
    ///
    /// # Errors
    /// A dtype that is no float.
    pub fn stored_as(mut self, dtype: Dtype) -> Result<Self, Error> {
        float_only(dtype)?;
        self.infos.iter_mut().for_each(|info| info.dtype = dtype);
        Ok(self)
    }

    /// The difference of the tensors that `wanted` says yes to.
    pub(super) fn only(&self, wanted: impl Fn(&TensorInfo) -> bool) -> Self {
        let kept = self.infos.iter().zip(&self.pairs).filter(|(info, _)| wanted(info));
        let (infos, pairs) = kept.map(|(info, pair)| (info.clone(), *pair)).unzip();
        Self { a: Arc::clone(&self.a), b: Arc::clone(&self.b), infos, pairs, left_out: self.left_out.clone() }
    }

    /// Tensors that have no difference: only one side holds them, or in another shape, or as integers.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }
}

/// Refuses a number format that the values of a difference cannot be stored in.
pub(super) fn float_only(dtype: Dtype) -> Result<(), Error> {
    if dtype.is_float() {
        return Ok(());
    }
    Err(Error::fault("/dtype", format!("{dtype} is no float; F32, F16, BF16 and F64 hold a difference")))
}

impl Computed for DiffSource {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn fill(&self, index: usize, start: u64, out: &mut [f64]) -> Result<u64, weights::Error> {
        let (a, b) = self.pairs[index];
        let mut subtrahend = vec![0.0; out.len()];
        read_f64(&*self.a, a, start, out)?;
        read_f64(&*self.b, b, start, &mut subtrahend)?;
        for (value, b) in out.iter_mut().zip(subtrahend) {
            *value -= b;
        }
        Ok(0)
    }

    fn copied(&self, _: usize, _: u64, _: &mut [u8]) -> Option<Result<(), weights::Error>> {
        None
    }
}

impl TensorSource for DiffSource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        computed::read_bytes(self, index, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        weights::decode_range(self, index, start, out)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("content".into(), "difference".into()),
            ("form".into(), "dense".into()),
            ("left_out".into(), self.left_out.iter().take(NAMED).cloned().collect::<Vec<_>>().join(" ")),
            ("left_out_count".into(), self.left_out.len().to_string()),
        ])
    }
}
