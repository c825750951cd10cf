//! Which elements of a delta are kept: by magnitude, from the middle, at random, or at random by rank.

use kernels::{
    direct::{Pruning, RowRoom, Tuned},
    keep_random,
    prune::{Row, Slope},
    splitmix_unit,
    task::{drop_largest, keep_largest},
};
use rayon::prelude::*;
use weights::{Scratch, Sheet};

use super::{
    bits::{self, Bits, Masks},
    left::{Left, Norm},
    operands::{Block, Operands, Params},
    param::ParamSpec,
    select::{By, kept, wanted},
    spec::{Found, Refusal},
};
use crate::{room::Room, trim::Trim};

/// How a method chooses what it keeps of a delta. A density of 1 or more keeps all, one of 0 or less nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sparsifier {
    /// Everything is kept.
    None,
    /// The `density` largest elements.
    Magnitude,
    /// The `density` largest elements once the `gamma` largest of all are gone (Model Breadcrumbs).
    Middle,
    /// Each element with probability `density` (DARE).
    Random,
    /// Each with a probability from `density − epsilon` to `density + epsilon` by its rank in the row (DELLA).
    MagPrune,
}

/// Share of a delta's elements kept.
pub const DENSITY: ParamSpec =
    ParamSpec::number("density", "Share of the delta's elements kept.").per_model().or(1.0).usually(0.0, 1.0);
/// Share of the largest elements dropped.
pub const GAMMA: ParamSpec = ParamSpec::number("gamma", "Share of the delta's largest elements dropped.")
    .per_model()
    .or(0.01)
    .usually(0.0, 0.1);
/// How far the probabilities of MagPrune reach from the density.
pub const EPSILON: ParamSpec = ParamSpec::number(
    "epsilon",
    "How far the probability of keeping an element goes from the density, by rank.",
)
.per_model()
.or(0.15)
.usually(0.0, 0.3);
/// What is ranked together by Breadcrumbs; the paper ranks rows.
pub const SCOPE: ParamSpec =
    ParamSpec::choice("scope", &["tensor", "row"], "What is ranked together: a whole tensor, or each row.");
/// What is ranked together by TIES; the paper ranks the whole model.
pub const TRIM_SCOPE: ParamSpec = ParamSpec::choice(
    "trim_scope",
    &["tensor", "model"],
    "What is ranked together: each tensor, or all tensors of a model.",
);
/// How a sparse delta regains its size.
pub const RESCALE_MODE: ParamSpec = ParamSpec::choice(
    "rescale_mode",
    &["l1", "inverse_p"],
    "Rescale to the L1 norm from before, or divide each element by its probability of being kept.",
);

/// Which size a sparse delta regains.
pub const RESCALE_NORM: ParamSpec = ParamSpec::choice(
    "rescale_norm",
    &["l1", "l2", "linf"],
    "The norm that rescaling gives back: L1, L2 or the largest magnitude.",
);

/// The elements kept of one model's delta.
pub enum Kept {
    All,
    Nothing,
    Largest(Trim),
    /// Within the first, beyond the second.
    Between(Trim, Trim),
    Random {
        key: u64,
        share: f64,
    },
    Listed(Bits),
    /// The place of an element's factor among `factors`; the first is 0, for those dropped.
    Scaled {
        places: Sheet<u32>,
        factors: Vec<f64>,
    },
}

/// What is kept of every model's delta, and how much that leaves where it was measured on the way.
pub struct Sparse {
    pub kept: Vec<Kept>,
    pub left: Option<Vec<Left>>,
}

impl Kept {
    /// Zeroes the factors of the elements `start..` that are dropped.
    pub fn mask(&self, start: u64, delta: &[f64], factors: &mut [f64]) {
        let bounds = |trim: &Trim| trim.from(start).bounds();
        match self {
            Self::All => {}
            Self::Nothing => factors.fill(0.0),
            Self::Largest(trim) => keep_largest(bounds(trim), delta, factors),
            Self::Between(within, beyond) => {
                keep_largest(bounds(within), delta, factors);
                drop_largest(bounds(beyond), delta, factors);
            }
            Self::Random { key, share } => keep_random(*key, start, *share, factors),
            Self::Listed(bits) => bits.mask(start, factors),
            Self::Scaled { places, factors: scales } => {
                let places = &places[start as usize..];
                factors.iter_mut().zip(places).for_each(|(factor, at)| *factor *= scales[*at as usize]);
            }
        }
    }
}

