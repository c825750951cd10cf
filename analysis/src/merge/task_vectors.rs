//! Generalised task arithmetic: sparsify each delta, perhaps elect a sign an element, add what is left to the base.
//!
//! With `δ_i = x_i − b`, weights `w_i` and what a sparsifier keeps of `δ_i` written `δ̃_i`: `D = Σ w_i·δ̃_i`, with an
//! election only over the models whose `w_i·δ̃_i` has the elected sign; `D` is divided by the sum of their weights
//! when normalised, multiplied by `lambda` and added to `b`.

use std::{collections::BTreeMap, sync::Arc};

use kernels::{
    Dtype, Encoded,
    direct::{Shares, Tuned, Vote, Voters},
    task::{By, Divisor, Election, Strip, ZeroSign, add_deltas, elect, votes},
};

use serde_json::json;

use super::{
    Combine, Method, MethodSpec, Operands, ParamSpec, Params,
    blend::around,
    direct::Masks,
    left::{Left, Norm},
    operands::Block,
    select::{self, Ranked, Wanted},
    sparse::{Kept, Sparse, Sparsifier, TRIM_SCOPE, edge, inverse},
    spec::{Caution, Found, Refusal, Sum, Survey},
    sphere::Common,
};
use crate::{computed::CHUNK, room::Room, trim::Trim};

/// Sum of weights below which it is not divided by, as share of what they are without their signs.
pub const NO_DIVISOR: f64 = 1e-8;
/// Sum of signed weights below which the check warns of dividing by it, as share of what they are without their signs.
const NEAR_ZERO: f64 = 1e-3;
/// Weights of which all sums are tried.
const SUMMED: usize = 16;

/// What is wrong with weights that an average divides by the sum of, where the flag `normalize` asks for it.
pub fn no_divisor(params: &Params, normalize: &str) -> Vec<Refusal> {
    let weights = params.each("weight");
    let total: f64 = weights.iter().sum();
    let size: f64 = weights.iter().map(|weight| weight.abs()).sum();
    if params.flag(normalize) && !size.is_finite() {
        return vec![Refusal::of_all("the weights sum to more than a number can be; make them smaller")];
    }
    // Weights such as 0.1, 0.2 and -0.3 cancel only up to rounding.
    if params.flag(normalize) && total.abs() <= NO_DIVISOR * size {
        let message = format!("the weights sum to zero; change one, or set `{normalize}: false`");
        return vec![Refusal::of_all(message)];
    }
    Vec::new()
}

pub const WEIGHT: ParamSpec =
    ParamSpec::number("weight", "Factor of this model's delta.").per_model().usually(0.0, 1.0);
pub const LAMBDA: ParamSpec =
    ParamSpec::number("lambda", "Factor of the combined delta.").or(1.0).usually(0.0, 2.0);
pub const NORMALIZE: ParamSpec =
    ParamSpec::flag("normalize", "Divide the combined delta by the sum of the weights.");
pub const RESCALE: ParamSpec = ParamSpec::flag("rescale", "Give each sparse delta the size from before.");
pub const ZERO_SIGN: ParamSpec = ParamSpec::choice(
    "zero_sign",
    &["plus", "majority"],
    "The sign elected where the votes cancel: plus, or the one most elements of the tensor have.",
);
pub const DIVISOR: ParamSpec = ParamSpec::choice(
    "divisor",
    &["signed", "abs"],
    "What normalising divides by: the sum of the weights, or of what they are without their signs.",
);

pub const ELECTION: ParamSpec = ParamSpec::choice(
    "election",
    &["sum", "count"],
    "What elects the sign of an element: the sum of the weighted deltas, or how many have it.",
);

/// A member of the family: little more than a declaration.
pub struct TaskVectors {
    pub spec: &'static MethodSpec,
    pub sparsifier: Sparsifier,
    pub consensus: Consensus,
}

/// Whether the models elect a sign an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consensus {
    None,
    Elected,
}

