//! Pictures drawn on the server.

pub mod heat;
mod shape;
pub mod tree;
