//! Eight-bit floats with scales read as the numbers they stand for: `value · scale`, as F32.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kernels::Dtype;
use serde_json::Value;

use crate::{Error, Result, TensorInfo, TensorSource, quantised::position, range::slice_of};

/// Rows and columns that share a scale where config.json does not say.
const BLOCK: [u64; 2] = [128, 128];

/// Scales of activations and caches, which say nothing of the weights.
const UNUSED: [&str; 7] = [
    ".input_scale",
    ".input_scale_ub",
    ".output_scale",
    ".k_scale",
    ".v_scale",
    ".scale_input",
    "scaled_fp8",
];

/// A checkpoint of eight-bit floats with its scales applied; scale tensors are hidden, all others unchanged.
///
/// A scale stands for its whole tensor, for a row or column, or for a block of `weight_block_size`; both `_scale`
/// and DeepSeek's `_scale_inv` (arXiv 2412.19437) are multiplied with.
pub struct Scaled {
    source: Arc<dyn TensorSource>,
    infos: Vec<TensorInfo>,
    parts: Vec<Part>,
}

enum Part {
    /// The tensor at this position, as it is.
    Kept(usize),
    Scaled(Grid),
}

/// A weight and where in its scale tensor the scale of an element is.
struct Grid {
    weight: usize,
    scale: usize,
    /// Of each axis, the outermost first: elements, elements that share a scale, and scales passed in a step.
    axes: Vec<(u64, u64, u64)>,
}

impl Scaled {
    /// Pairs weights with scales; `None` when nothing is scaled. `config` is config.json.
    ///
    /// # Errors
    /// [`Error::Quantised`] when a scale does not fit its weight.
    pub fn new(source: Arc<dyn TensorSource>, config: Option<&Value>) -> Result<Option<Self>> {
        let block = block_size(config);
        let tensors = source.tensors();
        let mut grids = BTreeMap::new();
        for (weight, info) in tensors.iter().enumerate() {
            if let (Dtype::F8E4M3 | Dtype::F8E5M2, Some(scale)) = (info.dtype, scale_of(tensors, &info.name))
            {
                let theirs = &tensors[scale];
                let fitting = axes(&info.shape, &theirs.shape, block).filter(|_| theirs.dtype.is_float());
                let axes = fitting.ok_or_else(|| Error::Quantised {
                    layout: format!(
                        "{} {:?} with scales {} {:?}",
                        info.dtype, info.shape, theirs.dtype, theirs.shape
                    ),
                    tensor: info.name.clone(),
                })?;
                grids.insert(weight, Grid { weight, scale, axes });
            }
        }
        if grids.is_empty() {
            return Ok(None);
        }
        let hidden: BTreeSet<usize> = grids.values().map(|grid| grid.scale).collect();
        let (mut infos, mut parts) = (Vec::new(), Vec::new());
        for (index, info) in tensors.iter().enumerate() {
            if hidden.contains(&index) || UNUSED.iter().any(|end| info.name.ends_with(end)) {
                continue;
            }
            match grids.remove(&index) {
                Some(grid) => {
                    infos.push(TensorInfo { dtype: Dtype::F32, ..info.clone() });
                    parts.push(Part::Scaled(grid));
                }
                None => {
                    infos.push(info.clone());
                    parts.push(Part::Kept(index));
                }
            }
        }
        Ok(Some(Self { source, infos, parts }))
    }

    /// Elements `start..` of a scaled tensor.
    fn fill(&self, grid: &Grid, start: u64, out: &mut [f32]) -> Result<()> {
        self.source.read_f32(grid.weight, start, out)?;
        let Some(&(columns, group, _)) = grid.axes.last() else { return Ok(()) };
        let last = start + out.len() as u64 - 1;
        // Scales never fall within a row, so a part of one needs its own alone.
        let (from, to) = match start / columns == last / columns {
            true => (start, last),
            false => (start - start % columns, last - last % columns + columns - 1),
        };
        let first_scale = grid.scale_at(from);
        let mut scales = vec![0.0; (grid.scale_at(to) - first_scale + 1) as usize];
        self.source.read_f32(grid.scale, first_scale, &mut scales)?;
        let (mut at, mut rest) = (start, out);
        while !rest.is_empty() {
            let column = at % columns;
            let same = (group - column % group).min(columns - column).min(rest.len() as u64);
            let (now, later) = rest.split_at_mut(same as usize);
            let scale = scales[(grid.scale_at(at) - first_scale) as usize];
            now.iter_mut().for_each(|value| *value *= scale);
            (at, rest) = (at + same, later);
        }
        Ok(())
    }
}

