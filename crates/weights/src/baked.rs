//! A base with a LoRA adapter applied: `W + s·B·A`, computed as it is read.

use std::{collections::BTreeMap, sync::Arc};

use domain::Limits;
use serde_json::Value;

use crate::{
    Error, Result, TensorInfo, TensorSource,
    fitting::{Fit, fit},
    range::{decode_range, decoded, encode_range, slice_of},
};

/// Counts the factors that are to be held in memory.
pub(crate) struct Held {
    whose: &'static str,
    bytes: u64,
    limit: u64,
}

impl Held {
    pub(crate) fn new(whose: &'static str, limits: &Limits) -> Self {
        Self { whose, bytes: 0, limit: limits.low_rank_bytes }
    }

    /// Counts so many elements of factors more, before they are read.
    pub(crate) fn add(&mut self, elements: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(elements.saturating_mul(4));
        if self.bytes <= self.limit {
            return Ok(());
        }
        let file = format!("{} (`low_rank_bytes`)", self.whose);
        Err(Error::TooLarge { file, size: self.bytes, limit: self.limit })
    }
}

/// What happens to one base tensor.
enum Change {
    Keep,
    /// The adapter's tensor at this position stands in.
    Replace(usize),
    Add(Box<Delta>),
    /// The adapter's tensor at this position is added, times a scale.
    Shift(usize, f64),
}

/// A low-rank change of a matrix of `rows × columns` elements in the base's own layout.
pub(crate) struct Delta {
    pub(crate) columns: usize,
    pub(crate) scale: f64,
    /// `rows × rank`.
    pub(crate) left: Vec<f32>,
    /// `rank × columns`.
    pub(crate) right: Vec<f32>,
    pub(crate) rank: usize,
}

/// A base with an adapter applied; a [`TensorSource`] with the base's names, shapes and dtypes. Values
/// are computed in f64 and rounded once, the same however a tensor is cut into reads. A value that leaves the
/// range of the base's number format is [`Error::Overflow`] where it is read as stored.
pub struct Baked {
    base: Arc<dyn TensorSource>,
    adapter: Arc<dyn TensorSource>,
    changes: Vec<Change>,
    /// Strength of the whole adapter.
    strength: f64,
}

impl Baked {
    /// Whether the adapter's tensors fit the base's, by their headers. `config` is adapter_config.json.
    ///
    /// # Errors
    /// [`Error::Adapter`] with every reason why the adapter does not fit.
    pub fn fits(base: &dyn TensorSource, adapter: &dyn TensorSource, config: &Value) -> Result<()> {
        fit(base, adapter, config).map(drop)
    }

    /// Matches the adapter's tensors with the base's and reads its factors.
    ///
    /// # Errors
    /// As [`Self::fits`]; [`Error::TooLarge`] where the factors have more bytes as F32 than
    /// [`Limits::low_rank_bytes`]; read errors.
    pub fn new(
        base: Arc<dyn TensorSource>,
        adapter: Arc<dyn TensorSource>,
        config: &Value,
        limits: &Limits,
    ) -> Result<Self> {
        let fits = fit(&*base, &*adapter, config)?;
        let mut held = Held::new("the adapter as F32", limits);
        for fit in &fits {
            if let Fit::Add(factors) = fit {
                held.add(factors.elements)?;
            }
        }
        let change = |fit: Fit| -> Result<Change> {
            Ok(match fit {
                Fit::Keep => Change::Keep,
                Fit::Replace(theirs) => Change::Replace(theirs),
                Fit::Shift(theirs, scale) => Change::Shift(theirs, scale),
                Fit::Add(factors) => Change::Add(Box::new(factors.read(&*adapter)?)),
            })
        };
        let changes = fits.into_iter().map(change).collect::<Result<_>>()?;
        Ok(Self { base, adapter, changes, strength: 1.0 })
    }

    /// The same with `strength` of the adapter: 0 gives the base, 1 the adapter as it is. Tensors stored whole are
    /// interpolated.
    #[must_use]
    pub fn with_strength(self, strength: f64) -> Self {
        Self { strength, ..self }
    }

    /// How many of a changed tensor's computed values, elements `start..`, are not finite where the base's are.
    fn broken(&self, index: usize, start: u64, values: &[f64]) -> Result<u64> {
        if values.iter().all(|value| value.is_finite()) {
            return Ok(0);
        }
        let mut inputs = vec![0.0; values.len()];
        let copied = matches!(self.changes[index], Change::Replace(_)) && self.strength == 1.0;
        match &self.changes[index] {
            Change::Replace(theirs) if copied => decoded((&*self.adapter, *theirs), start, &mut inputs)?,
            _ => decoded((&*self.base, index), start, &mut inputs)?,
        }
        let broken = |(value, input): &(&f64, &f64)| !value.is_finite() && input.is_finite();
        Ok(values.iter().zip(&inputs).filter(broken).count() as u64)
    }

