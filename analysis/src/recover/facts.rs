//! What one pass over a model tells: its tensors by role, their digests, the precision used, and its probes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use domain::Digest;
use kernels::Dtype;
use rayon::prelude::*;
use weights::{TensorSource, bare_name};

use super::{Subject, constructed::constructed, measured::round, probe::Probe};
use crate::{
    Error, Progress,
    computed::is_buffer,
    kinship::{Module, layer_number},
};

/// Elements of a matrix that are looked at for precision and levels.
const SAMPLE: u64 = 1 << 16;
/// Longest piece of a row whose distinct values are counted.
const ROW: usize = 256;
/// Bits after the leading one to which values are rounded before they are counted: models of two formats compare in the
/// narrower one.
const ROUNDED: [u32; 3] = [23, 10, 7];
/// Share of the elements that must be representable with fewer bits.
const REPRESENTED: f64 = 0.99;

/// A float tensor by its place in the network.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    /// The canonical name with `#` for the number of the layer.
    pub(super) role: String,
    pub(super) layer: Option<u64>,
    pub(super) index: usize,
    pub(super) shape: Vec<u64>,
    pub(super) dtype: Dtype,
    pub(super) digest: Digest,
    pub(super) module: Module,
}

/// All that is kept of a model once it was read.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) tensors: Vec<Tensor>,
    pub(super) layers: u64,
    pub(super) elements: u64,
    /// Bits after the leading one that 99 % of the elements need.
    pub(super) precision: u32,
    /// Bits after the leading one that its number format has.
    pub(super) format: u32,
    /// Of each matrix, by index: how many values of a row are distinct.
    pub(super) levels: BTreeMap<usize, Levels>,
    /// Hidden units of each layer, by the stack that it belongs to: an encoder has layers of the same numbers as its decoder.
    pub(super) units: Vec<BTreeMap<String, Probe>>,
    /// Columns of the embedding.
    pub(super) columns: Option<Probe>,
}

/// Surveys a model; every thread holds one block at a time.
pub(super) fn gather(subject: &Subject, progress: Progress<'_>) -> Result<Facts, Error> {
    let source = &*subject.source;
    let heard = |bytes| progress(bytes).map_err(|_| weights::Error::Stopped);
    let digests = source.tensors().par_iter().enumerate().map(|(index, info)| {
        let digest = weights::tensor_digest(source, index)?;
        heard(info.bytes())?;
        Ok(digest)
    });
    let digests: Vec<Digest> = digests.collect::<Result<_, weights::Error>>()?;
    let mut tensors: Vec<Tensor> = Vec::new();
    for (index, info) in source.tensors().iter().enumerate() {
        if info.dtype.is_float() && !is_buffer(&info.name) && info.elements() > 0 {
            let (role, layer) = role(&info.name);
            let module = Module::of(&info.name);
            let (shape, dtype, digest) = (info.shape.clone(), info.dtype, digests[index]);
            tensors.push(Tensor { role, layer, index, shape, dtype, digest, module });
        }
    }
    untie(&mut tensors);
    let layers = depth(&tensors);
    let grains = tensors
        .par_iter()
        .filter(|tensor| tensor.shape.len() == 2)
        .map(|tensor| Ok((tensor.index, grain(source, tensor)?)));
    let grains: Vec<(usize, Grain)> = grains.collect::<Result<_, weights::Error>>()?;
    let mut total = Grain::default();
    grains.iter().for_each(|(_, part)| total.add(part));
    let width = tensors
        .iter()
        .find(|tensor| tensor.module == Module::Embed)
        .and_then(|tensor| tensor.shape.get(1).copied());
    let units = (0..layers).into_par_iter().map(|layer| units(source, (&tensors, layer), width));
    let units = units.collect::<Result<_, _>>()?;
    let columns = embedding(&tensors).map(|tensor| Probe::columns(source, tensor)).transpose()?;
    let elements = tensors.iter().map(|tensor| tensor.shape.iter().product::<u64>()).sum();
    let format = format(&tensors);
    Ok(Facts {
        layers,
        elements,
        precision: total.precision().min(format),
        format,
        levels: grains.into_iter().map(|(index, grain)| (index, grain.levels)).collect(),
        units,
        columns,
        tensors,
    })
}

