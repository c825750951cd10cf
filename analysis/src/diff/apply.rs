//! A stored difference added to a model: `base + λ·δ`, computed while it is read.

use std::{collections::BTreeMap, sync::Arc};

use domain::Item;
use weights::{TensorInfo, TensorSource, is_quantised};

use crate::{
    Error,
    computed::{self, Computed, keep_or_refuse_nonfinite, read_f64},
};

/// A base with a difference added; tensors, shapes and dtypes of the base.
pub struct ApplySource {
    base: Arc<dyn TensorSource>,
    diff: Arc<dyn TensorSource>,
    lambda: f64,
    /// Position in the difference; none for a tensor it leaves as it is.
    twins: Vec<Option<usize>>,
}

impl ApplySource {
    /// Checks that the base has every tensor of the difference.
    ///
    /// # Errors
    /// Every tensor that is missing or shaped differently, at once, and a `lambda` that is not finite.
    pub fn new(base: Arc<dyn TensorSource>, diff: Arc<dyn TensorSource>, lambda: f64) -> Result<Self, Error> {
        let mut faults = Vec::new();
        if !lambda.is_finite() {
            let message = "it must be a finite number; 1 adds the whole difference".into();
            faults.push(Item { pointer: "/lambda".into(), message });
        }
        let mut twins = vec![None; base.tensors().len()];
        for (index, info) in diff.tensors().iter().enumerate() {
            let fault = match base.position(&info.name) {
                None => Some("the base has no such tensor".to_owned()),
                Some(at) => {
                    twins[at] = Some(index);
                    mismatch(info, &base.tensors()[at])
                }
            };
            faults.extend(fault.map(|message| Item { pointer: info.name.clone(), message }));
        }
        if faults.is_empty() { Ok(Self { base, diff, lambda, twins }) } else { Err(Error::faults(faults)) }
    }
}

fn mismatch(diff: &TensorInfo, base: &TensorInfo) -> Option<String> {
    if diff.shape != base.shape {
        let hint = computed::vocabulary_hint(&base.name);
        return Some(format!("has shape {:?}, in the base {:?}{hint}", diff.shape, base.shape));
    }
    if !diff.dtype.is_float() || !base.dtype.is_float() || is_quantised(&base.name) {
        return Some(format!("is {}, in the base {}; both must be floats", diff.dtype, base.dtype));
    }
    None
}

impl Computed for ApplySource {
    fn infos(&self) -> &[TensorInfo] {
        self.base.tensors()
    }

    fn fill(&self, index: usize, start: u64, out: &mut [f64]) -> Result<(), weights::Error> {
        read_f64(&*self.base, index, start, out)?;
        let Some(twin) = self.twins[index] else { return Ok(()) };
        let (base, mut diff) = (out.to_vec(), vec![0.0; out.len()]);
        read_f64(&*self.diff, twin, start, &mut diff)?;
        for (value, diff) in out.iter_mut().zip(&diff) {
            *value += self.lambda * diff;
        }
        let values: [&[f64]; 2] = [&base, &diff];
        let labels = ["the base", "the difference"].into_iter();
        keep_or_refuse_nonfinite(&self.infos()[index].name, start, (&values, labels), out)
    }

    fn copied(&self, index: usize, offset: u64, out: &mut [u8]) -> Option<Result<(), weights::Error>> {
        let kept = self.twins[index].is_none() || self.lambda == 0.0;
        kept.then(|| self.base.read_bytes(index, offset, out))
    }
}

impl TensorSource for ApplySource {
    fn tensors(&self) -> &[TensorInfo] {
        self.infos()
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        computed::read_bytes(self, index, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        computed::read_f32(self, index, start, out)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.base.metadata()
    }
}