impl Sparsifier {
    /// What is wrong with the parameters.
    pub fn faults(self, params: &Params) -> Vec<Refusal> {
        if self != Self::MagPrune {
            return Vec::new();
        }
        let outside = |density: f64, epsilon: f64| {
            density > 0.0 && density < 1.0 && (density - epsilon <= 0.0 || density + epsilon >= 1.0)
        };
        let (densities, epsilons) = (params.each("density"), params.each("epsilon"));
        let told = |(at, (density, epsilon)): (usize, (f64, f64))| {
            let message = if epsilon < 0.0 {
                format!(
                    "`epsilon` is {epsilon}; it must be 0 or more, so that large elements are kept more often"
                )
            } else if outside(density, epsilon) {
                format!(
                    "`density` {density} with `epsilon` {epsilon} gives probabilities outside 0 to 1; choose a smaller `epsilon`"
                )
            } else {
                return None;
            };
            Some(Refusal::of_model(at, "epsilon", message))
        };
        densities.into_iter().zip(epsilons).enumerate().filter_map(told).collect()
    }

    /// Whether what is kept is chosen row by row.
    fn goes_by_rows(self, operands: &Operands) -> bool {
        self == Self::MagPrune || self == Self::Middle && operands.params.chose(&SCOPE, "row")
    }

    /// Numbers held in memory at once: a row that is sorted, and the factors of its ranks.
    pub fn held(self, operands: &Operands) -> u64 {
        let models = operands.models.len() as u64;
        let divided = self == Self::MagPrune && inverse(&operands.params);
        let factors = if divided { models * (operands.columns() + 1) } else { 0 };
        if self.goes_by_rows(operands) { (2 * models + 1) * operands.columns() + factors } else { 0 }
    }

    /// Numbers of 8 bytes held in scratch: a bit an element and model, or a rank of 4 bytes.
    pub fn scratch(self, operands: &Operands) -> u64 {
        if self == Self::MagPrune && inverse(&operands.params) {
            return (operands.models.len() as u64 * operands.elements).div_ceil(2);
        }
        if self.goes_by_rows(operands) { bits::numbers(operands) } else { 0 }
    }

    /// How many elements are kept of the delta of model `at`, where that is known without reading it.
    pub fn count(self, kept: &Kept, operands: &Operands, at: usize) -> Option<u64> {
        let of = |name: &str| operands.params.each(name).get(at).copied().unwrap_or(1.0);
        match kept {
            Kept::All => Some(operands.elements),
            Kept::Nothing => Some(0),
            Kept::Largest(_) => operands
                .survey
                .is_none()
                .then(|| self::kept(of("density"), operands.elements).min(operands.elements)),
            Kept::Between(..) => {
                let (first, end) = band(of("density"), of("gamma"), operands.elements);
                Some(end - first)
            }
            Kept::Random { key, share } => Some(kernels::count_random(*key, *share, operands.elements)),
            Kept::Listed(bits) => Some(bits.count()),
            Kept::Scaled { places, .. } => Some(places.iter().filter(|place| **place != 0).count() as u64),
        }
    }

    /// What is kept of every model's delta; `method` keys the random masks.
    pub fn prepare(self, operands: &Operands, method: &str) -> Result<Sparse, weights::Error> {
        let mut left = None;
        let densities = match self {
            Self::None => vec![1.0; operands.models.len()],
            _ => operands.params.each("density"),
        };
        let mut found = match self {
            Self::None => Vec::new(),
            Self::Magnitude => match &operands.survey {
                Some(Found::Trims(trims)) => trims.iter().copied().map(Kept::Largest).collect(),
                _ => {
                    let keep = densities.iter().map(|density| kept(*density, operands.elements));
                    operands.largest(By::Deltas, &wanted(keep))?.into_iter().map(Kept::Largest).collect()
                }
            },
            Self::Middle if operands.params.chose(&SCOPE, "row") => rows(operands, &densities)?,
            Self::Middle => middle(operands, &densities)?,
            Self::Random => {
                let key = |(at, share): (usize, &f64)| Kept::Random {
                    key: operands.key(method, at),
                    share: *share,
                };
                densities.iter().enumerate().map(key).collect()
            }
            Self::MagPrune if inverse(&operands.params) => divided(
                (operands, &operands.scratch.for_all(8 * self.scratch(operands))),
                &densities,
                method,
            )?,
            Self::MagPrune => {
                let pruned = pruned(operands, &densities, method)?;
                left = pruned.left;
                pruned.kept
            }
        };
        found.resize_with(densities.len(), || Kept::All);
        for (found, density) in found.iter_mut().zip(densities) {
            match edge(density) {
                Some(true) => *found = Kept::All,
                Some(false) => *found = Kept::Nothing,
                _ => {}
            }
        }
        Ok(Sparse { kept: found, left })
    }
}

