//! A stored difference added to a model: `base + λ·δ`, computed while it is read.

use std::{collections::BTreeMap, sync::Arc};

use domain::Item;
use weights::{TensorInfo, TensorSource, is_quantised};

use crate::{
    Error,
    computed::{self, Computed, keep_or_refuse_nonfinite, made_nonfinite, read_f64},
    excess::Excess,
    renamed,
    transfer::{Missing, Options},
};

/// A base with a difference added; tensors, shapes and dtypes of the base.
pub struct ApplySource {
    base: Arc<dyn TensorSource>,
    diff: Arc<dyn TensorSource>,
    /// Position in the difference, and λ; none for a tensor that stays as it is.
    twins: Vec<Option<(usize, f64)>>,
    /// What became of tensors that the base lacks.
    told: Vec<Item>,
}

impl ApplySource {
    /// Checks that the base has every tensor of the difference that the options select.
    ///
    /// # Errors
    /// Every tensor that is missing or shaped differently, at once, and every fault of the options.
    pub fn new(
        base: Arc<dyn TensorSource>,
        diff: Arc<dyn TensorSource>,
        options: &Options,
    ) -> Result<Self, Error> {
        let diff = renamed::like(&diff, &*base);
        let rule = options.rule(diff.tensors())?;
        let mut faults = Vec::new();
        let mut twins = vec![None; base.tensors().len()];
        let mut lost: Vec<&str> = Vec::new();
        let selected =
            diff.tensors().iter().enumerate().filter_map(|(at, info)| Some((at, info, rule.of(info)?)));
        for (index, info, lambda) in selected {
            let fault = match base.position(&info.name) {
                None if options.missing != Missing::Error => {
                    lost.push(info.name.as_str());
                    None
                }
                None => Some("the base has no such tensor".to_owned()),
                Some(at) => {
                    twins[at] = Some((index, lambda));
                    mismatch(info, &base.tensors()[at])
                }
            };
            faults.extend(fault.map(|message| Item { pointer: info.name.clone(), message }));
        }
        if faults.is_empty() && twins.iter().all(Option::is_none) {
            let message =
                format!("`{}` with these patterns selects no tensor of the difference", options.preset);
            faults.push(Item { pointer: "/preset".into(), message });
        }
        let told = lost.first().map(|first| Item {
            pointer: "/missing".to_owned(),
            message: format!(
                "{} tensors that only the difference has are not carried over, first `{first}`",
                lost.len()
            ),
        });
        match faults.is_empty() {
            true => Ok(Self { base, diff, twins, told: told.into_iter().collect() }),
            false => Err(Error::faults(faults)),
        }
    }
}

fn mismatch(diff: &TensorInfo, base: &TensorInfo) -> Option<String> {
    if diff.shape != base.shape {
        let vocabularies = computed::other_vocabulary(&base.name, &base.shape, &diff.shape);
        let hint = if vocabularies { "; their vocabularies differ" } else { "" };
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

    fn excess(&self) -> Excess {
        Excess::Lambda
    }

    fn fill(&self, index: usize, start: u64, out: &mut [f64]) -> Result<u64, weights::Error> {
        read_f64(&*self.base, index, start, out)?;
        let Some((twin, lambda)) = self.twins[index] else { return Ok(0) };
        let (base, mut diff) = (out.to_vec(), vec![0.0; out.len()]);
        read_f64(&*self.diff, twin, start, &mut diff)?;
        for (value, diff) in out.iter_mut().zip(&diff) {
            *value += lambda * diff;
        }
        let values: [&[f64]; 2] = [&base, &diff];
        let labels = ["the base", "the difference"].into_iter();
        keep_or_refuse_nonfinite(&self.infos()[index].name, start, (&values, labels), out)?;
        Ok(made_nonfinite(&values, out))
    }

    fn copied(&self, index: usize, offset: u64, out: &mut [u8]) -> Option<Result<(), weights::Error>> {
        let kept = self.twins[index].is_none_or(|(_, lambda)| lambda == 0.0);
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
        weights::decode_range(self, index, start, out)
    }

    fn cautions(&self) -> Vec<Item> {
        self.told.clone()
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.base.metadata()
    }
}