impl Method for TaskVectors {
    fn spec(&self) -> &'static MethodSpec {
        self.spec
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        self.sparsifier.faults(params)
    }

    fn caution(&self, params: &Params) -> Option<Caution> {
        let weights = params.each("weight");
        let divides = params.flag("normalize") && !params.chose(&DIVISOR, "abs");
        let size: f64 = weights.iter().map(|weight| weight.abs()).sum();
        let least = match self.consensus {
            Consensus::None => weights.iter().sum::<f64>().abs(),
            Consensus::Elected => least_sum(&weights),
        };
        let mixed = weights.iter().any(|weight| *weight < 0.0) && weights.iter().any(|weight| *weight > 0.0);
        (divides && mixed && least < NEAR_ZERO * size).then(|| Caution {
            code: "signed_divisor",
            message: format!(
                "weights that are added up to divide by them can sum to {least:.3e}, next to nothing beside their \
                 magnitudes' {size}; `divisor: abs` divides by these"
            ),
        })
    }

    fn held(&self, operands: &Operands) -> u64 {
        self.sparsifier.held(operands)
    }

    fn surveys(&self, params: &Params) -> bool {
        params.chose(&TRIM_SCOPE, "model")
    }

    fn scratch(&self, operands: &Operands) -> u64 {
        self.sparsifier.scratch(operands)
    }

    fn kept(&self, operands: &Operands) -> u64 {
        self.scratch(operands)
    }

    fn survey(&self, tensors: &[&Operands]) -> Result<Option<Survey>, weights::Error> {
        match tensors.first() {
            Some(first) if first.params.chose(&TRIM_SCOPE, "model") => model_wide(tensors).map(Some),
            _ => Ok(None),
        }
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let params = &operands.params;
        let Sparse { kept, left } = self.sparsifier.prepare(operands, self.spec.id)?;
        let mut ready = Ready {
            weights: params.each("weight"),
            scales: vec![1.0; kept.len()],
            shares: vec![None; kept.len()],
            energies: Vec::new(),
            kept,
            consensus: self.consensus,
            zero: ZeroSign::Plus,
            by_count: params.chose(&ELECTION, "count"),
            absolute: params.chose(&DIVISOR, "abs"),
            normalize: params.flag("normalize"),
            lambda: params.number("lambda"),
            sparse: (self.sparsifier != Sparsifier::None).then(|| params.each("density")),
            direct: None,
        };
        if params.flag("rescale") {
            ready.rescale(operands, left)?;
        }
        if ready.sparse.is_some() {
            let elements = operands.elements.max(1) as f64;
            let unknown = ready.shares.iter_mut().zip(&ready.kept).enumerate();
            for (at, (share, kept)) in unknown.filter(|(_, (share, _))| share.is_none()) {
                *share = self.sparsifier.count(kept, operands, at).map(|count| count as f64 / elements);
            }
        }
        if params.chose(&ZERO_SIGN, "majority") {
            let votes = operands.each_block(|block| ready.votes(block))?;
            if votes.into_iter().sum::<i64>() < 0 {
                ready.zero = ZeroSign::Minus;
            }
        }
        ready.direct = ready.sets();
        Ok(Arc::new(ready))
    }
}

/// The smallest magnitude of a sum of some of the first weights that are not 0.
fn least_sum(weights: &[f64]) -> f64 {
    let live: Vec<f64> = weights.iter().copied().filter(|weight| *weight != 0.0).take(SUMMED).collect();
    let sum = |some: u32| {
        live.iter().enumerate().filter(|(at, _)| some >> at & 1 == 1).map(|(_, weight)| weight).sum()
    };
    (1..1u32 << live.len()).map(|some| f64::abs(sum(some))).fold(f64::INFINITY, f64::min)
}

/// The largest elements of each model over all its tensors, for each tensor: as many as its density keeps of all of them
/// together, or what each density does where tensors have their own. Tensors of which a model keeps all or nothing are not
/// ranked with its others, from which they would take the places or get some.
pub fn model_wide(tensors: &[&Operands]) -> Result<Survey, weights::Error> {
    let densities: Vec<Vec<f64>> = tensors.iter().map(|tensor| tensor.params.each("density")).collect();
    let whole = |density: &f64| if *density >= 1.0 { Trim::KEEP_ALL } else { Trim::KEEP_NONE };
    let mut trims: Vec<Vec<Trim>> =
        densities.iter().map(|densities| densities.iter().map(whole).collect()).collect();
    let models = tensors.first().map_or(0, |first| first.models.len());
    let ranked = |model: usize| -> Vec<usize> {
        (0..tensors.len()).filter(|at| edge(densities[*at][model]).is_none()).collect()
    };
    // Models by the tensors that are ranked together, which most have in common.
    let mut alike: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    (0..models).for_each(|model| alike.entry(ranked(model)).or_default().push(model));
    for (ranked, models) in alike {
        let (mut placed, mut offset) = (Vec::with_capacity(ranked.len()), 0);
        for at in &ranked {
            placed.push((offset, tensors[*at]));
            offset += tensors[*at].elements;
        }
        let keep = |model: usize| {
            let mut shared = BTreeMap::new();
            for at in &ranked {
                *shared.entry(densities[*at][model].to_bits()).or_insert(0u64) += tensors[*at].elements;
            }
            let parts =
                shared.into_iter().map(|(density, elements)| f64::from_bits(density) * elements as f64);
            let sum = parts.sum::<f64>();
            if sum <= 0.0 { 0 } else { (sum.floor() as u64).clamp(1, offset) }
        };
        let wanted: Vec<Wanted> =
            models.iter().map(|model| Wanted { stream: *model, keep: keep(*model) }).collect();
        let found = Ranked { tensors: &placed, by: select::By::Deltas }.largest(&wanted)?;
        for (model, trim) in models.into_iter().zip(found) {
            for ((offset, _), at) in placed.iter().zip(&ranked) {
                trims[*at][model] = trim.from(*offset);
            }
        }
    }
    Ok(trims.into_iter().map(|trims| Found::Trims(trims.into())).collect())
}