/// Whether what is kept is divided by its probability.
pub fn inverse(params: &Params) -> bool {
    params.flag("rescale") && params.chose(&RESCALE_MODE, "inverse_p")
}

/// Ranks from the largest: the first that is kept, and the first that is not any more. A density below one element keeps none.
fn band(density: f64, gamma: f64, elements: u64) -> (u64, u64) {
    let keep = ((density.clamp(0.0, 1.0) * elements as f64).floor() as u64).min(elements);
    let top = ((gamma.clamp(0.0, 1.0) * elements as f64).floor() as u64).min(elements - keep);
    (top, top + keep)
}

fn middle(operands: &Operands, densities: &[f64]) -> Result<Vec<Kept>, weights::Error> {
    let gammas = operands.params.each("gamma");
    let bands = || densities.iter().zip(&gammas).map(|(d, g)| band(*d, *g, operands.elements));
    let within = wanted(bands().map(|band| band.1));
    let beyond = wanted(bands().map(|band| band.0));
    let found = operands.largest(By::Deltas, &[within, beyond].concat())?;
    let (within, beyond) = found.split_at(densities.len());
    Ok(within.iter().zip(beyond).map(|(within, beyond)| Kept::Between(*within, *beyond)).collect())
}

/// Indices of a row from the largest magnitude, equal ones by index.
fn descending(row: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| row[*b].abs().total_cmp(&row[*a].abs()));
    order
}

fn rows(operands: &Operands, densities: &[f64]) -> Result<Vec<Kept>, weights::Error> {
    let gammas = operands.params.each("gamma");
    let columns = operands.columns() as usize;
    let masks = Masks::new((densities.len(), operands.elements), &operands.scratch)?;
    operands.each_rows(|block| {
        for at in 0..block.models.len() {
            let (first, end) = band(densities[at], gammas[at], columns as u64);
            let mut bits = Vec::with_capacity(block.len());
            for row in block.delta(at).chunks(columns) {
                let mut kept = vec![false; row.len()];
                descending(row)[first as usize..end as usize].iter().for_each(|at| kept[*at] = true);
                bits.extend(kept);
            }
            masks.put(at, (block.start, block.len()), &kernels::task::packed(&bits));
        }
    })?;
    Ok(masks.done().into_iter().map(Kept::Listed).collect())
}

/// How the rows of a delta are pruned.
fn slopes(operands: &Operands, densities: &[f64]) -> Vec<Slope> {
    let epsilons = operands.params.each("epsilon");
    densities.iter().zip(epsilons).map(|(density, epsilon)| Slope { density: *density, epsilon }).collect()
}

