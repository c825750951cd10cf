//! The command line.

use std::path::PathBuf;

use analysis::kinship::Parity;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Model lineage registry: family trees, kinship, diffs, transfers and merges.
#[derive(Debug, Parser)]
#[command(name = "stemma", version, about)]
pub struct Cli {
    #[command(flatten)]
    pub place: Place,
    /// One JSON document on stdout.
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress on stderr.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the registry lives; flags outrank environment and configuration file.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Folder of the embedded registry [default: ./stemma-data].
    #[arg(long, global = true)]
    pub data: Option<PathBuf>,
    /// sqlite://… or postgres://… [default: SQLite in the data folder].
    #[arg(long, global = true)]
    pub database: Option<String>,
    /// Folder or s3://bucket/prefix [default: blobs in the data folder].
    #[arg(long, global = true)]
    pub blobs: Option<String>,
    /// Configuration file [default: stemma.toml when it exists].
    #[arg(long, global = true)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// A registry with real families and tiny trained models, served.
    Demo {
        /// Address to listen on.
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: String,
    },
    /// Serve pages and REST, with a worker inside.
    Serve {
        /// Address to listen on [default: 127.0.0.1:8080].
        #[arg(long)]
        listen: Option<String>,
        /// Leave jobs to `stemma worker` processes.
        #[arg(long)]
        no_worker: bool,
    },
    /// Run jobs only.
    Worker,
    /// Bring the database schema up to date.
    Migrate,
    /// Check database, blob store and device.
    Doctor,
    /// Configuration in force.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Bring models in.
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// The family tree around a model.
    Tree {
        id: String,
        /// Generations below the model [default: all].
        #[arg(long)]
        down: Option<usize>,
        /// Generations above [default: all].
        #[arg(long)]
        up: Option<usize>,
        #[arg(long, value_enum, default_value_t = TreeFormat::Text)]
        format: TreeFormat,
    },
    /// Kinship of models (ids or checkpoint folders).
    Kinship {
        #[arg(required = true, num_args = 2..)]
        models: Vec<String>,
        /// Base the deltas are taken against; without it only the Euclidean distance is defined.
        #[arg(long)]
        base: Option<String>,
        /// Also a matrix for every layer.
        #[arg(long)]
        per_layer: bool,
        /// Also a matrix for every kind of module: q, k, v, o, gate, up, down, norm, …
        #[arg(long)]
        per_module: bool,
        /// Also a matrix for every tensor.
        #[arg(long)]
        per_tensor: bool,
        /// Estimate from stored sketches, with standard errors, without reading weights.
        #[arg(long)]
        estimate: bool,
        /// reference (the cosine without its sign) or reference-split (also the mean of the tensors' values).
        #[arg(long)]
        parity: Option<Parity>,
    },
    /// The models whose weights are nearest to a model (an id or a checkpoint folder).
    Relatives {
        id: String,
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
    },
    /// Compare A with B tensor by tensor; `--out` writes A − B.
    Diff {
        a: String,
        b: String,
        /// Write the diff vector A − B as safetensors.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// target_base + lambda · (source_tuned − source_base).
    Transfer {
        #[arg(long)]
        from_base: String,
        #[arg(long)]
        from_tuned: String,
        #[arg(long)]
        to_base: String,
        #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
        lambda: f64,
        /// Folder to write.
        out: PathBuf,
        /// Also publish the result in the registry under this id.
        #[arg(long)]
        register: Option<String>,
    },
    /// Merge models as a mergekit YAML says.
    Merge {
        #[arg(value_name = "CONFIG.yml")]
        recipe: PathBuf,
        /// Folder to write.
        #[arg(required_unless_present = "dry_run")]
        out: Option<PathBuf>,
        /// Also publish the result in the registry under this id.
        #[arg(long)]
        register: Option<String>,
        /// Check only, listing every fault.
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print each value with the source that set it.
    Show,
}

#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// A local checkpoint folder.
    Dir {
        path: PathBuf,
        /// Id in the registry, org/name.
        #[arg(long)]
        id: String,
    },
    /// Bulk metadata: JSONL, CSV, JSON or Parquet with the Hub's field names.
    Dump {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TreeFormat {
    Text,
    Json,
}
