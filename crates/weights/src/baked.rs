//! A base with a LoRA adapter applied: `W + s·B·A`, computed as it is read.

use std::{collections::BTreeMap, sync::Arc};

use domain::Item;
use serde_json::Value;

use crate::{
    Error, Result, TensorInfo, TensorSource,
    lora::{Config, Part, part},
    range::{decode_range, decoded, encode_range, read_whole, slice_of},
};

/// A rank up to which a factor may be wider than its matrix: adapters of all linear modules give a router of
/// 8 rows the rank of the rest. Beyond it only the work grows.
pub(crate) const FREE_RANK: u64 = 1_024;

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

/// The factors of one module, by position in the adapter.
#[derive(Default)]
struct Pair {
    down: Option<usize>,
    up: Option<usize>,
    embedding: bool,
}

impl Baked {
    /// Matches the adapter's tensors with the base's and reads its small factors.
    ///
    /// # Errors
    /// [`Error::Adapter`] with every reason why the adapter does not fit; read errors.
    pub fn new(base: Arc<dyn TensorSource>, adapter: Arc<dyn TensorSource>, config: &Value) -> Result<Self> {
        let at_config = |message| Item { pointer: "adapter_config.json".to_owned(), message };
        let config = Config::read(config)
            .map_err(|faults| Error::Adapter(faults.into_iter().map(at_config).collect()))?;
        let mut faults = Vec::new();
        let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
        let mut changes: Vec<Change> = base.tensors().iter().map(|_| Change::Keep).collect();
        for (index, info) in adapter.tensors().iter().enumerate() {
            let mut fault =
                |message: &str| faults.push(Item { pointer: info.name.clone(), message: message.to_owned() });
            if !info.dtype.is_float() {
                fault("it is not stored as floats");
                continue;
            }
            let (module, embedding, down) = match part(&info.name) {
                Part::Down { module, embedding } => (module, embedding, true),
                Part::Up { module, embedding } => (module, embedding, false),
                Part::Bias { module } => {
                    match twin(&*base, &format!("{module}.bias"), info) {
                        Ok(target) => changes[target] = Change::Shift(index, config.scale(&module)),
                        Err(message) => fault(&message),
                    }
                    continue;
                }
                Part::Whole { name } => {
                    match twin(&*base, &name, info) {
                        Ok(target) => changes[target] = Change::Replace(index),
                        Err(message) => fault(&message),
                    }
                    continue;
                }
                Part::Unknown => {
                    fault("this kind of adapter tensor is not supported");
                    continue;
                }
            };
            let pair = pairs.entry(module).or_default();
            pair.embedding |= embedding;
            let slot = if down { &mut pair.down } else { &mut pair.up };
            if slot.replace(index).is_some() {
                fault("a second factor for the same module; only one adapter can be applied");
            }
        }
        let fitting = Fitting { base: &*base, adapter: &*adapter, config: &config };
        for (module, pair) in &pairs {
            match fitting.delta(module, pair)? {
                Ok((target, delta)) => changes[target] = Change::Add(Box::new(delta)),
                Err(message) => faults.push(Item { pointer: module.clone(), message }),
            }
        }
        if adapter.tensors().is_empty() {
            faults.push(Item { pointer: "adapter".to_owned(), message: "it holds no tensors".to_owned() });
        }
        if faults.is_empty() {
            Ok(Self { base, adapter, changes, strength: 1.0 })
        } else {
            Err(Error::Adapter(faults))
        }
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
            kernels::low_rank_row(now, strength * self.scale, left, &self.right, self.columns, column);
            (row, column, out) = (row + 1, 0, rest);
        }
    }
}

/// The base tensor that a whole tensor of the adapter replaces or is added to.
fn twin(base: &dyn TensorSource, name: &str, info: &TensorInfo) -> Result<usize, String> {
    let target = base.position(name).ok_or_else(|| format!("the base has no tensor `{name}`"))?;
    let theirs = &base.tensors()[target];
    if theirs.shape != info.shape {
        return Err(format!("its shape is {:?}, the base's `{name}` has {:?}", info.shape, theirs.shape));
    }
    if !theirs.dtype.is_float() {
        return Err(format!("the base stores `{name}` as {}, which is not a float", theirs.dtype));
    }
    Ok(target)
}

/// An adapter being fitted to its base.
struct Fitting<'a> {
    base: &'a dyn TensorSource,
    adapter: &'a dyn TensorSource,
    config: &'a Config,
}

impl Fitting<'_> {
    /// The change one module's factors make; `Ok(Err)` says why they do not fit.
    fn delta(&self, module: &str, pair: &Pair) -> Result<Result<(usize, Delta), String>> {
        let Self { base, adapter, config } = *self;
        let (Some(down), Some(up)) = (pair.down, pair.up) else {
            return Ok(Err("one of its factors A and B is missing".to_owned()));
        };
        let name = format!("{module}.weight");
        let Some(target) = base.position(&name) else {
            return Ok(Err(format!("the base has no tensor `{name}`")));
        };
        let (wide, tall) = (&adapter.tensors()[down], &adapter.tensors()[up]);
        let info = &base.tensors()[target];
        let rank = config.rank(module);
        let flat = |info: &TensorInfo| (info.shape[0], info.shape[1..].iter().product::<u64>());
        if wide.shape.len() < 2 || tall.shape.len() < 2 || info.shape.len() < 2 {
            return Ok(Err("a factor or the base tensor is not a matrix".to_owned()));
        }
        let ((a_rank, inner), (outer, b_rank)) = (flat(wide), flat(tall));
        if (a_rank, b_rank) != (rank, rank) {
            return Ok(Err(format!(
                "its factors have the ranks {a_rank} and {b_rank}; the configuration says {rank}"
            )));
        }
        if !info.dtype.is_float() {
            return Ok(Err(format!("the base stores `{name}` as {}, which is not a float", info.dtype)));
        }
        let swap = pair.embedding || config.transposed;
        let want = if swap { (inner, outer) } else { (outer, inner) };
        if flat(info) != want || (swap && info.shape.len() != 2) {
            let message =
                format!("B·A makes {} × {}, the base's `{name}` is {:?}", want.0, want.1, info.shape);
            return Ok(Err(message));
        }
        let least = want.0.min(want.1);
        if rank > least.max(FREE_RANK) {
            return Ok(Err(format!(
                "its rank is {rank}, but `{name}` has {} × {}; a rank above {least} says nothing more",
                want.0, want.1
            )));
        }
        if info.elements() == 0 {
            return Ok(Err(format!("the base's `{name}` has no elements")));
        }
        let (a, b) = (read_whole(adapter, down)?, read_whole(adapter, up)?);
        let (left, right) =
            if swap { (transpose(&a, inner as usize), transpose(&b, rank as usize)) } else { (b, a) };
        let scale = config.scale(module);
        Ok(Ok((target, Delta { columns: want.1 as usize, scale, left, right, rank: rank as usize })))
    }
}

/// The transpose of a row-major matrix with rows of `width`.
fn transpose(values: &[f32], width: usize) -> Vec<f32> {
    let height = values.len() / width.max(1);
    (0..values.len()).map(|i| values[(i % height) * width + i / height]).collect()
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