fn divided(
    (operands, scratch): (&Operands, &Scratch),
    densities: &[f64],
    method: &str,
) -> Result<Vec<Kept>, weights::Error> {
    let (columns, slopes) = (operands.columns() as usize, slopes(operands, densities));
    let keys: Vec<u64> = (0..densities.len()).map(|at| operands.key(method, at)).collect();
    let sheet = |_: &f64| scratch.sheet(operands.elements as usize);
    let mut sheets: Vec<Sheet<u32>> = densities.iter().map(sheet).collect::<Result<_, _>>()?;
    // The places of every run in the sheets of all models.
    let step = operands.whole_rows();
    let mut places: Vec<Vec<&mut [u32]>> = Vec::new();
    for sheet in &mut sheets {
        places.resize_with(operands.elements.div_ceil(step) as usize, Vec::new);
        places.iter_mut().zip(sheet.chunks_mut(step as usize)).for_each(|(run, place)| run.push(place));
    }
    places.into_par_iter().enumerate().try_for_each(|(at, places)| {
        let start = at as u64 * step;
        let block = operands.read_finite(start, places.first().map_or(0, |place| place.len()))?;
        for (at, place) in places.into_iter().enumerate() {
            let rows = block.delta(at).chunks(columns);
            place.copy_from_slice(&drawn(rows, slopes[at], (keys[at], start)));
        }
        Ok::<(), weights::Error>(())
    })?;
    // One over the probability of each rank.
    let factors = |slope: &Slope| {
        let kept = (0..columns).map(|rank| 1.0 / slope.probability(rank, columns));
        [0.0].into_iter().chain(kept).collect()
    };
    let scaled = |(places, slope): (Sheet<u32>, &Slope)| Kept::Scaled { places, factors: factors(slope) };
    Ok(sheets.into_iter().zip(&slopes).map(scaled).collect())
}

fn pruned(operands: &Operands, densities: &[f64], method: &str) -> Result<Sparse, weights::Error> {
    let (columns, slopes) = (operands.columns() as usize, slopes(operands, densities));
    let keys: Vec<u64> = (0..densities.len()).map(|at| operands.key(method, at)).collect();
    let norm = Norm::of(&operands.params);
    let masks = Masks::new((keys.len(), operands.elements), &operands.scratch)?;
    let listed = |block: &Block| -> Vec<Left> {
        let (mut room, mut kept) = (Row::default(), vec![false; block.len()]);
        let model = |at: usize| {
            let delta = block.delta(at);
            match edge(densities[at]) {
                Some(all) => kept.fill(all),
                None => {
                    let rows = delta.chunks(columns).zip(kept.chunks_mut(columns));
                    for (first, (row, kept)) in (block.start..).step_by(columns).zip(rows) {
                        room.prune(row, slopes[at], (keys[at], first), kept);
                    }
                }
            }
            let words = kernels::task::packed(&kept);
            masks.put(at, (block.start, block.len()), &words);
            let mut factors = Room::filled(delta.len(), 1.0);
            kernels::task::keep_listed(&words, 0, &mut factors);
            Left::of(norm, delta, &factors)
        };
        (0..block.models.len()).map(model).collect()
    };
    let prunings: Vec<Pruning> = slopes.iter().map(|slope| Pruning::new(columns, *slope)).collect();
    let direct = |start: u64, tuned: &Tuned<'_>| {
        let mut room = RowRoom::default();
        let model = |at: usize| {
            let mut words = vec![0; tuned.words()];
            match edge(densities[at]) {
                Some(all) => words.fill(if all { u64::MAX } else { 0 }),
                None => prunings[at].prune((tuned, at), (keys[at], start), (&mut room, &mut words)),
            }
            masks.put(at, (start, tuned.len()), &words);
            tuned.sizes(at, &words).into()
        };
        matches!(norm, Norm::L1).then(|| (0..keys.len()).map(model).collect())
    };
    let left: Vec<Vec<Left>> = operands.each_direct(operands.whole_rows(), direct, listed)?;
    let kept = masks.done().into_iter().map(Kept::Listed).collect();
    Ok(Sparse { kept, left: Some(Left::total(left, norm)) })
}

/// Whether everything or nothing is kept, whatever is ranked or drawn.
pub fn edge(density: f64) -> Option<bool> {
    if density >= 1.0 { Some(true) } else { (density <= 0.0).then_some(false) }
}

/// One more than the rank of each element that is kept, 0 for the others.
fn drawn<'r>(rows: impl Iterator<Item = &'r [f64]>, slope: Slope, (key, start): (u64, u64)) -> Vec<u32> {
    let mut drawn = Vec::new();
    for row in rows {
        let first = start + drawn.len() as u64;
        let mut kept = vec![0; row.len()];
        for (rank, place) in ascending(row).into_iter().enumerate() {
            if splitmix_unit(key, first + place as u64) < slope.probability(rank, row.len()) {
                kept[place] = rank as u32 + 1;
            }
        }
        drawn.extend(kept);
    }
    drawn
}

/// Indices of a row from the smallest magnitude, equal ones by index.
fn ascending(row: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| row[*a].abs().total_cmp(&row[*b].abs()));
    order
}
