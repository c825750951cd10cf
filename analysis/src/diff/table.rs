//! Tensor-by-tensor comparison of two checkpoints in one streamed pass.

use std::collections::HashMap;

use domain::Digest;
use kernels::DiffSums;
use rayon::prelude::*;
use serde::Serialize;
use weights::{TensorInfo, TensorSource};

use super::{
    estimated::{self, Cells, Estimate},
    pairs::Pairs,
    verdict::verdict,
};
use crate::{
    Error, Progress,
    computed::{BLOCK, blocks},
};

/// One side of a comparison: a checkpoint, and what is known of its tensors without a read.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub source: &'a dyn TensorSource,
    pub facts: Option<&'a Facts>,
    /// The class that its configuration names, such as `LlamaForCausalLM`.
    pub architecture: Option<&'a str>,
}

impl<'a> Side<'a> {
    /// A checkpoint of which nothing is known.
    pub fn of(source: &'a dyn TensorSource) -> Self {
        Self { source, facts: None, architecture: None }
    }

    /// What is known of the tensor of this name.
    pub(super) fn fact(&self, name: &str) -> Option<&'a Fact> {
        self.facts.and_then(|facts| facts.get(name))
    }
}

/// What was found in stored tensors when they came in, by their names; those of a source have its number format and shape.
pub type Facts = HashMap<String, Fact>;

/// What is known of a stored tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// Of the stored bytes.
    pub digest: Digest,
    /// Root of the sum of squares of what in it is finite; none for what are no floats.
    pub l2: Option<f64>,
    /// Elements that are NaN or infinite.
    pub nonfinite: u64,
    /// Its sketch of the present scheme, where an estimate is to take the place of a read.
    pub sketch: Option<Cells>,
}

/// How `a` differs from `b`.
#[derive(Debug, Clone, Serialize)]
pub struct DiffReport {
    /// One sentence for people.
    pub verdict: String,
    /// Whether no number is an estimate.
    pub exact: bool,
    pub tensors: Vec<TensorDiff>,
    pub only_a: Vec<String>,
    pub only_b: Vec<String>,
    pub shape_mismatches: Vec<ShapeMismatch>,
    /// Tensors that `b` calls otherwise, as far as they are compared: by a wrapper around the names, or known by their bytes.
    pub renamed: Vec<Renamed>,
    /// The classes that the configurations name; null where one names none.
    pub architecture_a: Option<String>,
    pub architecture_b: Option<String>,
    pub totals: Totals,
}

/// The two names of one tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renamed {
    pub a: String,
    pub b: String,
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
    /// Standard error of [`Self::relative_l2`]; `null` where it is exact.
    pub error: Option<f64>,
    /// Cosine of `a` and `b`; `null` when either is zero.
    pub cosine: Option<f64>,
    /// Largest `|a − b|`; 0 for integer tensors, `null` where it is not read.
    pub max_abs: Option<f64>,
    /// Share of elements with the same value (integers: of bytes), 0 to 1; `null` where it is not read.
    pub unchanged_share: Option<f64>,
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
    /// Standard error of `relative_l2`; `null` where it is exact.
    pub error: Option<f64>,
    pub cosine: Option<f64>,
    /// The largest; `null` where some tensor was not read.
    pub max_abs: Option<f64>,
    pub unchanged_share: Option<f64>,
    pub nonfinite: u64,
}

/// Bytes that [`compare`] has to read of both, with no sketches.
///
/// # Errors
/// As [`compare`].
pub fn to_read(a: Side<'_>, b: Side<'_>, progress: Progress<'_>) -> Result<u64, Error> {
    let pairs = Pairs::of([a, b], progress)?.pairs.into_iter();
    let unknown = pairs.filter(|&pair| known((a, b), pair).is_none());
    Ok(unknown.map(|(i, j)| a.source.tensors()[i].bytes() + b.source.tensors()[j].bytes()).sum())
}

/// Compares `a` with `b`, `b` being the base that the differences are relative to. Wrappers around names do not part
/// tensors, nor do names where one of each side alone has the same bytes; `a` names those that both hold. What is known to be
/// equal is not read, nor what has sketches on both sides: these give distance and cosine, with a standard error.
///
/// # Errors
/// A read that fails, no tensor in common, or `progress` asking to stop.
pub fn compare(a: Side<'_>, b: Side<'_>, progress: Progress<'_>) -> Result<DiffReport, Error> {
    let Pairs { pairs, shape_mismatches, only } = Pairs::of([a, b], progress)?;
    if pairs.is_empty() {
        let hint = format!("{} tensors against {}", a.source.tensors().len(), b.source.tensors().len());
        return Err(Error::NothingInCommon { hint });
    }
    let measured: Vec<Measured> = pairs
        .par_iter()
        .map(|&pair| {
            if let Some(told) = known((a, b), pair).or_else(|| sketched((a, b), pair)) {
                progress(0)?;
                return Ok(told);
            }
            let measured = tensor(a.source, b.source, pair)?;
            progress(a.source.tensors()[pair.0].bytes() + b.source.tensors()[pair.1].bytes())?;
            Ok::<_, Error>(measured)
        })
        .collect::<Result<_, _>>()?;
    let [only_a, only_b] = only;
    let names = |Measured { diff, .. }: &Measured| {
        (diff.name != diff.name_b).then(|| Renamed { a: diff.name.clone(), b: diff.name_b.clone() })
    };
    let mut report = DiffReport {
        verdict: String::new(),
        exact: measured.iter().all(|one| one.variance.is_none()),
        totals: totals(&measured),
        renamed: measured.iter().filter_map(names).collect(),
        tensors: measured.into_iter().map(|one| one.diff).collect(),
        only_a,
        only_b,
        shape_mismatches,
        architecture_a: a.architecture.map(str::to_owned),
        architecture_b: b.architecture.map(str::to_owned),
    };
    report.verdict = verdict(&report);
    Ok(report)
}

