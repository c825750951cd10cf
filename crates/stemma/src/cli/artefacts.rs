//! Arguments of diffs and adapters.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Target, Writing, named::model};

/// A comparison.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The model that is compared: an id, a checkpoint folder, or the recipe of a merge (.yml).
    #[arg(required = true, value_parser = model)]
    pub a: Option<String>,
    /// What it is compared with.
    #[arg(required = true, value_parser = model)]
    pub b: Option<String>,
    /// Write the diff vector A − B as safetensors.
    #[arg(long)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub form: DiffForm,
    #[command(subcommand)]
    pub command: Option<DiffCommand>,
}

/// How `--out` stores the diff vector.
#[derive(Debug, Args)]
pub struct DiffForm {
    /// dense, sparse, low-rank, bitdelta, skillpack-rtn, or emr for several fine-tunes of B together [default: dense].
    #[arg(long, requires = "out")]
    pub form: Option<String>,
    /// Another fine-tune of B for the form emr; may be repeated.
    #[arg(long, value_name = "MODEL", requires = "out", value_parser = model)]
    pub with: Vec<String>,
    /// Share of each tensor's elements that a sparse form keeps, or a skillpack-rtn of embedding tables [default: 0.1].
    #[arg(long, requires = "out")]
    pub density: Option<f64>,
    #[command(flatten)]
    pub rank: RankArgs,
    /// float32, float16, bfloat16 or float64 [default: float32; of emr the format of the models where all are halves of one
    /// kind].
    #[arg(long, requires = "out")]
    pub dtype: Option<String>,
}

/// How large low-rank factors get.
#[derive(Debug, Args)]
pub struct RankArgs {
    /// Singular values of each matrix [default: 32; of the form skillpack-rtn a quarter of its smaller side].
    #[arg(long, conflicts_with = "energy")]
    pub rank: Option<usize>,
    /// Or as few as hold this share of its squared norm, e.g. 0.9.
    #[arg(long)]
    pub energy: Option<f64>,
}

#[derive(Debug, Subcommand)]
pub enum DiffCommand {
    /// BASE + scale · DIFF, for a DIFF that `stemma diff --out` wrote; FILE#MEMBER names one of several that share a file.
    Apply {
        /// What it is added to: an id or a checkpoint folder.
        #[arg(value_parser = model)]
        base: String,
        /// The difference.
        #[arg(value_parser = model)]
        diff: String,
        /// How much of it is added.
        #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
        scale: f64,
        #[command(flatten)]
        writing: Writing,
    },
}

#[derive(Debug, Subcommand)]
pub enum AdapterCommand {
    /// Make a LoRA adapter that turns the base into the tuned model as far as its rank allows.
    Extract(ExtractArgs),
    /// BASE + scale · ADAPTER as a whole model.
    Bake(BakeArgs),
}

/// An extraction; an adapter is always one file.
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// What was tuned: an id, a checkpoint folder, or the recipe of a merge (.yml).
    #[arg(long, value_parser = model)]
    pub base: String,
    /// What it became.
    #[arg(long, value_parser = model)]
    pub tuned: String,
    #[command(flatten)]
    pub rank: RankArgs,
    /// Only modules whose name this regular expression finds itself in.
    #[arg(long)]
    pub include: Option<String>,
    /// No module whose name this regular expression finds itself in.
    #[arg(long)]
    pub exclude: Option<String>,
    /// float32, float16, bfloat16 or float64 [default: float32].
    #[arg(long)]
    pub dtype: Option<String>,
    /// Keep only singular values above this, the largest in any case.
    #[arg(long, default_value_t = 0.0)]
    pub sv_epsilon: f64,
    /// Factors for tables of tokens and the head too, instead of storing them whole.
    #[arg(long)]
    pub embed_lora: bool,
    /// All of each singular value in A and none in B, instead of its root in both.
    #[arg(long)]
    pub no_distribute_scale: bool,
    #[command(flatten)]
    pub target: Target,
}

/// An adapter applied for good.
#[derive(Debug, Args)]
pub struct BakeArgs {
    /// What it is applied to: an id or a checkpoint folder.
    #[arg(value_parser = model)]
    pub base: String,
    /// The adapter.
    #[arg(value_parser = model)]
    pub adapter: String,
    /// How much of it is added.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub scale: f64,
    #[command(flatten)]
    pub writing: Writing,
}
