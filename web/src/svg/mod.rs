//! Pictures drawn on the server.

pub mod badge;
pub mod changes;
mod chosen;
pub mod dendrogram;
pub mod grid;
pub mod heat;
pub mod icicle;
pub mod label;
pub mod months;
pub mod plot;
pub mod shape;
pub mod strip;
pub mod tree;
pub mod treemap;
