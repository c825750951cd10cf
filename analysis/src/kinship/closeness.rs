//! How close two models are as they stand, from their sketches: no base is taken away.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Bare, Module, SketchedTensor, Tokens,
    overlap::Overlap,
    signature::matrices,
    spread::{Lanes, Spread, lanes},
};

/// Closeness of two models over the parts of their matrices that both have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Closeness {
    /// −1 to 1.
    pub cosine: f64,
    /// Of `cosine`.
    pub standard_error: f64,
    /// `‖a − b‖ / ‖a‖`.
    pub distance: f64,
    /// Of `distance`.
    pub distance_error: f64,
    /// Matrices that both have.
    pub matrices: usize,
    /// Matrices of the first.
    #[serde(skip)]
    pub of: usize,
    /// Share of the elements of the matrices of the first that lie in what both have, 0 to 1.
    pub share: f64,
    /// The same over all matrices.
    #[serde(skip)]
    pub whole: Whole,
}

/// Closeness over all that either of two models has: what only one has counts as zero in the other. Orders relatives, of
/// which some share little.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whole {
    /// −1 to 1.
    pub cosine: f64,
    /// `‖a − b‖ / ‖a‖`.
    pub distance: f64,
}

/// Cosines of large fine-tunes of one base are above this, and those of independent models about zero.
const FINE_TUNE: f64 = 0.99;
/// Least cosine at which most of the weights have one origin.
const DESCENT: f64 = 0.5;

/// The tensors of a model by canonical name, wrappers aside where no tensor has the very name.
struct Named<'a> {
    tensors: &'a Tensors,
    bare: Bare<'a, &'a SketchedTensor>,
}

impl<'a> Named<'a> {
    fn of(tensors: &'a Tensors) -> Self {
        Self { tensors, bare: Bare::of(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))) }
    }

    /// The tensor that `other` calls `name`.
    fn twin(&self, name: &str, other: &Self) -> Option<&'a SketchedTensor> {
        self.tensors.get(name).or_else(|| other.bare.get(name).and(self.bare.get(name)))
    }
}

impl Closeness {
    /// Whether most of the weights of the two have one origin.
    pub fn one_origin(&self) -> bool {
        self.whole.cosine >= DESCENT
    }

    /// Of models given by canonical name; none when they have nothing in common but zeros.
    pub fn of(a: &Tensors, b: &Tensors) -> Option<Self> {
        Self::speaking((a, b), Tokens::Unknown)
    }

    /// The same of models whose tokens lie to each other as told; embeddings and heads whose tokens have other rows count as
    /// not shared, and for no distance.
    pub fn speaking((a, b): (&Tensors, &Tensors), tokens: Tokens) -> Option<Self> {
        let (own, theirs) = (Named::of(a), Named::of(b));
        let told = |name: &str| tokens != Tokens::Moved || !Module::is_vocabulary(name);
        let (mut sums, mut alone) = (Sums::default(), Sums::default());
        let (mut all, mut of, mut shared, mut count) = (0, 0, 0, 0);
        for (name, tensor) in matrices(a) {
            all += tensor.elements();
            of += 1;
            if !told(name) {
                continue;
            }
            let twin = theirs.twin(name, &own);
            match twin.and_then(|other| alike(name, [tensor, other])) {
                Some(overlap) => {
                    sums.add(&overlap);
                    shared += overlap.elements;
                    count += 1;
                    let tail = |at: usize, tensor: &SketchedTensor| {
                        let mut covered = 0.0;
                        overlap.each((at, at), |cells, _| {
                            covered += cells.iter().map(|cell| cell * cell).sum::<f64>()
                        });
                        if overlap.elements < tensor.elements() {
                            (tensor.square() - covered).max(0.0)
                        } else {
                            0.0
                        }
                    };
                    alone.add_alone(tail(0, tensor), twin.map_or(0.0, |other| tail(1, other)));
                }
                None => alone.add_alone(tensor.square(), 0.0),
            }
        }
        for (name, tensor) in matrices(b).filter(|(name, _)| told(name)) {
            if own.twin(name, &theirs).and_then(|other| alike(name, [other, tensor])).is_none() {
                alone.add_alone(0.0, tensor.square());
            }
        }
        let norms = (sums.aa * sums.bb).sqrt();
        if norms <= 0.0 || !norms.is_finite() {
            return None;
        }
        let (aa, bb) = (sums.aa + alone.aa, sums.bb + alone.bb);
        let whole = Whole {
            cosine: (sums.ab / (aa * bb).sqrt()).clamp(-1.0, 1.0),
            distance: ((sums.dd + alone.dd) / aa).sqrt(),
        };
        let cosine = (sums.ab / norms).clamp(-1.0, 1.0);
        let distance = (sums.dd / sums.aa).sqrt();
        Some(Self {
            cosine,
            standard_error: sums.spread.of_cosine((sums.aa, sums.bb), cosine),
            distance,
            distance_error: sums.spread.of_relative_distance(sums.aa, distance),
            matrices: count,
            of,
            share: shared as f64 / f64::max(all as f64, 1.0),
            whole,
        })
    }

