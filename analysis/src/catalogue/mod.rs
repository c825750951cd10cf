//! The index behind search: columns of numbers and words, postings of letter triples, sorted names.
//!
//! A [`Segment`] never changes once it is built. An [`Index`] lays a small fresh segment over a large one, so that it
//! follows a registry of millions of models by what was touched alone.

mod bits;
mod entry;
mod facet;
mod filter;
mod grams;
mod index;
mod lines;
mod matches;
mod order;
mod segment;
mod suggest;
#[cfg(test)]
mod tests;
mod typos;

pub use entry::Entry;
pub use facet::{Facet, SIZES, size_class};
pub use filter::Filter;
pub use index::{Answer, FacetCounts, Index, Wanted};
pub(crate) use lines::{Lines, Words};
pub use order::{After, Order};
pub use segment::{Segment, SegmentBuilder};
