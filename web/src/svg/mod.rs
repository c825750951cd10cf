//! Pictures drawn on the server.

pub mod changes;
pub mod dendrogram;
pub mod heat;
pub mod icicle;
pub mod plot;
mod shape;
pub mod tree;
pub mod treemap;
