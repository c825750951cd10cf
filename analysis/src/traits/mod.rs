//! What a registry's metadata says of heredity: how alike relatives are, what changes and which way.
//!
//! Measures follow "Anatomy of a Machine Learning Ecosystem" (<https://arxiv.org/abs/2508.06811>).

mod cards;
mod drift;
mod families;
mod mutation;
mod ordered;
mod sample;
mod similarity;
mod table;
mod text;

pub use cards::{CardDrift, card_drift};
pub use drift::{Drift, Transition, drift};
pub use families::{Component, Families, FamilyShape, families};
pub use mutation::{MutationRate, mutation};
pub use sample::{Kin, PairClass, pairs};
pub use similarity::{Interval, KinLikeness, Likeness, similarity};
pub use table::{Card, Trait, TraitTable};
