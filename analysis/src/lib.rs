//! Family trees, kinship, diffs, merges and transfers. Pure: no I/O of its own, no clock, no async, no randomness.

pub mod lineage;
