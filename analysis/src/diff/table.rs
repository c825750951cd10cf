//! Tensor-by-tensor comparison of two checkpoints in one streamed pass.

use kernels::DiffSums;
use rayon::prelude::*;
use serde::Serialize;
use weights::{TensorInfo, TensorSource};

use crate::{
    Error, Progress,
    computed::{BLOCK, blocks},
    kinship::Places,
};

/// How `a` differs from `b`.
#[derive(Debug, Clone, Serialize)]
pub struct DiffReport {
    /// One sentence for people.
    pub verdict: String,
    pub tensors: Vec<TensorDiff>,
    pub only_a: Vec<String>,
    pub only_b: Vec<String>,
    pub shape_mismatches: Vec<ShapeMismatch>,
    pub totals: Totals,
}

/// One tensor that both hold in one shape.
#[derive(Debug, Clone, Serialize)]
pub struct TensorDiff {
    pub name: String,
    /// What `b` calls it.
    #[serde(skip)]
    pub name_b: String,
    pub dtype_a: String,
    pub dtype_b: String,
    pub shape: Vec<u64>,
    pub elements: u64,
    /// `‖a − b‖ / ‖b‖`; `null` for integers, a zero `b`, or values that are not finite.
    pub relative_l2: Option<f64>,
    /// Cosine of `a` and `b`; `null` when either is zero.
    pub cosine: Option<f64>,
    /// Largest `|a − b|`; 0 for integer tensors.
    pub max_abs: f64,
    /// Share of elements with the same value (integers: of bytes), 0 to 1.
    pub unchanged_share: f64,
    /// Elements that are NaN or infinite on either side.
    pub nonfinite: u64,
    /// Same dtype and the same bytes.
    pub identical: bool,
}

/// A tensor both hold, in different shapes.
#[derive(Debug, Clone, Serialize)]
pub struct ShapeMismatch {
    pub name: String,
    pub shape_a: Vec<u64>,
    pub shape_b: Vec<u64>,
}

/// Sums over the compared tensors.
#[derive(Debug, Clone, Serialize)]
pub struct Totals {
    pub tensors: usize,
    pub identical: usize,
    pub elements: u64,
    pub relative_l2: Option<f64>,
    pub cosine: Option<f64>,
    pub max_abs: f64,
    pub unchanged_share: f64,
    pub nonfinite: u64,
}

