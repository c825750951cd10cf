//! A pair of tensors that is tied and stored twice all the same: the second is no parameter.

use std::collections::BTreeMap;

use weights::{TensorInfo, TensorSource};

use super::{Module, Named, pairing::Paired};
use crate::{
    Error, Progress,
    computed::{blocks, is_buffer},
};

/// Embeddings and heads of one model that are compared with each other; there are four where all are tied.
const MOST: usize = 16;

/// Why a duplicate is left out.
pub(super) fn reason(first: &str) -> String {
    format!("tied: it holds the values of `{first}`, which count once")
}

/// Each tensor that holds the values of an embedding before it, and that one. `same` says whether two of one shape do.
///
/// # Errors
/// Those of `same`.
pub(super) fn duplicates<'t, E>(
    tensors: impl Iterator<Item = (usize, &'t str, &'t [u64])>,
    mut same: impl FnMut(usize, usize) -> Result<bool, E>,
) -> Result<BTreeMap<usize, usize>, E> {
    let embedding = |name: &str| Module::of(name) == Module::Embed;
    let table = |(_, name, shape): &(usize, &str, &[u64])| shape.len() == 2 && Module::is_vocabulary(name);
    let mut tables: Vec<_> = tensors.filter(table).take(MOST).collect();
    tables.sort_by_key(|(at, name, _)| (!embedding(name), *at));
    let mut found = BTreeMap::new();
    for (place, (at, _, shape)) in tables.iter().enumerate() {
        for (first, name, other) in &tables[..place] {
            if embedding(name) && other == shape && !found.contains_key(first) && same(*first, *at)? {
                found.insert(*at, *first);
                break;
            }
        }
    }
    Ok(found)
}

/// The duplicates of every side of a comparison, the reference first.
pub(super) struct Ties(Vec<BTreeMap<usize, usize>>);

impl Ties {
    /// Reads the tables of vocabularies that may be tied, to where they first differ.
    pub(super) fn read(models: &[Named], reference: &Named, progress: Progress<'_>) -> Result<Self, Error> {
        let of = |side: &Named| {
            let source = &*side.source;
            let tensors = source.tensors().iter().enumerate();
            let tensors = tensors.map(|(at, info)| (at, info.name.as_str(), info.shape.as_slice()));
            duplicates(tensors, |a, b| same_bytes(source, (a, b), progress))
        };
        std::iter::once(reference).chain(models).map(of).collect::<Result<_, _>>().map(Self)
    }

    /// Leaves out of `paired` what is a duplicate in every side.
    pub(super) fn leave_out(&self, paired: &mut Paired) {
        let [own, models @ ..] = self.0.as_slice() else { return };
        let infos = paired.reference.source.tensors();
        let duplicate = |(base, at): &(usize, Vec<usize>)| {
            let first = own.get(base)?;
            let all = models.iter().zip(at).all(|(model, at)| model.contains_key(at));
            all.then(|| (*base, reason(&infos[*first].name)))
        };
        let left_out: Vec<_> = paired.places().iter().filter_map(duplicate).collect();
        paired.without(left_out.into_iter());
    }

    /// Elements of the parameters of the largest side; what is paired in spite of being a duplicate counts.
    pub(super) fn largest(&self, sides: &[&Named], paired: &Paired) -> u64 {
        let elements = |(side, (named, duplicates)): (usize, (&&Named, &BTreeMap<usize, usize>))| {
            let counts = |(at, info): &(usize, &TensorInfo)| {
                let place = |(base, models): &(usize, Vec<usize>)| match side.checked_sub(1) {
                    None => base == at,
                    Some(model) => models.get(model) == Some(at),
                };
                !is_buffer(&info.name) && (!duplicates.contains_key(at) || paired.places().iter().any(place))
            };
            named.source.tensors().iter().enumerate().filter(counts).map(|(_, info)| info.elements()).sum()
        };
        sides.iter().zip(&self.0).enumerate().map(elements).max().unwrap_or_default()
    }
}

fn same_bytes(
    source: &dyn TensorSource,
    (a, b): (usize, usize),
    progress: Progress<'_>,
) -> Result<bool, Error> {
    let infos = source.tensors();
    if infos[a].dtype != infos[b].dtype {
        return Ok(false);
    }
    for (start, len) in blocks(infos[a].bytes()) {
        let (mut x, mut y) = (vec![0; len], vec![0; len]);
        source.read_bytes(a, start, &mut x)?;
        source.read_bytes(b, start, &mut y)?;
        progress(2 * len as u64)?;
        if x != y {
            return Ok(false);
        }
    }
    Ok(true)
}