    /// What the numbers say, in one sentence.
    pub fn evidence(&self) -> String {
        let verdict = match self {
            Self { whole: Whole { distance: 0.0, .. }, .. } => "the same weights",
            Self { cosine, .. } if *cosine >= FINE_TUNE => "as close as fine-tunes of one base usually are",
            Self { cosine, .. } if *cosine >= DESCENT => "one descends from the other, or both from a third",
            _ => "closer than chance",
        };
        format!(
            "{verdict}: cosine {:.4} ± {:.4} over the {:.0}\u{a0}% of the weights that both have, in {}; \
             {:.2}\u{a0}% of their norm apart",
            self.cosine,
            self.standard_error,
            self.share * 100.0,
            covered(self.matrices, self.of),
            self.distance * 100.0
        )
    }
}

type Tensors = BTreeMap<String, SketchedTensor>;

/// What two sketches have in common; appended rows only add to one of them.
fn alike(name: &str, [a, b]: [&SketchedTensor; 2]) -> Option<Overlap> {
    let rows = a.shape == b.shape || Module::is_vocabulary(name);
    (rows && a.nonfinite == 0 && b.nonfinite == 0).then(|| Overlap::of(&[a, b]))?
}

/// How many matrices were compared: of how many, where it is not all.
pub(crate) fn covered(compared: usize, of: usize) -> String {
    match of {
        of if compared < of => format!("{compared} of {of} matrices"),
        _ => format!("{compared} matrices"),
    }
}

/// Sums over matrices; the spread is of those not kept whole.
#[derive(Default)]
struct Sums {
    aa: f64,
    bb: f64,
    ab: f64,
    dd: f64,
    spread: Spread,
}

impl Sums {
    fn add(&mut self, overlap: &Overlap) {
        overlap.each((0, 1), |a, b| {
            let apart: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            let [aa, bb, ab, dd] = [lanes(a, a), lanes(b, b), lanes(a, b), lanes(&apart, &apart)];
            let sum = |lanes: &Lanes| lanes.iter().sum::<f64>();
            self.ab += sum(&ab);
            self.add_squares((sum(&aa), sum(&bb), sum(&dd)));
            if !overlap.exact {
                self.spread.add([&aa, &bb, &ab, &dd], a.len());
            }
        });
    }

    /// Adds the squares of what only one of the two has.
    fn add_alone(&mut self, aa: f64, bb: f64) {
        self.add_squares((aa, bb, aa + bb));
    }

    fn add_squares(&mut self, (aa, bb, dd): (f64, f64, f64)) {
        self.aa += aa;
        self.bb += bb;
        self.dd += dd;
    }
}
