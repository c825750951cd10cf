//! The command line.

mod artefacts;
mod formats;
mod mergekit;
mod people;
mod search;
mod trust;
mod upkeep;

use std::path::PathBuf;

use analysis::{kinship::Parity, transfer::Preset, transplant::Fill};
use clap::{Args, Parser, Subcommand};
use jobs::Subject;
use serde_json::Value;

pub use artefacts::{AdapterCommand, DiffCommand, DiffForm};
pub use formats::{LineageFormat, ReportFormat, TreeFilter, TreeFormat, subject};
pub use mergekit::{MergekitOptions, explained};
pub use people::{AccessCommand, OrgCommand, TokenCommand, UserCommand, WatchCommand};
pub use search::SearchCommand;
pub use trust::{AdvisoryCommand, EdgeCommand, Stated};
pub use upkeep::UpkeepCommand;

/// What stands above the options of every command in its help.
const GLOBAL: &str = "Global options";

/// Model lineage registry: family trees, kinship, diffs, transfers and merges.
#[derive(Debug, Parser)]
#[command(name = "stemma", version, about)]
pub struct Cli {
    #[command(flatten)]
    pub place: Place,
    /// One JSON document on stdout.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    /// No progress on stderr.
    #[arg(long, short, global = true, help_heading = GLOBAL)]
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

/// How a transplant makes the rows of tokens that the recipient lacks.
#[derive(Debug, Clone, Args)]
pub struct TransplantOptions {
    /// omp: put together from shared tokens; mean: the mean of their rows; zero.
    #[arg(long, default_value = "omp")]
    pub fill: Fill,
    /// Most shared tokens that one row is put together from.
    #[arg(long, default_value_t = analysis::transplant::TERMS)]
    pub k: usize,
    /// Shared tokens looked at for a row [default: all]; fewer take less time and may give another result.
    #[arg(long)]
    pub candidates: Option<usize>,
}

/// Where the registry lives; flags outrank environment and configuration file.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Folder of the embedded registry [default: ./stemma-data, for `demo` ./stemma-data/demo].
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub data: Option<PathBuf>,
    /// sqlite://… or postgres://… [default: SQLite in the data folder].
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub database: Option<String>,
    /// Folder or s3://bucket/prefix [default: blobs in the data folder].
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub blobs: Option<String>,
    /// Configuration file [default: stemma.toml when it exists].
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// A registry with real families and tiny trained models, served.
    Demo {
        /// Address to listen on [default: 127.0.0.1:8080].
        #[arg(long)]
        listen: Option<String>,
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
    #[command(flatten)]
    Upkeep(UpkeepCommand),
    /// Configuration in force.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Personal access tokens, which name the author of a push.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Users of the registry.
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Organisations and their members.
    Org {
        #[command(subcommand)]
        command: OrgCommand,
    },
    /// Private and gated models.
    Access {
        #[command(subcommand)]
        command: AccessCommand,
    },
    /// Bring models in.
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Authors of the Hub whose models are brought in as they appear and change.
    Watch {
        #[command(subcommand)]
        command: WatchCommand,
    },
    /// The family tree around a model.
    Tree {
        /// A model of the registry, org/name.
        id: String,
        /// Generations below the model [default: all].
        #[arg(long)]
        down: Option<usize>,
        /// Generations above [default: all].
        #[arg(long)]
        up: Option<usize>,
        /// Most models shown, up to 50,000 [default: 5000].
        #[arg(long)]
        limit: Option<usize>,
        #[command(flatten)]
        filter: TreeFilter,
        /// How it is written.
        #[arg(long, value_enum, default_value_t = TreeFormat::Text)]
        format: TreeFormat,
    },
    /// Who descends from whom, recovered from weights: checkpoint folders, folders of them, ids.
    Lineage {
        /// Checkpoint folders, folders of them, or ids.
        #[arg(required_unless_present = "refresh", value_name = "DIR")]
        models: Vec<String>,
        /// Instead, compare stored models with their nearest relatives again and write down what that says: those named,
        /// or all.
        #[arg(long)]
        refresh: bool,
        /// How it is written.
        #[arg(long, value_enum, default_value_t = LineageFormat::Text)]
        format: LineageFormat,
        /// Also every pair of models of one shape without a common origin.
        #[arg(long)]
        unrelated: bool,
    },
    /// What is wrong with models, carried down the tree.
    Advisory {
        #[command(subcommand)]
        command: AdvisoryCommand,
    },
    /// Claims of descent that the weights contradict.
    Contradictions {
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Say that an edge from a model to a parent is right, wrong or missing.
    Edge {
        #[command(subcommand)]
        command: EdgeCommand,
    },
    /// A model's licence against those of all its ancestors. Indicative only.
    Licence {
        /// A model of the registry, org/name.
        id: String,
    },
    /// Versions derived from what changed along a model's line of descent.
    Versions {
        /// A model of the registry, org/name.
        id: String,
    },
    /// Statistics of the whole registry: traits, mutation, drift, families, licences or names.
    Report {
        /// One of these.
        #[arg(value_parser = subject)]
        subject: Subject,
        /// How it is written.
        #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
        format: ReportFormat,
    },
    /// How a model was made by Stemma: recipe, inputs, tensors, warnings; of one of the registry also times (JSON).
    Provenance {
        /// An id, or the folder that a merge or a transfer wrote.
        id: String,
    },
    /// Every file of a model with size, SHA-256, address and tensors (JSON).
    Manifest {
        /// A model of the registry, org/name.
        id: String,
        /// A branch, a tag, a commit or a digest [default: main].
        #[arg(long)]
        revision: Option<String>,
    },
    /// Kinship of models (ids or checkpoint folders).
    Kinship {
        /// Ids or checkpoint folders.
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
        /// Of two models: also the values of every kind of module in every layer.
        #[arg(long)]
        per_part: bool,
        /// Also a matrix for every tensor.
        #[arg(long)]
        per_tensor: bool,
        /// Estimate from stored sketches, with standard errors, without reading weights.
        #[arg(long)]
        estimate: bool,
        /// Only these measures: cosine (cs), pearson (pcc), euclidean (ed).
        #[arg(long, value_delimiter = ',')]
        measure: Vec<String>,
        /// Compare what there is, even where that is less than 90 % of the weights.
        #[arg(long)]
        partial: bool,
        /// reference (the cosine without its sign) or reference_split (also the mean of the tensors' values).
        #[arg(long)]
        parity: Option<Parity>,
    },
    /// The models whose weights are nearest to a model (an id or a checkpoint folder).
    Relatives {
        /// An id, or a checkpoint folder.
        id: String,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
    },
    /// Compare A with B tensor by tensor; `--out` writes A − B.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Diff {
        /// The model that is compared: an id or a checkpoint folder.
        #[arg(required = true)]
        a: Option<String>,
        /// What it is compared with.
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
    /// target_base + lambda · (source_tuned − source_base), or of a difference that `stemma diff --out` wrote.
    Transfer {
        /// What was tuned: an id or a checkpoint folder [default: what the lineage of the fine-tune says].
        #[arg(long)]
        from_base: Option<String>,
        /// What it became.
        #[arg(long, required_unless_present = "diff")]
        from_tuned: Option<String>,
        /// A stored difference in any form, in the place of the two models it was taken of.
        #[arg(long, conflicts_with_all = ["from_base", "from_tuned", "check"])]
        diff: Option<String>,
        /// What the difference is added to.
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
    /// The weights of RECIPIENT with the tokenizer of DONOR.
    Transplant {
        /// Whose weights: an id or a checkpoint folder.
        recipient: String,
        /// Whose tokenizer.
        donor: String,
        /// Folder to write.
        #[arg(required_unless_present = "dry_run")]
        out: Option<PathBuf>,
        #[command(flatten)]
        options: TransplantOptions,
        /// Check only: every fault, or what is shared and new, and what is to be warned of.
        #[arg(long, conflicts_with = "max_shard_size")]
        dry_run: bool,
        /// Largest file of weights, e.g. 5GB or 500MiB; more is cut into shards with an index [default: 5GB].
        #[arg(long, value_parser = size)]
        max_shard_size: Option<u64>,
        /// Also publish the result in the registry under this id.
        #[arg(long)]
        register: Option<String>,
    },
    /// Merge models as a mergekit YAML says.
    Merge {
        /// mergekit's YAML; models are ids or checkpoint folders.
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
    /// Search for a merge recipe: candidates are proposed, you score them.
    Search {
        #[command(subcommand)]
        command: SearchCommand,
    },
    /// Partners to merge a model with, by kinship: a hint, not a measurement of quality.
    Suggest {
        /// An id, or a checkpoint folder.
        model: String,
        /// The base that deltas are taken against.
        #[arg(long)]
        base: String,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
    },
    /// Print the OpenAPI document.
    Openapi,
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
        /// The folder, with a model card, a configuration or weights in it.
        path: PathBuf,
        /// Id in the registry, org/name.
        #[arg(long)]
        id: String,
    },
    /// Models of the configured Hub, or of another Stemma that it is.
    Hub {
        /// org/name, or org/name@revision.
        #[arg(required_unless_present = "author")]
        ids: Vec<String>,
        /// And what of this user's or organisation's models is new or has changed.
        #[arg(long)]
        author: Option<String>,
        /// none: what the card and the Hub say; headers: shapes too; full: all files.
        #[arg(long, default_value = "full")]
        weights: jobs::Take,
        /// Generations of declared parents to bring in too, as far as they are not here; at most 1,000 models.
        #[arg(long, default_value_t = 0)]
        parents: u32,
    },
    /// Bulk metadata: JSONL, CSV, JSON or Parquet with the Hub's field names.
    Dump {
        /// Formats by the end of the name: .jsonl, .ndjson, .json, .csv, .parquet; all but the last may be packed by gzip or zstd,
        /// which their content tells.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{Cli, size};

    #[test]
    fn every_argument_says_what_it_is() {
        fn silent(command: &clap::Command, path: &str) -> Vec<String> {
            let path = format!("{path} {}", command.get_name());
            let without =
                command.get_arguments().filter(|arg| arg.get_help().is_none() && !arg.is_hide_set());
            let own = without.map(|arg| format!("{path} {}", arg.get_id()));
            own.chain(command.get_subcommands().flat_map(|inner| silent(inner, &path))).collect()
        }

        assert_eq!(silent(&Cli::command(), ""), Vec::<String>::new());
    }

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