/// Compares `a` with `b`, `b` being the base that the differences are relative to. Wrappers around names do not part
/// tensors; `a` names those that both hold.
///
/// # Errors
/// A read that fails, no tensor in common, or `progress` asking to stop.
pub fn compare(
    a: &dyn TensorSource,
    b: &dyn TensorSource,
    progress: Progress<'_>,
) -> Result<DiffReport, Error> {
    let (in_a, in_b) = (Places::of(a), Places::of(b));
    let only = |this: (&dyn TensorSource, &Places<'_>), that: &Places<'_>| -> Vec<String> {
        let missing = |info: &&TensorInfo| that.twin(&info.name, this.1).is_none();
        this.0.tensors().iter().filter(missing).map(|info| info.name.clone()).collect()
    };
    let (mut pairs, mut shape_mismatches) = (Vec::new(), Vec::new());
    for (at, info) in a.tensors().iter().enumerate() {
        let Some(twin) = in_b.twin(&info.name, &in_a) else { continue };
        let other = &b.tensors()[twin];
        if other.shape == info.shape {
            pairs.push((at, twin));
        } else {
            let (shape_a, shape_b) = (info.shape.clone(), other.shape.clone());
            shape_mismatches.push(ShapeMismatch { name: info.name.clone(), shape_a, shape_b });
        }
    }
    if pairs.is_empty() {
        let hint = format!("{} tensors against {}", a.tensors().len(), b.tensors().len());
        return Err(Error::NothingInCommon { hint });
    }
    let measured: Vec<(TensorDiff, DiffSums)> = pairs
        .par_iter()
        .map(|&pair| {
            let measured = tensor(a, b, pair)?;
            progress(a.tensors()[pair.0].bytes() + b.tensors()[pair.1].bytes())?;
            Ok::<_, Error>(measured)
        })
        .collect::<Result<_, _>>()?;
    let mut report = DiffReport {
        verdict: String::new(),
        totals: totals(&measured),
        tensors: measured.into_iter().map(|(diff, _)| diff).collect(),
        only_a: only((a, &in_a), &in_b),
        only_b: only((b, &in_b), &in_a),
        shape_mismatches,
    };
    report.verdict = verdict(&report);
    Ok(report)
}

fn tensor(
    a: &dyn TensorSource,
    b: &dyn TensorSource,
    (i, j): (usize, usize),
) -> Result<(TensorDiff, DiffSums), Error> {
    let (left, right) = (&a.tensors()[i], &b.tensors()[j]);
    let float = left.dtype.is_float() && right.dtype.is_float();
    let mut sums = DiffSums::default();
    let mut identical = left.dtype == right.dtype;
    let mut same_bytes = 0;
    if float {
        for (start, len) in blocks(left.elements()) {
            let (raw_a, raw_b) = (read(a, i, start, len)?, read(b, j, start, len)?);
            let (mut x, mut y) = (vec![0.0; len], vec![0.0; len]);
            kernels::decode(left.dtype, &raw_a, &mut x);
            kernels::decode(right.dtype, &raw_b, &mut y);
            sums.add_block(&x, &y);
            identical &= raw_a == raw_b;
        }
    } else if identical {
        for (start, len) in blocks(left.bytes()) {
            let (mut x, mut y) = (vec![0; len], vec![0; len]);
            a.read_bytes(i, start, &mut x)?;
            b.read_bytes(j, start, &mut y)?;
            same_bytes += x.iter().zip(&y).filter(|(x, y)| x == y).count() as u64;
        }
        identical = same_bytes == left.bytes();
    }
    let share = if float { part(sums.equal, sums.n) } else { part(same_bytes, left.bytes()) };
    let diff = TensorDiff {
        name: left.name.clone(),
        name_b: right.name.clone(),
        dtype_a: left.dtype.name().to_owned(),
        dtype_b: right.dtype.name().to_owned(),
        shape: left.shape.clone(),
        elements: left.elements(),
        relative_l2: relative_l2(&sums),
        cosine: cosine(&sums),
        max_abs: sums.max_abs,
        unchanged_share: share,
        nonfinite: sums.nonfinite,
        identical,
    };
    Ok((diff, sums))
}

fn read(source: &dyn TensorSource, index: usize, start: u64, len: usize) -> Result<Vec<u8>, weights::Error> {
    debug_assert!(len <= BLOCK);
    let width = source.tensors()[index].dtype.bits() / 8;
    let mut bytes = vec![0; len * width as usize];
    source.read_bytes(index, start * width, &mut bytes)?;
    Ok(bytes)
}

fn part(some: u64, all: u64) -> f64 {
    if all == 0 { 1.0 } else { some as f64 / all as f64 }
}

fn relative_l2(sums: &DiffSums) -> Option<f64> {
    Some((sums.diff_sq / sums.b_sq).sqrt()).filter(|v| v.is_finite())
}

fn cosine(sums: &DiffSums) -> Option<f64> {
    Some(sums.ab / (sums.a_sq.sqrt() * sums.b_sq.sqrt()))
        .filter(|v| v.is_finite())
        .map(|v| v.clamp(-1.0, 1.0))
}

fn totals(measured: &[(TensorDiff, DiffSums)]) -> Totals {
    let mut sums = DiffSums::default();
    measured.iter().for_each(|(_, part)| sums.merge(part));
    Totals {
        tensors: measured.len(),
        identical: measured.iter().filter(|(diff, _)| diff.identical).count(),
        elements: measured.iter().map(|(diff, _)| diff.elements).sum(),
        relative_l2: relative_l2(&sums),
        cosine: cosine(&sums),
        max_abs: sums.max_abs,
        unchanged_share: part(sums.equal, sums.n),
        nonfinite: sums.nonfinite,
    }
}

fn verdict(report: &DiffReport) -> String {
    let Totals { tensors, identical, relative_l2, unchanged_share, nonfinite, .. } = report.totals;
    let apart = report.only_a.len() + report.only_b.len() + report.shape_mismatches.len();
    let mut text = if identical == tensors {
        format!("All {tensors} tensors that both hold are identical, bit for bit")
    } else {
        let size = relative_l2
            .map(|v| format!("; the difference is {:.3}\u{a0}% of the second model's norm", v * 100.0));
        format!(
            "{} of {tensors} tensors differ{}, {:.1}\u{a0}% of the weights are unchanged",
            tensors - identical,
            size.unwrap_or_default(),
            unchanged_share * 100.0
        )
    };
    if apart > 0 {
        text.push_str(&format!("; {apart} tensors have no counterpart of the same shape"));
    }
    if nonfinite > 0 {
        text.push_str(&format!("; {nonfinite} values are NaN or infinite"));
    }
    text + "."
}
