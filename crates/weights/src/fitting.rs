//! An adapter on a base by their headers alone: which tensors it changes, and whether its factors multiply to them.

use std::collections::BTreeMap;

use domain::Item;
use serde_json::Value;

use crate::{
    Error, Result, TensorInfo, TensorSource,
    baked::Delta,
    lora::{Config, Part, part},
    range::read_whole,
};

/// A rank up to which a factor may be wider than its matrix: adapters of all linear modules give a router of
/// 8 rows the rank of the rest. Beyond it only the work grows.
pub(crate) const FREE_RANK: u64 = 1_024;

/// What an adapter does to one base tensor.
pub(crate) enum Fit {
    Keep,
    /// The adapter's tensor at this position stands in.
    Replace(usize),
    /// The adapter's tensor at this position is added, times a scale.
    Shift(usize, f64),
    Add(Factors),
}

/// Two factors that multiply to a matrix of the base.
pub(crate) struct Factors {
    /// Positions in the adapter, and how long the rows of the stored factors are.
    down: (usize, usize),
    up: (usize, usize),
    /// Whether the base stores the transpose of B·A.
    transposed: bool,
    /// Of the base's matrix.
    columns: usize,
    rank: usize,
    scale: f64,
    /// Elements of both.
    pub(crate) elements: u64,
}

impl Factors {
    /// Reads both.
    pub(crate) fn read(&self, adapter: &dyn TensorSource) -> Result<Delta> {
        let (a, b) = (read_whole(adapter, self.down.0)?, read_whole(adapter, self.up.0)?);
        let (left, right) = match self.transposed {
            true => (transpose(&a, self.down.1), transpose(&b, self.up.1)),
            false => (b, a),
        };
        Ok(Delta { columns: self.columns, scale: self.scale, left, right, rank: self.rank })
    }
}

/// The transpose of a row-major matrix with rows of `width`.
fn transpose(values: &[f32], width: usize) -> Vec<f32> {
    let height = values.len() / width.max(1);
    (0..values.len()).map(|i| values[(i % height) * width + i / height]).collect()
}

/// The factors of one module, by position in the adapter.
#[derive(Default)]
struct Pair {
    down: Option<usize>,
    up: Option<usize>,
    embedding: bool,
}

/// Matches the adapter's tensors with the base's; by tensor of the base what becomes of it. `config` is
/// adapter_config.json.
///
/// # Errors
/// [`Error::Adapter`] with every reason why the adapter does not fit.
pub(crate) fn fit(base: &dyn TensorSource, adapter: &dyn TensorSource, config: &Value) -> Result<Vec<Fit>> {
    let at_config = |message| Item { pointer: "adapter_config.json".to_owned(), message };
    let config =
        Config::read(config).map_err(|faults| Error::Adapter(faults.into_iter().map(at_config).collect()))?;
    let mut faults = Vec::new();
    let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
    let mut fits: Vec<Fit> = base.tensors().iter().map(|_| Fit::Keep).collect();
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
                match twin(base, &format!("{module}.bias"), info) {
                    Ok(target) => fits[target] = Fit::Shift(index, config.scale(&module)),
                    Err(message) => fault(&message),
                }
                continue;
            }
            Part::Whole { name } => {
                match twin(base, &name, info) {
                    Ok(target) => fits[target] = Fit::Replace(index),
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
    let fitting = Fitting { base, adapter, config: &config };
    for (module, pair) in &pairs {
        match fitting.factors(module, pair) {
            Ok((target, factors)) => fits[target] = Fit::Add(factors),
            Err(message) => faults.push(Item { pointer: module.clone(), message }),
        }
    }
    if adapter.tensors().is_empty() {
        faults.push(Item { pointer: "adapter".to_owned(), message: "it holds no tensors".to_owned() });
    }
    if faults.is_empty() { Ok(fits) } else { Err(Error::Adapter(faults)) }
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
    /// The base tensor that one module's factors change; else why they do not fit.
    fn factors(&self, module: &str, pair: &Pair) -> Result<(usize, Factors), String> {
        let Self { base, adapter, config } = *self;
        let (Some(down), Some(up)) = (pair.down, pair.up) else {
            return Err("one of its factors A and B is missing".to_owned());
        };
        let name = format!("{module}.weight");
        let Some(target) = base.position(&name) else {
            return Err(format!("the base has no tensor `{name}`"));
        };
        let (wide, tall) = (&adapter.tensors()[down], &adapter.tensors()[up]);
        let info = &base.tensors()[target];
        let rank = config.rank(module);
        let flat = |info: &TensorInfo| (info.shape[0], info.shape[1..].iter().product::<u64>());
        if wide.shape.len() < 2 || tall.shape.len() < 2 || info.shape.len() < 2 {
            return Err("a factor or the base tensor is not a matrix".to_owned());
        }
        let ((a_rank, inner), (outer, b_rank)) = (flat(wide), flat(tall));
        if (a_rank, b_rank) != (rank, rank) {
            return Err(format!(
                "its factors have the ranks {a_rank} and {b_rank}; the configuration says {rank}"
            ));
        }
        if !info.dtype.is_float() {
            return Err(format!("the base stores `{name}` as {}, which is not a float", info.dtype));
        }
        let transposed = pair.embedding || config.transposed;
        let want = if transposed { (inner, outer) } else { (outer, inner) };
        if flat(info) != want || (transposed && info.shape.len() != 2) {
            return Err(format!(
                "B·A makes {} × {}, the base's `{name}` is {:?}",
                want.0, want.1, info.shape
            ));
        }
        let least = want.0.min(want.1);
        if rank > least.max(FREE_RANK) {
            return Err(format!(
                "its rank is {rank}, but `{name}` has {} × {}; a rank above {least} says nothing more",
                want.0, want.1
            ));
        }
        if info.elements() == 0 {
            return Err(format!("the base's `{name}` has no elements"));
        }
        let factors = Factors {
            down: (down, inner as usize),
            up: (up, rank as usize),
            transposed,
            columns: want.1 as usize,
            rank: rank as usize,
            scale: config.scale(module),
            elements: wide.elements().saturating_add(tall.elements()),
        };
        Ok((target, factors))
    }
}