struct Ready {
    weights: Vec<f64>,
    /// Factors that give sparse deltas their size back.
    scales: Vec<f64>,
    kept: Vec<Kept>,
    /// Share of the elements that is kept of each delta, and of its squared norm, where they are known.
    shares: Vec<Option<f64>>,
    energies: Vec<f64>,
    consensus: Consensus,
    zero: ZeroSign,
    by_count: bool,
    absolute: bool,
    normalize: bool,
    lambda: f64,
    /// Share of each delta that is asked for, where some may be dropped.
    sparse: Option<Vec<f64>>,
    /// Factors for every set of models, where there are few.
    direct: Option<Shares>,
}

impl Ready {
    /// What normalising divides by, of weights that count.
    fn share(&self, weight: f64) -> f64 {
        if self.absolute { weight.abs() } else { weight }
    }

    /// Gives sparse deltas their size back: norm of each over that of what is kept of it; 1 where either is nearly 0,
    /// or where kept elements were divided by their probabilities. What is `left` of them is measured where it is unknown.
    fn rescale(&mut self, operands: &Operands, left: Option<Vec<Left>>) -> Result<(), weights::Error> {
        if inverse(&operands.params) {
            let scale = |kept: &Kept| match kept {
                Kept::Random { share, .. } => 1.0 / share,
                _ => 1.0,
            };
            self.scales = self.kept.iter().map(scale).collect();
            return Ok(());
        }
        let norm = Norm::of(&operands.params);
        let left = match left {
            Some(left) => left,
            None => self.left(operands, norm)?,
        };
        self.scales = left.iter().map(|left| left.scale(norm)).collect();
        self.energies = left.iter().map(Left::energy).collect();
        let elements = operands.elements.max(1) as f64;
        self.shares = left.iter().map(|left| Some(left.kept as f64 / elements)).collect();
        Ok(())
    }

