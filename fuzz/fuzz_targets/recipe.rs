//! Fuzz target of merge recipes: `cargo +nightly fuzz run recipe`.
#![no_main]

#[path = "../src/recipe.rs"]
mod recipe;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| recipe::read(bytes));
