//! Which tensor of one checkpoint is compared with which of another.

use std::collections::{HashMap, HashSet};

use domain::Digest;
use weights::{Dtype, tensor_digest};

use super::table::{ShapeMismatch, Side};
use crate::{Error, Progress, kinship::Places};

/// Tensors by their positions in both, and the names of the others.
pub(super) struct Pairs {
    pub(super) pairs: Vec<(usize, usize)>,
    pub(super) shape_mismatches: Vec<ShapeMismatch>,
    pub(super) only: [Vec<String>; 2],
}

impl Pairs {
    /// By name, wrappers aside; what is left by its bytes, where one alone of each side has them.
    ///
    /// # Errors
    /// When a tensor that is left cannot be read, or `progress` asks to stop.
    pub(super) fn of([a, b]: [Side<'_>; 2], progress: Progress<'_>) -> Result<Self, Error> {
        let (in_a, in_b) = (Places::of(a.source), Places::of(b.source));
        let (mut pairs, mut shape_mismatches) = (Vec::new(), Vec::new());
        let mut only_a = Vec::new();
        for (at, info) in a.source.tensors().iter().enumerate() {
            let Some(twin) = in_b.twin(&info.name, &in_a) else {
                only_a.push(at);
                continue;
            };
            let other = &b.source.tensors()[twin];
            if other.shape == info.shape {
                pairs.push((at, twin));
            } else {
                let (shape_a, shape_b) = (info.shape.clone(), other.shape.clone());
                shape_mismatches.push(ShapeMismatch { name: info.name.clone(), shape_a, shape_b });
            }
        }
        let missing = |&at: &usize| in_a.twin(&b.source.tensors()[at].name, &in_b).is_none();
        let only_b = (0..b.source.tensors().len()).filter(missing).collect();
        let mut only = [only_a, only_b];
        let renamed = by_bytes([a, b], &only, progress)?;
        for (side, only) in only.iter_mut().enumerate() {
            let of = |pair: &(usize, usize)| if side == 0 { pair.0 } else { pair.1 };
            only.retain(|at| renamed.iter().all(|pair| of(pair) != *at));
        }
        pairs.extend(renamed);
        pairs.sort_unstable();
        let named = |side: Side<'_>, only: &[usize]| {
            only.iter().map(|at| side.source.tensors()[*at].name.clone()).collect()
        };
        let only = [named(a, &only[0]), named(b, &only[1])];
        Ok(Self { pairs, shape_mismatches, only })
    }
}

/// The format, the shape and the bytes of a tensor.
type Content = (Dtype, Vec<u64>, Digest);

/// Tensors of both sides that have the same bytes, where no other tensor that is left has them. Only those are read whose size
/// is among those of the other side, and of which nothing is known.
fn by_bytes(
    sides: [Side<'_>; 2],
    only: &[Vec<usize>; 2],
    progress: Progress<'_>,
) -> Result<Vec<(usize, usize)>, Error> {
    let layouts = [0, 1].map(|side: usize| -> HashSet<(Dtype, &[u64])> {
        let tensors = sides[side].source.tensors();
        only[side].iter().map(|at| (tensors[*at].dtype, tensors[*at].shape.as_slice())).collect()
    });
    let mut held: [HashMap<Content, Vec<usize>>; 2] = Default::default();
    for (side, Side { source, .. }) in sides.into_iter().enumerate() {
        for &at in &only[side] {
            let info = &source.tensors()[at];
            if !layouts[1 - side].contains(&(info.dtype, info.shape.as_slice())) {
                continue;
            }
            let digest = match sides[side].fact(&info.name) {
                Some(fact) => fact.digest,
                None => {
                    progress(info.bytes())?;
                    tensor_digest(source, at)?
                }
            };
            held[side].entry((info.dtype, info.shape.clone(), digest)).or_default().push(at);
        }
    }
    let [a, b] = &held;
    let alone = |(content, places): (&Content, &Vec<usize>)| match (&places[..], b.get(content)?.as_slice()) {
        ([a], [b]) => Some((*a, *b)),
        _ => None,
    };
    Ok(a.iter().filter_map(alone).collect())
}
