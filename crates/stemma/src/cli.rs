//! The command line.

use std::path::PathBuf;

use analysis::{kinship::Parity, transfer::Preset};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::Value;

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

/// What of a diff is carried over.
#[derive(Debug, Clone, Args)]
pub struct TransferOptions {
    /// diff_vector: all tensors, and the fine-tune's tokenizer; shadow_ft: only projections; chat_vector: as diff_vector
    /// with lambda from 0.5 to 1.
    #[arg(long, value_parser = preset, default_value = "diff_vector")]
    pub preset: Preset,
    /// A number, a list from the first layer to the last such as [0.5,1], or [{"filter":"mlp","value":0.5}].
    #[arg(long, value_parser = lambda, default_value = "1.0", allow_hyphen_values = true)]
    pub lambda: Value,
    /// Only tensors in whose name this regular expression is found.
    #[arg(long)]
    pub include: Option<String>,
    /// No tensor in whose name this regular expression is found.
    #[arg(long)]
    pub exclude: Option<String>,
}

fn preset(text: &str) -> Result<Preset, String> {
    Preset::ALL.into_iter().find(|preset| preset.label() == text).ok_or_else(|| {
        let known = Preset::ALL.map(Preset::label).join(", ");
        format!("there are {known}")
    })
}

fn lambda(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|_| "expected a number, a list of numbers or a list of {\"filter\", \"value\"}".to_owned())
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
    /// How a model that was made here was made: recipe, inputs, tensors, warnings, times (JSON).
    Provenance { id: String },
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
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Diff {
        #[arg(required = true)]
        a: Option<String>,
        #[arg(required = true)]
        b: Option<String>,
        /// Write the diff vector A − B as safetensors.
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        form: DiffForm,
        #[command(subcommand)]
        command: Option<DiffCommand>,
    },
    /// LoRA adapters out of fine-tunes, and into a base.
    Adapter {
        #[command(subcommand)]
        command: AdapterCommand,
    },
    /// target_base + lambda · (source_tuned − source_base).
    Transfer {
        #[arg(long)]
        from_base: String,
        #[arg(long)]
        from_tuned: String,
        #[arg(long)]
        to_base: String,
        #[command(flatten)]
        options: TransferOptions,
        /// Folder to write.
        #[arg(required_unless_present = "check")]
        out: Option<PathBuf>,
        /// Only look at the weights: is it likely to work?
        #[arg(long, conflicts_with_all = ["out", "register", "max_shard_size"])]
        check: bool,
        /// Largest file of weights, e.g. 5GB or 500MiB; more is cut into shards with an index [default: 5GB].
        #[arg(long, value_parser = size)]
        max_shard_size: Option<u64>,
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
        /// Largest file of weights, e.g. 5GB or 500MiB; more is cut into shards with an index [default: 5GB].
        #[arg(long, value_parser = size)]
        max_shard_size: Option<u64>,
        /// Also publish the result in the registry under this id.
        #[arg(long)]
        register: Option<String>,
        /// Check only: every fault, or what the merge needs and gives.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        mergekit: MergekitOptions,
    },
    /// Print the OpenAPI document.
    Openapi,
}

/// Options as mergekit-yaml has them.
#[derive(Debug, Args)]
pub struct MergekitOptions {
    /// Chooses the random masks, whatever the recipe's seed.
    #[arg(long, alias = "seed")]
    pub random_seed: Option<u64>,
    /// `--max-shard-size` in mergekit's units: 5B are 5 billion bytes.
    #[arg(long, value_parser = crate::mergekit::shard_size, conflicts_with = "max_shard_size")]
    pub out_shard_size: Option<u64>,
    /// Copy the tokenizer, as is done anyway.
    #[arg(long, overrides_with = "no_copy_tokenizer")]
    pub copy_tokenizer: bool,
    /// Write no tokenizer.
    #[arg(long)]
    pub no_copy_tokenizer: bool,
}

/// A number of bytes with a unit: B, KB, MB, GB, TB in thousands, KiB, MiB, GiB, TiB in 1,024.
fn size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no size; use a number above 0 with a unit, e.g. 5GB or 500MiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let base: u64 = if unit.contains('i') { 1_024 } else { 1_000 };
    let power = match unit.as_str() {
        "" | "b" => 0,
        "kb" | "kib" => 1,
        "mb" | "mib" => 2,
        "gb" | "gib" => 3,
        "tb" | "tib" => 4,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(base.pow(power)).filter(|&bytes| bytes > 0).ok_or_else(bad)
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

/// How `--out` stores the diff vector.
#[derive(Debug, Args)]
pub struct DiffForm {
    /// dense, sparse or low-rank [default: dense].
    #[arg(long, requires = "out")]
    pub form: Option<String>,
    /// Share of each tensor's elements that a sparse form keeps, the largest first [default: 0.1].
    #[arg(long, requires = "out")]
    pub density: Option<f64>,
    #[command(flatten)]
    pub rank: RankArgs,
    /// float32, float16, bfloat16 or float64 [default: float32].
    #[arg(long, requires = "out")]
    pub dtype: Option<String>,
}

/// How large low-rank factors get.
#[derive(Debug, Args)]
pub struct RankArgs {
    /// Singular values of each matrix [default: 32].
    #[arg(long, conflicts_with = "energy")]
    pub rank: Option<usize>,
    /// Or as few as hold this share of its squared norm, e.g. 0.9.
    #[arg(long)]
    pub energy: Option<f64>,
}

#[derive(Debug, Subcommand)]
pub enum DiffCommand {
    /// BASE + scale · DIFF, for a DIFF that `stemma diff --out` wrote.
    Apply {
        base: String,
        diff: String,
        /// Folder to write.
        out: PathBuf,
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
        #[arg(long)]
        base: String,
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
        base: String,
        adapter: String,
        /// Folder to write.
        out: PathBuf,
        #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
        scale: f64,
        /// Also publish the result in the registry under this id.
        #[arg(long)]
        register: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TreeFormat {
    Text,
    Json,
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, bytes) in [("5GB", 5_000_000_000), ("500MiB", 500 << 20), ("7 kb", 7_000), ("12", 12)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "GB", "0GB", "-5GB", "5 pigs", "99999999999TB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
