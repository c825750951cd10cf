//! Pictures drawn on the server.

pub mod changes;
pub mod dendrogram;
mod grid;
pub mod heat;
pub mod icicle;
pub mod plot;
mod shape;
pub mod strip;
pub mod tree;
pub mod treemap;
