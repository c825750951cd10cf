//! Arguments of diffs and adapters.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// How `--out` stores the diff vector.
#[derive(Debug, Args)]
pub struct DiffForm {
    /// dense, sparse, low-rank, bitdelta, skillpack-rtn, or emr for several fine-tunes of B together [default: dense].
    #[arg(long, requires = "out")]
    pub form: Option<String>,
    /// Another fine-tune of B for the form emr; may be repeated.
    #[arg(long, value_name = "MODEL", requires = "out")]
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
        base: String,
        /// The difference.
        diff: String,
        /// Folder to write.
        out: PathBuf,
        /// How much of it is added.
        #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
        scale: f64,
        /// Also publish the result in the registry under this id.
        #[arg(long)]
        register: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum AdapterCommand {
    /// Make a LoRA adapter that turns the base into the tuned model as far as its rank allows.
    Extract {
        /// What was tuned: an id or a checkpoint folder.
        #[arg(long)]
        base: String,
        /// What it became.
        #[arg(long)]
        tuned: String,
        #[command(flatten)]
        rank: RankArgs,
        /// Only modules whose name this regular expression finds itself in.
        #[arg(long)]
        include: Option<String>,
        /// No module whose name this regular expression finds itself in.
        #[arg(long)]
        exclude: Option<String>,
        /// float32, float16, bfloat16 or float64 [default: float32].
        #[arg(long)]
        dtype: Option<String>,
        /// Folder to write.
        out: PathBuf,
        /// Also publish the result in the registry under this id.
        #[arg(long)]
        register: Option<String>,
    },
    /// BASE + scale · ADAPTER as a whole model.
    Bake {
        /// What it is applied to: an id or a checkpoint folder.
        base: String,
        /// The adapter.
        adapter: String,
        /// Folder to write.
        out: PathBuf,
        /// How much of it is added.
        #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
        scale: f64,
        /// Also publish the result in the registry under this id.
        #[arg(long)]
        register: Option<String>,
    },
}
