//! Family trees from declared lineage: claims read from metadata, and the forest they make.

mod addressed;
mod claims;
mod cycles;
mod dates;
mod forest;
mod graph;
mod grounds;
mod growth;
mod kin;
mod neighbourhood;
mod normalise;
mod numbers;
mod path;
mod places;
mod positions;
mod preorder;
mod ranked;
mod reach;
mod relation;
mod rename;
mod sieve;
mod slices;
mod tree;
mod walk;

#[cfg(test)]
mod forest_tests;

pub use addressed::{Addressed, addressed};
pub use claims::claims;
pub use dates::Late;
pub use forest::{Family, Forest, ForestBuilder, ForestEdge, Link, NamedEdges, Node, Shown, Standing};
pub use grounds::Grounds;
pub use growth::{Growth, Month};
pub use kin::{Kin, KinQuery};
pub use neighbourhood::{Neighbourhood, Reach, Step};
pub(crate) use normalise::cached;
pub use normalise::{identify, located, normalise};
pub use path::{LineagePath, PathEdge, PathStep, ends};
pub(crate) use places::Places;
pub use positions::{Along, Edge};
pub use preorder::Sifted;
pub use reach::{Reached, Toward, Walk};
pub use sieve::Sieve;
pub use slices::{Slice, Small};
pub use tree::{Groups, Relative, SubtreeOptions, Tree, TreeNode};
