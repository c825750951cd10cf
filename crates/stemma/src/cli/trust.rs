//! Arguments of what people say of models and edges.

use clap::{Args, Subcommand};
use domain::Relation;
use store::{AdvisoryKind, Severity};

/// An edge and what is said of it.
#[derive(Debug, Args)]
pub struct Stated {
    /// The model that descends, org/name.
    pub model: String,
    /// What it descends from, org/name.
    pub parent: String,
    /// finetune, adapter, quantized, merge, transfer, conversion or distil [default: what the edge says, or finetune].
    #[arg(long)]
    pub relation: Option<Relation>,
    /// Why.
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

/// What to do with advisories.
#[derive(Debug, Subcommand)]
pub enum AdvisoryCommand {
    /// File one about a model or a digest.
    #[command(group = clap::ArgGroup::new("about").required(true))]
    File {
        /// The model that it is about, org/name.
        #[arg(long, group = "about")]
        model: Option<String>,
        /// Of a revision or of a file, sha256:….
        #[arg(long, group = "about")]
        digest: Option<String>,
        /// defect, recall, licence_change or dataset_takedown.
        #[arg(long)]
        kind: AdvisoryKind,
        /// low, moderate, high or critical.
        #[arg(long)]
        severity: Severity,
        /// One line.
        #[arg(long)]
        summary: String,
        /// All there is to say.
        #[arg(long, default_value = "")]
        details: String,
        /// Where to read more.
        #[arg(long)]
        link: Option<String>,
        /// Who files it.
        #[arg(long = "by", default_value = "command line")]
        person: String,
    },
    /// Advisories, the latest first; or those that reach a model.
    List {
        /// Those that reach this model, org/name.
        #[arg(long)]
        model: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
        /// Where the page before ended.
        #[arg(long, conflicts_with = "model")]
        cursor: Option<String>,
    },
    /// Take one back; it stays listed.
    Withdraw {
        /// The advisory.
        id: String,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        /// Who takes it back.
        #[arg(long = "by", default_value = "command line")]
        person: String,
    },
}