/// The probe of the hidden units of every stack that has this layer: of its first MLP matrix, or else of its largest one.
fn units(
    source: &dyn TensorSource,
    (tensors, layer): (&[Tensor], u64),
    width: Option<u64>,
) -> Result<BTreeMap<String, Probe>, weights::Error> {
    let inside = || {
        let matrices = tensors.iter().filter(|tensor| tensor.layer == Some(layer) && tensor.shape.len() == 2);
        matrices.filter(|tensor| !constructed(&tensor.role, tensor.module))
    };
    let stacks: BTreeSet<&str> = inside().map(Tensor::stack).collect();
    let wanted = [Module::Up, Module::Gate, Module::GateUp];
    let probe = |stack: &str| {
        let own = || inside().filter(|tensor| tensor.stack() == stack);
        let best = wanted.iter().find_map(|kind| own().find(|tensor| tensor.module == *kind));
        let size = |tensor: &&Tensor| (tensor.shape.iter().product::<u64>(), Reverse(tensor.role.clone()));
        let best = best.or_else(|| own().max_by_key(size));
        best.map(|tensor| Ok((stack.to_owned(), Probe::units(source, tensor, width)?))).transpose()
    };
    stacks.into_iter().filter_map(|stack| probe(stack).transpose()).collect()
}

impl Tensor {
    /// The part of its role before the number of the layer.
    pub(super) fn stack(&self) -> &str {
        self.role.split('#').next().unwrap_or_default()
    }
}

impl Facts {
    /// Distinct values in a piece of a row, as a share, 0 to 1, of the values rounded to `bits` after the leading one or fewer;
    /// of the matrices that `other` does not have, for what a quantiser left as it was is on no grid.
    pub(super) fn levels(&self, bits: u32, other: &Self) -> f64 {
        let at = ROUNDED.iter().position(|rounded| *rounded <= bits).unwrap_or(ROUNDED.len() - 1);
        let theirs: BTreeSet<Digest> = other.tensors.iter().map(|tensor| tensor.digest).collect();
        let changed = self.tensors.iter().filter(|tensor| !theirs.contains(&tensor.digest));
        let levels = changed.filter_map(|tensor| self.levels.get(&tensor.index));
        let (distinct, pieces) =
            levels.fold((0.0, 0), |sum, levels| (sum.0 + levels.distinct[at], sum.1 + levels.pieces));
        if pieces == 0 { 1.0 } else { distinct / pieces as f64 }
    }

    /// Its tensors by their places in the network; to be asked for once for many of them.
    pub(super) fn by_place(&self) -> ByPlace<'_> {
        let mut found = HashMap::with_capacity(self.tensors.len());
        for (at, tensor) in self.tensors.iter().enumerate() {
            found.entry((tensor.role.as_str(), tensor.layer)).or_insert(at);
        }
        ByPlace { tensors: &self.tensors, found }
    }
}

/// The tensors of a model by role and layer.
pub(super) struct ByPlace<'f> {
    tensors: &'f [Tensor],
    found: HashMap<(&'f str, Option<u64>), usize>,
}

impl<'f> ByPlace<'f> {
    /// Which of the model's tensors has this role in this layer.
    pub(super) fn at(&self, role: &str, layer: Option<u64>) -> Option<usize> {
        self.found.get(&(role, layer)).copied()
    }

    /// The tensor in the place of another model's.
    pub(super) fn twin(&self, tensor: &Tensor) -> Option<&'f Tensor> {
        self.at(&tensor.role, tensor.layer).map(|at| &self.tensors[at])
    }
}

/// The table of tokens.
pub(super) fn embedding(tensors: &[Tensor]) -> Option<&Tensor> {
    tensors.iter().find(|tensor| tensor.module == Module::Embed && tensor.shape.len() == 2)
}

