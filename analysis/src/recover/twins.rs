//! Parents that another model equals, or equals but for rounding: which of them is named.

use std::cmp::Reverse;

use super::{
    Evidence, Parent, descends,
    facts::{Facts, mantissa},
    names,
    sketched::{Stored, StoredTensor, apart, comparable},
};

/// Squared distance of a tensor from its rounding to a format of no bit after the leading one, as a share of its square:
/// 3 / (8 ln 2) / 12, each further bit quarters it.
const ROUNDING: f64 = 0.0451;
/// Roundings up to which two tensors hold the same values, the unevenness of sketches included.
const SAME: f64 = 2.0;
/// Share of a square below which the distance of two sketches is that of their own numbers.
const FLOOR: f64 = 1e-12;

/// Of the models that hold the same values as a parent, the one that the child's card names is the parent, otherwise the
/// one that was here first: weights cannot tell them apart.
pub(super) fn prefer(models: &[Stored], facts: &[Option<Facts>], parents: &mut [Vec<Parent>]) {
    let place = |id: &str| models.iter().position(|model| model.id == id);
    for child in 0..models.len() {
        for at in 0..parents[child].len() {
            let Some(found) = place(&parents[child][at].id) else { continue };
            let taken = |twin: usize| parents[child].iter().any(|parent| parent.id == models[twin].id);
            let rank = |twin: usize| {
                let named = models[child].claims.iter().any(|claim| names(&models[twin].id, claim));
                (Reverse(named), models[twin].order, twin)
            };
            let twins = (0..models.len()).filter(|&twin| {
                rank(twin) < rank(found)
                    && twin != child
                    && !taken(twin)
                    && !descends(place, parents, (twin, child))
                    && same(models, facts, (found, twin))
            });
            if let Some(twin) = twins.min_by_key(|&twin| rank(twin)) {
                let why = if rank(twin).0.0 { "which the card names" } else { "which was here first" };
                let parent = &mut parents[child][at];
                parent.evidence.push(told(&models[found], &models[twin], why));
                parent.id.clone_from(&models[twin].id);
            }
        }
    }
}

fn told(found: &Stored, twin: &Stored, why: &str) -> Evidence {
    Evidence {
        method: "same_values",
        score: 0.0,
        standard_error: None,
        log10_p: None,
        tensors: twin.tensors.len(),
        parameters: twin.tensors.iter().map(|tensor| tensor.sketch.elements()).sum(),
        sentence: format!("`{}` holds the same values as `{}`, {why}", found.id, twin.id),
    }
}

/// Whether two models hold the same values in each tensor, or one of them those of the other in fewer bits.
fn same(models: &[Stored], facts: &[Option<Facts>], (a, b): (usize, usize)) -> bool {
    let (Some(own), Some(theirs)) = (&facts[a], &facts[b]) else { return false };
    let twins = theirs.by_place();
    own.tensors.len() == theirs.tensors.len()
        && own.tensors.iter().all(|tensor| {
            let twin = twins.twin(tensor).map(|twin| &models[b].tensors[twin.index]);
            twin.is_some_and(|twin| rounded(&models[a].tensors[tensor.index], twin))
        })
}

fn rounded(a: &StoredTensor, b: &StoredTensor) -> bool {
    if a.digest == b.digest {
        return true;
    }
    let bits = mantissa(a.dtype).min(mantissa(b.dtype));
    let most = (SAME * ROUNDING * 0.25f64.powi(bits as i32)).max(FLOOR) * a.sketch.square();
    comparable(&a.sketch, &b.sketch) && apart(&a.sketch, &b.sketch) <= most
}
