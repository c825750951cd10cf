//! Jobs and what they call, in one program: each of its own would link everything once more.

#![allow(clippy::unwrap_used)]

mod common;
mod comparisons;
mod differences;
mod dumps;
mod folders;
mod imports;
mod kinship;
mod parentage;
mod planned;
mod rulings;
mod stages;
mod warnings;
mod wrappers;
