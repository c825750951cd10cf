//! Diff-vector transfer (arXiv 2503.20110): `target_base + λ·(source_tuned − source_base)`, computed while it is read.

use std::{collections::BTreeMap, sync::Arc};

use domain::Item;
use weights::{TensorInfo, TensorSource, is_quantised};

use crate::{
    Error,
    computed::{self, Computed, Stored, keep_or_refuse_nonfinite, must_be_equal, read_f64},
};

/// A fine-tune carried over to another base: tensors, shapes and dtypes of the target base.
pub struct TransferSource {
    target: Arc<dyn TensorSource>,
    base: Arc<dyn TensorSource>,
    tuned: Arc<dyn TensorSource>,
    lambda: f64,
    /// Positions in the source base and the tuned model; `None` for a tensor copied from the target.
    pairs: Vec<Option<(usize, usize)>>,
}

impl TransferSource {
    /// Checks the three layouts against each other.
    ///
    /// # Errors
    /// Every tensor that is missing or shaped differently, at once.
    pub fn new(
        target_base: Arc<dyn TensorSource>,
        source_base: Arc<dyn TensorSource>,
        source_tuned: Arc<dyn TensorSource>,
        lambda: f64,
    ) -> Result<Self, Error> {
        let mut faults = Vec::new();
        if !lambda.is_finite() {
            faults.push(Item {
                pointer: "/lambda".into(),
                message: "it must be a finite number; 1 adds the whole diff".into(),
            });
        }
        let operands = [("source base", &source_base), ("tuned model", &source_tuned)];
        let mut pairs = Vec::new();
        for info in target_base.tensors() {
            let mut found = Vec::new();
            for (role, source) in operands {
                match partner(info, &**source) {
                    Ok(at) => found.extend(at),
                    Err(what) => faults
                        .push(Item { pointer: info.name.clone(), message: format!("the {role} {what}") }),
                }
            }
            if is_quantised(&info.name) {
                let message = "quantised; transfer between full-precision models instead".into();
                faults.push(Item { pointer: info.name.clone(), message });
            }
            pairs.push(match found[..] {
                [base, tuned] => Some((base, tuned)),
                _ => None,
            });
        }
        for info in source_tuned.tensors() {
            if target_base.position(&info.name).is_none() && !computed::is_buffer(&info.name) {
                let message =
                    "only the tuned model has it; the target base must have every tensor of the diff".into();
                faults.push(Item { pointer: info.name.clone(), message });
            }
        }
        if faults.is_empty() {
            Ok(Self { target: target_base, base: source_base, tuned: source_tuned, lambda, pairs })
        } else {
            Err(Error::faults(faults))
        }
    }
}

/// Position of the tensor that matches `info`; `None` for a buffer the source does without.
fn partner(info: &TensorInfo, source: &dyn TensorSource) -> Result<Option<usize>, String> {
    let Some(at) = source.position(&info.name) else {
        return if computed::is_buffer(&info.name) {
            Ok(None)
        } else {
            Err("lacks this tensor of the target base".into())
        };
    };
    let other = &source.tensors()[at];
    if other.shape != info.shape {
        let hint = computed::vocabulary_hint(&info.name);
        return Err(format!("has shape {:?}, the target base {:?}{hint}", other.shape, info.shape));
    }
    if other.dtype.is_float() != info.dtype.is_float() {
        return Err(format!("stores {}, the target base {}", other.dtype, info.dtype));
    }
    Ok(Some(at))
}

impl Computed for TransferSource {
    fn infos(&self) -> &[TensorInfo] {
        self.target.tensors()
    }

    fn fill(&self, index: usize, start: u64, out: &mut [f64]) -> Result<(), weights::Error> {
        read_f64(&*self.target, index, start, out)?;
        let Some((base, tuned)) = self.pairs[index] else { return Ok(()) };
        let (mut from, mut to) = (vec![0.0; out.len()], vec![0.0; out.len()]);
        read_f64(&*self.base, base, start, &mut from)?;
        read_f64(&*self.tuned, tuned, start, &mut to)?;
        let target = out.to_vec();
        for ((target, base), tuned) in out.iter_mut().zip(&from).zip(&to) {
            *target = carry(*target, *base, *tuned, self.lambda);
        }
        let labels = ["the target base", "the source base", "the tuned model"];
        let values: [&[f64]; 3] = [&target, &from, &to];
        keep_or_refuse_nonfinite(&self.infos()[index].name, start, (&values, labels.into_iter()), out)
    }