impl Grid {
    /// Position of the scale of an element; never falls along a row, nor in a column from one row to the next.
    fn scale_at(&self, mut element: u64) -> u64 {
        let mut at = 0;
        for &(length, group, step) in self.axes.iter().rev() {
            at += element % length / group * step;
            element /= length;
        }
        at
    }
}

/// The scale tensor of a weight.
fn scale_of(tensors: &[TensorInfo], weight: &str) -> Option<usize> {
    let module = weight.strip_suffix(".weight");
    let beside = [format!("{weight}_scale"), format!("{weight}_scale_inv")];
    let inside = module.into_iter().flat_map(|of| [format!("{of}.scale_weight"), format!("{of}.scale")]);
    beside.into_iter().chain(inside).find_map(|name| position(tensors, &name))
}

/// `weight_block_size` of the configuration.
fn block_size(config: Option<&Value>) -> [u64; 2] {
    let said = config.and_then(|config| config.pointer("/quantization_config/weight_block_size"));
    match said.and_then(Value::as_array).map(|pair| pair.iter().filter_map(Value::as_u64).collect::<Vec<_>>())
    {
        Some(pair) if pair.len() == 2 && !pair.contains(&0) => [pair[0], pair[1]],
        _ => BLOCK,
    }
}

/// Elements, elements that share a scale and steps of every axis; `None` when the shapes do not fit, or when rows that
/// follow each other would go back to scales before.
fn axes(weight: &[u64], scale: &[u64], block: [u64; 2]) -> Option<Vec<(u64, u64, u64)>> {
    let rank = weight.len().max(1);
    let mut shape = vec![1; rank - weight.len()];
    shape.extend(weight);
    let scale = match scale {
        [] | [1] => vec![1; rank],
        [rows] if rank > 1 && *rows == shape[0] => [vec![*rows], vec![1; rank - 1]].concat(),
        same if same.len() == rank => same.to_vec(),
        _ => return None,
    };
    let mut axes = vec![(1, 1, 0); rank];
    let mut step = 1;
    for axis in (0..rank).rev() {
        let (length, scales) = (shape[axis].max(1), scale[axis]);
        let blocked =
            (axis + 2).checked_sub(rank).map(|at| block[at]).filter(|&of| length.div_ceil(of) == scales);
        let group = match scales {
            1 => length,
            all if all == length => 1,
            _ => blocked?,
        };
        let mut between = scale.iter().take(rank - 1).skip(axis + 1);
        if length > 1 && scales == 1 && between.any(|&later| later > 1) {
            return None;
        }
        axes[axis] = (length, group, step);
        step *= scales;
    }
    Some(axes)
}

impl TensorSource for Scaled {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        slice_of(&self.infos, index, offset, out.len())?;
        let grid = match &self.parts[index] {
            Part::Kept(at) => return self.source.read_bytes(*at, offset, out),
            Part::Scaled(grid) => grid,
        };
        if out.is_empty() {
            return Ok(());
        }
        let (first, last) = (offset / 4, (offset + out.len() as u64).div_ceil(4));
        let mut values = vec![0.0; (last - first) as usize];
        self.fill(grid, first, &mut values)?;
        let mut bytes = vec![0; values.len() * 4];
        kernels::encode(Dtype::F32, &values, &mut bytes);
        let skip = (offset % 4) as usize;
        out.copy_from_slice(&bytes[skip..skip + out.len()]);
        Ok(())
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), Error> {
        slice_of(&self.infos, index, 0, 0)?;
        let grid = match &self.parts[index] {
            Part::Kept(at) => return self.source.read_f32(*at, start, out),
            Part::Scaled(grid) => grid,
        };
        slice_of(&self.infos, index, start.saturating_mul(4), out.len() * 4)?;
        if out.is_empty() { Ok(()) } else { self.fill(grid, start, out) }
    }

    fn view(&self, index: usize, offset: u64, len: usize) -> Option<&[u8]> {
        match self.parts.get(index)? {
            Part::Kept(at) => self.source.view(*at, offset, len),
            Part::Scaled(_) => None,
        }
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.source.metadata()
    }
}
