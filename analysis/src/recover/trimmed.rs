//! Weights of a merge that leaves some elements out, from the elements it does not leave out: least trimmed squares
//! (Rousseeuw 1984). Where most elements hold the whole sum, no element of a single parent stands out.

use faer::{Mat, linalg::solvers::Solve as _};

use super::{measured::Measured, mixture, samples::Samples};

/// Models that a sum may have beside its base.
const PARENTS: usize = 5;
/// A further parent explains at least this share of what was left.
const GAIN: f64 = 0.05;
/// Elements that are looked at.
const LOOKED_AT: usize = 1 << 14;
/// Rounds in which the elements are chosen anew, and the share of them that is kept.
const ROUNDS: usize = 24;
const KEPT: f64 = 0.4;

/// Parents of `child`, of those `near`, with the weight of each one's change to `base`.
pub(super) fn weights(
    (measured, samples): (&Measured, &Samples),
    (child, base): (usize, usize),
    near: &[usize],
) -> Vec<(usize, f32)> {
    let left = |parents: &[usize]| mixture::left(measured, child, parents);
    let (mut chosen, mut rest) = (vec![base], measured.apart(child, base));
    while chosen.len() <= PARENTS {
        let with = |&one: &usize| {
            let set = [&chosen[..], &[one]].concat();
            (!chosen.contains(&one)).then(|| (left(&set), one))
        };
        let Some((least, one)) = near.iter().filter_map(with).min_by(|a, b| a.0.total_cmp(&b.0)) else {
            break;
        };
        if least > (1.0 - GAIN) * rest {
            break;
        }
        rest = least;
        chosen.push(one);
    }
    let parents = &chosen[1..];
    if parents.len() < 2 {
        return Vec::new();
    }
    let (values, count) = (&samples.values, samples.values[child].len());
    let change = |member: usize, at: usize| f64::from(values[member][at]) - f64::from(values[base][at]);
    let mut held: Vec<usize> = (0..count).step_by(count.div_ceil(LOOKED_AT).max(1)).collect();
    let all = held.clone();
    let mut found = vec![0.0; parents.len()];
    for _ in 0..ROUNDS {
        let products = |i: usize, j: usize| held.iter().map(|&at| change(i, at) * change(j, at)).sum::<f64>();
        let system = Mat::from_fn(parents.len(), parents.len(), |i, j| products(parents[i], parents[j]));
        let target = Mat::from_fn(parents.len(), 1, |i, _| products(parents[i], child));
        let solved = system.full_piv_lu().solve(&target);
        found = (0..parents.len()).map(|at| solved[(at, 0)]).collect();
        let off = |&at: &usize| {
            let sum: f64 =
                parents.iter().zip(&found).map(|(&parent, weight)| weight * change(parent, at)).sum();
            let size: f64 = parents.iter().map(|&parent| change(parent, at).abs()).sum();
            (change(child, at) - sum).abs() / size.max(f64::MIN_POSITIVE)
        };
        let mut offs: Vec<(f64, usize)> =
            all.iter().map(|at| (off(at), *at)).filter(|(off, _)| off.is_finite()).collect();
        let keep = (offs.len() as f64 * KEPT) as usize;
        if keep <= parents.len() || found.iter().any(|weight| !weight.is_finite()) {
            return Vec::new();
        }
        offs.select_nth_unstable_by(keep, |a, b| a.0.total_cmp(&b.0));
        held = offs[..keep].iter().map(|(_, at)| *at).collect();
    }
    parents.iter().copied().zip(found.into_iter().map(|weight| weight as f32)).collect()
}