    fn copied(&self, index: usize, offset: u64, out: &mut [u8]) -> Option<Result<(), weights::Error>> {
        let copy = |out| self.target.read_bytes(index, offset, out);
        match self.pairs[index] {
            Some((base, tuned)) if !self.infos()[index].dtype.is_float() => {
                let held = [
                    ("the source base", &self.base, base),
                    ("the tuned model", &self.tuned, tuned),
                    ("the target base", &self.target, index),
                ]
                .map(|(label, source, index)| Stored {
                    label: label.to_owned(),
                    source: Arc::clone(source),
                    index,
                });
                Some(must_be_equal(&held).and_then(|()| copy(out)))
            }
            Some(_) if self.lambda != 0.0 => None,
            _ => Some(copy(out)),
        }
    }
}

/// One element; exact when nothing was tuned and when source and target base agree.
fn carry(target: f64, base: f64, tuned: f64, lambda: f64) -> f64 {
    if tuned == base {
        target
    } else if target == base && lambda == 1.0 {
        tuned
    } else {
        target + lambda * (tuned - base)
    }
}

impl TensorSource for TransferSource {
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
        self.target.metadata()
    }
}

#[cfg(test)]
mod tests {
    use domain::Fault;
    use kernels::Dtype;

    use super::*;
    use crate::testing::{Fixture, model, same, values};

    fn transfer(seeds: [u64; 3], lambda: f64) -> TransferSource {
        let [target, base, tuned] = seeds.map(|seed| model(seed).share());
        TransferSource::new(target, base, tuned, lambda).unwrap()
    }

    #[test]
    fn nothing_tuned_gives_the_target_and_equal_bases_give_the_tuned_model() {
        assert!(same(&transfer([1, 2, 2], 1.0), &model(1)));
        assert!(same(&transfer([1, 1, 3], 1.0), &model(3)));
        assert!(same(&transfer([1, 2, 3], 0.0), &model(1)));
    }

    #[test]
    fn the_diff_is_added_with_one_rounding() {
        let name = "model.layers.0.self_attn.q_proj.weight";
        let [target, base, tuned] = [1, 2, 3].map(|seed| values(&model(seed), name));

        let got = values(&transfer([1, 2, 3], 0.5), name);

        for (i, got) in got.iter().enumerate() {
            let expected = f64::from(target[i]) + 0.5 * (f64::from(tuned[i]) - f64::from(base[i]));
            assert_eq!(*got, expected as f32);
        }
    }

    #[test]
    fn every_mismatch_is_listed() {
        let of = |name: &str, len| {
            Fixture::empty().with(name, Dtype::F32, &[len], &vec![0.0; len as usize]).share()
        };

        let error = TransferSource::new(of("w", 2), of("w", 3), of("v", 2), 1.0).err().unwrap();

        assert_eq!(error.items().len(), 3, "{error}");
    }

    #[test]
    fn quantised_layouts_are_refused_and_integers_must_agree() {
        let coded = || Fixture::empty().with_bytes("w.qweight", Dtype::I32, &[1], vec![1; 4]).share();
        assert!(
            TransferSource::new(coded(), coded(), coded(), 1.0)
                .err()
                .unwrap()
                .to_string()
                .contains("quantised")
        );

        let steps = |byte| Fixture::empty().with_bytes("steps", Dtype::I64, &[1], vec![byte; 8]).share();
        let other = TransferSource::new(steps(1), steps(1), steps(2), 1.0).unwrap();
        let error = other.read_bytes(0, 0, &mut [0; 8]).unwrap_err().to_string();
        assert!(error.contains("`steps` differs between `the source base`"), "{error}");
    }
}
