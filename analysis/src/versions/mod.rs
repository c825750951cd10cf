//! Names and versions: what a model's name says, and a version derived from what actually changed.
//!
//! After "Towards Semantic Versioning of Open Pre-trained Language Model Releases" (<https://arxiv.org/abs/2409.10472>).

mod change;
mod differ;
mod line;
mod name;
mod naming;

pub use change::{Change, Level, Part, State, Tensor, changes};
pub use differ::{Differences, KeyChange, differences, key_changes};
pub use line::{Named, Release, Version, release};
pub use name::{Kind, Segment, parse, pattern, stated_version};
pub use naming::{Naming, NamingSurvey};