    /// The refusal of `count` values of a changed tensor.
    fn excess(&self, index: usize, count: u64) -> Error {
        let info = &self.tensors()[index];
        let advice = if self.is_finite(index) {
            "choose a smaller scale, or a base stored in a wider number format"
        } else {
            "the adapter itself holds values there that are not finite"
        };
        let (tensor, dtype) = (info.name.clone(), info.dtype);
        Error::Overflow { tensor, count, dtype, advice: advice.to_owned() }
    }

    /// Whether what the adapter adds to a tensor is finite.
    fn is_finite(&self, index: usize) -> bool {
        match &self.changes[index] {
            Change::Keep | Change::Replace(_) => true,
            Change::Shift(_, scale) => scale.is_finite(),
            Change::Add(delta) => {
                delta.scale.is_finite()
                    && delta.left.iter().chain(&delta.right).all(|value| value.is_finite())
            }
        }
    }

    /// [`Self::values`] of elements that the tensor has.
    fn in_range(&self, index: usize, start: u64, out: &mut [f64]) -> Result<()> {
        let width = self.tensors()[index].dtype.bits() / 8;
        slice_of(self.tensors(), index, start.saturating_mul(width), out.len() * width as usize)?;
        self.values(index, start, out)
    }

    /// Elements `start..` of a changed tensor, before rounding.
    fn values(&self, index: usize, start: u64, out: &mut [f64]) -> Result<()> {
        let whose =
            |source: &dyn TensorSource, index: usize, out: &mut [f64]| decoded((source, index), start, out);
        match &self.changes[index] {
            Change::Keep => whose(&*self.base, index, out),
            Change::Replace(theirs) if self.strength == 1.0 => whose(&*self.adapter, *theirs, out),
            Change::Replace(theirs) => {
                let mut base = vec![0.0; out.len()];
                whose(&*self.base, index, &mut base)?;
                whose(&*self.adapter, *theirs, out)?;
                out.iter_mut()
                    .zip(base)
                    .for_each(|(value, base)| *value = base + self.strength * (*value - base));
                Ok(())
            }
            Change::Shift(theirs, scale) => {
                let mut shift = vec![0.0; out.len()];
                whose(&*self.adapter, *theirs, &mut shift)?;
                whose(&*self.base, index, out)?;
                let scale = self.strength * scale;
                out.iter_mut().zip(shift).for_each(|(value, shift)| *value += scale * shift);
                Ok(())
            }
            Change::Add(delta) => {
                whose(&*self.base, index, out)?;
                delta.add((start as usize, self.strength), out);
                Ok(())
            }
        }
    }
}

impl Delta {
    /// Adds elements `start..` of the change, times `strength`, to `out`.
    pub(crate) fn add(&self, (start, strength): (usize, f64), mut out: &mut [f64]) {
        let (mut row, mut column) = (start / self.columns, start % self.columns);
        while !out.is_empty() {
            let (now, rest) = out.split_at_mut((self.columns - column).min(out.len()));
            let left = &self.left[row * self.rank..(row + 1) * self.rank];
            kernels::low_rank_row(now, strength * self.scale, (left, &self.right), (self.columns, column));
            (row, column, out) = (row + 1, 0, rest);
        }
    }
}

impl TensorSource for Baked {
    fn tensors(&self) -> &[TensorInfo] {
        self.base.tensors()
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let info = slice_of(self.tensors(), index, offset, out.len())?;
        if matches!(self.changes[index], Change::Keep) {
            return self.base.read_bytes(index, offset, out);
        }
        let mut broken = 0;
        let beyond = encode_range(info, offset, out, |first, values| {
            self.values(index, first, values)?;
            broken = self.broken(index, first, values)?;
            Ok(())
        })?;
        match beyond + broken {
            0 => Ok(()),
            count => Err(self.excess(index, count)),
        }
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), Error> {
        decode_range(self, index, start, out)
    }

    fn read_unrounded(&self, index: usize, start: u64, out: &mut [f64]) -> Option<Result<(), Error>> {
        match self.changes.get(index)? {
            Change::Keep => self.base.read_unrounded(index, start, out),
            Change::Replace(_) | Change::Add(_) | Change::Shift(..) => Some(self.in_range(index, start, out)),
        }
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.base.metadata()
    }
}