/// A pair of tensors, and what the totals need of it.
struct Measured {
    diff: TensorDiff,
    sums: DiffSums,
    /// Of the estimated `‖a − b‖²`; none where that is exact.
    variance: Option<f64>,
}

/// A pair that is known to have the same bytes, and what a read of both would say of it.
fn known((a, b): (Side<'_>, Side<'_>), (i, j): (usize, usize)) -> Option<Measured> {
    let (left, right) = (&a.source.tensors()[i], &b.source.tensors()[j]);
    let (fact, other) = (a.fact(&left.name)?, b.fact(&right.name)?);
    if left.dtype != right.dtype || fact.digest != other.digest {
        return None;
    }
    let sums = match left.dtype.is_float() {
        true => {
            let (n, sq) = (left.elements(), fact.l2?.powi(2));
            let nonfinite = fact.nonfinite;
            DiffSums { n, equal: n, a_sq: sq, b_sq: sq, ab: sq, nonfinite, ..DiffSums::default() }
        }
        false => DiffSums::default(),
    };
    Some(told((left, right), sums, (1.0, Bytes::Same)))
}

/// A pair that sketches tell of.
fn sketched((a, b): (Side<'_>, Side<'_>), (i, j): (usize, usize)) -> Option<Measured> {
    let (left, right) = (&a.source.tensors()[i], &b.source.tensors()[j]);
    let Estimate { sums, variance } =
        estimated::estimate((left, a.fact(&left.name)?), (right, b.fact(&right.name)?))?;
    let measured = told((left, right), sums, (part(sums.equal, sums.n), Bytes::Other));
    let Some(variance) = variance else { return Some(measured) };
    let error = error(&sums, variance);
    let diff = TensorDiff { error, max_abs: None, unchanged_share: None, ..measured.diff };
    Some(Measured { diff, variance: Some(variance), ..measured })
}

/// Whether two tensors have one number format and the same bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Same,
    Other,
}

fn tensor(a: &dyn TensorSource, b: &dyn TensorSource, (i, j): (usize, usize)) -> Result<Measured, Error> {
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
    let bytes = if identical { Bytes::Same } else { Bytes::Other };
    Ok(told((left, right), sums, (share, bytes)))
}

fn told(
    (left, right): (&TensorInfo, &TensorInfo),
    sums: DiffSums,
    (unchanged_share, bytes): (f64, Bytes),
) -> Measured {
    let diff = TensorDiff {
        name: left.name.clone(),
        name_b: right.name.clone(),
        dtype_a: left.dtype.name().to_owned(),
        dtype_b: right.dtype.name().to_owned(),
        shape: left.shape.clone(),
        elements: left.elements(),
        relative_l2: relative_l2(&sums),
        error: None,
        cosine: cosine(&sums),
        max_abs: Some(sums.max_abs),
        unchanged_share: Some(unchanged_share),
        nonfinite: sums.nonfinite,
        identical: bytes == Bytes::Same,
    };
    Measured { diff, sums, variance: None }
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

/// Standard error of `‖a − b‖ / ‖b‖` where the square of the former has this variance.
fn error(sums: &DiffSums, variance: f64) -> Option<f64> {
    let spread = variance.sqrt();
    let error = spread / (2.0 * (sums.diff_sq.max(spread) * sums.b_sq).sqrt());
    Some(error).filter(|error| error.is_finite())
}

fn totals(measured: &[Measured]) -> Totals {
    let mut sums = DiffSums::default();
    measured.iter().for_each(|one| sums.merge(&one.sums));
    let estimated = measured.iter().filter_map(|one| one.variance).reduce(|all, one| all + one);
    let read = estimated.is_none();
    Totals {
        tensors: measured.len(),
        identical: measured.iter().filter(|one| one.diff.identical).count(),
        elements: measured.iter().map(|one| one.diff.elements).sum(),
        relative_l2: relative_l2(&sums),
        error: estimated.and_then(|variance| error(&sums, variance)),
        cosine: cosine(&sums),
        max_abs: read.then_some(sums.max_abs),
        unchanged_share: read.then(|| part(sums.equal, sums.n)),
        nonfinite: sums.nonfinite,
    }
}
