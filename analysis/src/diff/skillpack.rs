//! SkillPack without calibration data (GraftLLM, arXiv 2505.18502): factors in mixed precision, pruned tables, the rest whole.

use std::{io, sync::Arc};

use kernels::Dtype;
use serde_json::{Map, Value, json};
use weights::{Packing, TensorInfo, TensorSource as _};

use super::{DiffSource, Energies, SparseSource, low_rank::norm, source::float_only};
use crate::{
    Error, Progress,
    computed::{Computed, as_stored, refused},
    lowrank::{Factors, Plan, Rank, Spool, is_linear, overlap, share, truncate},
};

/// The published packs of an 8 B model have 1,000 of 4,096 singular values.
const QUARTER: usize = 4;

/// How large a pack gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SkillPack {
    /// Singular values of each linear layer; a quarter of its smaller side when none is given.
    pub rank: Option<usize>,
    /// Most of them.
    pub most: usize,
    /// Share of the elements of embedding tables and heads that is kept, above 0 to 1.
    pub density: f64,
    /// Number format of scales, of kept elements and of what stays whole.
    pub dtype: Dtype,
}

/// Writes the pack of a difference to `out` as it is found. Of each linear layer `<name>.codes` (U8) and `<name>.scales`,
/// as [`Packing`] lays them out; of tables `<name>.indices` and `<name>.values` as a sparse difference has them; everything
/// else whole. `progress` is told the bytes of each tensor.
///
/// # Errors
/// A rank or density out of range, values that are not finite, read or write errors, or `progress` asking to stop.
pub fn skillpack(
    diff: &Arc<DiffSource>,
    asked: SkillPack,
    out: &mut dyn io::Write,
    progress: Progress<'_>,
) -> Result<(Plan, Energies), Error> {
    Rank::Fixed(asked.rank.unwrap_or(1)).check()?;
    float_only(asked.dtype)?;
    let tables = diff.only(is_table);
    let tables = Arc::new(SparseSource::new(Arc::new(tables), (asked.density, asked.dtype), progress)?);
    let mut pruned = tables.squares();
    let mut spool = Spool::new(out);
    let (mut about, mut squares) = (Map::new(), Vec::new());
    for (index, info) in diff.infos().iter().enumerate() {
        let ([part, all], rank) = match factors(diff, index, asked, progress)? {
            Some(factors) => {
                let part = pack(&mut spool, (diff, index), (&factors, asked.dtype), progress)?;
                ([part, factors.norm_sq], Some(factors.rank))
            }
            None if is_table(info) => {
                for end in ["indices", "values"] {
                    let name = format!("{}.{end}", info.name);
                    let at = tables.position(&name).ok_or_else(|| refused(format!("`{name}` is lost")))?;
                    spool.whole(name, Arc::clone(&tables) as _, at);
                }
                (pruned.next().unwrap_or_default(), None)
            }
            None => {
                spool.whole(info.name.clone(), Arc::clone(diff) as _, index);
                let all = norm(diff, index, progress)?;
                ([all, all], None)
            }
        };
        if rank.is_some() || is_table(info) {
            let energy = share(part, all);
            let error = (1.0 - energy).max(0.0).sqrt();
            let described =
                json!({ "shape": info.shape, "rank": rank, "energy": energy, "relative_error": error });
            about.insert(info.name.clone(), described);
        }
        if !is_table(info) {
            progress(info.bytes())?;
        }
        squares.push((info.name.as_str(), [part, all], rank));
    }
    let energies = Energies::of(squares.into_iter());
    let mut metadata = diff.metadata();
    metadata.insert("form".into(), "skillpack-rtn".into());
    metadata.insert("version".into(), "1".into());
    metadata.insert("energy".into(), energies.energy.to_string());
    metadata.insert("tensors".into(), Value::Object(about).to_string());
    Ok((spool.finish(metadata)?, energies))
}

/// Embedding tables and heads: matrices, but of no linear layer.
fn is_table(info: &TensorInfo) -> bool {
    info.shape.len() == 2 && info.elements() > 0 && !is_linear(info)
}

/// The factors of a linear layer; none of anything else.
fn factors(
    diff: &DiffSource,
    index: usize,
    asked: SkillPack,
    progress: Progress<'_>,
) -> Result<Option<Factors>, Error> {
    let info = &diff.infos()[index];
    if !is_linear(info) {
        return Ok(None);
    }
    let smaller = info.shape.iter().copied().min().unwrap_or(0) as usize;
    let rank = asked.rank.unwrap_or(smaller / QUARTER).clamp(1, asked.most);
    truncate(diff, index, Rank::Fixed(rank), progress)
}

/// Adds the rounded factors; tells how much of the squared norm they hold.
fn pack(
    spool: &mut Spool<'_>,
    (diff, index): (&DiffSource, usize),
    (factors, dtype): (&Factors, Dtype),
    progress: Progress<'_>,
) -> Result<f64, Error> {
    let (info, rank) = (&diff.infos()[index], factors.rank);
    let packing = Packing { rank, rows: factors.up.len() / rank, columns: factors.down.len() / rank };
    let (codes, scales) = packing.pack([&factors.down, &factors.up], |scale| as_stored(dtype, scale));
    let part = |end: &str, dtype, len: usize| TensorInfo {
        name: format!("{}.{end}", info.name),
        dtype,
        shape: vec![len as u64],
    };
    spool.bytes(part("codes", Dtype::U8, codes.len()), &codes)?;
    spool.floats(part("scales", dtype, scales.len()), &scales)?;
    let scales: Vec<f32> = scales.into_iter().map(|scale| scale as f32).collect();
    let [down, up] = packing.unpack(&codes, &scales);
    // ‖Δ‖² − ‖Δ − Δ̂‖².
    let [inner, square] = overlap((diff, index), (rank, &down, &up), progress)?;
    Ok(2.0 * inner - square)
}