    /// What is left of every delta.
    fn left(&self, operands: &Operands, norm: Norm) -> Result<Vec<Left>, weights::Error> {
        let measured = |block: &Block| -> Vec<Left> {
            let model = |(at, kept): (usize, &Kept)| {
                let delta = block.delta(at);
                let mut factors = Room::filled(delta.len(), 1.0);
                kept.mask(block.start, delta, &mut factors);
                Left::of(norm, delta, &factors)
            };
            self.kept.iter().enumerate().map(model).collect()
        };
        let direct = |start: u64, tuned: &Tuned<'_>| {
            let masks = Masks::of(&self.kept, start, tuned).filter(|_| matches!(norm, Norm::L1))?;
            Some((0..self.kept.len()).map(|at| tuned.sizes(at, masks.each()[at]).into()).collect())
        };
        Ok(Left::total(operands.each_direct(CHUNK as u64, direct, measured)?, norm))
    }

    /// Weighted factors of what is kept, those of one model after those of the one before.
    fn factors(&self, start: u64, models: &[&[f64]], base: &[f64]) -> Room {
        let len = base.len();
        let mut delta = Room::of(len);
        let mut factors = Room::of(models.len() * len);
        for (at, factors) in factors.chunks_mut(len.max(1)).enumerate() {
            factors.fill(self.weight(at));
            if !matches!(self.kept[at], Kept::All) {
                kernels::wide::subtract(models[at], base, &mut delta);
                self.kept[at].mask(start, &delta, factors);
            }
        }
        factors
    }

    /// How many more elements elect plus than minus.
    fn votes(&self, block: &Block) -> i64 {
        let models: Vec<&[f64]> = block.models.iter().map(|model| &**model).collect();
        let factors = self.factors(block.start, &models, &block.base);
        let mut sums = vec![0.0; block.len()];
        votes(self.by(), Strip { base: &block.base, models: &models }, &factors, &mut sums);
        sums.iter().map(|sum| i64::from(*sum > 0.0) - i64::from(*sum < 0.0)).sum()
    }

    /// What the combined delta is divided by where no election decides.
    fn divisor(&self) -> f64 {
        let total: f64 = self.weights.iter().map(|weight| self.share(*weight)).sum();
        let size: f64 = self.weights.iter().map(|weight| weight.abs()).sum();
        if self.normalize && total.abs() > NO_DIVISOR * size { total } else { 1.0 }
    }

    /// Factors before an election, or instead of one.
    fn weight(&self, at: usize) -> f64 {
        self.weights[at] * self.scales[at]
    }

    /// What models are divided by in an election.
    fn divisors(&self) -> Vec<f64> {
        self.weights.iter().map(|weight| self.share(*weight)).collect()
    }

    fn election<'a>(&self, shares: &'a [f64]) -> Election<'a> {
        let divisor = if self.normalize { Divisor::Agreeing } else { Divisor::One };
        Election { shares, by: self.by(), divisor, zero: self.zero, scale: self.lambda }
    }

    /// The factors for every set of models that count at an element; `None` where there are too many.
    fn sets(&self) -> Option<Shares> {
        let weights: Vec<f64> = (0..self.weights.len()).map(|at| self.weight(at)).collect();
        if self.consensus == Consensus::Elected {
            return Shares::elected(&weights, self.election(&self.divisors()));
        }
        let divisor = self.divisor();
        Shares::plain(weights.len(), |at, counts| {
            let factor = if counts == 0.0 { 0.0 } else { weights[at] };
            self.lambda * (factor / divisor)
        })
    }

    /// What elects the sign.
    const fn by(&self) -> By {
        if self.by_count { By::Count } else { By::Sum }
    }
}

impl Combine for Ready {
    fn account(&self) -> weights::Account {
        let Some(asked) = &self.sparse else { return weights::Account::new() };
        let asked: Vec<f64> = asked.iter().map(|share| share.clamp(0.0, 1.0)).collect();
        let mut facts =
            vec![("density", json!(asked)), ("kept", json!(self.shares)), ("rescale", json!(self.scales))];
        facts.extend((!self.energies.is_empty()).then(|| ("energy", json!(self.energies))));
        facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect()
    }

    fn combine(&self, start: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]) {
        if let Some(Sum { factors, .. }) = self.sum() {
            return around(base, models, &factors, out);
        }
        let strip = Strip { base, models };
        let mut factors = self.factors(start, models, base);
        if self.consensus == Consensus::Elected {
            elect(strip, self.election(&self.divisors()), &mut factors);
        } else {
            let divisor = self.divisor();
            factors.iter_mut().for_each(|factor| *factor = self.lambda * (*factor / divisor));
        }
        add_deltas(strip, &factors, out);
    }

    fn encode(&self, start: u64, inputs: &[Encoded<'_>], (dtype, out): (Dtype, &mut [u8])) -> Option<u64> {
        let shares = self.direct.as_ref().filter(|_| dtype == Dtype::Bf16)?;
        let tuned = Tuned::of(inputs)?;
        let masks = Masks::of(&self.kept, start, &tuned)?;
        let weights: Vec<f64> = (0..self.weights.len()).map(|at| self.weight(at)).collect();
        let vote = Vote { weights: &weights, by: self.by(), zero: self.zero, voters: Voters::Kept };
        let vote = (self.consensus == Consensus::Elected).then_some(vote);
        Some(tuned.blend(&masks.each(), (shares, vote), out))
    }

    fn sum(&self) -> Option<Sum> {
        let plain =
            self.consensus == Consensus::None && self.kept.iter().all(|kept| matches!(kept, Kept::All));
        let divisor = self.divisor();
        let factors = || self.weights.iter().map(|weight| self.lambda * (weight / divisor)).collect();
        plain.then(|| Sum { factors: factors(), common: Common::Kept })
    }
}
