//! What is left of a delta once some of it is dropped.

use kernels::{
    direct::Sizes,
    task::{energies, norms},
};

use super::{operands::Params, sparse::RESCALE_NORM};

/// Norm below which a delta is not rescaled.
const NO_NORM: f64 = 1e-7;

/// A delta, and what is kept of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Left {
    /// Parts of a norm, of everything and of what is kept.
    norms: (f64, f64),
    squares: (f64, f64),
    /// Elements kept.
    pub kept: u64,
}

impl Left {
    /// Of elements of a delta and the factors of what is kept, 0 for the others.
    pub fn of(norm: Norm, delta: &[f64], factors: &[f64]) -> Self {
        let (whole, part, kept) = energies(delta, factors);
        Self { norms: norm.partial(delta, factors), squares: (whole, part), kept }
    }

    /// Of every model, from parts in order.
    pub fn total(parts: Vec<Vec<Self>>, norm: Norm) -> Vec<Self> {
        let mut total = vec![Self::default(); parts.first().map_or(0, Vec::len)];
        for part in parts {
            total.iter_mut().zip(part).for_each(|(total, part)| total.add(part, norm));
        }
        total
    }

    fn add(&mut self, more: Self, norm: Norm) {
        let joined = |a, b| norm.joined(a, b);
        self.norms = (joined(self.norms.0, more.norms.0), joined(self.norms.1, more.norms.1));
        self.squares = (self.squares.0 + more.squares.0, self.squares.1 + more.squares.1);
        self.kept += more.kept;
    }

    /// What gives it its size back.
    pub fn scale(&self, norm: Norm) -> f64 {
        let (whole, part) = (norm.size(self.norms.0), norm.size(self.norms.1));
        if whole < NO_NORM || part < NO_NORM { 1.0 } else { whole / part }
    }

    /// Share of its squared norm that is kept.
    pub fn energy(&self) -> f64 {
        if self.squares.0 > 0.0 { self.squares.1 / self.squares.0 } else { 1.0 }
    }
}

impl From<Sizes> for Left {
    /// For [`Norm::L1`].
    fn from(Sizes { absolute, squares, kept }: Sizes) -> Self {
        Self { norms: absolute, squares, kept }
    }
}

/// A norm whose parts are combined block by block.
#[derive(Clone, Copy)]
pub enum Norm {
    L1,
    L2,
    Linf,
}

impl Norm {
    /// The one that `rescale_norm` asks for.
    pub fn of(params: &Params) -> Self {
        if params.chose(&RESCALE_NORM, "l2") {
            Self::L2
        } else if params.chose(&RESCALE_NORM, "linf") {
            Self::Linf
        } else {
            Self::L1
        }
    }

    /// What a block adds, before and after the factors.
    fn partial(self, delta: &[f64], factors: &[f64]) -> (f64, f64) {
        let kept = delta.iter().zip(factors).map(|(delta, factor)| delta * factor);
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum();
        let largest = |values: &mut dyn Iterator<Item = f64>| values.map(f64::abs).fold(0.0, f64::max);
        match self {
            Self::L1 => norms(delta, factors),
            Self::L2 => (squares(&mut delta.iter().copied()), squares(&mut kept.into_iter())),
            Self::Linf => (largest(&mut delta.iter().copied()), largest(&mut kept.into_iter())),
        }
    }

    fn joined(self, a: f64, b: f64) -> f64 {
        if matches!(self, Self::Linf) { a.max(b) } else { a + b }
    }

    fn size(self, total: f64) -> f64 {
        if matches!(self, Self::L2) { total.sqrt() } else { total }
    }
}