/// Leaves out a head that is tied to the embedding.
pub(super) fn untie(tensors: &mut Vec<Tensor>) {
    let embedding = tensors.iter().find(|tensor| tensor.module == Module::Embed).map(|tensor| tensor.digest);
    tensors.retain(|tensor| tensor.module != Module::Head || Some(tensor.digest) != embedding);
}

/// Number of layers.
pub(super) fn depth(tensors: &[Tensor]) -> u64 {
    let last = tensors.iter().filter_map(|tensor| tensor.layer).max();
    last.map_or(0, |last| last.saturating_add(1).min(tensors.len() as u64))
}

/// Bits after the leading one of the widest format among the matrices.
pub(super) fn format(tensors: &[Tensor]) -> u32 {
    let matrices = tensors.iter().filter(|tensor| tensor.shape.len() == 2);
    matrices.map(|tensor| mantissa(tensor.dtype)).max().unwrap_or(23)
}

/// Bits after the leading one of a number format.
pub(super) fn mantissa(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::F64 | Dtype::F32 => 23,
        Dtype::F16 => 10,
        Dtype::Bf16 => 7,
        Dtype::F8E4M3 | Dtype::F6E2M3 => 3,
        _ => 2,
    }
}

/// The bare name with `#` for the number of its layer, and that number.
pub(super) fn role(name: &str) -> (String, Option<u64>) {
    let name = bare_name(name);
    let layer = layer_number(name);
    let Some(number) = layer else { return (name.to_owned(), None) };
    let number = number.to_string();
    let mut found = false;
    let mut masked = |part| {
        if !found && part == number {
            found = true;
            "#"
        } else {
            part
        }
    };
    (name.split('.').map(&mut masked).collect::<Vec<_>>().join("."), layer)
}

/// How fine the numbers of some elements are.
#[derive(Default)]
struct Grain {
    /// Elements by the bits after the leading one that they need.
    needed: [u64; 24],
    levels: Levels,
}

/// Sums over pieces of rows of the share of their values that are distinct: as they are, and rounded as [`ROUNDED`] says.
#[derive(Debug, Default)]
pub(super) struct Levels {
    pieces: u64,
    distinct: [f64; 3],
}

impl Grain {
    fn add(&mut self, other: &Self) {
        self.needed.iter_mut().zip(other.needed).for_each(|(mine, theirs)| *mine += theirs);
    }

    fn precision(&self) -> u32 {
        let all: u64 = self.needed.iter().sum();
        let mut seen = 0;
        let enough = self.needed.iter().position(|count| {
            seen += count;
            seen as f64 >= REPRESENTED * all as f64
        });
        enough.unwrap_or(23) as u32
    }
}

fn grain(source: &dyn TensorSource, tensor: &Tensor) -> Result<Grain, weights::Error> {
    let all: u64 = tensor.shape.iter().product();
    let mut values = vec![0.0f32; SAMPLE.min(all) as usize];
    source.read_f32(tensor.index, 0, &mut values)?;
    let mut grain = Grain::default();
    for value in &values {
        let mantissa = value.to_bits() & 0x7F_FFFF;
        grain.needed[if mantissa == 0 { 0 } else { 23 - mantissa.trailing_zeros() as usize }] += 1;
    }
    let row = usize::try_from(tensor.shape[1]).unwrap_or(ROW).clamp(1, ROW);
    for piece in values.chunks_exact_mut(row).filter(|piece| piece.len() >= 16) {
        piece.sort_by(f32::total_cmp);
        grain.levels.pieces += 1;
        for (bits, sum) in ROUNDED.into_iter().zip(&mut grain.levels.distinct) {
            // Rounding keeps the order.
            round(piece, bits);
            let distinct = 1 + piece.windows(2).filter(|pair| pair[0] != pair[1]).count();
            *sum += distinct as f64 / piece.len() as f64;
        }
    }
    Ok(grain)
}
