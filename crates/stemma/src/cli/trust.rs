//! Arguments of what people say of models and edges.

use clap::{Args, Subcommand};
use domain::Relation;

/// An edge and what is said of it.
#[derive(Debug, Args)]
pub struct Stated {
    pub model: String,
    pub parent: String,
    /// finetune, adapter, quantized, merge or transfer [default: what the edge says, or finetune].
    #[arg(long)]
    pub relation: Option<Relation>,
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Who says so.
    #[arg(long = "by", default_value = "command line")]
    pub person: String,
}

/// What to say of an edge.
#[derive(Debug, Subcommand)]
pub enum EdgeCommand {
    /// It is right.
    Confirm(Stated),
    /// It is wrong; it stays listed as rejected.
    Reject(Stated),
    /// It is missing.
    Add(Stated),
}
