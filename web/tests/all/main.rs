//! The pages over HTTP, in one program: each of its own would link everything once more.

#![allow(clippy::unwrap_used)]

mod addresses;
mod again;
mod asking;
mod fake;
mod forms;
mod pages;
mod site;
mod states;
mod tree;
